"""Abbreviations and symbols that stand for a word: el dr. → el doctor, EE. UU. → estados unidos; `abbreviations.tsv` lists
them and says where each holds."""

import re
from collections.abc import Iterable
from pathlib import Path

from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, SPACE, Place, Rule

LISTED = Path(__file__).with_name("abbreviations.tsv")
WHERE = ("", "closes", "capital", "figure", "title")


def _table() -> dict[str, tuple[str, str]]:
    """Form, with one space between its parts: its words and where it holds (see the head of the file)."""
    table = {}
    for row in LISTED.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            form, words, where = (*row.split("\t"), "")[:3]
            spaced = re.sub(r"\.(?=[^ ])", ". ", form)
            for variant in (form, spaced, re.sub(r"(?<=\.) (?=\w{1,3}\.)", "", spaced)):  # s. a. de c. v., s.a. de c.v.
                table[variant] = (words, where)
    return table


TABLE = _table()


class Forms:
    """Matches the longest of the listed forms at a place, in any letter case: what a pattern of 1,500 alternatives would
    do, found by the letters that the form begins with."""

    LEADING = re.compile(rf"[{LETTER}]{{1,12}}")
    SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))

    def __init__(self, forms: Iterable[str], behind: str = "") -> None:
        self.behind = behind
        self.beginning: dict[str, list[str]] = {}
        for form in sorted(forms, key=len, reverse=True):
            leading = self.LEADING.match(form)
            assert leading, f"{form!r} does not begin with a letter"
            self.beginning.setdefault(leading.group(), []).append(form)
        self.of_length = {len(form): re.compile(f".{{{len(form)}}}") for group in self.beginning.values() for form in group}

    def match(self, text: str, start: int) -> re.Match | None:
        """The match of the longest form that no letter follows (and `behind` does, where given)."""
        leading = self.LEADING.match(text, start)
        for form in self.beginning.get(leading.group().lower(), ()) if leading else ():
            end = start + len(form)
            if text[start:end].lower().translate(self.SPACES) == form and not self.LEADING.match(text, end):
                return self.of_length[len(form)].match(text, start) if text.startswith(self.behind, end) else None
        return None


ORDINAL_BEFORE = re.compile(r"\d\.?[ªº]\s$")  # 2.ª ed.


ERA_TOLD = re.compile(r"(?:\d|[IVX]|siglos?|años?)[ \u00a0]?$")
CHAPTER_BEHIND = re.compile(rf"{SPACE}?(?:[IVXLC]+(?![{LETTER}])|(?:[Pp]rim|[Ss]egund|[Tt]erc|[Cc]uart|[Qq]uint|[ÚúUu]ltim))")
CENTURIES_BEHIND = re.compile(rf"{SPACE}?[IVXLivxl]{{1,7}}(?![{LETTER}])")


def abbreviation(match: re.Match, place: Place) -> str | None:
    """The word, and the point again where it also ends the sentence."""
    written = match.group()
    form = re.sub(SPACE, " ", written.lower())
    spoken, where = TABLE[form]
    if form == "ed." and ORDINAL_BEFORE.search(place.text[max(0, place.start - 12) : place.start]):
        where = ""
    if written[0] in "AD" and form[-2:] == "c." and not ERA_TOLD.search(place.text[max(0, place.start - 16) : place.start]):
        return None  # Washington D. C.
    behind = place.text[place.end : place.end + 24]
    if form == "ss." and CENTURIES_BEHIND.match(behind):
        return None
    after = behind.lstrip(" ")[:1]
    if form == "cap." and after.isupper() and place.before in ("el", "al", "del", "") and not CHAPTER_BEHIND.match(behind):
        return "capitán"
    if (where == "figure" and not after.isdigit()) or (where == "capital" and not (after.isupper() or after.isdigit())):
        return None
    if where == "title" and not (after.isupper() and written[0].isupper() and behind[:1] in " \u00a0"):
        return None
    ends = where == "closes" and written.endswith(".") and behind[:1] != "."
    if ends and (after.isupper() or (not after and place.text[:40].lstrip('¿¡«"( ')[:1].isupper())):
        return spoken + "."
    return spoken


# Tel: 91…, Ref: 5: a colon in place of the point
BEFORE_COLON = listed(
    "tlf tel teléf telf tfno tfn tlfno móv ref refs att atte dto dtos cod cód pag pág num núm nro vto rte fdo dest obs "
    "edif urb prov dpto depto admón aprox máx mín izq dcha ud uds vd apdo ej avda av cta izda"
)


