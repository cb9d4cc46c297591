"""Times of day and lengths of time: 15:30, 3 p. m., 13.30 h, 2 h 30 min, 20:00 GMT-3.

The hour as it is written (15:30 is las quince y media); a quarter and a half by their names. `1.30` is a time where a
point cannot be the decimal sign and the text says so: alone, behind "a las", or before h.
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.written import LETTER, NUMBER, SPACE, Place, Rule, amount, rule

# books of the Bible, as they are cited
BOOK = (
    "génesis|gén|gn|éxodo|éx|ex|levítico|lev|lv|números|núm|nm|deuteronomio|dt|josué|jos|jueces|rut|samuel|sam|reyes|re"
    "|crónicas|cró|esdras|nehemías|tobías|judit|ester|macabeos|job|salmos?|sal|proverbios|prov|pr|eclesiastés|ecl"
    "|cantares|cantar|sabiduría|eclesiástico|isaías|is|jeremías|jer|lamentaciones|ezequiel|ez|daniel|dan|dn|oseas|joel"
    "|amós|abdías|jonás|miqueas|nahúm|habacuc|sofonías|hageo|zacarías|malaquías|mateo|mt|marcos|mc|lucas|lc|juan|jn"
    "|hechos|hch|romanos|rom|rm|corintios|cor|gálatas|gál|efesios|ef|filipenses|flp|colosenses|col|tesalonicenses|tes"
    "|timoteo|tim|tito|filemón|hebreos|heb|santiago|sant|stg|pedro|pe|judas|apocalipsis|ap|corán|sura"
)
QUARTERS = {15: "cuarto", 30: "media"}
ZONES = "gmt|utc|est|edt|pst|pdt|cst|cdt|mst|cet|cest|bst|ist|jst"
OF_DAY = rf"(?:{SPACE}?(?P<half>[ap])\.?{SPACE}?m\b\.?)"
ZONE = rf"(?:{SPACE}?(?P<zone>{ZONES})\b(?:{SPACE}?(?P<shift>[-−+])(?P<hours>\d{{1,2}})(?::(?P<minutes>\d{{2}}))?)?)"
HOUR_SIGN = rf"(?:{SPACE}?(?:h|hs|hrs|horas)\b\.?)"


def _hour(hour: int) -> str:
    return numbers.feminine(numbers.cardinal(hour))


def _half_of_day(hour: int, half: str | None) -> str:
    if not half:
        return ""
    if half.lower() == "a":
        return " de la noche" if hour in (0, 12) else " de la mañana"
    return " de la noche" if 8 <= hour < 12 else " de la tarde"


def _zone(match: re.Match) -> str:
    if not match["zone"]:
        return ""
    words = " " + " ".join(match["zone"].lower())
    if match["shift"]:
        words += (" más " if match["shift"] == "+" else " menos ") + numbers.cardinal(int(match["hours"]))
        if match["minutes"] and int(match["minutes"]):
            words += " " + numbers.cardinal(int(match["minutes"]))
    return words


def clock(match: re.Match, place: Place) -> str | None:
    """15:30, 5:02 p.m., 20:00 gmt-3, 12:00:00."""
    hour, minute, second = int(match["hour"]), int(match["minute"]), match["second"]
    if hour > 24 or minute > 59 or (second and int(second) > 59):
        return None
    if RATIO_TOLD.search(place.text, max(0, place.start - 48), place.start):
        return None
    words = _hour(hour)
    if minute:
        words += f" y {QUARTERS.get(minute) or numbers.cardinal(minute)}"
    if second and int(second):
        words = f"{_hour(hour)} {'hora' if hour == 1 else 'horas'}"
        words += (
            f" {numbers.cardinal(minute, before_noun=True)} {'minuto' if minute == 1 else 'minutos'}" if minute else ""
        )
        words += f" y {numbers.cardinal(int(second), before_noun=True)} {'segundo' if int(second) == 1 else 'segundos'}"
    return words + _half_of_day(hour, match["half"]) + _zone(match) + _end(match, place)


def _end(match: re.Match, place: Place) -> str:
    return " a" if match["to"] else _kept_stop(match, place)


def _kept_stop(match: re.Match, place: Place) -> str:
    """The point of p. m. also ends a sentence where a new one begins behind it."""
    behind = place.text[place.end : place.end + 24].lstrip()
    return "." if match.group().endswith(".") and match["half"] and behind[:1].isupper() else ""


def clock_with_point(match: re.Match, place: Place) -> str | None:
    """1.30: see the module's docstring."""
    told = match["half"] or match["zone"] or match["sign"]
    cued = place.before in ("las", "la") and (place.locale.decimal == "," or int(match["hour"]) < 13)
    if not told and not cued and not (place.alone and place.locale.decimal == ","):
        return None
    return clock(match, place)


def hour_of_day(match: re.Match, place: Place) -> str | None:
    """3 p. m."""
    hour = int(match["hour"])
    if not 0 <= hour <= 24:
        return None
    return _hour(hour) + _half_of_day(hour, match["half"]) + _zone(match) + _end(match, place)


def hours_and_minutes(match: re.Match, place: Place) -> str | None:
    """2 h 30 min → dos y media; with seconds every part has its name."""
    hour, minute, second = int(match["hour"]), int(match["minute"]), match["second"]
    if minute > 59:
        return None
    if second is None or not int(second):
        words = _hour(hour)
        return f"{words} y {QUARTERS.get(minute) or numbers.cardinal(minute)}" if minute else words
    return (
        f"{_hour(hour)} {'hora' if hour == 1 else 'horas'} "
        f"{numbers.cardinal(minute, before_noun=True)} {'minuto' if minute == 1 else 'minutos'} y "
        f"{numbers.cardinal(int(second), before_noun=True)} {'segundo' if int(second) == 1 else 'segundos'}"
    )


