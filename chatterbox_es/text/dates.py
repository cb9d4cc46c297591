"""Dates: 30-2-1990, 1990-02-30, 20 de marzo, junio 11 2000, vier. 10 de mayo, 10.000 a. C.

Day before month, as everywhere in Spanish; a second figure above 12 can only be a day, so 12/31/99 is read too.
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.written import NUMBER, SPACE, Place, Rule, amount, rule

MONTHS = (
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
)  # fmt: skip
MONTH_NAMES = MONTHS.split()
SHORT_MONTHS = {name[:3]: name for name in MONTH_NAMES} | {"sept": "septiembre", "setiembre": "setiembre"}
LONG_MONTH = "|".join([*MONTH_NAMES, "setiembre"])
SHORT_MONTH = "|".join(sorted(SHORT_MONTHS, key=len, reverse=True))
MONTH = rf"(?P<month>{LONG_MONTH}|(?:{SHORT_MONTH})(?![a-záéíóúñ])\.?)"
WEEKDAYS = {
    "lun": "lunes", "mart": "martes", "mar": "martes", "miérc": "miércoles", "mié": "miércoles", "mier": "miércoles",
    "juev": "jueves", "jue": "jueves", "vier": "viernes", "vie": "viernes", "sáb": "sábado", "sab": "sábado",
    "dom": "domingo",
}  # fmt: skip
ERAS = {"a": "antes de cristo", "d": "después de cristo"}


def _day(day: int) -> str:
    return "primero" if day == 1 else numbers.cardinal(day)


def _year(written: str) -> str:
    year = int(written)
    if len(written) == 2:
        year += 2000 if year < 50 else 1900
    return numbers.cardinal(year)


def month_name(written: str) -> str:
    """mar. → marzo."""
    written = written.lower().rstrip(".")
    return SHORT_MONTHS.get(written, written)


def in_digits(match: re.Match, place: Place) -> str | None:
    """30-2-1990, 30.2.90, 30/02/1990."""
    day, month = int(match["day"]), int(match["m"])
    if month > 12 and day <= 12:
        day, month = month, day
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    return f"{_day(day)} de {MONTH_NAMES[month - 1]} de {_year(match['year'])}"


def day_and_month(match: re.Match, place: Place) -> str | None:
    """20 de marzo, 1 enero, 31 mar. 1999."""
    day = int(match["day"])
    if not 1 <= day <= 31 or (match["month"].lower() == "mar" and not match["year"]):
        return None
    words = f"{_day(day)} de {month_name(match['month'])}"
    return f"{words} de {_year(match['year'])}" if match["year"] else words


def month_and_day(match: re.Match, place: Place) -> str | None:
    """junio 11 2000, junio 11."""
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    words = f"{_day(day)} de {month_name(match['month'])}"
    return f"{words} de {_year(match['year'])}" if match["year"] else words


def month_and_year(match: re.Match, place: Place) -> str | None:
    """marzo 1999 → marzo de mil novecientos noventa y nueve."""
    return f"{month_name(match['month'])} de {_year(match['year'])}"


def weekday(match: re.Match, place: Place) -> str | None:
    """vier. 10 → viernes 10."""
    return WEEKDAYS[match["weekday"].lower()]


def era(match: re.Match, place: Place) -> str | None:
    """10.000 a. C."""
    number = amount(match["number"], place.locale)
    if number.behind:
        return None
    stop = (
        "." if match["stop"] and place.end < len(place.text) and place.text[place.end :].lstrip()[:1].isupper() else ""
    )
    return f"{number.words()} {ERAS[match['era'].lower()]}{stop}"


YEAR = r"(?P<year>\d{4}|\d{2})"
DATES: tuple[Rule, ...] = (
    rule("date", rf"(?P<day>\d{{1,2}})(?P<sep>[-./])(?P<m>\d{{1,2}})(?P=sep){YEAR}(?![\d]|[-./]\d)", in_digits),
    rule("date", r"(?P<year>\d{4})(?P<sep>[-./])(?P<m>\d{1,2})(?P=sep)(?P<day>\d{1,2})(?![\d]|[-./]\d)", in_digits),
    rule(
        "date",
        rf"(?P<day>\d{{1,2}})(?:º|\.º)?(?:{SPACE}de|-|/)?{SPACE}?{MONTH}(?:(?:{SPACE}del?|,|-|/)?{SPACE}?(?P<year>\d{{4}}))?(?!\d|[a-záéíóúñ])",
        day_and_month,
    ),
    rule("date", rf"(?P<number>{NUMBER}){SPACE}(?P<era>[ad])\.?{SPACE}?c(?P<stop>\.|\b)", era),
)
WORDS_OF_DATES: tuple[Rule, ...] = (
    rule(
        "date",
        rf"{MONTH}{SPACE}(?P<day>\d{{1,2}})(?:,?{SPACE}(?:de{SPACE})?(?P<year>\d{{4}}))?(?![\d]|[.,:/]\d|{SPACE}(?:de|%))",
        month_and_day,
    ),
    rule("date", rf"{MONTH}{SPACE}(?P<year>[12]\d{{3}})(?![\d]|[.,]\d)", month_and_year),
    rule("date", rf"(?P<weekday>{'|'.join(sorted(WEEKDAYS, key=len, reverse=True))})\.(?=,?{SPACE}\d)", weekday),
)
