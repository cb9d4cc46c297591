"""A voice as one ONNX file: that it says the same, that it needs nothing else, and what is said of files that are none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es import export
from chatterbox_es.errors import UserError
from chatterbox_es.models import mel_vocoder
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.speech import onnx_export
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import exported_beside
from chatterbox_es.speech.onnx_voice import OnnxModel
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voice import MelVoice
from chatterbox_es.speech.voices import load_voice

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TEXTS = ("No.", "Trescientos treinta y tres tristes tigres tragaban trigo en un trigal.", "¿Dónde? ¡Ahí, a las 18:45!",
         "Ña… ña, ñu.")


@pytest.fixture(scope="module")
def exported(road, command, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The file that the command writes of a trained run, and what it printed."""
    path = tmp_path_factory.mktemp("exported") / "folder" / "voice.onnx"
    return path, command("export", f"run={road.whole_run}", f"out={path}", "vocoder=griffin_lim", cwd=road.folder)


@pytest.fixture(scope="module")
def voice(road) -> MelVoice:
    return load_voice(road.whole_run, options=VoiceOptions(vocoder="griffin_lim"))


@pytest.fixture(autouse=True)
def no_base(monkeypatch, tmp_path) -> None:
    """Graphs end at the mels here, whatever vocoder comes with the package; tests/speech/test_vocoders.py has the others."""
    monkeypatch.setattr(mel_vocoder, "BASE", tmp_path / "none")


def test_the_command_says_how_near_the_graph_comes(exported, road):
    path, output = exported
    assert output.returncode == 0, output.stderr
    assert str(final_checkpoint(road.whole_run)) in output.stdout
    assert "durations equal, log-mels at most" in output.stdout
    assert "torchvision" not in output.stderr
    assert sorted(file.name for file in path.parent.iterdir()) == ["voice.onnx"]
    onnx.checker.check_model(str(path), full_check=True)


