"""Two corpora in one run: the voice that comes of it has two speakers, and goes on as one voice, or one voice as two."""

import json

import pytest
import torch

from chatterbox_es import command_line, synthesize
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.initialisation import build_model, start_model
from chatterbox_es.speech.voices import load_voice
from chatterbox_es.training.run import run_phase

TOLD = ("model.use_speaker=true", "model.use_dialect=true", "model.speaker_minimum=1", "train.samples=1", "train.trial_steps=1")
TOKENS = torch.arange(3, 12)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, make_corpus, config_of):
    """A configuration of a run on a mix of two speakers, one of them Mexican."""
    folder = tmp_path_factory.mktemp("mixed")
    sources = ",".join(f"{name}:{{kind:folder,path:{make_corpus(folder / name, pitch=pitch)},dialect:{dialect}}}"
                       for name, pitch, dialect in (("eva", 1.0, "castilian"), ("paz", 1.5, "mexican")))

    def written(*more: str):
        return config_of("data=mix", f"+data.sources={{{sources}}}", "train.epochs=1", *more)

    return written


@pytest.fixture(scope="module")
def told_run(tmp_path_factory, mixed):
    folder = tmp_path_factory.mktemp("conditioned") / "run"
    run_phase(mixed("phase=4_2", *TOLD), folder)
    return folder


@pytest.fixture(scope="module")
def conditioned_voice(told_run):
    return told_run / "checkpoints" / "final_text_encoder.pt"


def test_the_embeddings_are_trained_counted_and_stored_by_name(told_run, conditioned_voice):
    plan = json.loads((told_run / "plan.json").read_text())
    assert plan["parameters"]["speaker_embedding"] == plan["parameters"]["dialect_embedding"] == 3 * 32
    card = json.loads((told_run / "run.json").read_text())
    assert card["parameters"] == plan["parameters"] and card["frozen"]["parts"] == ["mel_decoder"]
    stored = load_checkpoint(conditioned_voice)
    assert sorted(stored.model["speakers"]) == ["eva", "paz"] and sorted(stored.model["dialects"]) == ["castilian", "mexican"]
    assert all(vector.abs().max() > 0 for what in ("speaker", "dialect") for vector in stored.vectors(what).values())
    assert list((told_run / "samples").rglob("*.png"))
    again = load_checkpoint(conditioned_voice.with_suffix(".safetensors"))
    assert again.model["speakers"] == stored.model["speakers"]


@pytest.mark.parametrize(("speaker", "status", "said"), [
    ("paz", 0, "speaker paz"), ("", 0, "speaker e"), ("nadie", 2, "speaker=nadie is not known to this voice; it has e"),
])  # fmt: skip
def test_synthesis_takes_a_speaker_by_name(conditioned_voice, tmp_path, monkeypatch, capsys, speaker, status, said):
    arguments = [f"run={conditioned_voice}", "text=Hola.", f"out={tmp_path}/a.wav", *[f"speaker={speaker}"][:bool(speaker)]]
    monkeypatch.setattr("sys.argv", ["synthesize", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.run(synthesize.main)
    assert ended.value.code == status
    output = capsys.readouterr()
    assert said in output.out + output.err and (tmp_path / "a.wav").exists() == (status == 0)


def test_another_dialect_is_told_too(conditioned_voice):
    voice = load_voice(conditioned_voice, speaker="eva")
    mexican = voice.in_dialect("mexican")
    assert mexican.speaker == "eva"
    weights = [each.checkpoint.weights["text_encoder.embedding.weight"] for each in (voice, mexican)]
    assert not torch.equal(*weights)


def test_phase_4_3_takes_the_embeddings_over(told_run, conditioned_voice, mixed):
    config = mixed("phase=4_3", *TOLD, f"train.encoder={told_run}")
    model, _ = start_model(config, prepare(config))
    for name, vector in load_checkpoint(conditioned_voice).vectors("speaker").items():
        assert torch.equal(model.speaker_embedding.embedding.weight[model.speaker_embedding.row(name)], vector)


def test_one_voice_goes_on_as_two(road, mixed):
    """Each of the two begins as the one voice was."""
    config = mixed("phase=4_3", *TOLD, f"train.finetune={road.whole_run}")
    features = prepare(config)
    conditioned, _ = start_model(config, features)
    plain, _ = start_model(mixed("phase=4_3", f"train.finetune={road.whole_run}"), features)
    for model in (conditioned, plain):
        model.eval()
    for number in range(2):
        ids = torch.tensor([number])
        conditioning = conditioned.conditioning(ids, ids)
        assert torch.equal(conditioned.speak(TOKENS, conditioning=conditioning)[0], plain.speak(TOKENS)[0])


def test_two_voices_go_on_as_one(told_run, conditioned_voice, mixed, config_of, make_corpus, tmp_path):
    """A run without conditioning begins as the mean of both."""
    model, _ = start_model(mixed("phase=4_2", f"train.finetune={told_run}"), prepare(mixed()))
    stored = load_checkpoint(conditioned_voice)
    both = stored.fold("speaker", None).fold("dialect", None)
    assert torch.equal(model.text_encoder.embedding.weight, both.weights["text_encoder.embedding.weight"])
    alone = config_of(f"train.finetune={told_run}", corpus=make_corpus(tmp_path / "one", pitch=1.5))
    assert start_model(alone, prepare(alone))[0].named("speaker") is None


def test_other_speakers_begin_as_the_mean_and_known_ones_stay(told_run, conditioned_voice, make_corpus, tmp_path, config_of):
    sources = ",".join(f"{name}:{{kind:folder,path:{make_corpus(tmp_path / name)}}}" for name in ("paz", "sol"))
    config = config_of("data=mix", f"+data.sources={{{sources}}}", "phase=4_2", "model.use_speaker=true",
                       "model.speaker_minimum=1", f"train.finetune={told_run}")
    model, _ = start_model(config, prepare(config))
    known = load_checkpoint(conditioned_voice).vectors("speaker")
    weight, row = model.speaker_embedding.embedding.weight, model.speaker_embedding.row
    assert torch.equal(weight[row("paz")], known["paz"])
    torch.testing.assert_close(weight[row("sol")], (known["eva"] + known["paz"]) / 2)


def test_a_corpus_of_one_speaker_has_nobody_to_tell_apart(config_of, features):
    with pytest.raises(UserError, match=r"model.use_speaker=true.*0 speakers.*leave it out"):
        build_model(config_of("model.use_speaker=true"), features)


def test_speakers_with_few_recordings_share_one_embedding(mixed):
    with pytest.raises(UserError, match="lower model.speaker_minimum"):
        build_model(mixed("model.use_speaker=true", "model.speaker_minimum=1000"), prepare(mixed()))
