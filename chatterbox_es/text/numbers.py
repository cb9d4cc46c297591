"""Number words: cardinals, ordinals and fractions, with gender and apocope.

Long scale: a billón is 10^12. Digit strings longer than `LONGEST` are read digit by digit, so that the time taken
is linear in the length of the text and nobody hears septillions.
"""

LONGEST = 30  # digits

UNITS_UP_TO_29 = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
)
UNITS = UNITS_UP_TO_29.split()
TENS = ("", "", "veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa")
HUNDREDS = (
    "", "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos",
    "ochocientos", "novecientos",
)  # fmt: skip
SCALES = (("millón", "millones"), ("billón", "billones"), ("trillón", "trillones"), ("cuatrillón", "cuatrillones"))

MASCULINE, FEMININE = "m", "f"


def _below_hundred(number: int) -> str:
    if number < 30:
        return UNITS[number]
    tens, unit = divmod(number, 10)
    return f"{TENS[tens]} y {UNITS[unit]}" if unit else TENS[tens]


def _below_thousand(number: int) -> str:
    if number == 100:
        return "cien"
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{HUNDREDS[hundreds]} {_below_hundred(rest)}" if rest else HUNDREDS[hundreds]


SMALL = tuple(_below_thousand(number) for number in range(1000))  # 1,000 short strings: under a millisecond


def apocopate(words: str) -> str:
    """uno → un, before a masculine noun: veintiún libros, treinta y un días."""
    if words.endswith("veintiuno"):
        return words[:-3] + "ún"
    return words[:-1] if words == "uno" or words.endswith(" uno") else words


def feminine(words: str) -> str:
    """Agreement with a feminine noun: doscientas una casas."""
    words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
    return words[:-1] + "a" if words.endswith("uno") else words


def _below_million(number: int, gender: str) -> str:
    thousands, rest = divmod(number, 1000)
    parts = []
    if thousands == 1:
        parts.append("mil")
    elif thousands:
        before = feminine(SMALL[thousands]) if gender == FEMININE else apocopate(SMALL[thousands])
        parts.append(f"{before} mil")
    if rest or not thousands:
        parts.append(feminine(SMALL[rest]) if gender == FEMININE else SMALL[rest])
    return " ".join(parts)


def cardinal(number: int, gender: str = MASCULINE, before_noun: bool = False) -> str:
    """A whole number in words; `before_noun` drops the o of uno (veintiún libros)."""
    if number < 0:
        return "menos " + cardinal(-number, gender, before_noun)
    if number >= 10**LONGEST:
        return digits(str(number))
    parts, rest, scale = [], number, len(SCALES) - 1
    while scale >= 0:
        size = 10 ** (6 * (scale + 1))
        above, rest = divmod(rest, size)
        if above:
            one, many = SCALES[scale]
            parts.append(f"un {one}" if above == 1 else f"{apocopate(_below_million(above, MASCULINE))} {many}")
        scale -= 1
    if rest or not parts:
        last = _below_million(rest, gender)
        parts.append(apocopate(last) if before_noun and gender == MASCULINE else last)
    return " ".join(parts)


def digits(text: str, gender: str = MASCULINE) -> str:
    """Each digit by itself: cero uno dos."""
    return " ".join([UNITS[int(digit)] for digit in text])


def whole(text: str, gender: str = MASCULINE, before_noun: bool = False) -> str:
    """A string of digits as a cardinal, or digit by digit where it is too long or begins with 0."""
    if len(text) > LONGEST or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    return cardinal(int(text), gender, before_noun)


DECIMAL_SIGN = {",": "coma", ".": "punto"}


def decimals(text: str, gender: str = MASCULINE, before_noun: bool = False) -> str:
    """The digits behind a decimal sign, in pairs: 33302 → treinta y tres treinta dos."""
    if len(text) > LONGEST:
        return digits(text)
    pairs = [text[place : place + 2] for place in range(0, len(text), 2)]
    words = " ".join([digits(pair) if pair[0] == "0" else SMALL[int(pair)] for pair in pairs])
    if gender == FEMININE:
        return feminine(words)
    return apocopate(words) if before_noun else words


