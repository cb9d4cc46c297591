"""Spoken words: each comes from the stretch that was written for it, and its tokens are its own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_es.text import FrontEnd
from chatterbox_es.text.symbols import PHONES

FRONT_END = FrontEnd()
PIECES = st.sampled_from(["hola", "Son", "21", "3-1", "1984", "el Barça", "EE. UU.", "siglo XI", "20 €/noche", "😀", "…", "—",
                          "¿qué", "?", ",", " ", "\n", "'", "’", "<b>", "3 < 5", "maÃ±ana", "&amp;",
                          "www.gmail.com", "II", "0SR.",
                          "İ", "ﬁ"])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=12).map(" ".join))


@pytest.mark.parametrize(("text", "expected"), [
    ("Hola, mundo.", [("hola", "Hola"), ("mundo", "mundo")]),
    ("Son 21 libros", [("son", "Son"), ("veintiún", "21"), ("libros", "libros")]),
    ("en 1984", [("en", "en"), *((word, "1984") for word in ["mil", "novecientos", "ochenta", "y", "cuatro"])]),
    ("el Barça ganó 3-1", [("el", "el"), ("barsa", "Barça"), ("ganó", "ganó"), ("tres", "3"), ("uno", "1")]),
    ("EE. UU. dijo", [("estados", "EE. UU."), ("unidos", "EE. UU."), ("dijo", "dijo")]),
    ("franco-alemán", [("franco", "franco"), ("alemán", "alemán")]),
    ("ho😀la", [("ho", "ho"), ("la", "la")]),
    ("¡«Sí»!", [("sí", "Sí")]),
    ("20 €/noche", [(word, "20 €/noche") for word in ["veinte", "euros", "por", "noche"]]),
    ("II SIGLO XX", [("segundo", "II"), ("siglo", "SIGLO"), ("veinte", "XX")]),
    ("…", []),
])
def test_each_word_has_the_stretch_that_was_written_for_it(text, expected):
    reading = FRONT_END.read(text)
    assert [(word.word, reading.text[word.start:word.end]) for word in reading.spoken] == expected


def test_the_tokens_of_a_word_are_its_phones():
    reading = FRONT_END.read("¿Un beso, José? ¡Hola—adiós!")
    said = {word.word: "".join(reading.phonemes[word.first:word.last]) for word in reading.spoken}
    assert said == {"un": "ˈum", "beso": "bˈeso", "josé": "xosˈe", "hola": "ˈola", "adiós": "aðjˈos"}


def test_words_of_english_have_theirs():
    reading = FRONT_END.read_english("A well-known café, 1984")
    assert [(word.word, reading.text[word.start:word.end]) for word in reading.spoken] == [
        ("a", "A"), ("well", "well"), ("known", "known"), ("cafe", "café"),
        ("nineteen", "1984"), ("eighty", "1984"), ("four", "1984")]


@settings(max_examples=300)
@given(TEXTS)
def test_whatever_is_written_every_phone_belongs_to_one_word_in_order(text):
    for reading in (FRONT_END.read(text), FRONT_END.read_english(text)):
        tokens = [token for word in reading.spoken for token in range(word.first, word.last)]
        assert tokens == [token for token, phone in enumerate(reading.phonemes) if phone in PHONES]
        assert all(0 <= word.start < word.end <= len(reading.text) for word in reading.spoken)
        starts = [word.start for word in reading.spoken]
        assert starts == sorted(starts)
