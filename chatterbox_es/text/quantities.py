"""Plain quantities: cardinals, decimals, ordinals, fractions and ranges."""

import re
import unicodedata

from chatterbox_es.text import numbers
from chatterbox_es.text.agreement import FUNCTION_WORDS, can_be_counted_once, gender_of_noun, gender_of_singular, one_before
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LABELS, LETTER, NUMBER, SCALE, SPACE, Place, Rule, amount, rule

SIGNED = r"(?P<sign>[-−–±+])?"
SIGN_WORDS = {"-": "menos ", "−": "menos ", "–": "menos ", "+": "más ", "±": "más menos ", None: ""}
VULGAR = "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"


AT_ONE = re.compile(r"\ba la $", re.IGNORECASE)  # a la 1; not La 1, the channel


# behind these a 1 is no count: el día 1, el 1 de enero, página 1
NUMBERED = LABELS | listed("el del al día grupo equipo jugador")


def decade(match: re.Match, place: Place) -> str | None:
    """los 60s, los 1980s: said without the s."""
    return numbers.whole(match["number"]) if place.before in ("los", "años") else None


def plain(match: re.Match, place: Place) -> str | None:
    """A cardinal or a decimal, in agreement with the noun behind it."""
    number = amount(match["number"], place.locale)
    sign = SIGN_WORDS[match["sign"] or None]
    if scale := SCALE.match(place.text, place.end):
        counted = Place(place.text, place.start, scale.end(), place.locale)
        gender = counted.agreement()[0] if scale[1].lower() == "mil" else numbers.MASCULINE  # 200 mil toneladas
        spoken = number.words(gender, before_noun=True)
        return sign + ("" if spoken == "un" and scale[1].lower() == "mil" else spoken)
    gender, before_noun = place.agreement()
    if number.is_one:
        noun, second = place.after
        if place.before not in NUMBERED and can_be_counted_once(noun, second):
            return sign + one_before(noun)
        feminine = gender == numbers.FEMININE or AT_ONE.search(place.text, max(0, place.start - 6), place.start)
        return sign + ("una" if feminine else "uno")
    words = number.words(gender, before_noun)
    return f"{sign}{words} de" if before_noun and words.endswith(("llón", "llones")) else sign + words


def decimal(match: re.Match, place: Place) -> str | None:
    """A number with a decimal sign."""
    return plain(match, place) if amount(match["number"], place.locale).behind else None


ORDINAL_MARKS = {
    "ero": "m", "era": "f", "eros": "mp", "eras": "fp", "ndo": "m", "nda": "f", "dos": "mp", "das": "fp", "tos": "mp",
    "tas": "fp", "mos": "mp", "mas": "fp", "vos": "mp", "vas": "fp", "nos": "mp", "nas": "fp",
    "ers": "er", "º": "m", "ᵒ": "m", "ᵃ": "f", "ros": "mp", "ras": "fp",
    "°": "m", "o": "m", "ª": "f", "a": "f", "ᵉʳ": "er", "er": "er", "ro": "m", "ra": "f",
    "do": "m", "da": "f", "to": "m", "ta": "f", "mo": "m", "ma": "f", "vo": "m", "va": "f", "no": "m", "na": "f",
    "os": "mp", "as": "fp",
    "ºs": "mp", "ªs": "fp",
}  # fmt: skip


LETTERED_LABELS = listed("""
    apartado artículo art. punto número calle sección figura tabla párrafo letra anexo vitamina grupo clase portal
    disposición nota línea versión bloque modelo edificio
    """)
BEFORE_DEGREES = ("de", "a", "hasta", "girar", "gira", "y")  # un ángulo de 90º


def ordinal(match: re.Match, place: Place) -> str | None:
    """An ordinal: 1.º, 2.ª, 3.er, 3ro; 28° as well where nothing speaks of degrees."""
    number = amount(match["number"], place.locale)
    if number.behind:
        return None
    value, mark = int(number.whole), ORDINAL_MARKS[match["mark"].lower()]
    bare = match["mark"] == "º" and match.group()[-2] != "."
    told = DEGREES_TOLD.search(place.text, max(0, place.start - 32), place.start)
    if bare and (told or (value >= 30 and place.before in BEFORE_DEGREES and not place.after[0])):
        return f"{numbers.cardinal(value, before_noun=True)} grados"
    if not 0 < value <= numbers.LONGEST_ORDINAL:
        return None
    gender = numbers.FEMININE if mark[0] == "f" else numbers.MASCULINE
    words = numbers.ordinal(value, gender, mark == "er")
    return words + "s" if mark.endswith("p") else words


DEGREES_TOLD = re.compile(
    r"\b(?:temperaturas?|ángulos?|giros?|termómetro|fiebre|latitud|inclinación|pendiente|máximas?|mínimas?|rotación)\b[^.;\d]{0,20}$",
    re.IGNORECASE,
)


