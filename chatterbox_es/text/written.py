"""What every reader of written forms shares: the place in the text, the locale, and how a number is written.

A reader is a `Rule`: a pattern matched at a place of the text, and a function that says it, or None where it is
none of its business. Every repetition in a pattern is bounded or consumed, so that reading takes linear time.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from chatterbox_es.text import numbers
from chatterbox_es.text.agreement import FEMININE_BEFORE, gender_of_noun
from chatterbox_es.text.word_lists import listed


@dataclass(frozen=True)
class Locale:
    """How a country writes: its decimal sign and what its $ is."""

    name: str
    decimal: str
    dollar: str  # ISO code of the money written $


LOCALES = {
    locale.name: locale
    for locale in (
        Locale("es_ES", ",", "USD"),
        Locale("es_419", ".", "USD"),
        Locale("es_MX", ".", "MXN"),
        Locale("es_AR", ",", "ARS"),
        Locale("es_CL", ",", "CLP"),
        Locale("es_CO", ",", "COP"),
        Locale("es_DO", ".", "DOP"),
        Locale("es_PE", ".", "USD"),
        Locale("es_PR", ".", "USD"),
        Locale("es_US", ".", "USD"),
        Locale("es_UY", ",", "UYU"),
    )
}

LETTER = "a-zA-ZáéíóúüñÁÉÍÓÚÜÑ"
SPACE = "[ \u00a0\u202f\u2009]"
# 1.234,5 1,234.5 1'234.567 1 234,5 1234,5 37'5
NUMBER = (
    rf"(?:\d{{1,3}}(?:\.\d{{3}}){{1,11}}(?:[,']\d{{1,40}})?|\d{{1,3}}(?:,\d{{3}}){{1,11}}(?:\.\d{{1,40}})?"
    rf"|\d{{1,3}}'\d{{3}}(?:[.']\d{{3}}){{1,9}}(?:,\d{{1,40}})?"
    rf"|[1-9]\d{{0,2}}(?:{SPACE}\d{{3}}){{1,11}}(?:[.,]\d{{1,40}})?"
    rf"|\d{{1,40}}(?:[.,]\d{{1,40}}|'\d{{1,3}}(?![\d\"″']))?)(?!\d)"
)
# the dash of 5 kg-10 kg, $20-$30, 10 €-20 €: said as "a"
TO = rf"(?P<to>{SPACE}?[-–—]{SPACE}?(?=(?:US)?[$€£]?{SPACE}?\d))?"
GROUPED_BY_APOSTROPHE = re.compile(r"\d{1,3}'\d{3}(?:[.']\d{3})+")
WORD_BEFORE = re.compile(rf"[{LETTER}]{{1,20}}\.?$")
WORD_AFTER = re.compile(rf"{SPACE}([{LETTER}]{{1,30}})(?:{SPACE}([{LETTER}]{{1,30}}))?")
OF_WHOLE = re.compile(
    rf"{SPACE}de{SPACE}(?:(?:ellas|nosotras|vosotras|(?:todas{SPACE})?(?:las|estas|esas|aquellas))(?![{LETTER}])"
    rf"|(?P<each>cada){SPACE}\d{{1,6}}{SPACE}(?P<noun>[{LETTER}]{{2,30}}))",
    re.IGNORECASE,
)
JOINED = re.compile(rf"{SPACE}(?:[you]|[aó]){SPACE}(?:\d{{1,3}}(?:\.?\d{{3}})*|pico){SPACE}(?P<noun>[{LETTER}]{{2,30}})")
SCALE = re.compile(
    rf"{SPACE}(mil|millón|mill[oó]nes|bill[oó]n(?:es)?|trill[oó]n(?:es)?|cuatrill[oó]n(?:es)?)\b", re.IGNORECASE
)


def alternatives(forms: Iterable[str]) -> str:
    """A pattern of any of these forms, the longest first, parted by the first letter so that few are tried at a place."""
    groups: dict[str, list[str]] = {}
    for form in sorted(forms, key=len, reverse=True):
        groups.setdefault(form[0].lower(), []).append(form)
    return "|".join(
        f"{_escaped(group[0][0])}(?:{'|'.join(_escaped(form[1:]) for form in group)})" for group in groups.values()
    )


def _escaped(form: str) -> str:
    return re.escape(form).replace(r"\ ", SPACE)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text that is said otherwise than it is written: `text[start:end]`."""

    written: str
    spoken: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader stands: the whole text, what it matched, and the locale."""

    text: str
    start: int
    end: int
    locale: Locale

    @property
    def alone(self) -> bool:
        """Whether the text holds nothing else."""
        around = self.text[max(0, self.start - 80) : self.start] + self.text[self.end : self.end + 80]
        return not around.strip()

    @property
    def before(self) -> str:
        """The word before, lower case, or ""."""
        found = WORD_BEFORE.search(self.text[max(0, self.start - 24) : self.start].rstrip())
        return found.group().lower() if found else ""

    @property
    def after(self) -> tuple[str, str]:
        """The two words behind, lower case, or ""."""
        found = WORD_AFTER.match(self.text, self.end)
        return ((found[1] or "").lower(), (found[2] or "").lower()) if found else ("", "")

    @property
    def shouted(self) -> bool:
        """Whether the text around is all in capitals, so that capitals say nothing."""
        return self.without_small and sum(map(str.isupper, self._around())) > 6

    @property
    def without_small(self) -> bool:
        """Whether no small letter stands around."""
        return not any(map(str.islower, self._around()))

    def _around(self) -> str:
        return self.text[max(0, self.start - 60) : self.start] + self.text[self.end : self.end + 60]

    def agreement(self) -> tuple[str, bool]:
        """Gender of the noun that the number counts, and whether it stands before one (veintiún libros)."""
        before = self.before
        if before in LABELS:
            return numbers.MASCULINE, False
        noun, next_word = self.after
        gender = gender_of_noun(noun, next_word)
        if gender is not None:
            return gender, True
        if joined := JOINED.match(self.text, self.end):  # 200 o 300 casas
            return (gender_of_noun(joined["noun"].lower()) or numbers.MASCULINE), False
        if before in FEMININE_BEFORE and before != "la":  # unas 300, las 200 de ayer
            return numbers.FEMININE, False
        return (self._gender_of_whole() if noun == "de" else numbers.MASCULINE), False

    def _gender_of_whole(self) -> str:
        """31 de ellas, 21 de las casas, 1 de cada 3 personas: a part has the gender of the whole."""
        whole = OF_WHOLE.match(self.text, self.end)
        if whole is None:
            return numbers.MASCULINE
        if whole["each"]:
            return gender_of_noun(whole["noun"].lower()) or numbers.MASCULINE
        return numbers.FEMININE


LABELS = listed("""
    apartamento párrafo tabla bloque módulo unidad grupo tipo opción caso ejemplo paso etapa zona distrito carretera ruta
    capítulo página número tomo artículo línea canal año volumen sección nivel fase calle sala puerta piso planta
    versión habitación apartado punto tema lección ejercicio figura tabla anexo nota núm. n.º pág. cap. art. vol.
    fig.
    """)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as it is written: whole digits, digits behind the decimal sign, and the sign."""

    whole: str
    behind: str
    sign: str

    @property
    def is_one(self) -> bool:
        """Whether what is counted stands in the singular."""
        return self.whole.lstrip("0") == "1" and not self.behind

    def words(self, gender: str = numbers.MASCULINE, before_noun: bool = False) -> str:
        """The number in words."""
        if not self.behind:
            return numbers.whole(self.whole, gender, before_noun)
        whole = numbers.whole(self.whole, gender)
        return f"{whole} {numbers.DECIMAL_SIGN[self.sign]} {numbers.decimals(self.behind, gender, before_noun)}"


