"""Recognisers: what they are called, what is said when one is missing, and what they hear."""

import gzip
import inspect
import json
import math
import os
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from chatterbox_es.acoustics.audio import read_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation import recognisers
from chatterbox_es.evaluation.language_model import write_trigram
from chatterbox_es.evaluation.recognisers import PhoneRecogniser, in_processes, load_recogniser, pcm
from chatterbox_es.evaluation.sphinx import SphinxModel
from chatterbox_es.text import FrontEnd
from chatterbox_es.text.symbols import PHONES

JUDGE = Path(__file__).parents[3] / "shared" / "judge"
needs_judge = pytest.mark.skipif(not JUDGE.is_dir(), reason="no acoustic model: ../shared/judge is absent")


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


def test_a_whisper_folder_without_a_model_says_what_belongs_there(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    with pytest.raises(UserError, match="cannot be loaded.*model.bin, config.json"):
        load_recogniser(f"whisper:{tmp_path}")


@pytest.mark.skipif("CHATTERBOX_ES_WHISPER" not in os.environ, reason="CHATTERBOX_ES_WHISPER names no folder of a model")
def test_whisper_itself_hears_a_recording_the_same_twice_and_nothing_in_silence() -> None:
    corpus = Path("../shared/corpora/dona")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    name, said = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()[0].split("|")[:2]
    samples = read_audio(corpus / "wavs" / f"{name}.flac", 24_000)
    recogniser = load_recogniser(f"whisper:{os.environ['CHATTERBOX_ES_WHISPER']}")
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


# ---- PocketSphinx, for real.

@pytest.fixture(scope="module")
def sphinx():
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return load_recogniser(f"pocketsphinx:{JUDGE}")


@pytest.fixture(scope="module")
def speech() -> dict[str, np.ndarray]:
    """Sentences as espeak-ng says them, at 24 kHz."""
    import soxr

    from chatterbox_es.corpus.demo import Espeak

    texts = ("el perro come en casa", "mañana por la tarde llega mi hermano", "la cocina tiene una mesa")
    with Espeak("es") as voice:
        return {text: soxr.resample(voice.speak(text), voice.rate, 24_000) for text in texts}


@needs_judge
def test_pocketsphinx_hears_what_is_said(sphinx) -> None:
    corpus = JUDGE.parent / "corpora" / "ahotts_es"
    if not corpus.is_dir():
        pytest.skip("no recordings: ../shared/corpora is absent")
    rows = dict(line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines())
    some = ("ahotts_0008", "ahotts_0126", "ahotts_1165")
    said = [" ".join(word.strip(".,;:") for word in rows[name].lower().split()) for name in some]
    sphinx.expect(said)
    assert isinstance(sphinx, PhoneRecogniser)
    assert "easier than dictation" in sphinx.task and "lm_text.txt" in sphinx.task
    sounds = [read_audio(next(corpus.glob(f"audio/{name}.*"))) for name in some]
    assert [sphinx.transcribe(samples, 24_000) for samples in sounds] == said
    phones = sphinx.phones(sounds[0], 24_000)
    expected = [name for _, name in sphinx.names_of(FrontEnd("castilian").read(said[0]).phonemes)]
    assert set(phones) <= sphinx.names and 0.6 < len(phones) / len(expected) < 1.4


@needs_judge
def test_what_was_heard_before_changes_nothing(sphinx, speech) -> None:
    sphinx.expect(list(speech))
    sounds = list(speech.values())
    forwards = [(sphinx.transcribe(some, 24_000), sphinx.phones(some, 24_000)) for some in sounds]
    backwards = [(sphinx.transcribe(some, 24_000), sphinx.phones(some, 24_000)) for some in sounds[::-1]]
    assert forwards == backwards[::-1]


@needs_judge
def test_silence_and_sounds_too_short_are_heard_as_nothing(sphinx) -> None:
    for samples in (np.zeros(24_000, np.float32), np.zeros(0, np.float32), np.full(100, 0.5, np.float32)):
        assert sphinx.transcribe(samples, 24_000) == "" and sphinx.phones(samples, 24_000) == []


@needs_judge
def test_every_phone_of_the_front_end_has_a_name_in_the_model(sphinx) -> None:
    assert {phoneme for phoneme, _ in sphinx.names_of(sorted(PHONES))} == PHONES
    reading = FrontEnd("castilian").read("¿Caza gallo, jefe? Ya.")
    assert " ".join(name for _, name in sphinx.names_of(reading.phonemes)) == "k a z a g a ll o j e f e y a"


@needs_judge
def test_phonemes_are_found_in_order_inside_the_sound(sphinx, speech) -> None:
    text = "la cocina tiene una mesa"
    phonemes = FrontEnd("castilian").read(text).phonemes
    spans = sphinx.align(speech[text], 24_000, phonemes)
    sounding = ~np.isnan(spans[:, 0])
    assert [phoneme for phoneme, is_sound in zip(phonemes, sounding, strict=True) if is_sound] == [
        phoneme for phoneme in phonemes if phoneme in PHONES]
    begins, ends = spans[sounding].T
    assert (ends > begins).all() and (begins[1:] >= ends[:-1] - 1e-9).all() and ends[-1] <= len(speech[text]) / 24_000
    with pytest.raises(ValueError, match="does not fit"):
        sphinx.align(speech[text][:6000], 24_000, phonemes * 5)


@needs_judge
def test_many_processes_hear_what_one_hears(sphinx, speech) -> None:
    sphinx.expect(list(speech))
    tasks = [(samples, 24_000) for samples in list(speech.values()) * 6]
    assert in_processes(transcribe, sphinx, tasks, 2) == in_processes(transcribe, sphinx, tasks, 1)


def transcribe(recogniser, samples: np.ndarray, rate: int) -> str:
    return recogniser.transcribe(samples, rate)


@needs_judge
def test_a_users_own_language_model_makes_the_words(tmp_path: Path, speech) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    shutil.copytree(JUDGE / "model", tmp_path / "es")
    (tmp_path / "own.dict").write_text("cocina k o z i n a\nmesa m e s a\nla l a\ntiene t i e n e\nuna u n a\nLA l a\n")
    write_trigram([["la", "cocina", "tiene", "una", "mesa"], ["la", "mesa"], ["LA"]], tmp_path / "own.arpa")
    recogniser = load_recogniser(f"pocketsphinx:{tmp_path}")
    recogniser.expect(["el perro come en casa"])
    assert recogniser.task == "words of the language model own.arpa"
    other = recogniser.transcribe(speech["el perro come en casa"], 24_000)
    assert set(other.split()) <= {"cocina", "mesa", "la", "LA", "tiene", "una"}
    assert recogniser.transcribe(speech["la cocina tiene una mesa"], 24_000) == "la cocina tiene una mesa"


@needs_judge
@pytest.mark.parametrize(("damage", "said"), [
    (lambda folder: shutil.rmtree(folder / "model"), "there is none"),
    (lambda folder: shutil.copytree(folder / "model", folder / "second"), "there is several"),
    (lambda folder: (folder / "model/mdef").write_bytes(b"BMDF\xff\x00"), "definition of an acoustic model"),
    (lambda folder: (folder / "model/mdef").write_bytes(b"\xff\xfe\x00"), "definition of an acoustic model"),
    (lambda folder: (folder / "model/means").unlink(), "does not start with the model"),
    (lambda folder: (folder / "dictionary.txt.gz").write_bytes(b"no gzip"), "cannot be read as a UTF-8 dictionary"),
    (lambda folder: (folder / "other.dict").write_text("a a\n"), "several files could be its dictionary"),
    (lambda folder: (folder / "model/mdef").write_text("\n".join(
        line for line in (JUDGE / "model/mdef").read_text().splitlines() if line.split()[:1] != ["gn"])), "no phone for /ɲ/"),
])  # fmt: skip
def test_a_broken_model_folder_is_said_clearly(tmp_path: Path, damage, said: str) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    folder = tmp_path / "judge"
    folder.mkdir()
    shutil.copytree(JUDGE / "model", folder / "model", copy_function=shutil.copyfile)
    folder.joinpath("model").chmod(0o755)
    shutil.copyfile(JUDGE / "dictionary.txt.gz", folder / "dictionary.txt.gz")
    damage(folder)
    with pytest.raises(UserError, match=said):
        load_recogniser(f"pocketsphinx:{folder}").transcribe(np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)


def test_binary_definitions_are_read_and_an_english_model_is_refused() -> None:
    pocketsphinx = pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    folder = Path(pocketsphinx.get_model_path("en-us/en-us"))
    names = SphinxModel.find(folder).phone_names()
    assert len(names) == 39 and {"AA", "ZH"} <= names and "SIL" not in names  # CMUdict's 39 phones
    with pytest.raises(UserError, match="Is it a Spanish one"):
        load_recogniser(f"pocketsphinx:{folder}")


def test_files_that_are_named_must_be_there(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    with pytest.raises(UserError, match="no such folder"):
        load_recogniser(f"pocketsphinx:{tmp_path}/none")
    (tmp_path / "mdef").touch()
    with pytest.raises(UserError, match="lm=none.lm: there is no such file"):
        load_recogniser(f"pocketsphinx:{tmp_path},lm=none.lm")


# ---- the language model and the sound

def test_a_trigram_is_a_distribution_after_every_history(tmp_path: Path) -> None:
    write_trigram([["a", "b", "a"], ["b", "b"], ["a"]], tmp_path / "lm.arpa")
    probability, backoff = read_arpa(tmp_path / "lm.arpa")
    words = ["a", "b", "</s>"]
    for history in ((), ("a",), ("b",), ("<s>", "a"), ("b", "b"), ("a", "b"), ("never", "seen")):
        assert sum(likelihood(probability, backoff, (*history, word)) for word in words) == pytest.approx(1, abs=1e-3), history
    assert probability[("<s>", "a")] == pytest.approx((2 + 2 * probability[("a",)]) / (3 + 2), rel=1e-3)  # Witten-Bell by hand


def read_arpa(path: Path) -> tuple[dict, dict]:
    probability, backoff = {}, defaultdict(lambda: 1.0)
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields and fields[0].lstrip("-").replace(".", "").isdigit():
            words = tuple(field for field in fields[1:] if not field.lstrip("-").replace(".", "").isdigit())
            probability[words] = 10 ** float(fields[0])
            if len(fields) > len(words) + 1:
                backoff[words] = 10 ** float(fields[-1])
    return probability, backoff


def likelihood(probability: dict, backoff: dict, gram: tuple[str, ...]) -> float:
    if gram in probability:
        return probability[gram]
    return backoff[gram[:-1]] * likelihood(probability, backoff, gram[1:]) if len(gram) > 1 else 0.0


def test_sound_is_brought_to_one_level_and_silence_is_not() -> None:
    loud = np.frombuffer(pcm(np.sin(np.arange(4800) / 9) * 0.01, 24_000, 16_000), "<i2")
    assert abs(np.abs(loud).max() / 32767 - 0.7) < 0.01 and len(loud) == 3200 and math.isclose(loud.mean(), 0, abs_tol=200)
    assert not np.frombuffer(pcm(np.full(4800, 1e-6), 24_000, 16_000), "<i2").any()


@needs_judge
def test_the_dictionary_adds_pronunciations_to_the_front_ends(sphinx) -> None:
    with gzip.open(JUDGE / "dictionary.txt.gz", "rt", encoding="utf-8") as lines:
        own = {line.split()[0]: line.split()[1:] for line in lines if line.split()[1:]}
    sphinx.expect(["alex adyacente"])
    written = dict(line.split(" ", 1) for line in (sphinx.folder / "words.dict").read_text(encoding="utf-8").splitlines())
    assert written["alex"].split() == ["a", "l", "e", "k", "s"] and written["alex(2)"].split() == own["alex"]
    assert "adyacente" in written
