"""PocketSphinx, for real: what it hears, where phonemes lie, what its folders may hold; and the trigrams it is given."""

import gzip
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.language_model import write_trigram
from chatterbox_es.evaluation.recogniser import PhoneRecogniser, in_processes
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sphinx import SphinxModel
from chatterbox_es.text import FrontEnd
from chatterbox_es.text.symbols import PHONES

JUDGE = Path(__file__).parents[3] / "shared" / "judge"
needs_judge = pytest.mark.skipif(not JUDGE.is_dir(), reason="no acoustic model: ../shared/judge is absent")

@pytest.fixture(scope="module")
def sphinx():
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return load_recogniser(f"pocketsphinx:{JUDGE}")


@pytest.fixture(scope="module")
def speech() -> dict[str, np.ndarray]:
    """Sentences as espeak-ng says them, at 24 kHz."""
    import soxr

    from chatterbox_es.corpus.espeak_demo import Espeak

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


@needs_judge
def test_the_dictionary_adds_pronunciations_to_the_front_ends(sphinx) -> None:
    with gzip.open(JUDGE / "dictionary.txt.gz", "rt", encoding="utf-8") as lines:
        own = {line.split()[0]: line.split()[1:] for line in lines if line.split()[1:]}
    sphinx.expect(["alex adyacente"])
    written = dict(line.split(" ", 1) for line in (sphinx.folder / "words.dict").read_text(encoding="utf-8").splitlines())
    assert written["alex"].split() == ["a", "l", "e", "k", "s"] and written["alex(2)"].split() == own["alex"]
    assert "adyacente" in written