def typed_ordinal(match: re.Match, place: Place) -> str | None:
    """la 1a vez, el 2o piso; not apartado 3a, B12a."""
    before = place.text[place.start - 1 : place.start]
    if before.isalpha() or (place.before in LETTERED_LABELS and match["mark"] == "a"):
        return None
    return ordinal(match, place)


def part_of_whole(match: re.Match, place: Place) -> str | None:
    """20avo → veinteavo, 8avos → octavos."""
    name = numbers.part(int(match["number"])) or numbers.ordinal(int(match["number"]))
    ending = match["ending"]
    return (name[:-1] + "a" if ending.startswith("a") else name) + ("s" if ending.endswith("s") else "")


DEGREES_BESIDE, DEGREES_BEHIND = re.compile(r"° ?(?:[-–]|a|y) ?$"), re.compile(r" ?(?:[-–]|a|y) ?\d{1,3} ?°")


def degrees_or_ordinal(match: re.Match, place: Place) -> str | None:
    """28° alone is an ordinal, as the sign º is often typed; with a word of measure before it, it is an angle."""
    if DEGREES_BESIDE.search(place.text, max(0, place.start - 8), place.start) or DEGREES_BEHIND.match(place.text, place.end):
        return None
    if match["number"] in ("45", "90", "180", "270", "360"):
        return None
    if place.before and place.before not in ("el", "del", "al", "su", "un"):
        return None
    return ordinal(match, place)


def fraction(match: re.Match, place: Place) -> str | None:
    """A fraction, with a whole number before it or not."""
    above, below = match["above"].replace(".", ""), match["below"].replace(".", "")
    if len(above) > 9 or len(below) > 9 or int(below) == 0:
        return None
    value = numbers.fraction(int(above), int(below))
    if int(below) == 1:
        value = f"{numbers.cardinal(int(above))} sobre uno"
    whole = match["whole"]
    noun = place.after[0]
    if value == "un medio" and not match["sign"]:
        return _half(whole, noun)
    part = numbers.part(int(below)) if int(below) < 11 and not whole else None
    if part:
        part = "tercera" if int(below) == 3 else part[:-1] + "a"
        if noun == "parte" and above == "1" and int(below) > 2:
            return f"una {part}"
        if noun == "partes" and int(above) > 1:
            return f"{numbers.cardinal(int(above))} {part}s"
    words = f"{numbers.cardinal(int(whole))} y {value.removeprefix('un ')}" if whole and value == "un medio" else (
        f"{numbers.cardinal(int(whole))} y {value}" if whole else value
    )  # fmt: skip
    return SIGN_WORDS[match["sign"] or None] + words


def _half(whole: str | None, noun: str) -> str:
    """medio litro, media taza, dos y media tazas."""
    gender = gender_of_noun(noun) or (
        gender_of_singular(noun) if noun and noun not in FUNCTION_WORDS else numbers.MASCULINE
    )
    half = "media" if gender == numbers.FEMININE else "medio"
    return f"{numbers.whole(whole, gender)} y {half}" if whole else half


def vulgar(match: re.Match, place: Place) -> str | None:
    """⅖, and 2½."""
    above, below = unicodedata.normalize("NFKD", match["vulgar"]).split("⁄")
    value = numbers.fraction(int(above), int(below))
    whole = match["whole"]
    if value == "un medio":
        return _half(whole, place.after[0])
    return f"{numbers.whole(whole)} y {value}" if whole else value


def span_of_numbers(match: re.Match, place: Place) -> str | None:
    """The first half of a range, 10-15 → diez a; the second half is read by itself, with its unit or noun."""
    first, last = amount(match["first"], place.locale), amount(match["last"], place.locale)
    low, high = (float(f"{number.whole}.{number.behind or 0}") for number in (first, last))
    low, high = -low if match["sign"] else low, -high if match["sign2"] else high
    both_long = len(first.whole) == len(last.whole) == 4
    shortened = len(first.whole) == 4 and len(last.whole) == 2  # 2010-15
    if not shortened and (not low < high or (both_long and not 1000 <= low < high <= 2100)):
        return None
    gender, _ = Place(place.text, place.start, match.end("last"), place.locale).agreement()
    sign = SIGN_WORDS[match["sign"]]
    return f"{sign}{first.words(gender)} {'y' if place.before == 'entre' else 'a'}"


def subtraction(match: re.Match, place: Place) -> str | None:
    """5 - 3: a hyphen with space around it, between figures."""
    return f"{amount(match['number'], place.locale).words()} menos"


def digits(match: re.Match, place: Place) -> str | None:
    """A string of digits that is too long to be a number."""
    return numbers.digits(match.group())


