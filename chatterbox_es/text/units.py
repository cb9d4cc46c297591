"""Units: an amount and what it is measured in (245 mph, 9 m³, -8 °C, 4,51/s, 1 1/2 m, 8,52 %, 12 l/100 km, 3 N·m)."""

import re
import unicodedata
from pathlib import Path

from chatterbox_es.text import numbers
from chatterbox_es.text.quantities import POWER_OF_NUMBER, SIGN_WORDS, VULGAR, power
from chatterbox_es.text.written import LETTER, NUMBER, SCALE, SPACE, TO, Place, Rule, alternatives, amount, rule

TABLE = Path(__file__).with_name("units.tsv")
AMBIGUOUS = frozenset(("a", "in", "b", "d", "UA", "mb"))  # as words they are commoner than as units
POWERS = {"²": "cuadrado", "³": "cúbico", "2": "cuadrado", "3": "cúbico"}
NAMES: dict[str, tuple[str, str, str]] = {}  # sign: one, many, gender
for _row in TABLE.read_text(encoding="utf-8").splitlines():
    if not _row.startswith("#"):
        _sign, _one, _many, _gender = _row.split("\t")
        NAMES[_sign] = _one, _many, _gender
FOLDED = {sign.lower(): sign for sign in reversed(NAMES)}


def _names(sign: str) -> tuple[str, str, str] | None:
    sign = re.sub(SPACE, " ", sign)
    if sign in NAMES:
        return NAMES[sign]
    # 5G and 4K are no grams and kelvins: a sign of one letter keeps its case
    return NAMES.get(FOLDED.get(sign.lower(), "")) if len(sign) > 1 else None


def _with_power(names: tuple[str, str, str], power: str | None) -> tuple[str, str, str]:
    if not power:
        return names
    one, many, gender = names
    adjective = POWERS[power][:-1] + "a" if gender == numbers.FEMININE else POWERS[power]
    return f"{one} {adjective}", f"{many} {adjective}s", gender


WORD_BELOW = re.compile("[a-záéíóúñ]{3,20}")


def _unit(match: re.Match) -> tuple[str, str, str] | None:
    """One, many and gender of the unit with its power and what it is divided by."""
    names = "", "", numbers.MASCULINE
    if match["unit"]:
        found = _names(match["unit"])
        if found is None or (match["unit"] in AMBIGUOUS and not match["power"]):
            return None
        names = _with_power(found, match["power"])
        if match["times"]:  # 3 N·m → newtons metro
            times = _names(match["times"])
            if times is None:
                return None
            names = (f"{names[0]} {times[0]}", f"{names[1]} {times[0]}", names[2])
    if match["below"]:
        per = rate(match, words_too=bool(match["unit"]))
        if per is None:
            return None
        one, many, gender = names
        return f"{one} {per}".strip(), f"{many} {per}".strip(), gender
    return names


def rate(match: re.Match, words_too: bool = True) -> str | None:
    """What stands below the stroke: por hora, por noche, por metro cuadrado, a los cien kilómetros, cada mil habitantes."""
    written = match["below"]
    below = _names(written)
    if below is None and words_too and WORD_BELOW.fullmatch(written):
        below = (written, written, numbers.MASCULINE)
    if below is None:
        return None
    one, many, gender = _with_power(below, match["power2"])
    if not match["each"]:
        return f"por {one}"
    count = numbers.cardinal(int(re.sub(r"\D", "", match["each"])), gender, before_noun=True)
    return f"a los {count} {many}" if many == "kilómetros" else f"por cada {count} {many}"


def measure(match: re.Match, place: Place) -> str | None:
    """200 m, -8 °C, 60,2400 kg, 120 km/h, 4,51/s."""
    names = _unit(match)
    if names is None or (match["unit"] == "K" and match.group().endswith(match["number"] + "K")):
        return None
    if match["unit"] in ("A", "B", "J", "N") and match.group().endswith(match["number"] + match["unit"]):
        return None  # piso 3A, calle 13B
    one, many, gender = names
    number = amount(match["number"], place.locale)
    sign = SIGN_WORDS[match["sign"]]
    kept = " a" if match["to"] else " por" if match["by"] else "." if match.group().endswith(".") and _closes(place) else ""
    if match["scale"]:
        return (
            f"{sign}{number.words(before_noun=True)} {match['scale'].lower()} de {many}".replace("mil de", "mil") + kept
        )
    if number.is_one:
        count = "una" if gender == numbers.FEMININE else "uno" if one.startswith("por") else "un"
        return f"{sign}{count} {one}{kept}"
    percent = many.startswith("por ") or many == "p s i"
    return f"{sign}{number.words(gender, before_noun=not percent and not number.behind)} {many}{kept}"


def _closes(place: Place) -> bool:
    """Whether the point of an abbreviation also ends a sentence."""
    after = place.text[place.end : place.end + 40].lstrip()[:1]
    return after.isupper() or (not after and place.text[:40].lstrip('¿¡«"( ')[:1].isupper())


def rate_alone(match: re.Match, place: Place) -> str | None:
    """en km/h → kilómetros por hora; not A/B, nor a/c."""
    above, below = _names(match["unit"]), _names(match["below"])
    if above is None or below is None:
        return None
    return f"{above[1]} por {_with_power(below, match['power2'])[0]}"


