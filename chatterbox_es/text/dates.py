"""Dates: 30-2-1990, 1990-02-30, 20 de marzo, junio 11 2000, vier. 10 de mayo, 10.000 a. C.

Day before month, as everywhere in Spanish; a second figure above 12 can only be a day, so 12/31/99 is read too.
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.agreement import FUNCTION_WORDS
from chatterbox_es.text.roman import value_of
from chatterbox_es.text.written import LETTER, NUMBER, SPACE, Place, Rule, amount, rule

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
LETTERS_OF_DAYS = dict(zip("LMXJVSD", ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"), strict=True))
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


def in_roman(match: re.Match, place: Place) -> str | None:
    """12-IX-1978, 6/XI/99."""
    day, month = int(match["day"]), value_of(match["m"])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    return f"{_day(day)} de {MONTH_NAMES[month - 1]} de {_year(match['year'])}"


def in_roman_without_year(match: re.Match, place: Place) -> str | None:
    """el 5-XII."""
    day, month = int(match["day"]), value_of(match["m"])
    told = place.before in ("el", "del", "al", "día") and 1 <= day <= 31 and 1 <= month <= 12
    return f"{_day(day)} de {MONTH_NAMES[month - 1]}" if told else None


def without_year(match: re.Match, place: Place) -> str | None:
    """lunes 5/6, del 5/6 al 7/8, 24/12: a day and a month where the text says so or no fraction looks like it."""
    day, month = int(match["day"]), int(match["m"])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    before = place.text[max(0, place.start - 40) : place.start]
    padded = match["day"].startswith("0") or match["m"].startswith("0")
    told = DAY_TOLD.search(before) or LAST_DAY.search(before) or FIRST_DAY.match(place.text, place.end)
    in_place = place.before in ("el", "del", "al", "día", "desde", "hasta") and place.after[0] in NO_NOUN_BEHIND
    never_a_fraction = padded or (day > month >= 10) or (day > 12 and month > 1 and (day, month) not in NOT_DAYS)
    if told or never_a_fraction or (in_place and (day > month or month == 1)):
        return f"{_day(day)} de {MONTH_NAMES[month - 1]}"
    return None


def month_in_digits(match: re.Match, place: Place) -> str | None:
    """05/2021 → mayo de dos mil veintiuno."""
    month = int(match["m"])
    return f"{MONTH_NAMES[month - 1]} de {_year(match['year'])}" if 1 <= month <= 12 else None


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
    return f"{words} {'del' if match['the'] else 'de'} {_year(match['year'])}" if match["year"] else words


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


def weekdays(match: re.Match, place: Place) -> str | None:
    """L-V 9:00 → lunes a viernes."""
    first, last = LETTERS_OF_DAYS[match["first"]], LETTERS_OF_DAYS[match["last"]]
    return f"{first} a {last}" if match["first"] != match["last"] else None


def era(match: re.Match, place: Place) -> str | None:
    """10.000 a. C."""
    number = amount(match["number"], place.locale)
    if number.behind:
        return None
    stop = "." if match["stop"] and place.text[place.end : place.end + 24].lstrip()[:1].isupper() else ""
    return f"{number.words()} {ERAS[match['era'].lower()]}{stop}"


LONG_WEEKDAY = "lunes|martes|miércoles|miercoles|jueves|viernes|sábado|sabado|domingo"
DAY_TOLD = re.compile(
    rf"(?:\b(?:{LONG_WEEKDAY}|fechas?|día|vence|vencimiento|cita|caduca|entrega)|\b(?:{'|'.join(WEEKDAYS)})\.?)"
    rf"[,:]?{SPACE}?(?:(?:día|de|el|del|es){SPACE})?$",
    re.IGNORECASE,
)
# del 5/6 al 7/8
LAST_DAY = re.compile(
    rf"\b(?:del|desde el|desde){SPACE}\d{{1,2}}/\d{{1,2}}{SPACE}(?:al|hasta el|hasta|a){SPACE}$", re.IGNORECASE
)
FIRST_DAY = re.compile(rf"{SPACE}?(?:al|hasta el|hasta|-|–){SPACE}?\d{{1,2}}/\d{{1,2}}(?![/\d])", re.IGNORECASE)
NO_NOUN_BEHIND = (FUNCTION_WORDS - {"de", "del"}) | {""}
NOT_DAYS = ((24, 7), (16, 9), (21, 9))  # always open; screens
ROMAN_MONTH = r"(?P<m>X?I{1,3}|I?V|VI{1,3}|I?X)"
YEAR = r"(?P<year>\d{4}|\d{2})"
DATES: tuple[Rule, ...] = (
    rule("date", rf"(?P<day>\d{{1,2}})(?P<sep>[-./])(?P<m>\d{{1,2}})(?P=sep){YEAR}(?![\d]|[-./]\d)", in_digits),
    rule("date", r"(?P<year>\d{4})(?P<sep>[-./])(?P<m>\d{1,2})(?P=sep)(?P<day>\d{1,2})(?![\d]|[-./]\d)", in_digits),
    Rule("date", re.compile(rf"(?P<day>\d{{1,2}})(?P<sep>[-./ ]){ROMAN_MONTH}(?P=sep){YEAR}(?![\d{LETTER}])"), in_roman),
    Rule("date", re.compile(rf"(?P<day>\d{{1,2}})[-/]{ROMAN_MONTH}(?![\d{LETTER}/-])"), in_roman_without_year),
    rule("date", r"(?P<day>\d{1,2})/(?P<m>\d{1,2})(?![\d/]|[.,]\d|[a-zñ])", without_year),
    rule("date", r"(?P<m>0\d|1[0-2])/(?P<year>(?:19|20)\d{2})(?![\d/]|[.,]\d)", month_in_digits),
    rule(
        "date",
        rf"(?P<day>\d{{1,2}})(?:[º°]|\.[º°])?(?:{SPACE}de|-|/)?{SPACE}?{MONTH}(?:(?:{SPACE}de(?P<the>l)?|,|-|/)?{SPACE}?(?P<year>\d{{4}}))?(?!\d|[a-záéíóúñ])",
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
    Rule(
        "date",
        re.compile(rf"(?P<first>[LMXJVSD])-(?P<last>[LMXJVSD])(?=:?,?{SPACE}(?:de{SPACE})?\d{{1,2}}(?:[:.]\d\d|{SPACE}?(?:h|a){SPACE}))"),
        weekdays,
    ),
)
