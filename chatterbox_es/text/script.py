"""A text with its marks as the front end reads it: what is read, how each token is said, and where pauses stand."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from chatterbox_es.errors import UserError
from chatterbox_es.text import ssml
from chatterbox_es.text.characters import GIVEN
from chatterbox_es.text.front_end import FrontEnd, Given, Reading
from chatterbox_es.text.marks import Marked, Pause, SentenceEnd, Stretch, Way, in_brackets
from chatterbox_es.text.sentences import split
from chatterbox_es.text.symbols import PUNCTUATION

Marks = Literal["auto", "ssml", "none"]
AUTO, SSML, NONE = MARKS = get_args(Marks)
ENGLISH_WORD = re.compile(r"""([\s.,;:?!¿¡…—–()\[\]"“”«»]*)([^\s—–()\[\]"“”«»]*[^\s.,;:?!¿¡…—–()\[\]"“”«»])?""")
CLOSED = ".,;:?!…—"
QUOTES = " \"'»”’)]"


@dataclass(frozen=True)
class Passage:
    """A part of a text that is said in one breath."""

    reading: Reading
    ways: tuple[Way, ...] = ()  # of each token; none: all in the usual way
    pauses: tuple[tuple[int, int, float], ...] = ()  # tokens of a pause (the last not included), and its seconds at least

    @property
    def speaker(self) -> str:
        """Who says it; empty: whoever speaks."""
        return self.ways[0].speaker if self.ways else ""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is read from place ``start`` on, and the stretch of the written text that it stands for."""

    start: int
    written: int
    written_end: int
    is_copy: bool
    way: Way


class Script:
    """A text as it is to be said; a plain one is read as the front end reads it.

    Raises:
        UserError: its marks are malformed or out of range, or there is no such way of marking.
    """

    def __init__(self, text: str, front_end: FrontEnd, marks: str = AUTO):
        if marks not in MARKS:
            raise UserError(f"marks={marks} is not known; use one of {', '.join(MARKS)}")
        self.front_end, self.text, self.chunks = front_end, text, list[_Chunk]()
        self.notes: tuple[str, ...] = ()
        if marks == NONE:
            self.read = front_end.normaliser.compose(text)
            return
        if marks == SSML or ssml.is_ssml(text):
            marked, is_plain = ssml.read(text, front_end.normaliser), False
        else:
            marked = in_brackets(text)
            is_plain = len(marked.pieces) == 1
        self.notes = tuple(marked.notes)
        if is_plain:
            self.read = front_end.normaliser.compose(text)
        else:
            writer = _Writer(front_end)
            writer.write(marked)
            self.text, self.read, self.chunks = "".join(writer.written), "".join(writer.read), writer.chunks
            self.given, self.pauses = writer.given, writer.pauses
            self._starts = [chunk.start for chunk in self.chunks]
            self._pause_places = [place for place, _ in self.pauses]
            self._given_places = sorted(self.given)

    @property
    def is_plain(self) -> bool:
        """Whether nothing in it is marked."""
        return not self.chunks

    @property
    def speakers(self) -> frozenset[str]:
        """Who is named in it."""
        return frozenset(chunk.way.speaker for chunk in self.chunks)

    def whole(self) -> Passage:
        """All of it at once."""
        return self.passage(0, len(self.read))

    def sentences(self) -> Iterator[tuple[int, int]]:
        """Where in `read` each sentence stands; of a text with marks each goes on to the next, since pauses stand between."""
        begun, places = 0, []
        for sentence in split(self.read):
            start = self.read.index(sentence, begun)
            begun = start + len(sentence)
            places.append((start, begun))
        for number, (start, end) in enumerate(places):
            if self.is_plain:
                yield start, end
            else:
                yield (start if number else 0), (places[number + 1][0] if number + 1 < len(places) else len(self.read))

    def passage(self, start: int, end: int) -> Passage:
        """What stands from ``start`` to ``end`` in `read`."""
        if self.is_plain:
            reading = self.front_end.read(self.text if (start, end) == (0, len(self.read)) else self.read[start:end])
            return Passage(replace(reading, notes=self.notes) if self.notes and not start else reading)
        first, last = (bisect_right(self._given_places, place - 1) for place in (start, end))
        given = {place - start: self.given[place] for place in self._given_places[first:last]}
        reading = self.front_end.read_given(self.read[start:end], given)
        places = [word.start + start for word in reading.spoken]
        return Passage(self._as_written(reading, start, end), self._ways(reading, places, start),
                       tuple(self._pauses(reading, places, start, end)))

    def _as_written(self, reading: Reading, start: int, end: int) -> Reading:
        """The reading with its places in the written text."""
        begin, stop = self._written(start)[0], self._written(end - 1)[1] if end > start else 0
        text = self.text[begin:stop]

        def moved(first: int, last: int) -> tuple[int, int]:
            return self._written(first + start)[0] - begin, self._written(last - 1 + start)[1] - begin

        words = tuple(replace(word, start=place[0], end=place[1]) for word in reading.spoken
                      for place in [moved(word.start, word.end)])
        spans = tuple(replace(span, written=text[place[0]:place[1]], start=place[0], end=place[1]) for span in reading.spans
                      for place in [moved(span.start, span.end)])
        return replace(reading, text=text, sentences=split(text), spans=spans, aligned=words,
                       notes=self.notes if not start else ())

    def _written(self, place: int) -> tuple[int, int]:
        """The stretch of the written text that the character at a place of `read` stands for."""
        chunk = self._chunk(place)
        if not chunk.is_copy:
            return chunk.written, chunk.written_end
        return tuple(min(chunk.written + place - chunk.start + more, chunk.written_end) for more in (0, 1))  # type: ignore[return-value]

    def _chunk(self, place: int) -> _Chunk:
        return self.chunks[max(0, bisect_right(self._starts, place) - 1)]

    def _ways(self, reading: Reading, places: Sequence[int], start: int) -> tuple[Way, ...]:
        """How each token is said: a mark as the word before it."""
        way = self._chunk(places[0] if places else start).way
        ways: list[Way] = []
        for word, place in zip(reading.spoken, places, strict=True):
            ways += [way] * (word.first - len(ways))
            way = self._chunk(place).way
            ways += [way] * (word.last - word.first)
        return tuple(ways + [way] * (len(reading.ids) - len(ways)))

    def _pauses(self, reading: Reading, places: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, float]]:
        """Pauses between the tokens of two words, or before the first or behind the last; one between two passages is the
        earlier one's."""
        first = bisect_right(self._pause_places, start) if start else 0
        last = bisect_right(self._pause_places, end)
        edges = [(0, 0), *((word.first, word.last) for word in reading.spoken), (len(reading.ids), len(reading.ids))]
        longest: dict[int, float] = {}
        for place, seconds in self.pauses[first:last]:
            before = bisect_right(places, place - 1)  # words that begin before it
            longest[before] = max(longest.get(before, 0.0), seconds)
        for before, seconds in longest.items():
            yield edges[before][1], edges[before + 1][0], seconds


class _Writer:
    """Pieces one after the other into what is written and what is read."""

    def __init__(self, front_end: FrontEnd) -> None:
        self.front_end = front_end
        self.written: list[str] = []
        self.read: list[str] = []
        self.chunks: list[_Chunk] = []
        self.given: dict[int, Given] = {}
        self.pauses: list[tuple[int, float]] = []
        self.place = self.written_place = 0  # lengths of both so far
        self.last = "\n"  # the last character that is no space or quote; a line's end at the beginning of a sentence
        self.waiting = 0.0  # a pause, until it is known what stands behind it

    def write(self, marked: Marked) -> None:
        for piece in marked.pieces:
            if isinstance(piece, Pause):
                self.waiting = max(self.waiting, piece.seconds)
            elif isinstance(piece, SentenceEnd):
                self._end_sentence()
            elif piece.written or piece.spoken:
                self._write_stretch(piece)
        self._settle_pause("\n")
        if not self.chunks:
            self.chunks.append(_Chunk(0, 0, 0, False, Way()))

    def _write_stretch(self, piece: Stretch) -> None:
        written = self.front_end.normaliser.compose(piece.written)
        spoken = written if piece.spoken is None else self.front_end.normaliser.compose(piece.spoken)
        if spoken.strip() or piece.codes:
            self._settle_pause(spoken.strip()[:1])
        if piece.codes:
            self._give(written, Given(written.strip().lower() or piece.codes, piece.codes), piece.way)
        elif piece.is_english:
            self._write_english(written, spoken if piece.spoken is not None else None, piece.way)
        else:
            self._add(spoken, written, piece.way, is_copy=piece.spoken is None)

    def _write_english(self, written: str, alias: str | None, way: Way) -> None:
        """Word by word, so that each has a place of its own; the words of an alias stand for all that is written."""
        span = None
        if alias is not None:
            span = self.written_place, self.written_place + len(written)
            self._add("", written, way, is_copy=False)
        for marks, word in ENGLISH_WORD.findall(written if alias is None else alias):
            if marks:
                self._add(marks, marks, way, span is None, span)
            if not word:
                continue
            reading = self.front_end.read_english(word)
            codes = "".join([code for code in reading.codes if code not in PUNCTUATION and code != " "])
            if codes:
                self._give(word, Given(reading.words.strip("".join(PUNCTUATION)), codes, is_exact=False), way, span)
            else:
                self._add(word, word, way, span is None, span)

    def _give(self, written: str, given: Given, way: Way, span: tuple[int, int] | None = None) -> None:
        self.given[self.place] = given
        self._add(GIVEN, written, way, False, span)

    def _add(self, read: str, written: str, way: Way, is_copy: bool, span: tuple[int, int] | None = None) -> None:
        """Something to read, for what is written, or for a ``span`` of what was written before."""
        written = "" if span else written
        span = span or (self.written_place, self.written_place + len(written))
        self.chunks.append(_Chunk(self.place, *span, is_copy, way))
        self.read.append(read)
        self.written.append(written)
        self.place += len(read)
        self.written_place += len(written)
        self.last = (read.rstrip(QUOTES) or self.last)[-1]

    def _settle_pause(self, behind: str) -> None:
        """Between two words without a mark a pause is read as a comma, so that the voice makes one."""
        if self.waiting:
            self.pauses.append((self.place, self.waiting))
            if self.last not in CLOSED + "\n" and behind not in CLOSED + "\n":
                self._add(", ", "", self.chunks[-1].way, is_copy=False)
            self.waiting = 0.0

    def _end_sentence(self) -> None:
        self._settle_pause("\n")
        if self.last != "\n":
            self._add("\n" if self.last in CLOSED else ".\n", "\n", self.chunks[-1].way, is_copy=False)
            self.last = "\n"
