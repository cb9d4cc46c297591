"""When each word and phone of a spoken text is heard, from the model's durations: right to a frame."""

import dataclasses
from collections.abc import Sequence
from itertools import accumulate, pairwise

from chatterbox_es.errors import UserError
from chatterbox_es.text import Reading


@dataclasses.dataclass(frozen=True, slots=True)
class PhoneTime:
    """When a token is heard. Marks of punctuation and the marks of both ends (``<s>``, ``</s>``) are pauses."""

    phone: str
    start: float  # seconds
    end: float


@dataclasses.dataclass(frozen=True, slots=True)
class WordTime:
    """When a word is heard, and what the user wrote for it: 1984 is five words, all with "1984" as ``written``."""

    word: str  # as it is said
    written: str  # ``text[place[0]:place[1]]``
    place: tuple[int, int]
    start: float  # seconds
    end: float
    phones: tuple[PhoneTime, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """A spoken text's words, and its phones with the pauses between them, which follow each other without a gap."""

    text: str
    seconds: float  # how long the sound is
    words: tuple[WordTime, ...]
    phones: tuple[PhoneTime, ...]


def times_of(reading: Reading, durations: Sequence[int], seconds: float) -> Times:
    """The times of a reading whose tokens take so many frames, (tokens,), of a sound so long.

    Raises:
        UserError: the voice's model knows no durations.
    """
    if not len(durations):
        raise UserError("this voice cannot say when its words are heard: its model (chatterbox) knows no durations")
    edges = [0, *accumulate(int(frames) for frames in durations)]
    second = seconds / max(edges[-1], 1)  # of a frame
    phones = tuple(PhoneTime(phone, start * second, end * second)
                   for phone, (start, end) in zip(reading.phonemes, pairwise(edges), strict=True))
    words = tuple(WordTime(word.word, reading.text[word.start:word.end], (word.start, word.end), edges[word.first] * second,
                           edges[word.last] * second, phones[word.first:word.last]) for word in reading.spoken)
    return Times(reading.text, seconds, words, phones)
