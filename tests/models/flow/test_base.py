"""The base voice: how it is stored, what begins as it, and how it speaks."""

import dataclasses
import logging
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from chatterbox_es import command_line, evaluate, export, synthesize
from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.checkpoint import EMBEDDING, STATISTICS
from chatterbox_es.models.families import features_of, load_checkpoint, recipe_of
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.network import Flow
from chatterbox_es.runs import checkpoint_files
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from chatterbox_es.speech.demo_voices import Shelf
from chatterbox_es.speech.onnx_export import Agreement
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voices import load_voice, newest_voice
from chatterbox_es.text.symbols import PHONES, SYMBOLS
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.run import run_phase
from tests.tiny_voices import FLOW, PITCHES, flow_voice

TINY = ("model=flow", *(f"model.{name}={size}" for name, size in FLOW.items()), "model.decoder_hidden=default",
        "model.decoder_start=default", "train.samples=0", "train.trial_steps=1")  # fmt: skip
LARGE = 2**14  # numbers of a matrix, from which on it is rounded
TEXT = "Hola, ¿qué tal?"
BASE_RUN = Path("base")


@pytest.fixture
def base(without_base_voice) -> Checkpoint:
    """One that comes along."""
    flow_voice().export(without_base_voice, small=True)
    return Checkpoint.load(without_base_voice)


# ---- storage


def test_what_is_stored_small_comes_back_within_half_a_step_of_each_row(tmp_path):
    before = flow_voice()
    before.export(tmp_path / "small.safetensors", small=True)
    after = load_checkpoint(tmp_path / "small.safetensors")
    assert isinstance(after, Checkpoint) and after.describe() == before.describe()
    assert after.weights.keys() == before.weights.keys()
    used, rounded = len(SYMBOLS), 0
    for name, weight in before.weights.items():
        again = after.weights[name]
        assert again.dtype == torch.float32 and again.shape == weight.shape
        if name == EMBEDDING:
            assert not again[used:].any()
            weight, again = weight[:used], again[:used]
        if name in (STATISTICS, "prosody.harmonics"):
            assert torch.equal(again, weight), name
        elif weight.dim() < 2 or weight.numel() < LARGE:
            torch.testing.assert_close(again, weight, rtol=2**-11, atol=2**-25)
        else:
            rounded += 1
            error, bound = (again - weight).abs().flatten(1).amax(1), weight.abs().flatten(1).amax(1) / 254
            assert (error <= bound * 1.002).all() and (error > 0.5 * bound).all(), name
    assert rounded > 3
    assert torch.isfinite(after.build().speak(torch.arange(3, 20))[0]).all()


def test_at_its_real_size_it_stays_below_22_mb(tmp_path):
    network = Flow(speakers=("dora", "alex"))
    model = {"speakers": ["dora", "alex"], "symbols": 256, "bins": 80}
    dataclasses.replace(flow_voice(), weights=network.state_dict(), model=model).export(tmp_path / "x.safetensors", small=True)
    assert 18e6 < (tmp_path / "x.safetensors").stat().st_size < 22e6


@pytest.mark.parametrize("wrong", ["cut", "without a scale", "a scale of other rows", "without symbols", "a stranger"])
def test_a_damaged_file_is_a_sentence(without_base_voice, base, wrong):
    path, tensors = without_base_voice, load_file(without_base_voice)
    scale = next(name for name in tensors if name.endswith(".scale"))
    if wrong == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        if wrong == "without a scale":
            del tensors[scale]
        elif wrong == "a scale of other rows":
            tensors[scale] = tensors[scale][:-1].clone()
        elif wrong == "without symbols":
            del tensors[EMBEDDING]
        else:
            tensors["stranger.scale"] = torch.ones(2)
        with safe_open(path, "pt") as file:
            save_file(tensors, path, file.metadata())
    with pytest.raises(UserError, match=r"voice_base\.safetensors is damaged"):
        Checkpoint.load(path)


# ---- fine-tuning


def begun(config_of, *more: str, **options):
    """The set and the model of a run that begins as the base voice."""
    config = config_of(*TINY, "phase=4_3", "train.finetune=base", *more, **options)
    recipe = recipe_of(config)
    features = recipe.prepare(config)
    return features, *recipe.start(config, features, None)


def test_a_voice_begins_as_its_nearest_speaker_and_in_the_base_units(base, config_of, features, caplog):
    caplog.set_level(logging.INFO)
    given, model, lineage = begun(config_of)
    assert given.statistics.difference(base.statistics) == 0 and features.statistics.difference(base.statistics) > 0.1
    assert lineage["finetuned_from"] == str(checkpoint_files.BASE_VOICE) and lineage["of"]["step"] == 7
    measured = float(model.prosody.statistics[0, 0])  # the set's own
    assert measured not in PITCHES.values()
    nearest = min(PITCHES, key=lambda name: abs(PITCHES[name] - measured))
    assert f"begins as {nearest}, whose pitch is nearest" in caplog.text
    tokens = given.token_ids(0)
    model.prosody.statistics.copy_(base.as_speaker(nearest, "").weights[STATISTICS])  # but for the height of its voice
    said, expected = model.eval().speak(tokens)[0], base.as_speaker(nearest, "").build().speak(tokens)[0]
    torch.testing.assert_close(said, expected, atol=1e-5, rtol=1e-5)
    other = base.as_speaker(next(name for name in PITCHES if name != nearest), "").build().speak(tokens)[0]
    assert said.shape != other.shape or (said - other).abs().max() > 0.01


