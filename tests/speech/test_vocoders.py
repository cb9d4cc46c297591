"""Which vocoder speaks for a voice: its own, the one that comes with the package, Griffin-Lim, or the one that is named."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from chatterbox_es import evaluate, export, synthesize
from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.config import compose
from chatterbox_es.errors import UserError
from chatterbox_es.models import mel_vocoder
from chatterbox_es.models.mel_vocoder import NeuralVocoder, vocoder_for
from chatterbox_es.models.vocoder import recipe as vocoder_recipe
from chatterbox_es.models.vocoder.checkpoint import Checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint, vocoder_beside
from chatterbox_es.selection.choosing import choose
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import exported_beside
from chatterbox_es.speech.onnx_voice import OnnxModel
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voices import load_voice
from chatterbox_es.training.run import run_phase
from tests.tiny_voices import CONTRACT, VOCODER, write_vocoder

TRAINED = ("phase=vocoder", *(f"model.{name}={size}" for name, size in VOCODER.items()), "model.period_width=2",
           "model.resolution_width=2", "phase.batch_size=3", "phase.validate_every=1", "hw.threads=1", "hw.precision=32-true",
           "data.workers=1", "train.epochs=1", "train.samples=0", "train.wandb=disabled")  # fmt: skip
TEXT = "Hola, ¿qué tal?"


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch) -> Path:
    """Where the vocoder would lie that comes with the package; nothing is there."""
    path = tmp_path / "package/vocoder_base.safetensors"
    monkeypatch.setattr(mel_vocoder, "BASE", path)
    return path


@pytest.fixture
def run(road, tmp_path) -> Path:
    """A voice's run of its own, to put vocoders into."""
    shutil.copytree(road.whole_run, tmp_path / "run", ignore=shutil.ignore_patterns("*.onnx", "samples", "wandb"))
    return tmp_path / "run"


def own(run: Path) -> Path:
    return vocoder_beside(final_checkpoint(run))


# ---- choosing


def test_its_own_goes_before_the_one_that_comes_along_and_that_before_griffin_lim(run, base):
    assert load_voice(run).sounds_by == "Griffin-Lim"
    write_vocoder(base, 1)
    assert load_voice(run).sounds_by == "the base vocoder"
    write_vocoder(own(run), 2)
    voice = load_voice(run)
    assert voice.sounds_by == "its own vocoder"
    speech = voice.speak(TEXT)
    expected = Checkpoint.load(own(run)).build().vocode(torch.from_numpy(speech.mel)).numpy()
    assert np.array_equal(speech.samples, expected / max(1, np.abs(expected).max()))
    assert len(speech.samples) == len(speech.mel) * 480
    neural = load_voice(run, options=VoiceOptions(vocoder="neural"))
    assert neural.sounds_by == "its own vocoder"


def test_nothing_is_written_beside_the_base_voice(base, tmp_path):
    trained = Checkpoint.load(write_vocoder(base, 1))
    for voice, beside in ((str(tmp_path / "run/voice.pt"), ["vocoder.safetensors"]), ("base", [])):
        before = set(tmp_path.rglob("*"))
        dataclasses.replace(trained, lineage={"voice": voice}).save_final(tmp_path / f"{len(beside)}/final_vocoder.pt")
        made = {path.name for path in set(tmp_path.rglob("*")) - before if path.is_file()}
        assert made == {"final_vocoder.pt", "final_vocoder.safetensors", *beside}


def test_another_can_be_named(run, base, tmp_path):
    write_vocoder(base, 1)
    write_vocoder(own(run), 2)
    assert isinstance(load_voice(run, options=VoiceOptions(vocoder="griffin_lim")).vocoder, GriffinLim)
    assert load_voice(run, options=VoiceOptions(vocoder="base")).sounds_by == "the base vocoder"
    trained = tmp_path / "vocoder/checkpoints/final_vocoder.pt"
    Checkpoint.load(base).save(trained)
    for path in (trained, tmp_path / "vocoder"):
        voice = load_voice(run, options=VoiceOptions(vocoder=str(path)))
        assert voice.sounds_by == f"the vocoder {path}"
        assert voice.vocoder.path == trained


