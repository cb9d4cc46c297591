"""Roman numerals where they are numerals: siglo XXI, Felipe VI, capítulo IV, la II Guerra; not "mi", "vivo", "CD".

Kings, popes and the like take the ordinal up to ten (Felipe sexto) and the cardinal above (Juan veintitrés); so do
centuries. Chapters and volumes take the cardinal. Before a noun stands the ordinal (segunda guerra, tercer congreso).
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.agreement import FUNCTION_WORDS, gender_of_singular
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, Place, Rule

ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# words and acronyms that happen to be made of these letters
NO_NUMERAL = listed("MI DI CD CV DC MC CC CM DM CI LI MD DL MM ML CL MIL CIVIL DIVX")
CENTURY = frozenset(("siglo", "siglos", "s."))
CARDINAL_LABEL = listed("""
    capítulo cap. tomo volumen vol. libro título parte artículo art. acto escena canto lección tema fase anexo
    apéndice página sección tipo grado año liga
    """)
FEMININE_NAMES = listed("""
    isabel beatriz carmen inés leonor margarita mercedes dolores pilar
    """)
NAMES_OF_KINGS = listed("""
    felipe alfonso carlos juan pío luis enrique fernando benedicto jorge eduardo guillermo pedro pablo león clemente
    gregorio inocencio urbano francisco napoleón federico ricardo nicolás alejandro iván sancho ramiro jaime ramón
    balduino leopoldo cristián gustavo haakon olaf harald juana isabel maría catalina ana victoria cristina
    margarita beatriz urraca leonor blanca josé manuel ramsés tutmosis amenofis ptolomeo cleopatra seti darío jerjes
    constantino teodosio
    """)


def value_of(roman: str) -> int:
    """XIV → 14."""
    total = 0
    for sign, following in zip(roman, roman[1:] + " ", strict=True):
        value = VALUES[sign]
        total += -value if VALUES.get(following, 0) > value else value
    return total


def roman(match: re.Match, place: Place) -> str | None:
    """A Roman numeral, or None where the letters are a word or an acronym."""
    written = match["roman"]
    upper = written.upper()
    cue = place.before
    if len(written) == 1 and written.islower() and not _is_small_numeral(written, cue, place):
        return None
    capitals = written == upper
    value = value_of(upper)
    if cue in CENTURY:
        return numbers.ordinal(value) if value <= 10 else numbers.cardinal(value)
    if cue in CARDINAL_LABEL and (capitals or len(written) > 1):
        return numbers.cardinal(value)
    if cue in NAMES_OF_KINGS and upper not in ("DI", "MI"):
        return _after_name(value, cue)
    if SMALL_NUMERAL.fullmatch(written) and len(cue) > 2 and cue not in FUNCTION_WORDS:
        return _after_name(value, cue)  # elizabeth ii
    if cue in ("y", "a", "al") and CENTURIES.search(place.text[max(0, place.start - 28) : place.start]):
        return numbers.ordinal(value) if value <= 10 else numbers.cardinal(value)
    if not capitals or upper in NO_NUMERAL:
        return None
    if place.alone:
        return numbers.ordinal(value)
    if len(written) == 1 or place.shouted:
        return None
    noun = place.after[0]
    before = place.text[: place.start].rstrip()[-1:]
    if _is_name(place):
        return _after_name(value, cue)
    if noun and noun not in FUNCTION_WORDS and before not in (",", ";"):
        if cue in ("los", "las"):
            return numbers.ordinal(value, numbers.FEMININE if cue == "las" else numbers.MASCULINE) + "s"
        return numbers.ordinal(value, gender_of_singular(noun), before_noun=True)
    return numbers.cardinal(value)


CENTURIES = re.compile(r"\bsiglos? (?:[ivxlc]{1,6}|(?!y )[a-z]{3,12})(?:, [ivxlc]{1,6})? (?:y|al?) ?$", re.IGNORECASE)
# what nobody writes in small letters but as a numeral (vi, xi, xx are words, names or signs)
SMALL_NUMERAL = re.compile("(?!(?:vi|xi|xx|xxx)$)[ivx]{2,6}")


def _is_small_numeral(written: str, cue: str, place: Place) -> bool:
    """Whether a single small letter is a numeral: siglo i, alfonso x; not "ana i luis"."""
    if written not in ("i", "v", "x") or place.text[place.end : place.end + 1] == ".":
        return False
    return cue in CENTURY or (
        cue in NAMES_OF_KINGS and (written != "i" or place.after[0] in ("", "de", "el", "la") or place.end == len(place.text))
    )


def _after_name(value: int, name: str) -> str:
    gender = numbers.FEMININE if name in FEMININE_NAMES or name.endswith("a") else numbers.MASCULINE
    return numbers.ordinal(value, gender) if value <= 10 else numbers.cardinal(value)


def _is_name(place: Place) -> bool:
    """Whether the word before begins with a capital and is no more than a name (Isabel II)."""
    before = re.search(
        rf"(?:^|[^{LETTER}])([{LETTER}]{{2,20}})$", place.text[max(0, place.start - 24) : place.start].rstrip()
    )
    return (
        bool(before) and before[1][0].isupper() and not before[1].isupper() and before[1].lower() not in FUNCTION_WORDS
    )


ROMANS = Rule("roman", re.compile(rf"(?P<roman>{ROMAN})(?![{LETTER}\d'’])", re.IGNORECASE), roman)
