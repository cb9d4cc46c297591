"""``model=flow`` as a user meets it: both phases, resumption, fine-tuning, speech, selection, export."""

import os
import shutil
import signal

import numpy as np
import pytest
import torch

from chatterbox_es.config import compose
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import features_of, load_checkpoint, recipe_of, release
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from chatterbox_es.selection.choosing import choose
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import TOLERANCE, export_voice
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voices import load_voice
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.run import run_phase

TINY = ("model=flow", "model.symbols=64", "model.decoder_blocks=1", "model.flow_width=16", "model.flow_blocks=1",
        "model.discriminator_width=2", "model.adversarial_from=0.3", "model.decoder_hidden=default",
        "model.decoder_start=default", "train.samples=0", "train.trial_steps=1")
TEXT = "Hola, ¿qué tal estás?"


@pytest.fixture(scope="module")
def runs(config_of, features, tmp_path_factory):
    """Both phases, in a folder that has a finished 4_2 of the other model on the same data, too."""
    outputs = tmp_path_factory.mktemp("flow")
    run_phase(config_of(*TINY, "phase=4_2", f"outputs={outputs}", "train.epochs=8"), outputs / "4_2/1")
    run_phase(config_of("phase=4_2", f"outputs={outputs}", "train.samples=0"), outputs / "4_2/2")
    run_phase(config_of(*TINY, "phase=4_3", f"outputs={outputs}", "train.epochs=8", "train.ema=0.9", "train.samples=1"),
              outputs / "4_3/1")
    return outputs


def weights(run, name: str) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / name).weights


def test_4_2_leaves_the_flow_as_it_was_and_4_3_takes_all_and_trains_all(runs, config_of):
    config = config_of(*TINY, "phase=4_2")
    recipe = recipe_of(config)
    torch.manual_seed(0)
    fresh = recipe.build(config, recipe.prepare(config), None).state_dict()
    first, second = weights(runs / "4_2/1", "final_text_encoder.pt"), weights(runs / "4_3/1", "final_full_model.pt")
    assert torch.equal(first["flow_decoder.output.weight"], torch.zeros_like(fresh["flow_decoder.output.weight"]))
    for part in ("text_encoder", "token_decoder", "mel_decoder", "flow_decoder", "duration_predictor", "prosody"):
        names = [name for name in second if name.startswith(part) and name != "prosody.statistics"]
        assert any(not torch.equal(first[name], second[name]) for name in names), part
    assert read_card(runs / "4_3/1")["lineage"]["encoder_from"] == str(runs / "4_2/1/checkpoints/final_text_encoder.pt")
    rows = RunDirectory(runs / "4_3/1").metrics()
    assert {"train_flow_loss", "train_prosody_loss", "grad_norm_flow"} <= {key for row in rows for key in row}
    contest = [row["train_discriminator_loss"] for row in rows if "train_discriminator_loss" in row]
    assert contest[0] == 0 and contest[-1] > 0.1  # from a third of the run on
    assert not any(name.startswith("discriminator") for name in second)
    assert all(np.isfinite(row["val_flow"]) for row in rows if "val_loss" in row)
    assert not any("train_flow_loss" in row for row in RunDirectory(runs / "4_2/1").metrics())
    losses = [row["val_loss"] for row in RunDirectory(runs / "4_2/1").metrics() if "val_loss" in row]
    assert losses[-1] < losses[0]


def test_a_run_leaves_the_running_mean_of_its_last_step(runs):
    final, mean = (weights(runs / "4_3/1", name) for name in ("final_full_model.pt", "ema_full_model.pt"))
    assert all(torch.equal(final[name], mean[name]) for name in final)


def test_a_run_that_was_stopped_goes_on_bit_by_bit(runs, config_of, tmp_path, at_step):
    def config(name: str, *more: str):
        return config_of(*TINY, "phase=4_3", f"train.encoder={runs}/4_2/1", "model.dropout=0.1", "train.state_minutes=0",
                         "phase.batch_size=3", f"outputs={tmp_path / name}", *more)

    run_phase(config("never"), tmp_path / "never/run")
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        run_phase(config("it"), tmp_path / "it/run")
    run_phase(config("it", "resume=auto"), tmp_path / "it/run")
    mine, theirs = (weights(tmp_path / name / "run", "final_full_model.pt") for name in ("never", "it"))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_fine_tuning_says_the_same_on_other_data(runs, config_of, make_corpus, tmp_path):
    other = make_corpus(tmp_path / "other", pitch=1.3)
    config = config_of(*TINY, "phase=4_3", f"train.finetune={runs}/4_3/1", f"data.prepared={tmp_path}/sets", corpus=other)
    recipe = recipe_of(config)
    features = recipe.prepare(config)
    model, _ = recipe.start(config, features, None)
    parent = load_checkpoint(runs / "4_3/1/checkpoints/final_full_model.pt")
    tokens, before = features.token_ids(0), parent.build().eval()
    statistics = before.prosody.statistics.clone()
    assert not torch.equal(statistics, model.prosody.statistics)  # the new voice's own, in whose range it speaks
    model.prosody.statistics.copy_(statistics)
    said, again = before.speak(tokens)[0], model.eval().speak(tokens)[0]
    torch.testing.assert_close(features.statistics.restore(again), parent.statistics.restore(said), atol=1e-3, rtol=1e-3)


