"""Word, character and phone error rates: what is counted, and against what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_es.evaluation.intelligibility import RATES, Intelligibility, corpus_rates
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import Failure, Sound
from chatterbox_es.text import FrontEnd
from chatterbox_es.text.symbols import PHONES

SHARED = Path(__file__).parents[3] / "shared"
FRONT_END = FrontEnd("castilian")


class Ear:
    """Hears what it is told to, by the level of the sound."""

    name, task = "ear", "none"

    def __init__(self, heard: dict[float, str]):
        self.heard, self.expected = heard, []

    def expect(self, sentences: Sequence[str]) -> None:
        self.expected = list(sentences)

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        if samples[0] > 0.9:
            raise RuntimeError("too loud")
        return self.heard[round(float(samples[0]), 3)]


class PhoneEar(Ear):
    """Hears the phones of its words, too."""

    def phones(self, samples: np.ndarray, rate: int) -> list[str]:
        return [phone for phone in FRONT_END.read(self.transcribe(samples, rate)).phonemes if phone in PHONES]

    def names_of(self, phonemes: Sequence[str]) -> list[tuple[str, str]]:
        return [(phone, phone) for phone in phonemes if phone in PHONES]


def sound(words: str, level: float, system: str = "voice", utterance: str = "u") -> Sound:
    return Sound(system, utterance, words, FRONT_END.read(words).phonemes, np.full(240, level, np.float32), 24_000)


def hear(words: str, heard: str) -> dict[str, float]:
    return Intelligibility(Ear({0.1: heard}))([sound(words, 0.1)])[0]


def edits(said: Sequence, heard: Sequence) -> int:
    """Levenshtein's distance, by the book."""
    row = list(range(len(heard) + 1))
    for place, one in enumerate(said, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(heard, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (one != other))
    return row[-1]


@pytest.mark.parametrize(("words", "heard"), [
    ("¿cuántos son? veintiún libros.", "Cuántos son 21 libros"),
    ("son las tres y media de la tarde", "son las tres y media de la tarde."),
    ("¡qué día!", "QUÉ DÍA"),
])  # fmt: skip
def test_digits_case_and_punctuation_are_no_errors(words: str, heard: str) -> None:
    metrics = hear(words, heard)
    assert metrics["wer"] == metrics["cer"] == 0 and metrics["wer_words"] == len(words.split())


def test_counts_by_hand() -> None:
    metrics = hear("la casa es muy alta", "la caza es alta")  # casa → caza, muy lost
    assert (metrics["wer_edits"], metrics["wer_words"], metrics["wer"]) == (2, 5, 0.4)
    assert (metrics["cer_edits"], metrics["cer_characters"]) == (1 + len("muy "), len("la casa es muy alta"))
    assert hear("sí", "así no que no")["wer"] == 4  # more is heard than was said: above 1


def test_nothing_heard_is_every_word_missed() -> None:
    assert hear("la casa", "")["wer"] == hear("la casa", "")["cer"] == 1


WORDS = st.lists(st.sampled_from(("casa", "mesa", "perro", "gato", "come", "corre", "alto")), min_size=1, max_size=8)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_rates_of_many_sentences_are_sums_of_edits_over_sums_of_words(pairs: list) -> None:
    sounds = [sound(" ".join(said), number / 100, utterance=str(number)) for number, (said, _) in enumerate(pairs, 1)]
    rows = Intelligibility(Ear({n / 100: " ".join(heard) for n, (_, heard) in enumerate(pairs, 1)}))(sounds)
    assert [row["wer_edits"] for row in rows] == [edits(said, heard) for said, heard in pairs]
    rate = sum(edits(said, heard) for said, heard in pairs) / sum(len(said) for said, _ in pairs)
    assert corpus_rates(rows)["wer"][0] == pytest.approx(rate)
    twice = corpus_rates(rows, np.eye(len(rows)))["wer"]  # each sentence by itself
    assert twice == pytest.approx([row["wer"] for row in rows])


def test_a_sound_that_cannot_be_heard_is_a_failure_and_the_others_are_heard() -> None:
    lost = sound("la casa", 0.5)
    lost.samples[3] = np.nan
    measure = Intelligibility(Ear({0.1: "la casa"}))
    rows = measure([lost, sound("la casa", 0.1), sound("la casa", 0.95), sound("…", 0.1)])
    assert [isinstance(row, Failure) for row in rows] == [True, False, True, True]
    assert "not numbers" in rows[0].reason and "too loud" in rows[2].reason and "is a word" in rows[3].reason
    assert measure.recogniser.expected == ["la casa"]


def test_what_was_heard_is_kept_by_system_and_utterance() -> None:
    measure = Intelligibility(PhoneEar({0.1: "La casa.", 0.2: "21 gatos"}))
    measure([sound("la casa", 0.1, "a", "x"), sound("la casa", 0.2, "b", "x")])
    assert measure.heard["a", "x"].words == "la casa" and measure.heard["b", "x"].words == "veintiún gatos"
    assert measure.heard["a", "x"].phones == ("l", "a", "k", "ˈa", "s", "a") == measure.heard["a", "x"].said


def test_the_control_is_what_the_same_phones_score_on_other_sentences_of_the_system() -> None:
    texts = ["la casa", "el perro negro", "una mesa"]
    sounds = [sound(text, (number + 1) / 10, utterance=text) for number, text in enumerate(texts)]
    ear = PhoneEar({0.1: texts[0], 0.2: "el gato", 0.3: texts[2]})
    rows = Intelligibility(ear)([*sounds, sound("otra cosa", 0.1, "other")])
    phones = {text: [phone for phone in FRONT_END.read(text).phonemes if phone in PHONES] for text in (*texts, "el gato")}
    heard = phones["el gato"]
    assert rows[1]["per_edits"] == edits(phones[texts[1]], heard)
    assert rows[1]["per_control_edits"] == np.mean([edits(phones[text], heard) for text in (texts[0], texts[2])])
    assert rows[0]["per"] == 0 and "per_control" not in rows[3]  # alone in its system: there is nothing to hold it against
    rates = corpus_rates(rows[:3])
    assert rates["score"][0] == pytest.approx(1 - rates["per"][0] / rates["per_control"][0])
    assert rates["per"][0] < rates["per_control"][0]


def test_a_shuffled_text_scores_no_better_than_babble() -> None:
    texts = ["la casa", "el perro negro", "una mesa", "cinco gatos"]
    heard = {(number + 1) / 10: text for number, text in enumerate(texts)}
    moved = [sound(text, (number + 1) / 10) for number, text in enumerate([*texts[1:], texts[0]])]
    assert corpus_rates(Intelligibility(PhoneEar(heard))(moved))["score"][0] < 0


def test_a_recogniser_without_a_phone_loop_gives_words_alone() -> None:
    assert not any(name.startswith("per") for name in hear("la casa", "la casa"))
    assert set(corpus_rates([hear("la casa", "la casa")])) == {"wer", "cer"}
    assert corpus_rates([]) == {}


def test_every_figure_says_what_it_is() -> None:
    assert set(Intelligibility.metrics) == set(RATES) == set(Intelligibility.rates)


def test_recordings_are_understood_and_the_wrong_text_is_not() -> None:
    corpus = SHARED / "corpora" / "ahotts_es"
    if not (corpus.is_dir() and (SHARED / "judge").is_dir()):
        pytest.skip("no recordings or no acoustic model: ../shared is absent")
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    from chatterbox_es.audio.waveform import read_audio

    rows = [line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    some = [(name, FRONT_END.read(text)) for name, text in rows if len(text) < 60][:6]
    sounds = [Sound("recordings", name, reading.words, reading.phonemes,
                    read_audio(next(corpus.glob(f"audio/{name}.*"))), 24_000) for name, reading in some]
    shifted = [Sound("wrong", name, reading.words, reading.phonemes, sound.samples, sound.rate)
               for (name, reading), sound in zip([*some[1:], some[0]], sounds, strict=True)]
    found = Intelligibility(load_recogniser(f"pocketsphinx:{SHARED}/judge"), processes=1)([*sounds, *shifted])
    right, wrong = corpus_rates(found[:6]), corpus_rates(found[6:])
    assert right["wer"][0] < 0.2 and right["score"][0] > 0.5
    assert wrong["wer"][0] > 0.8 and wrong["score"][0] < 0.1
