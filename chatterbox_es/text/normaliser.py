"""Written text → spoken words, and what was changed on the way.

One scan finds the places where something may have to be said otherwise than it is written; at each, the readers of
its kind are asked in turn, the most particular first. All else stays as it is, in lower case.
"""

import re
import unicodedata

from chatterbox_es.errors import UserError
from chatterbox_es.text import characters
from chatterbox_es.text.abbreviations import ABBREVIATION, ABBREVIATION_BEFORE_COLON, ABBREVIATIONS_IN_CONTEXT, SLASHES, TABLE
from chatterbox_es.text.acronyms import ACRONYMS
from chatterbox_es.text.agreement import FUNCTION_WORDS
from chatterbox_es.text.dates import DATES, LONG_MONTH, MONTH_NAMES, SHORT_MONTH, SHORT_MONTHS, WEEKDAYS, WORDS_OF_DATES
from chatterbox_es.text.electronic import (
    ADDRESSES,
    CALLED,
    EMOTICON,
    EXTENSION,
    FORMULAS,
    HANDLES,
    TELEPHONES,
    WORDS_OF_VERSIONS,
)
from chatterbox_es.text.money import CODES, MONEY, MONEY_BEFORE
from chatterbox_es.text.pairs import PAIRS
from chatterbox_es.text.quantities import EXPONENTS, FRACTIONS, NUMBERS, ORDINALS, plain
from chatterbox_es.text.repair import repaired
from chatterbox_es.text.roman import ROMANS
from chatterbox_es.text.times import TIMES, ZONE_ALONE
from chatterbox_es.text.units import DEGREES_ALONE, NAMES, RATE_ALONE, UNITS_OF_NUMBERS
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, LOCALES, Place, Rule, Span

CAPITALS = "A-ZÁÉÍÓÚÜÑ"
AT_FIGURES: tuple[Rule, ...] = (
    *ADDRESSES, *TELEPHONES[:4], *PAIRS, *DATES, *TIMES, *MONEY, *ORDINALS, *UNITS_OF_NUMBERS, *FRACTIONS,
    *TELEPHONES[4:], *NUMBERS,
)  # fmt: skip
AT_SIGNS: tuple[Rule, ...] = (
    *TELEPHONES, *MONEY_BEFORE, *MONEY, *UNITS_OF_NUMBERS, *FRACTIONS, *HANDLES, *EXPONENTS, *NUMBERS,
    *characters.DAMAGES, EMOTICON, DEGREES_ALONE,
)  # fmt: skip
FACES: tuple[Rule, ...] = (*characters.DAMAGES, EMOTICON)
AT_LETTERS: tuple[Rule, ...] = (
    *ADDRESSES, *WORDS_OF_DATES, *WORDS_OF_VERSIONS, *MONEY_BEFORE, *FORMULAS, ZONE_ALONE, EXTENSION, EMOTICON,
    ABBREVIATION, ABBREVIATION_BEFORE_COLON, RATE_ALONE, ROMANS, *ACRONYMS, *ABBREVIATIONS_IN_CONTEXT,
)  # fmt: skip

