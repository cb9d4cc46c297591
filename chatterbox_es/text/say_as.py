"""SSML's say-as: a written form as words that can be read in no other way (W3C's note on say-as attribute values, 2005)."""

import re
from collections.abc import Callable

from chatterbox_es.text import numbers
from chatterbox_es.text.dates import MONTH_NAMES
from chatterbox_es.text.letters import LETTER_NAMES
from chatterbox_es.text.normaliser import Normaliser

VOWELS_BY_NAME = {**{vowel: vowel for vowel in "aeiou"}, **dict(zip("áéíóú", "aeiou", strict=True)), "ü": "u"}
MARK_NAMES = {
    ".": "punto", ",": "coma", ";": "punto y coma", ":": "dos puntos", "-": "guion", "_": "guion bajo", "/": "barra",
    "@": "arroba", "?": "interrogación", "!": "exclamación", "'": "apóstrofo", '"': "comillas", "(": "abre paréntesis",
    ")": "cierra paréntesis", "*": "asterisco",
}  # fmt: skip
DIGITS = re.compile(r"\d+")
WHOLE = re.compile(r"([-−+]?)(\d{1,3}(?:[., \u00a0]\d{3})+|\d+)")
ORDINAL = re.compile(r"(\d{1,9})(?:\.?([ºoª°a]|er|ero|era))?\.?", re.IGNORECASE)
FIELDS = {"d": "day", "m": "month", "y": "year"}
DATE_FORMATS = ("dmy", "mdy", "ymd", "dm", "md", "ym", "my", "d", "m", "y")


def characters(text: str, normaliser: Normaliser) -> str | None:
    """Each character by its name: a, be, tres, arroba."""
    return ", ".join(filter(None, (_name(character, normaliser) for character in text.lower()))) or None


def _name(character: str, normaliser: Normaliser) -> str:
    if character.isspace():
        return ""
    if "0" <= character <= "9":
        return numbers.UNITS[int(character)]
    named = VOWELS_BY_NAME.get(character) or LETTER_NAMES.get(character) or MARK_NAMES.get(character)
    return named or normaliser.normalise(normaliser.compose(character))[0].strip(".,;:?!¿¡…—")


def cardinal(text: str, normaliser: Normaliser) -> str | None:
    """A whole number: 1.234 → mil doscientos treinta y cuatro. Others are left to the front end."""
    whole = WHOLE.fullmatch(text)
    if not whole:
        return None
    sign = {"-": "menos ", "−": "menos "}.get(whole[1], "")
    return sign + numbers.whole(re.sub(r"\D", "", whole[2]))


def ordinal(text: str, normaliser: Normaliser) -> str | None:
    """3, 3.º, 3ª → tercero, tercera."""
    match = ORDINAL.fullmatch(text)
    if not match or not int(match[1]):
        return None
    ending = (match[2] or "").lower()
    gender = numbers.FEMININE if ending in ("ª", "a", "era") else numbers.MASCULINE
    return numbers.ordinal(int(match[1]), gender, before_noun=ending == "er")


def date(text: str, normaliser: Normaliser, order: str = "") -> str | None:
    """Day, month and year in the order of a format: dmy where none is given, or ymd where the year stands first."""
    figures = DIGITS.findall(text)
    order = order or ("ymd" if figures and len(figures[0]) == 4 and len(figures) == 3 else "dmy"[:len(figures)])
    if len(figures) != len(order) or order not in DATE_FORMATS or re.search(r"[^\d\s./-]", text):
        return None
    told = {FIELDS[field]: int(figure) for field, figure in zip(order, figures, strict=True)}
    if not 1 <= told.get("day", 1) <= 31 or not 1 <= told.get("month", 1) <= 12:
        return None
    words = []
    if "day" in told:
        words.append("primero" if told["day"] == 1 else numbers.cardinal(told["day"]))
    if "month" in told:
        words.append(MONTH_NAMES[told["month"] - 1])
    if "year" in told:
        words.append(numbers.cardinal(told["year"]))
    return " de ".join(words)


def telephone(text: str, normaliser: Normaliser) -> str | None:
    """Figure by figure, with a pause between the groups in which it is written."""
    groups = DIGITS.findall(text)
    if not groups or re.search(r"[^\d\s().+/-]", text):
        return None
    said = [numbers.digits(group) for group in groups]
    return ("más " if text.lstrip().startswith("+") else "") + ", ".join(said)


READERS: dict[str, Callable[[str, Normaliser], str | None]] = {
    "characters": characters, "spell-out": characters, "verbatim": characters, "digits": characters,
    "cardinal": cardinal, "number": cardinal, "ordinal": ordinal, "date": date, "telephone": telephone,
}  # fmt: skip
