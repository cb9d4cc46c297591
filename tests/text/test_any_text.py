"""Any text at all: words, no crash, the same twice, to its end."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatterbox_es.text import DIALECTS, FrontEnd

FRONT_END = FrontEnd()
KNOWN = frozenset("abcdefghijklmnñopqrstuvwxyzáéíóúü'.,;:?¿!¡…— ")

# pieces that the readers look for, so that chance puts them together in ways nobody wrote
WRITTEN_FORMS = """
    1 21 007 1.234 1,5 1.234,5 12/10/1492 1/2 ½ 15:30 3.er 2.ª º ° € $ 20€ US$ % km/h m² °C kg h min p. m. a. C. s. XIX
    siglo V vi xi Felipe II Sr. Dra. EE. UU. etc. pág. n.º d. art. y/o ONU DNI CO2 H₂O #Hola @ana ana@gmail.com
    www.rae.es http://a.b/c v1.2 versión +34 912 345 678 123-123-5678 - — … ... ¿ ? ¡ ! ( ) « » ' " & + = × 10⁶ x² α ß
    MUY NO ES ESO TI vols. I V X VI y II 12-IX-1978 24/12 27/2014 98/99 50/50 c/u 10€-20€ -5-10 30€/noche l/100 km 2^3 msnm
    mdd 1a 2o 1ero 20avo 37'5 1'500.000 16:9 Juan 3:16 Mª Fco. S.A. de C.V. ss. q. e. p. d. Tlf: opiniones crisis alma de
    ellas cada Ã± &ntilde; <b> :-) xD Hmm shhh
    ç 東 😀 de mayo enero mil millones casas libros la el entre J. R. km no. vs et al Tel. l' d' MIL
"""
PIECES = st.sampled_from(WRITTEN_FORMS.split())
SPACES = st.sampled_from([" ", " ", "", "\u00a0", "\n"])
WRITTEN = st.lists(st.tuples(PIECES, SPACES), max_size=12).map(lambda parts: "".join(a + b for a, b in parts))
ANY_TEXT = st.one_of(st.text(max_size=60), WRITTEN)


@settings(max_examples=400)
@given(ANY_TEXT)
def test_any_text_gives_words_that_can_be_said_or_a_report(text):
    reading = FRONT_END.read(text)
    assert set(reading.words) <= KNOWN
    assert len(reading.phonemes) == len(reading.ids)
    assert FRONT_END.table.symbols_of(reading.ids) == reading.phonemes
    assert all(reading.text[span.start : span.end] == span.written for span in reading.spans)
    letters = [character for character in reading.text if character.isalnum()]
    assert not letters or reading.is_speakable or reading.unknown


@settings(max_examples=600)
@given(ANY_TEXT)
@example("0SR.")
@example("II\u00a0ONUII II\u00a0ONU")
@example("VII II xiV")
def test_normalising_twice_equals_once(text):
    words = FRONT_END.read(text).words
    assert FRONT_END.read(words).words == words


@settings(max_examples=200)
@given(ANY_TEXT)
def test_any_composition_is_read_the_same(text):
    composed, decomposed = (FRONT_END.read(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert (composed.words, composed.ids) == (decomposed.words, decomposed.ids)


@settings(max_examples=100)
@given(WRITTEN, st.sampled_from(sorted(DIALECTS)))
def test_every_dialect_says_every_text(text, dialect):
    reading = FrontEnd(dialect).read(text)
    assert len(reading.ids) == len(reading.phonemes)


@given(st.lists(WRITTEN, max_size=5))
@settings(max_examples=50)
def test_many_are_read_as_each(texts):
    assert FRONT_END.read_many(texts) == [FRONT_END.read(text) for text in texts]


@pytest.mark.slow
@settings(max_examples=100_000, derandomize=False)
@given(ANY_TEXT)
def test_normalising_twice_equals_once_for_texts_nobody_tried(text):
    words = FRONT_END.read(text).words
    assert FRONT_END.read(words).words == words


# a unit over and over: what a careless pattern reads in quadratic time (scripts/bench_front_end.py says how long each takes)
REPEATED = [
    *"1aAñ.,;:?!¿¡…—-+/@#$€%&()\"'*_|\\=<>²₂ºª°½😀XI\u0301\n",
    *("1.", "1,", "1 ", "1-", "1/", "1:", "a.", "a@", "a-", "+1", "$1", "1€", "a.b@", "http://", "1.º", "s. ", "p. "),
    *("XI ", "1a", "12 de ", "enero 1 ", "1 000 ", "1x", ". . ", "? ?", "912 345 678 ", "H2", "siglo v ", "é̃", "(1) "),
]


@pytest.mark.parametrize("unit", REPEATED, ids=ascii)
def test_a_unit_over_and_over_is_read_to_its_end(unit):
    reading = FRONT_END.read(unit * 2000 + " fin.")
    assert set(reading.words) <= KNOWN
    assert reading.words.endswith("fin.")
    assert FRONT_END.table.symbols_of(reading.ids) == reading.phonemes


def test_a_long_string_of_digits_is_read_digit_by_digit():
    assert FRONT_END.read("1" * 500).words == " ".join(["uno"] * 500)