def test_what_is_released_says_nothing_of_this_machine(runs, tmp_path):
    release(runs / "4_3/1", tmp_path / "weights/voice.safetensors", small=True)
    given = load_checkpoint(tmp_path / "weights/voice.safetensors")
    made = load_checkpoint(runs / "4_3/1/checkpoints/final_full_model.pt")
    assert str(runs) in str(made.lineage) and str(runs) not in str(given.describe())
    assert given.lineage["content"] == made.lineage["content"] and given.symbols == made.symbols
    for name, weight in made.weights.items():
        rows = slice(len(made.symbols.in_use) if name == "text_encoder.embedding.weight" else None)  # not what no symbol uses
        torch.testing.assert_close(given.weights[name][rows], weight[rows], atol=float(weight.abs().max()) / 200, rtol=0)


def test_a_voice_speaks_and_tau_0_is_its_prior(runs):
    voice = load_voice(runs / "4_3/1", options=VoiceOptions(vocoder="griffin_lim"))
    cold = [voice.speak(TEXT, manner=Manner(temperature=0, tau=0, seed=seed)).mel for seed in (1, 2)]
    np.testing.assert_array_equal(*cold)
    one, again, other = (voice.speak(TEXT, manner=Manner(temperature=0, tau=1.0, seed=seed)).mel for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1 and np.abs(one - cold[0]).max() > 0.1
    with pytest.raises(UserError, match="steps=0: must be from 1 to 1000"):
        voice.speak(TEXT, manner=Manner(steps=0))


def test_a_voice_of_4_2_has_no_flow_yet(runs):
    voice = load_voice(runs / "4_2/1", options=VoiceOptions(vocoder="griffin_lim"))
    assert len(voice.speak(TEXT).samples)
    with pytest.raises(UserError, match="tau=0.5: this voice has no flow"):
        voice.speak(TEXT, manner=Manner(tau=0.5))


@pytest.mark.parametrize(("run", "phase"), [("4_2/1", "text_encoder"), ("4_3/1", "full_model")])
def test_an_exported_voice_says_the_same_given_the_noise(runs, tmp_path, run, phase):
    agreement = export_voice(runs / run / f"checkpoints/final_{phase}.pt", tmp_path / "voice.onnx")
    assert agreement.difference < TOLERANCE / 10 and agreement.compared > 10
    torch_, graph = (load_voice(path, options=VoiceOptions(vocoder="griffin_lim", seed=4, pitch=2.0, temperature=1.0))
                     for path in (runs / run, tmp_path / "voice.onnx"))
    said, again = torch_.speak(TEXT), graph.speak(TEXT)
    np.testing.assert_array_equal(said.durations, again.durations)
    np.testing.assert_allclose(said.mel, again.mel, atol=1e-4 * np.abs(said.mel).max())
    if phase == "full_model":
        with pytest.raises(UserError, match="steps=9: an exported voice has 4"):
            graph.speak(TEXT, manner=Manner(steps=9))


def test_checkpoints_are_ranked_and_the_best_is_kept(runs, tmp_path):
    run = runs / "4_3/1"
    ranking, _ = choose({run: sorted((run / "checkpoints").glob("*.pt"))}, "val_loss", 1, tmp_path)
    assert load_voice(tmp_path / "best", options=VoiceOptions(vocoder="griffin_lim")).checkpoint.family == "flow"
    assert "val_prosody" in ranking.best.candidate.values.means()


def test_the_other_model_is_refused_by_name(runs, config_of, features):
    config = config_of("phase=4_3", f"train.finetune={runs}/4_3/1")
    with pytest.raises(UserError, match="is a voice of model=flow; this works with model=fase4 alone"):
        recipe_of(config).start(config, features, None)
    config = config_of(*TINY, "model.symbols=20", "phase=4_2")
    recipe = recipe_of(config)
    with pytest.raises(UserError, match="model.symbols=20 rows are too few"):
        recipe.build(config, recipe.prepare(config), None)


@pytest.mark.parametrize("wrong", ["model.flow_blocks=0", "model.flow_width=none", "model.decoder_hidden=[3]"])
def test_a_key_out_of_range_is_named(wrong):
    with pytest.raises(UserError, match=wrong.partition("=")[0].split(".")[1]):
        compose(["model=flow", wrong])


def test_a_vocoder_is_given_the_mels_that_the_voice_draws(runs, config_of, monkeypatch):
    config = config_of(*TINY, "phase=4_3")
    features = recipe_of(config).prepare(config)
    stored = load_checkpoint(runs / "4_3/1/checkpoints/final_full_model.pt")
    numbers = features.train[:2].tolist()
    prior = dict(stored.aligned_mels(features, numbers))
    monkeypatch.setattr("chatterbox_es.models.flow.checkpoint.TAU", 1.0)
    drawn, again = dict(stored.aligned_mels(features, numbers)), dict(stored.aligned_mels(features, numbers[:1]))
    np.testing.assert_allclose(drawn[numbers[0]], again[numbers[0]], atol=1e-3)
    for number in numbers:
        assert drawn[number].shape == features.stored_mel(number).shape == prior[number].shape
    roughness = [np.abs(np.diff(mels[numbers[0]], axis=0)).mean() for mels in (prior, drawn)]
    assert roughness[1] > 1.1 * roughness[0]  # noise, after a flow that has hardly learnt


def test_a_run_from_before_there_were_discriminators_is_still_read(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "4_3/1", run)
    config = (run / "config.yaml").read_text(encoding="utf-8")
    old = "".join(line for line in config.splitlines(keepends=True)
                  if not line.strip().startswith(("flow_share", "adversarial_", "feature_weight", "discriminator_width")))
    assert len(old) < len(config)
    (run / "config.yaml").write_text(old, encoding="utf-8")
    content = load_checkpoint(run / "checkpoints/final_full_model.pt").lineage["content"]
    assert len(features_of(run, content)) == len(features_of(runs / "4_3/1", content))
