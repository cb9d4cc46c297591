"""Checkpoints: what is stored comes back, what does not fit is named on both sides, other statistics are undone."""

import dataclasses

import pytest
import torch

from chatterbox_es.audio.mel import MelContract
from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.checkpoint import rebase
from chatterbox_es.models.fase4.initialisation import start_model
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.runs.run_directory import read_card
from chatterbox_es.text import SymbolTable
from chatterbox_es.training.run import run_phase


@pytest.fixture(scope="module")
def encoder_file(road):
    return road.encoder_run / "checkpoints/final_text_encoder.pt"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, make_corpus):
    """Another speaker: the same sentences, faster, so that statistics and content are others."""
    return make_corpus(tmp_path_factory.mktemp("foreign") / "corpus", pitch=1.3)


def test_what_is_saved_comes_back(tmp_path, encoder_file):
    checkpoint = load_checkpoint(encoder_file)
    checkpoint.save(tmp_path / "deep/copy.pt")
    again = load_checkpoint(tmp_path / "deep/copy.pt")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy.pt"]  # no partial file is left
    assert all(torch.equal(checkpoint.weights[name], again.weights[name]) for name in checkpoint.weights)
    assert again.statistics.difference(checkpoint.statistics) == 0
    for field in ("model", "phase", "contract", "symbols", "front_end", "lineage"):
        assert getattr(again, field) == getattr(checkpoint, field)
    tokens = torch.arange(3, 20)
    assert torch.equal(again.build().speak(tokens)[0], checkpoint.build().speak(tokens)[0])


def test_a_checkpoint_knows_what_it_is(encoder_file, features):
    checkpoint = load_checkpoint(encoder_file)
    assert (checkpoint.phase, checkpoint.front_end["dialect"]) == ("4_2", "castilian")
    assert checkpoint.contract == MelContract()
    assert checkpoint.lineage["content"] == features.card["content"]
    assert checkpoint.lineage["step"] == 2
    checkpoint.check_fits(features, "it")  # raises nothing


def changed(tmp_path, encoder_file, **changes):
    path = tmp_path / "changed.pt"
    dataclasses.replace(load_checkpoint(encoder_file), **changes).save(path)
    return path


def test_another_symbol_table_names_both_and_the_symbols(tmp_path, encoder_file, config_of, features):
    symbols = [*features.symbols.in_use[:-1], "ɹ"]
    path = changed(tmp_path, encoder_file, symbols=SymbolTable(symbols))
    with pytest.raises(UserError) as error:
        start_model(config_of("phase=4_3", f"train.encoder={path}"), features)
    for said in (str(path), str(features.folder), "symbol table", "ɹ", features.symbols.in_use[-1]):
        assert said in str(error.value)


def test_another_mel_contract_names_both_and_the_figures(tmp_path, encoder_file, config_of, features):
    path = changed(tmp_path, encoder_file, contract=MelContract(hop=256))
    with pytest.raises(UserError) as error:
        start_model(config_of("phase=4_3", f"train.encoder={path}"), features)
    for said in (str(path), str(features.folder), "hop: 256 / 480"):
        assert said in str(error.value)


def test_other_statistics_name_both_and_the_way_out(encoder_file, config_of, foreign):
    config = config_of("phase=4_3", f"train.encoder={encoder_file}", corpus=foreign)
    features = prepare(config)
    with pytest.raises(UserError) as error:
        start_model(config, features)
    for said in (str(encoder_file), str(features.folder), "statistics", "train.finetune=RUN"):
        assert said in str(error.value)


@pytest.mark.parametrize(("size", "named"), [
    ("model.width=48", r"text_encoder.embedding.weight is \(8000, 32\) there and \(8000, 48\) here"),
    ("model.layers=2", r"text_encoder.layers.1.* is only in this model"),
])
def test_other_sizes_name_the_weight(size, named, encoder_file, config_of, features):
    with pytest.raises(UserError, match=named):
        start_model(config_of("phase=4_3", f"train.encoder={encoder_file}", size), features)


def test_fine_tuning_says_the_same_log_mels_in_the_units_of_the_new_data(road, config_of, foreign, tmp_path):
    parent = load_checkpoint(road.whole_run / "checkpoints/final_full_model.pt")
    config = config_of("phase=4_3", f"train.finetune={road.whole_run}", "train.max_steps=1", "train.samples=0", corpus=foreign)
    features = prepare(config)
    assert parent.statistics.difference(features.statistics) > 0.01  # there is something to undo
    model, lineage = start_model(config, features)
    assert lineage["finetuned_from"] == str(road.whole_run / "checkpoints/final_full_model.pt")
    tokens = torch.arange(3, 40)
    (now, durations), (before, durations_before) = model.eval().speak(tokens), parent.build().speak(tokens)
    assert torch.equal(durations, durations_before)
    torch.testing.assert_close(features.statistics.restore(now), parent.statistics.restore(before), atol=2e-4, rtol=1e-4)
    run_phase(config, tmp_path / "run")
    assert read_card(tmp_path / "run")["state"] == "finished"
    assert load_checkpoint(final_checkpoint(tmp_path / "run")).statistics.difference(features.statistics) == 0


def test_rebase_is_exact_for_any_decoder():
    old = Statistics(torch.randn(3), torch.rand(3) + 0.5)
    new = Statistics(torch.randn(3) * 4, torch.rand(3) + 0.1)
    weights = {"mel_decoder.0.weight": torch.randn(5, 4), "mel_decoder.0.bias": torch.randn(5),
               "mel_decoder.10.weight": torch.randn(3, 5), "mel_decoder.10.bias": torch.randn(3)}
    hidden = torch.randn(7, 5)

    def spoken(statistics: Statistics) -> torch.Tensor:
        return statistics.restore(hidden @ weights["mel_decoder.10.weight"].T + weights["mel_decoder.10.bias"])

    before, first = spoken(old), weights["mel_decoder.0.weight"].clone()
    rebase(weights, old, new)
    torch.testing.assert_close(spoken(new), before, atol=1e-4, rtol=1e-4)
    assert torch.equal(weights["mel_decoder.0.weight"], first)


@pytest.mark.parametrize(("content", "said"), [
    (None, "there is no checkpoint"),
    (b"", "damaged or not a checkpoint"),
    (b"this is a letter", "damaged or not a checkpoint"),
    ("cut", "damaged or not a checkpoint"),
    ("other", "not a checkpoint of this version"),
])
def test_a_file_that_is_no_checkpoint_is_an_error(content, said, tmp_path, encoder_file):
    path = tmp_path / "some.pt"
    if content == "cut":
        path.write_bytes(encoder_file.read_bytes()[:-5000])
    elif content == "other":
        torch.save({"weights": {}}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)


def test_an_exported_voice_in_place_of_a_checkpoint_says_what_to_name(tmp_path):
    with pytest.raises(UserError, match=r"voice.onnx is an exported voice.*name the run"):
        load_checkpoint(tmp_path / "voice.onnx")


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"format": 1, "weights": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_a_run_without_a_final_checkpoint_says_its_state(tmp_path):
    with pytest.raises(UserError, match="there is no run"):
        final_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="no final checkpoint"):
        final_checkpoint(tmp_path)
