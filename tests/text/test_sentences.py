"""Sentences are parted at their ends only."""

import pytest

from chatterbox_es.text import FrontEnd


@pytest.mark.parametrize(
    "sentences",
    [
        ["Hola.", "¿Qué tal?", "¡Bien!"],
        ["El Sr. Ruiz vive en EE. UU. desde 1.990 y pagó 3.50.", "Volvió."],
        ["Compró pan, vino, etc.", "Luego se fue."],
        ["Dijo que sí, ¿verdad?, y se fue.", "Adiós."],
        ["J. R. R. Tolkien escribió."],
        ["«¿Vienes?»", "Nadie contestó."],
        ["Bueno... pues no sé.", "Ya."],
        ["Véase la pág. 5 del cap. IV."],
    ],
)
def test_a_text_parts_into_its_sentences(sentences):
    assert list(FrontEnd().read(" ".join(sentences)).sentences) == sentences


def test_lines_are_sentences_of_their_own():
    assert FrontEnd().read("uno\ndos\n\ntres").sentences == ("uno", "dos", "tres")