def test_one_file_suffices_to_speak(exported, voice):
    """With onnxruntime and the metadata alone, as a program that has never heard of this package would."""
    session = onnxruntime.InferenceSession(str(exported[0]), providers=["CPUExecutionProvider"])
    facts = {key: json.loads(value) if value[0] in "{[" else value
             for key, value in session.get_modelmeta().custom_metadata_map.items()}
    number = {symbol: place for place, symbol in enumerate(facts["symbols"]["symbols"])}
    tokens = np.array([number[symbol] for symbol in ("<s>", "ˈo", "l", "a", ".", "</s>")], np.int64)
    mel, durations = session.run(["log_mels", "durations"], {"tokens": tokens, "speed": np.array(1, np.float32)})
    speech = voice.speak("Hola.")
    np.testing.assert_array_equal(tokens, speech.reading.ids)
    np.testing.assert_array_equal(durations, speech.durations)
    np.testing.assert_allclose(mel, speech.mel, atol=1e-4)
    assert facts["mel"] == {"sample_rate": 24_000, "n_fft": 1920, "hop": 480, "window": 1920, "bins": 80, "f_min": 0.0,
                            "f_max": 8000.0, "floor": 1e-5}
    assert facts["front_end"]["dialect"] == "castilian"
    assert len(facts["statistics"]["mean"]) == 80
    assert facts["lineage"]["content"] == voice.checkpoint.lineage["content"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("speed", [0.6, 1.0, 1.3])
def test_other_texts_than_those_it_was_checked_with_agree(exported, voice, text, speed):
    graph = load_voice(exported[0])
    said, again = voice.speak(text, speed), graph.speak(text, speed)
    np.testing.assert_array_equal(again.durations, said.durations)
    assert np.abs(again.mel - said.mel).max() <= 1e-3 * np.abs(said.mel).max()
    assert np.abs(again.samples - said.samples).max() < 1e-2


def test_synthesize_sounds_the_same_with_either_engine(exported, road, voice, command, tmp_path):
    """engine=onnx leaves its file beside the checkpoint; an exported file needs no checkpoint."""
    run, text = tmp_path / "run", "Vamos al mar, tú y yo."
    shutil.copytree(road.whole_run / "checkpoints", run / "checkpoints")
    output = command("synthesize", f"text={text}", "out=said.wav", f"run={run}", "engine=onnx",
                     "vocoder=griffin_lim", cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    assert (run / "checkpoints/final_full_model.onnx").is_file()
    expected = voice.speak(text).samples
    np.testing.assert_allclose(soundfile.read(tmp_path / "said.wav")[0], expected, atol=2e-3)
    np.testing.assert_allclose(load_voice(exported[0]).speak(text).samples, expected, atol=2e-3)


def test_the_file_beside_the_checkpoint_is_made_once_and_anew_for_other_weights(road, exported, tmp_path):
    checkpoint = tmp_path / "voice.pt"
    shutil.copy(final_checkpoint(road.whole_run), checkpoint)
    beside = checkpoint.with_suffix(".onnx")
    shutil.copy(exported[0], beside)
    made = beside.stat().st_mtime_ns
    assert exported_beside(checkpoint).source
    assert beside.stat().st_mtime_ns == made
    changed = load_checkpoint(checkpoint)
    changed.weights["mel_decoder.0.bias"] += 1
    changed.save(checkpoint)
    graph = exported_beside(checkpoint)
    assert beside.stat().st_mtime_ns != made
    ids = MelVoice(changed, "changed").front_end.read("Hola.").ids
    np.testing.assert_allclose(graph(ids, Manner())[0], MelVoice(changed, "changed").acoustic(ids, Manner())[0], atol=1e-4)


def rewritten(source: Path, path: Path, **metadata: str | None) -> Path:
    """The file with other metadata."""
    proto = onnx.load(str(source))
    facts = {prop.key: prop.value for prop in proto.metadata_props} | metadata
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {key: value for key, value in facts.items() if value is not None})
    onnx.save(proto, str(path))
    return path


def test_metadata_that_cannot_be_used_is_said(exported, tmp_path):
    facts = {prop.key: prop.value for prop in onnx.load(str(exported[0])).metadata_props}
    mel, symbols = json.loads(facts["mel"]), json.loads(facts["symbols"])
    for metadata, reason in [
        ({"format": "chatterbox_es voice 99"}, "not a voice of this version.*voice 99"),
        ({"format": None}, "nothing of a format"),
        ({"symbols": None}, "metadata of .* is damaged"),
        ({"symbols": "{"}, "metadata of .* is damaged"),
        ({"statistics": "[]"}, "metadata of .* is damaged"),
        ({"mel": json.dumps(mel | {"bins": 40})}, "frames of 80 bins, and its mel contract says 40"),
        ({"symbols": json.dumps(symbols | {"symbols": symbols["symbols"][:-1]})}, "symbol table"),
    ]:
        with pytest.raises(UserError, match=reason):
            load_voice(rewritten(exported[0], tmp_path / "voice.onnx", **metadata))


def test_another_graph_with_our_metadata_is_said(exported, tmp_path):
    proto = onnx.load(str(exported[0]))
    real = onnx.TensorProto.FLOAT
    values = [onnx.helper.make_tensor_value_info(name, real, [None]) for name in ("x", "y")]
    node = onnx.helper.make_node("Abs", ["x"], ["y"])
    other = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    other.ir_version = proto.ir_version
    onnx.save(other, str(tmp_path / "foreign.onnx"))
    with pytest.raises(UserError, match="not a voice of this version"):
        OnnxModel(tmp_path / "foreign.onnx")
    other.metadata_props.extend(proto.metadata_props)
    onnx.save(other, str(tmp_path / "voice.onnx"))
    with pytest.raises(UserError, match="does not keep the contract.*should have tokens"):
        OnnxModel(tmp_path / "voice.onnx")


@pytest.mark.parametrize("content", [b"", b"not an onnx file", "torn"])
def test_files_that_are_none_are_said(exported, tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(exported[0].read_bytes()[:20_000] if content == "torn" else content)
    with pytest.raises(UserError, match="damaged or no ONNX"):
        load_voice(path)


def test_a_damaged_file_is_no_traceback_on_the_command_line(command, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no")
    output = command("synthesize", "text=Hola", "run=bad.onnx", cwd=tmp_path)
    assert output.returncode == 2
    assert "damaged or no ONNX" in output.stderr and "Traceback" not in output.stderr
    assert not list(tmp_path.glob("*.wav"))


def test_a_graph_that_says_something_else_is_not_kept(road, monkeypatch, tmp_path):
    right = onnx_export.SpeakingGraph.forward

    def longer(self, tokens, speed):
        mels, durations = right(self, tokens, speed)
        return mels, durations + 1

    monkeypatch.setattr(onnx_export.SpeakingGraph, "forward", longer)
    with pytest.raises(UserError, match="other durations"):
        onnx_export.export_voice(final_checkpoint(road.whole_run), tmp_path / "voice.onnx")
    assert not list(tmp_path.iterdir())


def test_mels_too_far_apart_are_an_error(exported, voice, monkeypatch):
    graph = OnnxModel(exported[0])
    agreement = onnx_export.compare(voice, graph, TEXTS)
    assert agreement.difference < 1e-4 and agreement.compared + agreement.ties == len(TEXTS) * len(onnx_export.SPEEDS)
    monkeypatch.setattr(voice.acoustic, "statistics", voice.checkpoint.statistics.__class__(
        voice.checkpoint.statistics.mean * 1.01, voice.checkpoint.statistics.deviation))
    with pytest.raises(UserError, match="log-mels differ"):
        onnx_export.compare(voice, graph, TEXTS)


def test_only_a_tie_of_the_rounding_excuses_other_durations(exported, voice, monkeypatch):
    graph = OnnxModel(exported[0])
    right = graph.session.run

    class Session:
        def run(self, *given):
            mel, durations = right(*given)
            return mel, durations + np.eye(1, len(durations), dtype=np.int64)[0]

    monkeypatch.setattr(graph, "session", Session())
    monkeypatch.setattr(onnx_export, "TIE", 0.0)
    with pytest.raises(UserError, match="other durations"):
        onnx_export.compare(voice, graph, TEXTS)
    monkeypatch.setattr(onnx_export, "TIE", 1.0)  # everything is one: nothing is left to compare
    with pytest.raises(UserError, match="0 sayings compared"):
        onnx_export.compare(voice, graph, TEXTS)


@pytest.mark.parametrize(("arguments", "reason"), [
    (["out=voice.pt"], "ends in .onnx"),
    (["run=nowhere"], "there is no run nowhere"),
    ([], "no finished run"),
])
def test_what_is_wrong_is_said(monkeypatch, tmp_path, arguments, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    with pytest.raises(UserError, match=reason):
        export.main()


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_said(road, monkeypatch, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}.*pip install 'chatterbox-es\[onnx\]'"):
        onnx_export.export_voice(final_checkpoint(road.whole_run), tmp_path / "voice.onnx")


def test_a_missing_onnxruntime_is_said(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime.*pip install"):
        load_voice(exported[0])


def test_a_users_lexicon_travels_in_the_file(exported, tmp_path):
    front_end = json.dumps({"dialect": "mexican", "lexicon": "playback\tpléibac\n"})
    voice = load_voice(rewritten(exported[0], tmp_path / "voice.onnx", front_end=front_end))
    assert voice.front_end.dialect.name == "mexican"
    assert voice.speak("playback").reading.ids == load_voice(exported[0]).speak("pléibac").reading.ids
