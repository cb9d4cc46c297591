"""Written text → spoken words (first form: whole numbers only)."""

import re
import unicodedata
from dataclasses import dataclass

from chatterbox_es.text import numbers


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text that is said otherwise than it is written: `text[start:end]`."""

    written: str
    spoken: str
    kind: str
    start: int
    end: int


KNOWN = re.compile(r"[^a-záéíóúüñ'.,;:?¿!¡…— ]+")


class Normaliser:
    """Turns written text into words for one locale."""

    def __init__(self, locale: str = "es_ES") -> None:
        self.locale = locale

    def normalise(self, text: str) -> tuple[str, tuple[Span, ...]]:
        """The spoken words, and what was changed to get them."""
        spans: list[Span] = []

        def number(match: re.Match) -> str:
            spoken = numbers.whole(match.group(), before_noun=text[match.end() :].lstrip()[:1].isalpha())
            spans.append(Span(match.group(), spoken, "cardinal", match.start(), match.end()))
            return spoken

        text = unicodedata.normalize("NFC", text)
        words = re.sub(r"[0-9]+", number, text).lower()

        def unknown(match: re.Match) -> str:
            if not match.group().isspace():
                spans.append(Span(match.group(), "", "unknown", match.start(), match.end()))
            return " "

        return " ".join(KNOWN.sub(unknown, words).split()), tuple(spans)