def minutes_and_seconds(match: re.Match, place: Place) -> str | None:
    """10 min 40 s."""
    minute, second = int(match["minute"]), int(match["second"])
    return (
        f"{numbers.cardinal(minute, before_noun=True)} {'minuto' if minute == 1 else 'minutos'} y "
        f"{numbers.cardinal(second, before_noun=True)} {'segundo' if second == 1 else 'segundos'}"
    )


def hours_with_minutes(match: re.Match, place: Place) -> str | None:
    """2h30 → dos y media."""
    hour, minute = int(match["hour"]), int(match["minute"])
    return f"{_hour(hour)} y {QUARTERS.get(minute) or numbers.cardinal(minute)}" if hour < 25 and minute < 60 else None


def zone(match: re.Match, place: Place) -> str | None:
    """GMT-3 → g m t menos tres."""
    return _zone(match).strip()


def _counted(count: int, one: str) -> str:
    return f"{numbers.cardinal(count, before_noun=True)} {one if count == 1 else one + 's'}"


def primes(match: re.Match, place: Place) -> str | None:
    """5'30" → cinco minutos y treinta segundos; 40° 25' N → cuarenta grados veinticinco minutos norte."""
    parts = [_counted(int(match["degrees"]), "grado")] if match["degrees"] else []
    parts.append(_counted(int(match["minute"]), "minuto"))
    if match["second"]:
        parts.append(("" if match["degrees"] else "y ") + _counted(int(match["second"]), "segundo"))
    if match["wind"]:
        parts.append(WINDS[match["wind"].upper()])
    return " ".join(parts)


def seconds(match: re.Match, place: Place) -> str | None:
    """10'' → diez segundos."""
    return _counted(int(match["number"]), "segundo")


def inches(match: re.Match, place: Place) -> str | None:
    """55" → cincuenta y cinco pulgadas, unless the sign closes a quotation."""
    if place.text[max(0, place.start - 200) : place.start].count('"') % 2:
        return None
    count = amount(match["number"], place.locale)
    return "una pulgada" if count.is_one else f"{count.words(numbers.FEMININE)} pulgadas"


WINDS = {"N": "norte", "S": "sur", "E": "este", "O": "oeste", "W": "oeste"}
# what stands before a ratio, a scale or a verse, which look like times (pairs.py reads them)
RATIO_TOLD = re.compile(
    rf"(?:\b(?:proporción|razón|ratio|escala|relación|formato|aspecto|pantalla|dilución|disolución|mezcla|marcador|versículos?"
    rf"|odds|paridad)(?:{SPACE}(?:de|es|a|fue|en|del|al|es de))?|\b(?:{BOOK})\.?),?{SPACE}$",
    re.IGNORECASE,
)
H = r"(?P<hour>\d{1,2})"
M = r"(?P<minute>\d{2})"
# 9:00-18:00, 9 a. m.-5 p. m.
TO = rf"(?P<to>{SPACE}?[-–—]{SPACE}?(?=\d{{1,2}}(?::\d{{2}}|{SPACE}?[ap]\.?{SPACE}?m\b)))"
TAIL = rf"{OF_DAY}?{ZONE}?{TO}?"
ZONE_ALONE = Rule(
    "time",
    re.compile(rf"(?P<zone>GMT|UTC){SPACE}?(?P<shift>[-−+])(?P<hours>\d{{1,2}})(?::(?P<minutes>\d{{2}}))?(?![\d{LETTER}])"),
    zone,
)
TIMES: tuple[Rule, ...] = (
    rule("time", rf"{H}:{M}(?::(?P<second>\d{{2}}))?(?![\d]|[:.,]\d){HOUR_SIGN}?{TAIL}", clock),
    rule("time", rf"{H}\.{M}(?P<second>)(?![\d]|[.,:]\d)(?P<sign>{HOUR_SIGN})?{TAIL}", clock_with_point),
    rule("time", rf"{H}(?P<second>){OF_DAY}{ZONE}?{TO}?", hour_of_day),
    rule(
        "time",
        rf"{H}{SPACE}?(?:h|hs|hrs|horas?)\.?{SPACE}?(?P<minute>\d{{1,2}}){SPACE}?(?:(?:min|m|minutos?)(?![{LETTER}])\.?|')"
        rf"(?:{SPACE}?(?:y{SPACE})?(?P<second>\d{{1,2}}){SPACE}?(?:s|seg|segundos?)\b\.?)?",
        hours_and_minutes,
    ),
    rule(
        "time",
        rf"(?P<minute>\d{{1,3}}){SPACE}?min\.?{SPACE}(?P<second>\d{{1,2}}){SPACE}?(?:s|seg)\b\.?",
        minutes_and_seconds,
    ),
    rule("time", rf"{H}h(?P<minute>\d{{2}})(?![\d{LETTER}])", hours_with_minutes),
    rule(
        "measure",
        rf"(?:(?P<degrees>\d{{1,3}})[°º]{SPACE}?)?(?P<minute>\d{{1,3}})['′](?![{LETTER}']|′)"
        rf"(?:{SPACE}?(?P<second>\d{{1,2}})(?:[\"″]|''))?(?:{SPACE}?(?P<wind>[NSEOW])(?![{LETTER}]))?(?!\d)",
        primes,
    ),
    rule("measure", rf"(?P<number>\d{{1,3}})''(?![{LETTER}\d'])", seconds),
    rule("measure", rf"(?P<number>{NUMBER})[\"″](?![{LETTER}\d])", inches),
)