@pytest.mark.parametrize(("vocoder", "said"), [
    ("neural", "has no vocoder of its own"), ("base", r"vocoder_base\.safetensors"), ("hift", "weights=DIR"),
    ("nowhere", "use auto, neural, base, griffin_lim or hift"),
])
def test_what_cannot_be_is_said(run, base, vocoder, said):
    with pytest.raises(UserError, match=said):
        load_voice(run, options=VoiceOptions(vocoder=vocoder))


def test_one_for_other_mels_is_not_taken(run, base):
    other = dataclasses.replace(CONTRACT, f_max=7000.0)
    write_vocoder(base, 1, other)
    assert load_voice(run).sounds_by == "Griffin-Lim"  # the one that comes along is for other voices
    assert isinstance(vocoder_for(other), NeuralVocoder)
    with pytest.raises(UserError, match=r"f_max: 7000\.0 / 8000\.0"):
        load_voice(run, options=VoiceOptions(vocoder=str(base)))
    write_vocoder(own(run), 1, other)
    with pytest.raises(UserError, match=r"vocoder\.safetensors is not that of the voice"):
        load_voice(run)


def test_a_damaged_one_is_named(run):
    own(run).write_bytes(b"none")
    with pytest.raises(UserError, match=r"vocoder\.safetensors is damaged"):
        load_voice(run)
    shutil.copyfile(final_checkpoint(run).with_suffix(".safetensors"), own(run))
    with pytest.raises(UserError, match=r"vocoder\.safetensors is no vocoder: it is of model=fase4"):
        load_voice(run)


def test_mels_that_are_no_numbers_are_said(run):
    voice = load_voice(run)
    next(voice.acoustic.model.mel_decoder.parameters()).data[0, 0] = torch.nan
    with pytest.raises(UserError, match="predicts mels that are infinite or not numbers"):
        voice.speak(TEXT)


# ---- the commands


def test_synthesize_says_which(run, tmp_path, monkeypatch, capsys):
    for path, name in ((None, "Griffin-Lim"), (own(run), "its own vocoder")):
        if path:
            write_vocoder(path, 2)
        monkeypatch.setattr("sys.argv", ["synthesize", f"text={TEXT}", f"run={run}", f"out={tmp_path}/out.wav"])
        synthesize.main()
        assert f"sound by {name}\n" in capsys.readouterr().out


