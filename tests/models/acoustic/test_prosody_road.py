"""Prosody as a user meets it: trained in both phases, gone on with, spoken, exported, refused where there is none."""

import os
import signal

import numpy as np
import pytest
import torch

from chatterbox_es import command_line, synthesize
from chatterbox_es.config import compose
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.batches import PitchedSet, collate
from chatterbox_es.models.acoustic.initialisation import prosody_statistics
from chatterbox_es.models.families import load_checkpoint, recipe_of
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import TOLERANCE, export_voice
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voices import load_voice
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.run import run_phase

TOLD = ("model.prosody=true", "train.samples=0", "train.trial_steps=1")
TEXT = "Hola, ¿qué tal estás?"


@pytest.fixture(scope="module")
def runs(config_of, features, tmp_path_factory):
    """Both phases with prosody."""
    outputs = tmp_path_factory.mktemp("told")
    for phase in ("4_2", "4_3"):
        run_phase(config_of(f"phase={phase}", f"outputs={outputs}", *TOLD, "train.epochs=3"), outputs / phase / "run")
    return outputs


@pytest.fixture(scope="module")
def voice(runs):
    """One whose prosody has something to say: thirty steps teach it little."""
    loaded = load_voice(runs / "4_3/run", options=VoiceOptions(vocoder="griffin_lim"))
    torch.manual_seed(3)
    prosody = loaded.acoustic.model.prosody
    torch.nn.init.normal_(prosody.embedding.weight, std=0.3)
    torch.nn.init.normal_(prosody.predictor.output.weight, std=0.3)
    prosody.predictor.output.bias.data[0] = 9
    return loaded


def test_both_phases_log_their_prosody_and_store_its_statistics(runs, config_of):
    features = PitchedSet(prepare(config_of()))
    for phase, file in (("4_2", "final_text_encoder.pt"), ("4_3", "final_full_model.pt")):
        rows = RunDirectory(runs / phase / "run").metrics()
        assert all(np.isfinite(row["train_prosody_loss"]) for row in rows if "train_loss" in row)
        found = [row["val_prosody"] for row in rows if "val_prosody" in row]
        assert len(found) == 3 and np.isfinite(found).all()
        assert "val_prosody" in [metric["name"] for metric in read_card(runs / phase / "run")["metrics"]]
        stored = load_checkpoint(runs / phase / "run/checkpoints" / file)
        assert stored.has_prosody
        torch.testing.assert_close(stored.weights["prosody.statistics"], prosody_statistics(features, ()))


def test_statistics_are_those_of_the_training_frames(config_of, features):
    pitched = PitchedSet(features, config_of().data)
    f0 = np.concatenate([pitched.f0.hertz(number) for number in pitched.train.tolist()])
    energy = np.concatenate([pitched.stored_mel(number).astype(float).mean(1) for number in pitched.train.tolist()])
    voiced, decibels = 12 * np.log2(f0[f0 > 0]), 20 * energy / np.log(10)
    expected = [voiced.mean(), max(0.5, voiced.std()), decibels.mean(), decibels.std()]
    np.testing.assert_allclose(prosody_statistics(pitched, ())[0].numpy(), expected, rtol=1e-3)
    recorded = collate(pitched, pitched.train[:2].tolist()).recorded
    assert recorded.shape == (len(collate(features, pitched.train[:2].tolist()).mels), 2)
    assert not recorded.is_floating_point()  # which mixed precision would round to half a semitone


def test_a_run_that_was_stopped_goes_on_bit_by_bit(config_of, features, tmp_path, at_step):
    def config(name: str, *more: str):
        return config_of("phase=4_2", "model.dropout=0.1", "train.state_minutes=0", "phase.batch_size=3",
                         f"outputs={tmp_path / name}", *TOLD, "train.ema=0.9", *more)

    run_phase(config("never"), tmp_path / "never/run")
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        run_phase(config("it"), tmp_path / "it/run")
    run_phase(config("it", "resume=auto"), tmp_path / "it/run")
    mine, theirs = (load_checkpoint(tmp_path / name / "run/checkpoints/final_text_encoder.pt").weights
                    for name in ("never", "it"))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    losses = [[(row["step"], row["train_prosody_loss"]) for row in RunDirectory(tmp_path / name / "run").metrics()
               if "train_prosody_loss" in row] for name in ("never", "it")]
    assert losses[0] == losses[1]