@pytest.mark.parametrize("nearest", ["dora", "alex"])
def test_pitch_decides_whom_a_voice_begins_as(without_base_voice, config_of, caplog, nearest):
    caplog.set_level(logging.INFO)
    pitches = dict(PITCHES, **{nearest: 0.0})  # nobody's, until it is the set's own
    flow_voice(pitches=pitches).export(without_base_voice, small=True)
    _, model, _ = begun(config_of)
    pitches[nearest] = float(model.prosody.statistics[0, 0]) + 0.5
    flow_voice(pitches=pitches).export(without_base_voice, small=True)
    begun(config_of)
    assert f"begins as {nearest}, whose pitch is nearest: 0.5 semitones away" in caplog.text


def test_predicting_the_mean_is_scored_by_the_sets_own_mean(base, config_of, features):
    given, _, _ = begun(config_of)
    total = frames = 0.0
    for number in features.validation.tolist():
        mel = torch.from_numpy(features.stored_mel(number).astype(np.float32))
        total += float((((mel - features.statistics.mean) / base.statistics.deviation) ** 2).sum())
        frames += mel.numel()
    assert given.baseline() == pytest.approx(total / frames, rel=1e-4)


def test_symbols_are_found_again_wherever_they_stand(without_base_voice, config_of):
    """A base that lacks the last phone, and has two others in another order."""
    order = list(SYMBOLS[:-1])
    order[20], order[21] = order[21], order[20]
    flow_voice(tuple(order)).export(without_base_voice, small=True)
    base = Checkpoint.load(without_base_voice)
    given, model, _ = begun(config_of)
    assert given.symbols.in_use == list(SYMBOLS)
    rows, nearest = model.text_encoder.embedding.weight, base.as_speaker("dora", "")
    known = {symbol: nearest.weights[EMBEDDING][number] for number, symbol in enumerate(order)}
    away = {symbol: (rows[number] - known[symbol]) for number, symbol in enumerate(SYMBOLS) if symbol in known}
    speaker = next(iter(away.values()))  # the same for all: who speaks
    assert all(torch.allclose(one, speaker, atol=1e-5) for one in away.values())
    mean = torch.stack([known[symbol] for symbol in order if symbol in PHONES]).mean(0)
    torch.testing.assert_close(rows[len(SYMBOLS) - 1], mean + speaker, atol=1e-5, rtol=1e-5)


def test_a_run_keeps_the_statistics_and_its_set_is_found_again_in_them(base, config_of, tmp_path):
    run = tmp_path / "outputs/4_3/1"
    run_phase(config_of(*TINY, "phase=4_3", "train.finetune=base", "train.samples=1", f"outputs={tmp_path}/outputs"), run)
    card, stored = read_card(run), load_checkpoint(run / "checkpoints/final_full_model.pt")
    assert card["state"] == "finished" and card["frozen"]["parts"] == ["mel statistics"]
    assert stored.statistics.difference(base.statistics) == 0
    assert "speakers" not in stored.model and stored.weights[STATISTICS].shape == (1, 4)
    again = features_of(run, card["content"])
    assert again.statistics.difference(base.statistics) == 0
    stored.check_fits(again, "it")
    voices = evaluate.load_voices([run, BASE_RUN], VoiceOptions(vocoder="griffin_lim"))
    assert list(voices) == ["4_3/1", "base"]
    for order in ([run, BASE_RUN], [BASE_RUN, run]):
        named = {evaluate.name_of(one): voices[evaluate.name_of(one)] for one in order}
        assert evaluate.features_for(order, named).card["content"] == card["content"]
    assert newest_voice(tmp_path / "outputs") == run  # before the base


def test_it_goes_on_bit_by_bit_and_not_with_the_statistics_of_another_base(base, config_of, tmp_path, at_step):
    def config(name: str, *more: str):
        return config_of(*TINY, "phase=4_3", "train.finetune=base", "train.state_minutes=0", "phase.batch_size=3",
                         f"outputs={tmp_path / name}", *more)

    run_phase(config("never"), tmp_path / "never/run")
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        run_phase(config("it"), tmp_path / "it/run")
    flow_voice(shift=0.4).export(checkpoint_files.BASE_VOICE, small=True)
    with pytest.raises(UserError, match="cannot go on like this"):
        run_phase(config("it", "resume=auto"), tmp_path / "it/run")
    flow_voice().export(checkpoint_files.BASE_VOICE, small=True)
    run_phase(config("it", "resume=auto"), tmp_path / "it/run")
    final = "run/checkpoints/final_full_model.pt"
    mine, theirs = (load_checkpoint(tmp_path / name / final).weights for name in ("never", "it"))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_other_models_and_sizes_are_said(base, config_of, features):
    for config, said in ((config_of("phase=4_3", "train.finetune=base"), "is a voice of model=flow"),
                         (config_of(*TINY, "phase=4_3", "train.finetune=base", "model.width=64"), "check model")):
        recipe = recipe_of(config)
        with pytest.raises(UserError, match=said):
            recipe.start(config, recipe.prepare(config), None)


