"""A stretch of English → its words: numbers, years, letters and a few signs, as English says them.

What a whole front end would do is Spanish's (`normaliser`); here is what titles, names and quotations hold.
"""

import re
import unicodedata

from chatterbox_es.text import characters
from chatterbox_es.text.normaliser import tidy
from chatterbox_es.text.written import Span

BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
BY_TEN = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
ALPHABET = "ay bee cee dee ee eff gee aitch eye jay kay el em en oh pee cue ar ess tee you vee double~you ex why zee"
ONES, TENS = BELOW_TWENTY.split(), BY_TEN.split()
THOUSANDS = ("", " thousand", " million", " billion", " trillion")
IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
SIGNS = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "@": "at",
    "#": "number",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
}
LETTER_NAMES = dict(zip("abcdefghijklmnopqrstuvwxyz", ALPHABET.split(), strict=True))
MOST_DIGITS = 15
PIECE = re.compile(
    r"(?P<money>[$£€])(?P<sum>\d[\d,]*(?:\.\d+)?)|(?P<ordinal>\d{1,15})(?:st|nd|rd|th)\b"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"|(?P<letters>(?:[A-Z]\.){2,}|\b[A-Z]{2,5}s?\b)|(?P<word>[A-Za-z]+(?:'[A-Za-z]+)*)|(?P<sign>[&+=%@#$£€])"
    r"|(?P<mark>[\s.,;:?!¿¡…—]+)|(?P<dash>[-–/()\[\]\"“”«»'*_~]+)|(?P<other>.)",
    re.DOTALL,
)
VOWELS = frozenset("AEIOUY")


def words_of(text: str) -> tuple[str, tuple[Span, ...]]:
    """The spoken words of composed English text, in small letters, and what was changed to get them."""
    folded = "".join(map(_folded, text.translate(characters.FOLD)))
    pieces, spans = [], []
    for piece in PIECE.finditer(folded):
        kind, written = str(piece.lastgroup), piece.group()
        spoken = _spoken(kind if kind != "sum" else "money", piece, folded)
        pieces.append(spoken)
        if kind not in ("word", "mark", "dash") and spoken.strip() != written.lower():
            kind = {"other": "dropped", "letters": "acronym", "sum": "money", "number": "cardinal"}.get(kind, kind)
            spans.append(Span(text[piece.start() : piece.end()], spoken.strip(), kind, piece.start(), piece.end()))
    return tidy("".join(pieces)), tuple(spans)


def _folded(character: str) -> str:
    """A letter without its accent, one character for one: café."""
    plain = unicodedata.normalize("NFD", character)[0]
    return plain if plain.isascii() else character


def _spoken(kind: str, piece: re.Match, text: str) -> str:
    if kind == "money":
        return f" {number(piece['sum'])} {SIGNS[piece['money']]} "
    if kind == "ordinal":
        return f" {ordinal(piece['ordinal'])} "
    if kind == "number":
        return f" {number(piece['number'])} "
    if kind == "letters":
        return _letters(piece.group(), text)
    if kind == "sign":
        return f" {SIGNS[piece.group()]} "
    return piece.group().lower() if kind in ("word", "mark") else " "


def _letters(written: str, text: str) -> str:
    """Capitals letter by letter (FBI, U.S.), unless the whole text is in capitals or they make a word (NASA)."""
    letters, plural = written.replace(".", ""), written.endswith("s")
    shouted = text.isupper() and len(text) > 2 * len(written)
    if "." not in written and (shouted or (len(letters) > 3 and not VOWELS.isdisjoint(letters))):
        return written.lower()
    names = " ".join([LETTER_NAMES[letter].replace("~", " ") for letter in letters.removesuffix("s").lower()])
    return f" {names}{'s' if plural else ''} "


def number(written: str) -> str:
    """Digits in words: 1984 as a year, 1,984 as a sum, 3.14 digit by digit behind the point."""
    whole, _, behind = written.replace(",", "").partition(".")
    if behind:
        return f"{cardinal(whole)} point {_digits(behind)}"
    year = int(whole) if len(whole) == 4 and written == whole else 0
    if 1100 <= year < 2000 or 2010 <= year < 2100:
        century, rest = divmod(year, 100)
        return f"{cardinal(str(century))} {'hundred' if not rest else cardinal(str(rest)) if rest > 9 else 'oh ' + ONES[rest]}"
    return cardinal(whole)


def cardinal(digits: str) -> str:
    """A whole number in words; digit by digit beyond 15 digits and behind a leading zero."""
    if len(digits) > MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return _digits(digits)
    value = int(digits)
    groups: list[str] = []
    for name in THOUSANDS:
        value, group = divmod(value, 1000)
        if group or (not value and not groups):
            groups.append(_below_thousand(group) + name)
        if not value:
            break
    return " ".join(groups[::-1])


def ordinal(digits: str) -> str:
    """21 → twenty first."""
    before, _, last = cardinal(digits).rpartition(" ")
    last = IRREGULAR.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{before} {last}".strip()


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    words = [f"{ONES[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        words += [TENS[rest // 10], *([ONES[rest % 10]] if rest % 10 else [])]
    elif rest or not words:
        words.append(ONES[rest])
    return " ".join(words)


def _digits(digits: str) -> str:
    return " ".join([ONES[int(digit)] for digit in digits])