def test_a_voice_says_a_text_as_its_seed_has_it(voice):
    first, again, other = (voice.speak(TEXT, manner=Manner(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert len(first.mel) != len(other.mel) or np.abs(first.mel - other.mel).max() > 0.01


def test_sentences_of_a_text_have_melodies_of_their_own(voice):
    whole = list(voice.stream("Hola. Hola."))
    assert len(whole[0].mel) != len(whole[1].mel) or np.abs(whole[0].mel - whole[1].mel).max() > 0.01


def test_parts_of_a_text_can_be_said_otherwise(voice):
    reading = voice.front_end.read(TEXT)
    count = len(reading.ids)
    slow = np.where(np.arange(count) < count // 2, 0.5, 1.0)
    still = Manner(temperature=0.0)
    plain, half = voice.say(reading, still), voice.say(reading, Manner(temperature=0.0, speed=slow))
    middle = count // 2
    assert half.durations[:middle].sum() == pytest.approx(2 * plain.durations[:middle].sum(), abs=middle)
    assert half.durations[middle:].sum() == pytest.approx(plain.durations[middle:].sum(), abs=1)
    with pytest.raises(ValueError, match="broadcast"):
        voice.say(reading, Manner(pitch=np.zeros(3)))


@pytest.mark.parametrize(("said", "reason"), [
    ({"pitch": 30.0}, "pitch=30: must be from -24 to 24; semitones"), ({"range": -1.0}, "range=-1"),
    ({"energy": float("nan")}, "energy=nan"), ({"temperature": 3.0}, "temperature=3"), ({"seed": -1}, "seed=-1")])  # fmt: skip
def test_what_nobody_could_say_is_refused(voice, said, reason):
    with pytest.raises(UserError, match=reason):
        voice.speak(TEXT, manner=Manner(**said))


def test_a_voice_without_prosody_says_that_it_has_none(road, tmp_path, monkeypatch, capsys):
    arguments = [f"run={road.whole_run}", f"text={TEXT}", f"out={tmp_path}/a.wav"]
    monkeypatch.setattr("sys.argv", ["synthesize", *arguments, "pitch=2"])
    with pytest.raises(SystemExit) as ended:
        command_line.run(synthesize.main)
    assert ended.value.code == 2
    assert "pitch=2.0: this voice knows nothing of pitch and energy" in capsys.readouterr().err


def test_the_command_takes_the_melody(runs, tmp_path, monkeypatch, capsys):
    for name, more in (("a", []), ("b", ["seed=5", "pitch=1", "range=1.5", "energy=3", "temperature=1"])):
        monkeypatch.setattr("sys.argv", ["synthesize", f"run={runs}/4_3/run", f"text={TEXT}", f"out={tmp_path}/{name}.wav",
                                         "vocoder=griffin_lim", *more])
        synthesize.main()
    assert (tmp_path / "a.wav").is_file() and (tmp_path / "b.wav").is_file()


def test_an_exported_voice_says_the_same_given_the_noise(runs, tmp_path):
    """`export_voice` compares at its tolerance; here the sound of a seed is compared, too."""
    agreement = export_voice(runs / "4_3/run/checkpoints/final_full_model.pt", tmp_path / "voice.onnx")
    assert agreement.difference < TOLERANCE / 10 and agreement.compared > 10
    torch_, graph = (load_voice(path, options=VoiceOptions(vocoder="griffin_lim", seed=4, pitch=2.0, temperature=1.0))
                     for path in (runs / "4_3/run", tmp_path / "voice.onnx"))
    said, again = torch_.speak(TEXT), graph.speak(TEXT)
    np.testing.assert_array_equal(said.durations, again.durations)
    np.testing.assert_allclose(said.mel, again.mel, atol=1e-4 * np.abs(said.mel).max())


def test_fine_tuning_begins_as_a_voice_that_had_none(road, config_of, features):
    config = config_of("phase=4_3", f"train.finetune={road.whole_run}", *TOLD)
    recipe = recipe_of(config)
    model, _ = recipe.start(config, recipe.prepare(config), None)
    parent = load_checkpoint(road.whole_run / "checkpoints/final_full_model.pt").build()
    tokens = features.token_ids(0)
    torch.testing.assert_close(model.eval().speak(tokens)[0], parent.speak(tokens)[0], atol=1e-5, rtol=1e-5)


def test_a_voice_with_prosody_is_not_gone_on_with_without_it(runs, config_of, features):
    config = config_of("phase=4_3", f"train.finetune={runs}/4_3/run")
    with pytest.raises(UserError, match="was trained with model.prosody=true"):
        recipe_of(config).start(config, features, None)


def test_a_key_that_is_no_truth_is_named():
    with pytest.raises(UserError, match="model.prosody"):
        compose(["model.prosody=perhaps"])