ORDINAL_NAMES = "cero primero segundo tercero cuarto quinto sexto séptimo octavo noveno"
ORDINAL_UNITS = ORDINAL_NAMES.split()
ORDINAL_TENS = (
    "", "décimo", "vigésimo", "trigésimo", "cuadragésimo", "quincuagésimo", "sexagésimo", "septuagésimo",
    "octogésimo", "nonagésimo",
)  # fmt: skip
ORDINAL_HUNDREDS = (
    "", "centésimo", "ducentésimo", "tricentésimo", "cuadringentésimo", "quingentésimo", "sexcentésimo",
    "septingentésimo", "octingentésimo", "noningentésimo",
)  # fmt: skip
WITHOUT_ACCENT = str.maketrans("áéíóú", "aeiou")
LONGEST_ORDINAL = 999_999_999


def _ordinal_below_hundred(number: int) -> str:
    tens, unit = divmod(number, 10)
    if not tens:
        return ORDINAL_UNITS[unit]
    if not unit:
        return ORDINAL_TENS[tens]
    if tens > 2:
        return f"{ORDINAL_TENS[tens]} {ORDINAL_UNITS[unit]}"
    if number in (11, 12):
        return ("undécimo", "duodécimo")[number - 11]
    joined = ("decimo" if tens == 1 else "vigesimo") + ORDINAL_UNITS[unit]
    return joined.replace("oo", "o")


def _joined(number: int) -> str:
    """A cardinal as the first part of a word: veintiún mil → veintiunmilésimo."""
    return cardinal(number, before_noun=True).replace(" ", "").translate(WITHOUT_ACCENT)


def ordinal(number: int, gender: str = MASCULINE, before_noun: bool = False) -> str:
    """An ordinal: vigesimoprimero; `before_noun` drops the o of primero and tercero. Above 999,999,999 a cardinal."""
    if not 0 < number <= LONGEST_ORDINAL:
        return cardinal(number, gender)
    if number == 11 and before_noun:
        return "decimoprimer"
    millions, rest = divmod(number, 1_000_000)
    thousands, rest = divmod(rest, 1000)
    parts = []
    for count, name in ((millions, "millonésimo"), (thousands, "milésimo")):
        if count:
            parts.append(name if count == 1 else _joined(count) + name)
    hundreds, rest = divmod(rest, 100)
    parts.extend([ORDINAL_HUNDREDS[hundreds]] if hundreds else [])
    parts.extend([_ordinal_below_hundred(rest)] if rest else [])
    if gender == FEMININE:
        # vigesimoprimera is one word; in trigésima primera both agree
        return " ".join([part[:-1] + "a" for part in " ".join(parts).split()])
    words = " ".join(parts)
    return words[:-1] if before_noun and words.endswith(("primero", "tercero")) else words


ROUND_PARTS = {2: "medio", 3: "tercio"}
ROUND_PARTS |= {number: ORDINAL_UNITS[number] for number in range(4, 10)} | {10: "décimo"}
ROUND_PARTS |= {100 * hundreds: ORDINAL_HUNDREDS[hundreds] for hundreds in range(1, 10)}
THOUSANDTHS = ((10**6, "millonésimo"), (1000, "milésimo"))


def part(number: int) -> str | None:
    """The name of one part of `number`: 3 → tercio, 21 → veintiunavo; None where none is in use (101)."""
    if number in ROUND_PARTS:
        return ROUND_PARTS[number]
    if 10 < number < 100:
        words = apocopate(SMALL[number]).translate(WITHOUT_ACCENT).replace(" y ", "i")
        return (words[:-1] if words[-1] == "a" and number >= 30 and number % 10 == 0 else words) + "avo"
    for size, name in THOUSANDTHS:
        count, rest = divmod(number, size)
        if not rest and 0 < count < 1000 and (count < 100 or count % 100 == 0):
            return ("" if count == 1 else _joined(count)) + name
    return None


def fraction(above: int, below: int) -> str:
    """A fraction: un tercio, dos centésimos, uno sobre ciento uno."""
    name = part(below)
    if name is None:
        return f"{cardinal(above)} sobre {cardinal(below)}"
    return f"un {name}" if above == 1 else f"{cardinal(above, before_noun=True)} {name}s"