def before_colon(match: re.Match, place: Place) -> str | None:
    """Tlf: → teléfono:."""
    return TABLE[match.group().lower() + "."][0]


def century(match: re.Match, place: Place) -> str | None:
    """s. XIX → siglo XIX, S. XXI; not S. V. Naipaul."""
    if match.group()[0] == "S" and place.text[place.end : place.end + 4].lstrip()[1:2] in (".", " ", ""):
        return None
    return "siglo" if match["plural"] is None else "siglos"


def initial(match: re.Match, place: Place) -> str | None:
    """J. R. R. Tolkien: an initial has no full stop; "vitamina C. El" has one."""
    before = re.search(r"(\S+)\s*$", place.text[max(0, place.start - 24) : place.start])
    return match.group()[0] if before is None or before[1][0].isupper() or before[1] in ("don", "y", "de") else None


def last_initial(match: re.Match, place: Place) -> str | None:
    """Washington D. C. y …: the last of several initials."""
    return match.group()[0] if INITIAL_BEFORE.search(place.text[max(0, place.start - 4) : place.start]) else None


INITIAL_BEFORE = re.compile(r"(?:^| )[A-ZÁÉÍÓÚÑ]\. $")


def before_figure(match: re.Match, place: Place) -> str | None:
    """el km 21 → el kilómetro 21."""
    return "kilómetro"


def either(match: re.Match, place: Place) -> str | None:
    """y/o → y o."""
    return "y o"


def slash(match: re.Match, place: Place) -> str | None:
    """señor/a → señor o señora, él/ella → él o ella, 2 veces/día → por día, VIH/sida → vih sida; km/h stays to others."""
    before = re.search(rf"[{LETTER}]{{1,20}}$", place.text[max(0, place.start - 20) : place.start])
    if before is None:
        return None
    word, behind = before.group(), match["behind"]
    if COUNTED.search(place.text[max(0, place.start - 32) : place.start]) and len(behind) > 2:
        return f" por {behind}"
    if behind in ("a", "as"):
        stem = word[:-2] if word.endswith(("os", "es")) else word[:-1] if word.endswith("o") else word
        return f"o {stem}{behind}" if len(word) > 1 else None
    if len(word) < 2 or len(behind) < 2:
        return None
    return f"o {behind}" if word.islower() and behind.islower() else f" {behind}" if len(word) > 2 else None


def per(match: re.Match, place: Place) -> str | None:
    """20 casos/100.000 habitantes → por cada cien mil habitantes."""
    return " por cada" if COUNTED.search(place.text[max(0, place.start - 32) : place.start]) else None


COUNTED = re.compile(rf"\d{SPACE}?[a-záéíóúüñ]{{2,20}}$")
SLASHES: tuple[Rule, ...] = (
    Rule("symbol", re.compile(rf"/(?P<behind>[a-záéíóúüñ]{{1,20}})(?![{LETTER}\d/.])"), slash),
    Rule("symbol", re.compile(r"/(?=\d{1,3}(?:[. ]?\d{3})*(?![\d/]))"), per),
)
CENTURY_BEHIND = rf"{SPACE}?[IVXLCDMivxlcdm]{{1,7}}(?![{LETTER}])"
ABBREVIATIONS_IN_CONTEXT: tuple[Rule, ...] = (
    Rule("abbreviation", re.compile(rf"[sS](?P<plural>s)?\.(?={CENTURY_BEHIND})(?!{SPACE}?[ivx]\.)"), century),
    Rule("abbreviation", re.compile(r"[A-ZÁÉÍÓÚÑ]\.(?= ?[A-ZÁÉÍÓÚÑ])"), initial),
    Rule("abbreviation", re.compile(r"[A-ZÁÉÍÓÚÑ]\.(?= [a-záéíóúñ])"), last_initial),
    Rule("abbreviation", re.compile(rf"km\.?(?={SPACE}\d)", re.IGNORECASE), before_figure),
    Rule("abbreviation", re.compile(rf"y/o(?![{LETTER}])", re.IGNORECASE), either),
)
ABBREVIATION = Rule("abbreviation", Forms(TABLE), abbreviation)
ABBREVIATION_BEFORE_COLON = Rule(
    "abbreviation", Forms([form for form in BEFORE_COLON if f"{form}." in TABLE], behind=":"), before_colon
)
