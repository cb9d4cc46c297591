"""Rows that a filter leaves out: counted and listed like faults, but no sign of a damaged corpus."""

from collections.abc import Iterable, Iterator, Mapping

from chatterbox_es.config import SourceConfig
from chatterbox_es.corpus.utterance import Fault, Utterance


def excluded_by_votes(row: int, id: str, values: Mapping[str, str], source: SourceConfig) -> Fault | None:
    """By `up_votes` and `down_votes`, which are read where a limit is set; a fault when they are no numbers."""
    if not source.min_up_votes and source.max_down_votes is None:
        return None
    try:
        up, down = int(values["up_votes"]), int(values["down_votes"])
    except (ValueError, TypeError):
        return Fault(row, id, "bad-row", f"its votes are no numbers: {values['up_votes']!r}, {values['down_votes']!r}")
    if up < source.min_up_votes:
        return Fault(row, id, "few-up-votes", f"{up} up votes, below min_up_votes={source.min_up_votes}", excluded=True)
    if source.max_down_votes is not None and down > source.max_down_votes:
        return Fault(row, id, "down-votes", f"{down} down votes, above max_down_votes={source.max_down_votes}", excluded=True)
    return None


def only_wanted(rows: Iterable[Utterance | Fault], source: SourceConfig, dialect: str) -> Iterator[Utterance | Fault]:
    """The rows, those of other speakers and dialects than `source` names as excluded; `dialect` is of rows without one."""
    for found in rows:
        if isinstance(found, Utterance) and source.speakers and found.speaker not in source.speakers:
            found = Fault(found.row, found.id, "other-speaker",
                          f"speaker {found.speaker!r} is none of data.speakers", excluded=True)
        elif isinstance(found, Utterance) and source.dialects and (found.dialect or dialect) not in source.dialects:
            found = Fault(found.row, found.id, "other-dialect",
                          f"dialect {found.dialect or dialect!r} is none of data.dialects", excluded=True)
        yield found