def amount(written: str, locale: Locale) -> Amount:
    """What a written number means. Where `1.234` can be read two ways, the locale's decimal sign decides."""
    written = re.sub(SPACE, "", written)
    if "'" in written:
        body, _, behind = written.partition(",")
        if GROUPED_BY_APOSTROPHE.fullmatch(body):
            return Amount(re.sub("[.']", "", body), behind, "," if behind else "")
        whole, _, behind = written.partition("'")
        return Amount(whole.replace(".", ""), behind, ",")
    points, commas = written.count("."), written.count(",")
    if not points and not commas:
        return Amount(written, "", "")
    last = max(written.rfind("."), written.rfind(","))
    sign = written[last]
    repeated = points + commas > 1 and not (points and commas)
    grouped = len(written) - last - 1 == 3 and 1 <= last <= 3 and written[0] != "0" and sign != locale.decimal
    if repeated or (points + commas == 1 and grouped):
        return Amount(written.replace(".", "").replace(",", ""), "", "")
    whole = written[:last].replace(".", "").replace(",", "")
    return Amount(whole, written[last + 1 :], sign)


class Pattern(Protocol):
    """What finds a form at a place: a compiled pattern, or anything that matches as one does."""

    def match(self, text: str, start: int, /) -> re.Match | None: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One class of written forms. `read` gets the match and its place and returns the words, or None."""

    kind: str
    pattern: Pattern
    read: Callable[[re.Match, Place], str | None]


def rule(kind: str, pattern: str, read: Callable[[re.Match, Place], str | None]) -> Rule:
    """A rule whose pattern ignores case."""
    return Rule(kind, re.compile(pattern, re.IGNORECASE), read)