# Where to look. A word is looked at when it is in capitals, short and followed by a point or a figure, made of the
# letters of Roman numerals, or part of an address.
WORDS_TO_SEE = (
    rf"[{CAPITALS}][{CAPITALS}.₀-₉\d]"
    rf"|[{LETTER}]{{1,7}}(?:[.:]|{re.escape('$')}|[ \u00a0]?\d|[ªº°/]|[₀-₉])"
    rf"|[IVXLCDMivx](?![{LETTER}])|[ivxlcdmIVXLCDM]{{2,15}}(?![{LETTER}])"
    rf"|(?:{LONG_MONTH}|{SHORT_MONTH}|versi[oó]n|versiones|python|android|windows|ubuntu|linux)[. ]{{1,2}}\d"
    rf"|(?i:ee ?uu\b|rrhh\b|vs\b|et al\b|https?:)|xD|[{LETTER}\d_-]{{1,63}}\.[a-z]"
)
FIRST = rf"(?P<odd>[^{LETTER} .,?!¿¡…—])"
SEE = re.compile(rf"{FIRST}|(?<![{LETTER}\d])(?:{WORDS_TO_SEE})")
SEE_ADDRESS = re.compile(rf"{FIRST}|(?<![{LETTER}\d])(?:[{LETTER}\d_.+-]{{1,64}}@|{WORDS_TO_SEE})")
# a whole number and the plain word behind it: by far the commonest case, read without asking the other readers
PLAIN_NUMBER = re.compile(
    rf"(?P<sign>)(?P<number>\d{{1,5}})(?:(?=[,;:.?!)](?:\s|$)|$)"
    rf"|(?= ([{LETTER}]{{1,20}})(?![\w$€])(?: ([{LETTER}]{{1,11}}))?))"
)
NOT_PLAIN_BEHIND = frozenset(sign.lower() for sign in (*NAMES, *CODES, *MONTH_NAMES, *SHORT_MONTHS)) | listed(
    "a p am pm d y x h hs hrs horas e rs bs pts ptas mil millón millones billón billones trillón trillones mdd mdp mde er"
    " av msnm hab"
)
MONTHS_BEHIND = frozenset((*MONTH_NAMES, *SHORT_MONTHS))
# what these classes write holds no form to be read again
SETTLED = frozenset(
    ("decimal", "cardinal", "date", "time", "money", "measure", "ordinal", "fraction", "range", "roman")
)
# letters that may be a numeral once they are small: "II" in a text all in capitals
SMALL_NUMERALS = re.compile(rf"(?<![{LETTER}])[ivx]{{2,6}}(?![{LETTER}])")
SHORT_WORD = re.compile(rf"(?P<word>[{LETTER}]{{1,7}})(?: (?=\d)|(?P<point>\.)(?![{LETTER}\d]))")
# the first words of the forms that end with a point
BEFORE_POINT = (
    frozenset(re.split(r"[. ]", form)[0] for form in TABLE) | set(SHORT_MONTHS) | set(WEEKDAYS) | {"s", "v", "ver"}
)
ROMAN_WORD = re.compile("[ivxlcdm]+")
REST_OF_WORD = re.compile(rf"[{LETTER}]*")
NOT_PLAIN = re.compile(rf"[^{LETTER} .,;:?!¿¡…—]")

# punctuation as the words have it: one mark where several stand together, a space behind it and none before it
# (begins with a set of characters, which the search skips to quickly)
ROUGH = re.compile(
    r"[\s.,;:…—?!¿¡](?:(?<=[^\S ])|(?<=\s)(?:[\s.,;:?!…]|$)|(?<=[.,;:…—])(?: ?[.,;:…—]|[^\s.,;:…])"
    r"|(?<=[?!])(?: ?[.,;:…]|[^\s?!.,;:…—])|(?<=\S—)|(?<=[¿¡]) |(?<=\?) ?\?|(?<=!) ?!|(?<=¿) ?¿|(?<=¡) ?¡|(?<=—)$)"
    r"|^[\s.,;:—]"
)
MARKS_TOGETHER = re.compile(r"[.,;:…—](?:\s?[.,;:…—])+")
STRONGEST = ".…;:,—"
TIDYING = (
    (re.compile(r"\.{2,}"), "…"),
    (re.compile(r"\s{2,}|[^\S ]"), " "),
    (re.compile(r"([?!¿¡])(?:\s?\1)+"), r"\1"),
    (re.compile(r" +(?=[.,;:?!…])|(?<=[¿¡]) +"), ""),
    (MARKS_TOGETHER, lambda marks: min(marks.group().replace(" ", ""), key=STRONGEST.index)),
    (re.compile(r"(?<=[?!])(?:\s?[.,;:…])+"), ""),
    (re.compile(r"(?<=[.,;:?!…])(?=[^\s.,;:…?!])|(?<=\S)(?=—)|(?<=—)(?=\S)"), " "),
    (re.compile(r"^[\s.,;:—]+|[\s—]+$"), ""),
)


