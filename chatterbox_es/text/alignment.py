"""Which stretch of the written text each spoken word comes from, and which tokens say it."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from chatterbox_es.text.characters import FOLD, GIVEN
from chatterbox_es.text.normaliser import apart
from chatterbox_es.text.symbols import PUNCTUATION
from chatterbox_es.text.written import Span

WORD = re.compile(rf"[a-záéíóúüñ'{GIVEN}]+")
MARK = re.compile(f"([{''.join(PUNCTUATION)}])")
Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word as it is said. 1984 is five of them, all of which come from ``text[start:end]`` = "1984"."""

    word: str
    start: int  # characters of the reading's text
    end: int
    first: int  # tokens ``first`` to ``last``, that one not included
    last: int


def align(text: str, spans: Sequence[Span], words: str, codes: str) -> tuple[SpokenWord, ...]:
    """The words of a reading, in their order: ``codes`` has one character a token, divided by spaces as ``words`` are.

    Takes linear time where the words were made in one pass, as nearly all are.
    """
    places, spoken, token = iter(_places(text, spans, words)), [], 1  # token 0 is the mark of the beginning
    for written, said in zip(words.split(" "), codes.split(" "), strict=True):
        for run, phones in zip(MARK.split(written), MARK.split(said), strict=True):
            place = next(places) if WORD.fullmatch(run) else None
            if place and phones:
                spoken.append(SpokenWord(run, *place, token, token + len(phones)))
            token += len(phones)
    return tuple(spoken)


def _places(text: str, spans: Sequence[Span], words: str) -> list[Stretch]:
    """The written stretch of each word of ``words``."""
    pieces, origins = [], []
    for spoken, start, end, is_copy in _pieces(text, spans):
        pieces.append(spoken)
        origins.extend([(place, place + 1) for place in range(start, end)] if is_copy else [(start, end)] * len(spoken))
    first_pass = list(WORD.finditer("".join(pieces)))
    places = [(origins[word.start()][0], max(end for _, end in origins[word.start():word.end()])) for word in first_pass]
    written, said = [word.group() for word in first_pass], WORD.findall(words)
    return places if written == said else _carried_over(written, places, said)


def _pieces(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, int, int, bool]]:
    """What the first pass of the normaliser wrote, from which stretch, and whether as it stood."""
    folded, done = text.translate(FOLD), 0
    for span in spans:
        yield _small(folded[done:span.start]), done, span.start, True
        spoken = span.spoken if span.kind == "letter" else apart(span.spoken, folded, span.start, span.end)
        yield spoken.lower(), span.start, span.end, False
        done = span.end
    yield _small(folded[done:]), done, len(text), True


def _small(text: str) -> str:
    """In small letters, one for one; those that only an English stretch leaves as they are (à) without their accent."""
    return "".join([letter if WORD.fullmatch(letter) else unicodedata.normalize("NFD", letter)[0]
                    for letter in (character.lower()[0] for character in text)])


def _carried_over(before: Sequence[str], places: Sequence[Stretch], after: Sequence[str]) -> list[Stretch]:
    """Places of words that a later pass has read again: those that it changed come from the whole stretch that it changed."""
    carried: list[Stretch] = []
    for kind, first, last, start, end in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal" or last - first == end - start:
            carried.extend(places[first:last])
        elif end > start:
            near = places[first:last] or places[max(0, first - 1):first + 1] or [(0, 0)]
            carried.extend([(near[0][0], max(stop for _, stop in near))] * (end - start))
    return carried


def shifted(words: Sequence[SpokenWord], characters: int, tokens: int) -> tuple[SpokenWord, ...]:
    """The words of a part of a text, which has so many characters and tokens before it."""
    return tuple(SpokenWord(word.word, word.start + characters, word.end + characters, word.first + tokens, word.last + tokens)
                 for word in words)
