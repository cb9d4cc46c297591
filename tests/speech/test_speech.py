"""A voice: texts of any length in parts, each as soon as it is made, and dialects on the same weights."""

from itertools import pairwise

import numpy as np
import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.voice import LONG_SENTENCE, LONG_TEXT, Voice
from chatterbox_es.speech.voices import ENGINES, load_voice
from chatterbox_es.text.symbols import PHONES

SENTENCES = ("El niño lee un libro.", "¿Y quién se lo ha dado?", "¡Su abuela, claro está!", "A las 7:30 ya dormía.")
NO_MARKS = "y la casa que tiene una puerta grande " * 12


@pytest.fixture(scope="module")
def voice(road) -> Voice:
    return load_voice(road.whole_run)


def words_of(speeches) -> str:
    return " ".join(speech.reading.words for speech in speeches)


def test_each_sentence_comes_by_itself_before_the_next_is_made(voice, monkeypatch):
    made = []
    monkeypatch.setattr(voice, "vocoder", lambda mel: made.append(len(mel)) or np.zeros(480 * len(mel), np.float32))
    stream = voice.stream(" ".join(SENTENCES))
    assert not made
    for number, sentence in enumerate(SENTENCES, 1):
        speech = next(stream)
        assert speech.reading.words == voice.front_end.read(sentence).words
        assert len(made) == number
        assert len(speech.samples) == 480 * speech.durations.sum()
    assert next(stream, None) is None


def test_a_long_text_said_at_once_is_its_parts_one_after_the_other(voice):
    text = " ".join(SENTENCES * 6)
    assert len(voice.front_end.read(text).ids) > LONG_TEXT
    whole, parts = voice.speak(text), list(voice.stream(text))
    assert len(parts) == 6 * len(SENTENCES)
    np.testing.assert_array_equal(whole.samples, np.concatenate([part.samples for part in parts]))
    np.testing.assert_array_equal(whole.durations, np.concatenate([part.durations for part in parts]))
    assert len(whole.reading.ids) == len(whole.reading.phonemes) == len(whole.durations)
    assert whole.reading.words == voice.front_end.read(text).words


def test_a_short_text_of_several_sentences_is_one_piece(voice):
    speech = voice.speak("Hola. ¿Qué tal?")
    assert speech.reading == voice.front_end.read("Hola. ¿Qué tal?")
    mel, durations, _ = voice.acoustic(speech.reading.ids, Manner())
    np.testing.assert_array_equal(speech.mel, mel)
    np.testing.assert_array_equal(speech.samples, voice.vocoder(mel))
    np.testing.assert_array_equal(speech.durations, durations)


@pytest.mark.parametrize("text", [NO_MARKS, "y una puerta grande, " * 40, "a" * 500])
def test_a_sentence_too_long_for_one_breath_is_cut_and_nothing_lost(voice, text):
    parts = list(voice.stream(text, speed=5))
    assert len(parts) > 1
    assert max(len(part.reading.ids) for part in parts) <= LONG_SENTENCE
    phones = [sum(phone in PHONES for phone in reading.phonemes)
              for reading in (*(part.reading for part in parts), voice.front_end.read(text))]
    assert sum(phones[:-1]) == phones[-1]
    assert words_of(parts).replace(" ", "") == voice.front_end.read(text).words.replace(" ", "")
    if "," in text:
        assert all(before.reading.words.endswith(",") for before, _ in pairwise(parts))


def test_a_book_does_not_fill_the_memory(voice):
    """Only as much is read ahead as is said."""
    book = " ".join(SENTENCES) * 2000
    stream = voice.stream(book)
    assert [next(stream).reading.words for _ in range(2)] == [voice.front_end.read(s).words for s in SENTENCES[:2]]


def test_parts_that_say_nothing_are_passed_over(voice):
    parts = list(voice.stream("Hola.\n* * *\n¿...?\nAdiós."))
    assert words_of(parts) == "hola. adiós."


@pytest.mark.parametrize("text", ["", " ", "¿...?", "* * *\n—\n"])
def test_a_text_that_says_nothing_is_an_error(voice, text):
    for say in (voice.speak, lambda text: list(voice.stream(text))):
        with pytest.raises(UserError, match="can be spoken"):
            say(text)


@pytest.mark.parametrize("speed", [0, -1, 0.01, 100, float("nan"), float("inf")])
def test_speeds_out_of_range_are_said_at_once(voice, speed):
    for say in (voice.speak, voice.stream):
        with pytest.raises(UserError, match="speed="):
            say("Hola.", speed)


def test_a_dialect_reads_differently_with_the_same_weights(voice):
    other = voice.in_dialect("rioplatense")
    assert other.acoustic is voice.acoustic
    assert "ʃ" in other.speak("La calle.").reading.phonemes
    assert "ʎ" in voice.speak("La calle.").reading.phonemes
    assert voice.in_dialect("castilian") is voice
    with pytest.raises(UserError, match="klingon"):
        voice.in_dialect("klingon")


def test_an_engine_that_does_not_exist_is_said(road):
    with pytest.raises(UserError, match=f"engine=tensorrt.*{ENGINES[1]}"):
        load_voice(road.whole_run, engine="tensorrt")