class Normaliser:
    """Turns written text into words, with the numbers of one locale. Raises UserError on a locale it does not know."""

    def __init__(self, locale: str = "es_ES") -> None:
        if locale not in LOCALES:
            raise UserError(f"locale={locale} is not known; use one of {', '.join(LOCALES)}")
        self.locale = LOCALES[locale]

    def compose(self, text: str) -> str:
        """The text in composed Unicode, its encoding repaired: places in spans are places in this."""
        if "&" in text or not text.isascii():
            text = unicodedata.normalize("NFC", repaired(unicodedata.normalize("NFC", text)))
            text = text.replace(characters.GIVEN, characters.NOT_GIVEN)
        return text

    def normalise(self, text: str) -> tuple[str, tuple[Span, ...]]:
        """The spoken words of a composed text, and what was changed to get them."""
        spans: list[Span] = []
        words, settled = self._pass(text, spans)
        if not (settled and all(span.kind in SETTLED for span in spans)) or SMALL_NUMERALS.search(words):
            for _ in range(4):  # what was made or moved can hold a form by chance: "s" + "xi" spelled behind siglo
                before, (words, _) = words, self._pass(words, [])
                if before == words:
                    break
        return words, tuple(spans)

    def _pass(self, text: str, spans: list[Span]) -> tuple[str, bool]:
        """Words after one scan, and whether their marks and spaces were in order as they stood."""
        folded = text.translate(characters.FOLD) if NOT_PLAIN.search(text) else text
        see = (SEE_ADDRESS if "@" in folded else SEE).search
        pieces, done, place, parted = [], 0, 0, False
        while found := see(folded, place):
            start = found.start()
            end, spoken, kind = self._read(folded, start, found)
            if spoken is None:
                place = end
                continue
            pieces.append(folded[done:start])
            pieces.append(apart(spoken, folded, start, end) if kind not in ("", "letter") else spoken)
            parted = parted or pieces[-1] is not spoken  # 0SR.: "SR." is a word only now
            if kind:
                spans.append(Span(text[start:end], spoken, kind, start, end))
            done = place = end
        pieces.append(folded[done:])
        rough = "".join(pieces).lower()
        words = tidy(rough)
        return words, words is rough and not parted

    def _read(self, text: str, start: int, found: re.Match) -> tuple[int, str | None, str]:
        """End, words and class of what is written at `start`; None for words where it stays as it is."""
        first = text[start]
        odd = found.lastgroup == "odd"
        if "0" <= first <= "9" and (match := PLAIN_NUMBER.match(text, start)):
            noun, second = match[3], match[4]
            dated = noun == "de" and second and second.lower() in MONTHS_BEHIND
            if not noun or not (dated or noun.lower() in NOT_PLAIN_BEHIND):
                place = Place(text, start, match.end("number"), self.locale)
                if place.before not in CALLED:
                    return place.end, plain(match, place), "cardinal"
        readers = AT_FIGURES if "0" <= first <= "9" else AT_SIGNS if odd else AT_LETTERS
        if odd and first in "-+−–±" and (start and text[start - 1].isalnum()) or odd and first in "'\"«»“”()/":
            readers = ()
        if first in "/(":
            readers = SLASHES if first == "/" else TELEPHONES[:4]
        if first in ":;=<":
            readers = FACES
        if not odd and (word := SHORT_WORD.match(text, start)) and _is_plain(word):
            return word.end("word"), None, ""
        for reader in readers:
            match = reader.pattern.match(text, start)
            if match and match.end() > start:
                spoken = reader.read(match, Place(text, start, match.end(), self.locale))
                if spoken is not None:
                    return match.end(), spoken, reader.kind
        if first in ":;":
            return start + 1, None, ""
        if not odd:
            rest = REST_OF_WORD.match(text, start)
            return max(start + 1, rest.end() if rest else 0), None, ""
        place = Place(text, start, start + 1, self.locale)
        spoken, kind = characters.say(place)
        return start + 1, spoken, kind


def _is_plain(word: re.Match) -> bool:
    """Whether a short word before a point or a figure is just that: the last of a sentence, or a word as de, en."""
    small = word["word"].lower()
    if word["point"]:
        return (
            len(small) > 1
            and small not in BEFORE_POINT
            and not word["word"][:2].isupper()
            and ROMAN_WORD.fullmatch(small) is None
        )
    return small in FUNCTION_WORDS


def apart(spoken: str, text: str, start: int, end: int) -> str:
    """Words with a space wherever a letter or a figure would touch them."""
    if start and text[start - 1] not in " ¿¡":
        spoken = " " + spoken
    return spoken + " " if end < len(text) and text[end] not in " .,;:?!…" else spoken


def tidy(words: str) -> str:
    """One space between words, none before a closing mark, one mark where several came together."""
    while ROUGH.search(words):
        before = words
        for rough, smooth in TIDYING:
            words = rough.sub(smooth, words)
        if words == before:
            break
    return words