def degrees_alone(match: re.Match, place: Place) -> str | None:
    """en °C → grados centígrados."""
    return NAMES["°" + match["unit"].upper()][1]


def with_power_of_ten(match: re.Match, place: Place) -> str | None:
    """10⁸ TB, 10^8 TB: the power is the count."""
    names = _names(match["unit"])
    count = power(match, place)
    return names and count and f"{count} {names[1]}"


def part_of_measure(match: re.Match, place: Place) -> str | None:
    """1/2 mm → medio milímetro, 3/5 mph → tres quintos de milla por hora, 1 1/2 m → uno y medio metro."""
    names = _unit(match)
    if names is None or not match["unit"] or names[0].startswith("por"):
        return None
    one, _, gender = names
    if match["vulgar"]:
        above, below = map(int, unicodedata.normalize("NFKD", match["vulgar"]).split("⁄"))
    else:
        above, below = int(match["above"]), int(match["under"])
    if not below:
        return None
    if above > below > 10 and not match["whole"]:  # 120/80 mmHg
        return f"{numbers.cardinal(above, gender)} sobre {numbers.cardinal(below, gender)} {names[1]}"
    half = "media" if gender == numbers.FEMININE else "medio"
    value = half if (above, below) == (1, 2) else numbers.fraction(above, below)
    if match["whole"]:  # uno y medio metro, dos y medio metros, tres y tres quintos de metro
        what = f"de {one}" if value != half else one if int(match["whole"]) == 1 else names[1]
        return f"{numbers.whole(match['whole'], gender)} y {value} {what}"
    return f"{value} {one}" if value == half else f"{value} de {one}"


def with_letter(match: re.Match, place: Place) -> str | None:
    """1,2-a → uno coma dos a."""
    return f"{amount(match['number'], place.locale).words()} {match['letter']}"


UNIT = alternatives({*NAMES, *FOLDED})
POWER = r"(?P<power>[²³]|(?<=m)[23])?"
# a unit, or any word: 20 €/kg, 30 €/noche, 12 l/100 km
BELOW_NAME = rf"(?P<below>[{LETTER}µμΩ°º%]{{1,20}})(?P<power2>[²³]|(?<=m)[23])?"
BELOW = rf"(?:{SPACE}?/{SPACE}?(?:(?P<each>\d{{1,3}}(?:[. ]?\d{{3}})*){SPACE}?)?{BELOW_NAME})"
BARE_BELOW = rf"{SPACE}?/{SPACE}?(?P<each>)(?-i:(?=[a-zµμ])){BELOW_NAME}"
TIMES = rf"(?:[·⋅*](?P<times>[{LETTER}µμΩ]{{1,5}}))?"
END = rf"(?![{LETTER}\d²³/])"
S = r"(?P<sign>[-−±+])?"
N = f"(?P<number>{NUMBER})"
SCALED = rf"(?:{SCALE.pattern.replace('(mil|', '(?P<scale>mil|')}(?:{SPACE}de)?)?"
FRACTION = rf"(?:(?P<above>\d{{1,3}})[/⁄](?P<under>\d{{1,3}})|(?P<vulgar>[{VULGAR}]))"
# 5 habitantes: words that stand below a stroke as units do
NAMES |= {"mes": ("mes", "meses", "m"), "día": ("día", "días", "m"), "año": ("año", "años", "m"), "d": ("día", "días", "m")}

UNITS_OF_NUMBERS: tuple[Rule, ...] = (
    rule(
        "measure",
        rf"(?:(?P<whole>\d{{1,4}}){SPACE})?{FRACTION}{SPACE}?(?P<unit>{UNIT}){POWER}{TIMES}{BELOW}?{END}",
        part_of_measure,
    ),
    rule(
        "measure",
        rf"{S}{N}{SCALED}{SPACE}?(?P<unit>{UNIT}){POWER}{TIMES}{BELOW}?{END}(?:(?P<by>{SPACE}?[x×]{SPACE}?(?=\d))|{TO}|(?<=[hsgml])\.(?={SPACE}[a-záéíóúñ]|{SPACE}?$))?",
        measure,
    ),
    rule("measure", rf"{S}{N}(?P<scale>)(?P<unit>)(?P<power>)(?P<times>){BARE_BELOW}{END}(?P<to>)(?P<by>)", measure),
    rule("measure", rf"{POWER_OF_NUMBER}{SPACE}(?P<unit>{UNIT}){END}", with_power_of_ten),
    rule("measure", rf"{N}-(?P<letter>[a-zA-Z])(?![{LETTER}\d])", with_letter),
)
DEGREES_ALONE = rule("measure", rf"[º°]{SPACE}?(?P<unit>[CF])(?![{LETTER}])", degrees_alone)
RATE_ALONE = Rule(
    "measure",
    re.compile(
        rf"(?P<unit>km|cm|mm|kg|mg|µg|μg|ng|ml|mL|kcal|kWh|MB|GB|Mb|Gb|kB|hab\.?|g|l|L|m)/(?P<below>h|s|min|km|m|L|l|dl|dL|ml|mL|kg|día)"
        rf"(?P<power2>[²³]|(?<=m)[23])?(?![{LETTER}\d/])"
    ),
    rate_alone,
)
