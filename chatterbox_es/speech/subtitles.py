"""Times as subtitles: SubRip (.srt), WebVTT (.vtt), and JSON with every word and phone.

Cues are what one reads at ease (Netflix's and the BBC's guides): two lines of 42 characters and seven seconds at most, ended
where a sentence or a clause ends, if there is such a place.
"""

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

from chatterbox_es.speech.times import Times, WordTime

Format = Literal["srt", "vtt", "json"]
LINE, LINES, SECONDS = 42, 2, 7.0  # characters, lines, seconds of a cue at most
SENTENCE_ENDS, CLAUSE_ENDS = ".?!…", ",;:)—"
CLOSING = "\"'»”’)]"
# What a cut costs: each cue something, so that they are few; less at the end of a clause, least at that of a sentence, and much
# if a sentence ends inside of the cue.
CUT, AT_CLAUSE, AT_SENTENCE, ENDED_INSIDE = 10.0, 3.0, 0.0, 4.0
EACH = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from one time to another, in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Unit:
    """A stretch of the text that is not divided, with the marks that touch it; ``gap`` is a space, or nothing (co-autor)."""

    text: str
    gap: str
    start: float
    end: float


def cues_of(times: Times) -> list[Cue]:
    """The text as it is written, in cues. Takes linear time: the best cuts are found from unit to unit."""
    units = [part for unit in _units(times) for part in _short_enough(unit)]
    best, last_cut = [0.0], [0]
    for end in range(1, len(units) + 1):
        costs = [(best[start] + cost, start) for start, cost in _cues_until(units, end)]
        cost, start = min(costs)
        best.append(cost)
        last_cut.append(start)
    cues, end = [], len(units)
    while end:
        start = last_cut[end]
        lines = _lines(_joined(units[start:end])) or ()
        cues.append(Cue(units[start].start, units[end - 1].end, lines))
        end = start
    return cues[::-1]


def _cues_until(units: Sequence[_Unit], end: int) -> Iterator[tuple[int, float]]:
    """The cues that can end before unit ``end``: where they begin, and what they cost."""
    last = units[end - 1].text.rstrip(CLOSING)[-1:]
    cost = EACH + (AT_SENTENCE if last in SENTENCE_ENDS or end == len(units) else AT_CLAUSE if last in CLAUSE_ENDS else CUT)
    for start in range(end - 1, -1, -1):
        if start < end - 1:
            if not _fits(units[start:end]):
                return
            cost += ENDED_INSIDE * (units[start].text.rstrip(CLOSING)[-1:] in SENTENCE_ENDS)
        yield start, cost


def _fits(units: Sequence[_Unit]) -> bool:
    return units[-1].end - units[0].start <= SECONDS and _lines(_joined(units)) is not None


def _joined(units: Sequence[_Unit]) -> str:
    return "".join([unit.text + unit.gap for unit in units]).strip()


def _lines(text: str) -> tuple[str, ...] | None:
    """The text on one line or two of much the same length, divided behind a mark if possible; None if it needs more."""
    if len(text) <= LINE:
        return (text,)
    if len(text) > LINES * LINE + 1:
        return None
    cuts = [place for place in range(len(text) - LINE - 1, LINE + 1) if place > 0 and text[place] == " "]
    if not cuts:
        return None
    cut = min(cuts, key=lambda place: abs(2 * place - len(text)) - 10 * (text[place - 1] in SENTENCE_ENDS + CLAUSE_ENDS))
    return text[:cut], text[cut + 1:]


def _units(times: Times) -> Iterator[_Unit]:
    """What of the text stands for one word or for several that come from one stretch (1984), and what stands around it."""
    groups: list[list[WordTime]] = []
    for word in times.words:
        if groups and word.place[0] < max(before.place[1] for before in groups[-1]):
            groups[-1].append(word)
        else:
            groups.append([word])
    begin = 0
    for number, group in enumerate(groups):
        end = max(word.place[1] for word in group)
        if number + 1 < len(groups):
            between = times.text[end:groups[number + 1][0].place[0]]
            kept = len(between.split(maxsplit=1)[0]) if between[:1].strip() and between.split() else 0
            gap = " " if any(map(str.isspace, between)) else ""
            kept = len(between) if not gap else kept
        else:
            kept, gap = len(times.text) - end, ""
        yield _Unit(" ".join(times.text[begin:end + kept].split()), gap, group[0].start, group[-1].end)
        begin = end + kept


def _short_enough(unit: _Unit) -> Iterator[_Unit]:
    """A unit too long for one cue (an address, a number of thirty figures) in pieces, its time shared by their length."""
    count = max(1, math.ceil((unit.end - unit.start) / SECONDS))
    if count == 1 and len(unit.text) <= LINE:
        yield unit
        return
    width = min(LINE, max(1, math.floor(len(unit.text) / count)))
    pieces = textwrap.wrap(unit.text, width) or [unit.text]
    whole, done = sum(map(len, pieces)), 0
    seconds = unit.end - unit.start
    for piece in pieces:
        start, done = unit.start + seconds * done / whole, done + len(piece)
        gap = unit.gap if done == whole else " "
        yield _Unit(piece, gap, start, unit.start + seconds * done / whole)


def written(times: Times, form: Format) -> str:
    """The content of a file."""
    return {"srt": _srt, "vtt": _vtt, "json": _json}[form](times)


def _clock(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _span(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.start, mark)} --> {_clock(cue.end, mark)}"


def _srt(times: Times) -> str:
    return "".join("\n".join((str(number), _span(cue, ","), *cue.lines, "\n")) for number, cue in enumerate(cues_of(times), 1))


def _vtt(times: Times) -> str:
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n\n" + "".join("\n".join((_span(cue, "."), *(line.translate(escaped) for line in cue.lines), "\n"))
                                  for cue in cues_of(times))


def _json(times: Times) -> str:
    def rounded(value: object) -> object:
        if isinstance(value, float):
            return round(value, 6)
        if isinstance(value, dict):
            return {key: rounded(one) for key, one in value.items()}
        return [rounded(one) for one in value] if isinstance(value, (list, tuple)) else value

    return json.dumps(rounded(dataclasses.asdict(times)), ensure_ascii=False, indent=1) + "\n"