def test_the_round_trip_is_through_the_voices_vocoder(run, road, tmp_path, monkeypatch, capsys):
    write_vocoder(own(run), 2)
    monkeypatch.chdir(road.folder)
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={run}", "measures=prosody", "sentences=1", "griffin_lim=true",
                                     f"out={tmp_path}/out"])
    evaluate.main()
    rows = [json.loads(line) for line in (tmp_path / "out/rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["system"] for row in rows][:3] == ["recordings", "round trip", "round trip by Griffin-Lim"]
    assert len(rows) == 4
    assert json.loads((tmp_path / "out/summary.json").read_text())["vocoder"] == "its own vocoder"
    assert "sound by its own vocoder" in capsys.readouterr().out
    one, other = (read_audio(next((tmp_path / "out/sounds").glob(f"{name}/*.wav"))) for name in ("round*trip", "*Griffin*"))
    assert np.abs(one[:9600] - other[:9600]).max() > 0.01


def test_a_chosen_voice_keeps_its_own(run, features, tmp_path):
    outputs = tmp_path / "outputs"
    write_vocoder(own(run), 2)
    choose({run: [final_checkpoint(run)]}, "val_loss", 0, outputs, "cpu", 1)
    assert (outputs / "best/vocoder.safetensors").read_bytes() == own(run).read_bytes()
    assert load_voice(outputs / "best").sounds_by == "its own vocoder"
    assert "| vocoder | its own" in (outputs / "best/MODEL_CARD.md").read_text()


# ---- fine-tuning to a voice


def test_a_vocoder_is_fine_tuned_to_a_voice_and_lies_beside_it(run, base, corpus, prepared, tmp_path, monkeypatch):
    write_vocoder(base, 1)
    monkeypatch.setattr(vocoder_recipe, "BASE", base)
    config = compose(["data=folder", f"data.path={corpus}", f"data.prepared={prepared}", *TRAINED, "train.finetune=base",
                      f"model.voice={run}"])
    run_phase(config, tmp_path / "tuned")
    final = Checkpoint.load(final_checkpoint(tmp_path / "tuned"))
    beside = Checkpoint.load(own(run))
    assert final.lineage["finetuned_from"] == str(base)
    assert all(torch.equal(weight, final.weights[name].half()) for name, weight in beside.weights.items())
    moved = [name for name, weight in Checkpoint.load(base).weights.items() if not torch.equal(weight, beside.weights[name])]
    assert moved
    assert load_voice(run).sounds_by == "its own vocoder"


def test_a_voice_that_is_not_there_is_said_before_any_training(corpus, prepared, tmp_path):
    config = compose(["data=folder", f"data.path={corpus}", f"data.prepared={prepared}", *TRAINED, "model.voice=nowhere"])
    with pytest.raises(UserError, match="there is no run nowhere"):
        run_phase(config, tmp_path / "tuned")
    assert not (tmp_path / "tuned/checkpoints").exists()


# ---- ONNX


def test_an_exported_voice_has_its_vocoder_in_it(run, base, tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    write_vocoder(own(run), 2)
    out = tmp_path / "voice.onnx"
    monkeypatch.setattr("sys.argv", ["export", f"run={run}", f"out={out}"])
    export.main()
    said = capsys.readouterr().out
    assert "sound by its own vocoder" in said and "; sounds " in said
    voice, spoken = load_voice(out), load_voice(run)
    assert voice.sounds_by == "its own vocoder"
    for text in ("No.", TEXT):
        graph, torch_ = voice.speak(text), spoken.speak(text)
        assert len(graph.samples) == len(graph.mel) * 480 == len(torch_.samples)
        mels = [log_mel(np.pad(speech.samples, (0, 800)), CONTRACT) for speech in (graph, torch_)]
        assert float((mels[0] - mels[1]).abs().mean()) < 0.05
    # as a program that has never heard of this package would
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    ids = np.array(voice.front_end.read(TEXT).ids, np.int64)
    samples, durations = session.run(["samples", "durations"], {"tokens": ids, "speed": np.array(1, np.float32)})
    assert samples.shape == (480 * durations.sum(),)
    operators = {node.op_type for node in pytest.importorskip("onnx").load(out).graph.node}
    assert not operators & {"DFT", "STFT", "If", "Loop"}
    # another vocoder can still be had of its mels
    assert load_voice(out, options=VoiceOptions(vocoder="griffin_lim")).sounds_by == "Griffin-Lim"
    graph = OnnxModel(out)
    graph.without_sound()
    assert graph(voice.front_end.read(TEXT).ids, Manner())[2] is None


def test_without_a_trained_vocoder_an_export_ends_at_the_mels(run, base, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr("sys.argv", ["export", f"run={run}", f"out={tmp_path}/voice.onnx"])
    export.main()
    assert "log-mels alone, for Griffin-Lim" in capsys.readouterr().out
    assert load_voice(tmp_path / "voice.onnx").sounds_by == "Griffin-Lim"
    write_vocoder(base, 1)
    assert load_voice(tmp_path / "voice.onnx").sounds_by == "the base vocoder"  # made of its mels, outside the graph


def test_an_export_beside_a_checkpoint_follows_its_vocoder(run):
    pytest.importorskip("onnxscript")
    final = final_checkpoint(run)
    assert exported_beside(final, own(run)).vocoder == ""
    write_vocoder(own(run), 2)
    first = exported_beside(final, own(run))
    assert first.vocoder == "its own vocoder"
    time = first.path.stat().st_mtime_ns
    assert exported_beside(final, own(run)).path.stat().st_mtime_ns == time
    write_vocoder(own(run), 3)
    assert exported_beside(final, own(run)).vocoder_source != first.vocoder_source
