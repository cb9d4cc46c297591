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
        before = apocopate(SMALL[thousands])
        parts.append(f"{feminine(before) if gender == FEMININE else before} mil")
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