def multiplied(match: re.Match, place: Place) -> str | None:
    """The first factor of 3x2, 4 × 100; the last is read by itself, with its unit."""
    return f"{amount(match['first'], place.locale).words()} por"


def power(match: re.Match, place: Place) -> str | None:
    """10⁶ → diez elevado a seis, 5² → cinco al cuadrado."""
    raised = _raised(unicodedata.normalize("NFKC", match["power"]))
    return raised and f"{amount(match['number'], place.locale).words()} {raised}"


def _raised(exponent: str) -> str | None:
    exponent = exponent.replace("−", "-")
    if exponent in ("2", "3"):
        return f"al {'cuadrado' if exponent == '2' else 'cubo'}"
    sign = "menos " if exponent[0] == "-" else ""
    return f"elevado a {sign}{numbers.whole(exponent.lstrip('-+'))}" if exponent.strip("-+") else None


def caret(match: re.Match, place: Place) -> str | None:
    """x^2 → x al cuadrado."""
    return _raised(match["power"]) if place.text[place.start - 1 : place.start].isalnum() else None


N = f"(?P<number>{NUMBER})"
MARK = r"(?P<mark>ᵉʳ|er|r[oa]s|[ºªᵒᵃ°]s?|[oa]s?)"
LETTERED = r"(?P<mark>er[oa]?s?|r[oa]s?|nd[oa]|[dtmvn][oa]s?)"
WHOLE = rf"(?:(?P<whole>\d{{1,4}}){SPACE})?"
SMALL = r"\d{1,3}(?:\.\d{3}){1,2}|\d{1,9}"
FRACTION = rf"{SIGNED}{WHOLE}(?P<above>{SMALL})[/⁄](?P<below>{SMALL})(?![\d/.,]\d|[{LETTER}/])"
GROUPED = rf"(?P<number>\d{{1,3}}(?:[.{SPACE[1:-1]}]\d{{3}}){{0,3}}|\d{{1,9}})"

POWER_OF_NUMBER = rf"{N}(?:\^(?=[-−+]?\d))?(?P<power>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{{1,9}}|(?<=\^)[-−+]?\d{{1,9}})"
ORDINALS: tuple[Rule, ...] = (
    rule("cardinal", rf"(?P<number>(?:1\d|20)?\d0)'?s(?![{LETTER}\d])", decade),
    rule("ordinal", rf"{GROUPED}\.{SPACE}?{MARK}(?![{LETTER}\d])", ordinal),
    rule("ordinal", rf"{GROUPED}(?P<mark>ᵉʳ|[ºªᵒᵃ]s?)(?![{LETTER}\d]|{SPACE}?[CFK]\b)", ordinal),
    rule("ordinal", rf"{GROUPED}(?P<mark>°)(?!{SPACE}?[CFKNSEO]\b|\d)", degrees_or_ordinal),
    rule("ordinal", rf"(?P<number>\d{{1,3}})(?:avo|av)(?P<ending>s?)(?![{LETTER}\d])", part_of_whole),
    rule("ordinal", rf"(?P<number>\d{{1,3}})av(?P<ending>as?)(?![{LETTER}\d])", part_of_whole),
    rule("ordinal", rf"{GROUPED}{LETTERED}(?![{LETTER}\d])(?:\.(?={SPACE}[a-záéíóúñ]))?", ordinal),
    rule("ordinal", rf"(?P<number>\d{{1,3}})(?-i:(?P<mark>[oa]s?))(?![{LETTER}\d])", typed_ordinal),
)
EXPONENTS: tuple[Rule, ...] = (rule("cardinal", r"\^(?P<power>[-−+]?\d{1,9})(?![\d.,]\d|\d)", caret),)
FRACTIONS: tuple[Rule, ...] = (
    rule("fraction", FRACTION, fraction),
    rule("fraction", rf"(?:(?P<whole>\d{{1,9}}){SPACE}?)?(?P<vulgar>[{VULGAR}])", vulgar),
)
NUMBERS: tuple[Rule, ...] = (
    rule(
        "range",
        rf"(?P<sign>[-−])?(?P<first>{NUMBER}){SPACE}?[-–—]{SPACE}?(?=(?P<sign2>[-−])?(?P<last>{NUMBER})(?![-–/\d]))",
        span_of_numbers,
    ),
    rule("range", rf"{N}{SPACE}[-−–]{SPACE}(?=\d)", subtraction),
    rule("cardinal", rf"(?P<first>{NUMBER}){SPACE}?[x×*]{SPACE}?(?={NUMBER}(?!{SPACE}?[x×]{SPACE}?[a-wyz]))", multiplied),
    rule("cardinal", POWER_OF_NUMBER, power),
    rule("decimal", SIGNED + N, decimal),
    rule("cardinal", SIGNED + N, plain),
    rule("digits", r"\d+", digits),
)
