"""What marks in a text say: pieces and how they are said, pauses, ends of sentences; and ``[[phones]]`` in plain text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from chatterbox_es.errors import UserError
from chatterbox_es.text.lexicon import codes_of_ipa

BRACKETS = re.compile(r"\[\[([^\[\]]{1,200})\]\]")


@dataclass(frozen=True, slots=True)
class Way:
    """How a stretch is said: factor on the speed, semitones higher, dB louder, emphasis, and who says it."""

    rate: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0
    emphasis: str = ""  # one of SSML's levels
    speaker: str = ""  # empty: whoever speaks


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the text: what is written, and what is read in its place."""

    written: str
    way: Way = Way()
    spoken: str | None = None  # None: what is written
    codes: str = ""  # its phones, a character each, where they are given
    is_english: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence between two words, of so many seconds at least."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SentenceEnd:
    """Where a sentence ends, whatever its last mark."""


Piece = Stretch | Pause | SentenceEnd


@dataclass(frozen=True)
class Marked:
    """A text in its pieces, and what of its marks was not understood, in sentences for people."""

    pieces: Sequence[Piece]
    notes: Sequence[str] = field(default=())


def in_brackets(text: str) -> Marked:
    """A plain text with phones between double brackets: jersey es [[ˈxeɾsej]]. What holds no phones is text."""
    pieces: list[Piece] = []
    notes: dict[str, None] = {}
    done = 0
    for found in BRACKETS.finditer(text):
        try:
            codes = codes_of_ipa(found[1], found.group())
        except UserError as error:
            notes[f"{error}; it is read as text"] = None
            continue
        if codes:
            pieces += [Stretch(text[done:found.start()]), Stretch(found.group(), codes=codes)]
            done = found.end()
    return Marked([*pieces, Stretch(text[done:])], tuple(notes))