def test_without_a_base_nothing_begins_as_one(config_of):
    with pytest.raises(UserError, match="there is no run base"):
        begun(config_of)


# ---- speaking


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """A command from an empty folder: its exit code and what it printed."""
    def run(module, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
        try:
            command_line.run(module.main)
        except SystemExit as ended:
            return ended.code or 0, "".join(capsys.readouterr())
        return 0, "".join(capsys.readouterr())

    return run


def test_it_speaks_where_nothing_was_trained_in_either_voice(base, said, tmp_path):
    sounds = {}
    for arguments, name in (((), "dora"), (("run=base",), "dora"), (("speaker=alex",), "alex")):
        code, printed = said(synthesize, f"text={TEXT}", "vocoder=griffin_lim", *arguments)
        assert code == 0 and f"voice: base, which comes along, speaker {name}, sound by Griffin-Lim" in printed
        sounds.setdefault(name, []).append(soundfile.read(tmp_path / "out.wav")[0])
    np.testing.assert_array_equal(*sounds["dora"])
    assert sounds["alex"][0].shape != sounds["dora"][0].shape or np.abs(sounds["alex"][0] - sounds["dora"][0]).max() > 0.01
    code, printed = said(synthesize, f"text={TEXT}", "speaker=eva")
    assert code == 2 and "speaker=eva is not known to this voice; it has dora, alex" in printed


def test_it_goes_behind_all_runs_and_the_demo_offers_both_voices(base, tmp_path):
    shelf = Shelf(tmp_path / "outputs", options=VoiceOptions(vocoder="griffin_lim"))
    assert newest_voice(tmp_path / "outputs") == BASE_RUN
    assert [(offer.name, offer.reason, offer.speakers) for offer in shelf.offers()] == [("base", "", ("dora", "alex"))]
    assert shelf.voice("base", "alex").speaker == "alex"
    run = RunDirectory.create(tmp_path / "outputs/4_3/1", phase="4_3", output="mels")
    run.checkpoints.mkdir()
    (run.checkpoints / "final_full_model.pt").touch()
    run.end("finished")
    assert newest_voice(tmp_path / "outputs") == run.folder
    assert list(shelf.runs()) == ["4_3/1", "base"]


def test_one_of_its_voices_is_exported(base, said, tmp_path, monkeypatch):
    """By what exports any voice, which has tests of its own."""
    asked = []

    def note(checkpoint: Path, out: Path, speaker: str, vocoder: Vocoder) -> Agreement:
        asked.append((checkpoint, out, speaker))
        out.touch()
        return Agreement(0.0, 1, 0)

    monkeypatch.setattr(export, "export_voice", note)
    for arguments in (("run=base", "speaker=alex"), ("speaker=alex",)):
        code, printed = said(export, *arguments, "vocoder=griffin_lim", "out=alex.onnx")
        assert code == 0 and f"from {checkpoint_files.BASE_VOICE}" in printed
    assert asked == 2 * [(checkpoint_files.BASE_VOICE, Path("alex.onnx"), "alex")]


def test_before_there_is_one_the_old_sentences_stay(said):
    assert "there is no finished run in outputs/" in said(synthesize, f"text={TEXT}")[1]
    assert "there is no run base" in said(synthesize, f"text={TEXT}", "run=base")[1]


def test_a_phone_that_it_never_heard_does_not_end_it(without_base_voice, caplog):
    flow_voice(SYMBOLS[:-1]).export(without_base_voice, small=True)
    voice = load_voice(BASE_RUN, options=VoiceOptions(vocoder="griffin_lim"))
    assert f"never heard, and that begin as a mean of its phones: {SYMBOLS[-1]}" in caplog.text
    assert len(voice.speak("Perro.").samples)
    flow_voice((*SYMBOLS[:-1], "ɹ")).export(without_base_voice, small=True)
    with pytest.raises(UserError, match="symbol table"):
        load_voice(BASE_RUN)


@pytest.mark.skipif(not checkpoint_files.BASE_VOICE.is_file(), reason="no base voice comes along yet")
def test_the_one_that_comes_along(monkeypatch, path=checkpoint_files.BASE_VOICE):
    monkeypatch.setattr(checkpoint_files, "BASE_VOICE", path)
    assert path.stat().st_size <= 22_000_000
    voice = load_voice(BASE_RUN)
    assert {"dora", "alex"} <= set(voice.speakers) and voice.sounds_by == "the base vocoder"
    assert voice.unfolded.contract == MelContract() and not any("/" in str(fact) for fact in voice.unfolded.lineage.values())
    speech = voice.speak(TEXT)
    assert 0.5 < len(speech.samples) / speech.rate < 3 and 0.01 < np.abs(speech.samples).max() <= 1
