"""Bytes that are not text are repaired where that is certain, and reported where it is not."""

import pytest

from chatterbox_es.text import FrontEnd

FRONT_END = FrontEnd()
SPANISH = "Mañana comió piñas en Cádiz, ¿verdad? ¡Qué señor!"


@pytest.mark.parametrize("wrong", ["cp1252", "latin-1"])
def test_utf8_read_in_a_wrong_encoding_is_read_as_it_was_meant(wrong: str) -> None:
    damaged = SPANISH.encode("utf-8").decode(wrong)
    reading = FRONT_END.read(damaged)
    assert reading.text == SPANISH
    assert reading.words == FRONT_END.read(SPANISH).words and not reading.unknown


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("&iquest;C&oacute;mo est&aacute;s?", "¿Cómo estás?"),
        ("ni&#241;o y ni&#xF1;a", "niño y niña"),
        ("uno&nbsp;y&amp;ntilde;u", "uno yñu"),
        ("\ufeffhola", "hola"),
    ],
)
def test_names_of_characters_are_the_characters(written: str, meant: str) -> None:
    assert FRONT_END.read(written).words == FRONT_END.read(meant).words


@pytest.mark.parametrize("text", [SPANISH, "São Tomé, Âncora, El Niño; AT&T; y Cía. & Co;", "Ã o Õ", "Łódź, Århus, Čapek"])
def test_what_is_in_order_stays_as_it_is(text: str) -> None:
    assert FRONT_END.read(text).text == text


@pytest.mark.parametrize("text", ["ma\ufffdana", "dÃ­a y \ufffd"])
def test_damage_that_cannot_be_repaired_is_reported(text: str) -> None:
    assert FRONT_END.read(text).unknown


def test_tags_are_not_said_and_reported() -> None:
    reading = FRONT_END.read("<b>Hola</b>, <i>Ana</i><br/>")
    assert reading.words == "hola, ana"
    assert [span.written for span in reading.unknown] == ["<b>", "</b>", "<i>", "</i>", "<br/>"]
