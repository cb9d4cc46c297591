"""Characters: any Unicode text brought to the letters and marks that the rest of the front end knows.

What has a Spanish reading gets it (& → y, α → alfa, ç → s, Москва → moskva); emoji and characters of scripts that
are not transliterated are dropped and reported.
"""

import re
import unicodedata

from chatterbox_es.text.repair import BROKEN
from chatterbox_es.text.written import LETTER, Place, Rule

# Stands in a text for a word whose phones are given. A text that a user writes holds none: it is another one then.
GIVEN, NOT_GIVEN = "\ue000", "\ue001"
PLAIN = re.compile(rf"[{LETTER} .,;:?!¿¡…'—]*")
FOLDED = {
    "’": "'", "‘": "'", "´": "'", "`": "'", "‑": "-", "‐": "-", "―": "—", "⸺": "—", "﹣": "-", "⁻": "⁻",
    "\u2044": "/", "º": "º", "；": ";", "。": ".", "、": ",", "।": ".", "؟": "?", "،": ",", "！": "!", "？": "?",
}  # fmt: skip


class _Fold(dict):
    """One character for one, so that places in the text stay what they are."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        folded = FOLDED.get(character, character)
        if folded == character and code > 0x7F:
            category = unicodedata.category(character)
            if category == "Nd":
                folded = str(unicodedata.digit(character))
            elif category in ("Zs", "Zl", "Zp"):
                folded = " "
            elif 0xFF01 <= code <= 0xFF5E:
                folded = chr(code - 0xFEE0)
        elif category_is_control(character):
            folded = " "
        self[code] = ord(folded)
        return self[code]


def category_is_control(character: str) -> bool:
    """Tabs, line ends and the other control characters."""
    return unicodedata.category(character) == "Cc"


FOLD = _Fold()

GREEK_ALPHABET = "αβγδεζηθικλμνξοπρστυφχψως"
GREEK_NAMES = (
    "alfa beta gamma delta épsilon zeta eta zeta iota kappa lambda mi ni xi ómicron pi ro sigma tau ípsilon fi ji psi "
    "omega sigma"
)
GREEK = dict(zip(GREEK_ALPHABET, GREEK_NAMES.split(), strict=True))
GREEK_LETTERS = dict(zip(GREEK_ALPHABET, [*"abgdezizi", *"klmnxopr", *"stifj", "ps", "o", "s"], strict=True))
CYRILLIC_ALPHABET = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґў"
CYRILLIC_LETTERS = "a b v g d e io zh z i i k l m n o p r s t u f j ts ch sh sch - i - e iu ia i i ie g u"
CYRILLIC = dict(zip(CYRILLIC_ALPHABET, CYRILLIC_LETTERS.split(), strict=True))
LETTERS = {
    "ç": "s", "ß": "ss", "æ": "e", "œ": "e", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "t", "ı": "i", "ħ": "j",
    "ŋ": "n", "ə": "e", "ƒ": "f", "ă": "a", "ș": "sh", "ş": "sh", "š": "sh", "č": "ch", "ć": "ch", "ž": "y", "ř": "r",
    "ţ": "ts", "ț": "ts", "ğ": "g", "ľ": "l", "ĺ": "l", "ḷ": "l", "ŀ": "l", "ñ": "ñ", "ü": "ü",
}  # fmt: skip
LETTERS |= {letter: spoken.replace("-", "") for letter, spoken in CYRILLIC.items()}
SYMBOLS = {
    "&": "y", "%": "por ciento", "‰": "por mil", "¢": "centavos",
    "₡": "colones", "+": "más", "=": "igual a", "×": "por", "÷": "entre",
    "<": "menor que", ">": "mayor que", "≤": "menor o igual que", "≥": "mayor o igual que", "≠": "distinto de",
    "≈": "aproximadamente", "±": "más menos", "€": "euros", "£": "libras", "¥": "yenes", "₹": "rupias", "°": "grados",
    "§": "sección", "№": "número", "∞": "infinito", "√": "raíz de", "µ": "micro", "©": "copyright", "@": "arroba",
    "#": "almohadilla", "/": "barra", "|": "barra vertical", "\\": "barra invertida", "−": "menos", "²": "al cuadrado",
    "³": "al cubo", "∑": "sumatorio", "∫": "integral", "∂": "derivada parcial", "∈": "pertenece a", "†": "", "‡": "",
}  # fmt: skip
PAUSES = {"(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",", "–": "—", "⁓": "—", "⋯": "…", "‥": "…", "·": " "}
QUOTES = frozenset("\"«»“”„‟‹›″‚‛〝〞『』「」'*_~^•◦▪‣")
SCRIPT_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"


def is_letter(character: str) -> bool:
    """Whether the normaliser writes the character as a letter."""
    return re.match(f"[{LETTER}]", character) is not None


def say(place: Place) -> tuple[str, str]:
    """The words and the class of one character that is no plain letter or mark."""
    character = place.text[place.start]
    before, behind = place.text[place.start - 1 : place.start], place.text[place.end : place.end + 1]
    if character == GIVEN:
        return GIVEN, "given"
    if character == "'" and is_letter(before or " ") and is_letter(behind or " "):
        return "'", ""
    if character == "-":
        return ("—" if before in ("", " ") and behind in ("", " ") else " "), "punctuation"
    if character in PAUSES:
        return PAUSES[character], "punctuation"
    if character in "ʼʻ":  # letters of other spellings that Spanish writes as an apostrophe: Hawaiʻi
        return ("'", "letter") if is_letter(before or " ") and is_letter(behind or " ") else ("", "dropped")
    if character in "™®℠":
        return "", "punctuation"
    if character in QUOTES:
        return " ", "punctuation"
    if character == "/" and before == " " == behind:
        return ("entre" if place.text[place.start - 2 : place.start - 1].isdigit() else " "), "symbol"
    if character == "$":
        return "pesos" if place.locale.dollar != "USD" else "dólares", "symbol"
    if SYMBOLS.get(character):
        return SYMBOLS[character], "symbol"
    return _letter(character, before, behind)


def _letter(character: str, before: str, behind: str) -> tuple[str, str]:
    small = character.lower()
    if small in GREEK:
        alone = not (before.isalpha() or behind.isalpha())
        return (GREEK[small], "symbol") if alone else (GREEK_LETTERS[small], "letter")
    if small in LETTERS:
        silent = not LETTERS[small] and not (before.isalpha() or behind.isalpha())
        return LETTERS[small], "dropped" if silent else "letter"
    if small in ACCENTS:
        return ACCENTS[small], "letter"
    if character in SCRIPT_DIGITS:
        return "", "dropped"  # the number of a footnote
    plain = "".join([part for part in unicodedata.normalize("NFKD", character).lower() if part in ASCII])
    if plain.strip():
        return plain, "letter"
    category = unicodedata.category(character)
    if unicodedata.combining(character) or category in ("Mn", "Cf", "Sk", "So", "Cs", "Co", "Cn", "Me"):
        return "", "dropped"
    base = "".join(
        [LETTERS.get(part, GREEK_LETTERS.get(part, "")) for part in unicodedata.normalize("NFKD", character).lower()]
    )
    return (base, "letter") if base else ("", "unknown")


# àèìòù of Catalan, French, Italian and Portuguese: the accent says where the stress is (Xàtiva, déjà)
ACCENTS = dict(zip("àèìòùâêîôûãõ", "áéíóúaeiouao", strict=True))
TAGS = "a|b|i|u|s|p|em|br|hr|h[1-6]|li|ol|ul|td|tr|th|sub|sup|div|span|font|small|strong|table|tbody|blockquote|code|pre|img"


def damage(match: re.Match, place: Place) -> str | None:
    """What no reader may say: leftovers of a wrong encoding, HTML's tags."""
    return ""


DAMAGES: tuple[Rule, ...] = (
    Rule("unknown", re.compile(BROKEN), damage),
    Rule("dropped", re.compile(rf"</?(?:{TAGS})(?:\s[^<>]{{0,200}})?/?>", re.IGNORECASE), damage),
)
ASCII = frozenset("abcdefghijklmnopqrstuvwxyz")
