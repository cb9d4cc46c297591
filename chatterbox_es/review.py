"""Runs at a glance: a table of those below a folder, or a report of them to read and listen to.

    python -m chatterbox_es.review                                            every run below outputs/
    python -m chatterbox_es.review outputs/4_3 sort=best_val_loss state=finished
    python -m chatterbox_es.review data=dona* format=json                     one object a line, for programs
    python -m chatterbox_es.review outputs/4_3/TIME format=html               report.html of a run
    python -m chatterbox_es.review outputs/multirun/TIME format=html          … of a sweep
    python -m chatterbox_es.review RUN RUN RUN format=html out=report.html    … of several runs, side by side

Folders may be runs or hold runs. A filter is a value, several with commas between, or a pattern with * and ?.
"""

import dataclasses
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from chatterbox_es.command_line import parse, path_field, print_utf8, run, split_paths
from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import DAMAGED
from chatterbox_es.runs.summary import STATES, RunSummary, date_of, find_runs

FILTERS = ("phase", "data", "hw", "state")
COLOURS = {"running": 36, "finished": 32, "failed": 31, "stopped": 33, "killed": 35, DAMAGED: 31}  # ANSI
COLUMNS: dict[str, Callable[[RunSummary], str]] = {
    "run": lambda summary: summary.run,
    "phase": lambda summary: summary.phase or "",
    "data": lambda summary: summary.data or "",
    "hw": lambda summary: summary.hw or "",
    "state": lambda summary: summary.state,
    "epochs": lambda summary: _digits(summary.epochs, "d"),
    "best_val_loss": lambda summary: _digits(summary.best_val_loss, ".4f"),
    "baseline": lambda summary: _digits(summary.baseline, ".4f"),
    "of_baseline": lambda summary: _digits(summary.of_baseline, ".0%"),
    "objective": lambda summary: summary.objective or "",
    "distillmos": lambda summary: _heard(summary, "distillmos"),
    "similarity": lambda summary: _heard(summary, "similarity"),
    "wer": lambda summary: _heard(summary, "wer"),
    "minutes": lambda summary: _digits(summary.minutes, ".1f"),
    "cost": lambda summary: _digits(summary.cost, ".2f"),
}
WORDS = ("run", "phase", "data", "hw", "state", "objective")  # flush left; the others are numbers
SPARE = ("hw", "baseline", "similarity", "wer", "epochs", "phase", "data")  # what a narrow terminal goes without, in this order
SORTS = (*COLUMNS, "started")


@dataclass
class ReviewOptions:
    """The arguments of the command, beside the folders."""

    sort: str = field(default="started", metadata={"help": f"one of {', '.join(SORTS)}"})
    reverse: bool = field(default=False, metadata={"help": "true: the largest, or latest, first"})
    phase: str | None = field(default=None, metadata={"help": "only runs of this phase, as in 4_3"})
    data: str | None = field(default=None, metadata={"help": "… of this data: its name, or the corpus folder's"})
    hw: str | None = field(default=None, metadata={"help": "… on this hardware"})
    state: str | None = field(default=None, metadata={"help": f"… in this state: {', '.join(STATES)}"})
    limit: int | None = field(default=None, metadata={"help": "the first so many after sorting"})
    format: Literal["table", "json", "html"] = field(default="table", metadata={
        "help": "json is one object a line, html a report"})
    out: str | None = path_field("html: the file; by default report.html in the folder, or here if several", default=None)


def select(summaries: list[RunSummary], options: ReviewOptions) -> list[RunSummary]:
    """The runs that fit all filters, sorted; what a run does not say comes last.

    Raises:
        UserError: a sort, state or limit that there is not.
    """
    if options.sort not in SORTS:
        raise UserError(f"sort={options.sort} is not known; use one of {', '.join(SORTS)}")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"limit={options.limit} must be 1 or more")
    for wanted in (options.state or "").split(",") if options.state else ():
        if not any(fnmatchcase(state, wanted.strip()) for state in STATES):
            raise UserError(f"state={wanted} is not known; use some of {', '.join(STATES)}")
    filters = {name: [part.strip() for part in wanted.split(",")] for name in FILTERS if (wanted := getattr(options, name))}
    fitting = [summary for summary in summaries if all(_fits(summary, name, wanted) for name, wanted in filters.items())]
    unsaid = [summary for summary in fitting if getattr(summary, options.sort) is None]
    said = [summary for summary in fitting if getattr(summary, options.sort) is not None]
    convert = date_of if options.sort == "started" else lambda value: value
    said.sort(key=lambda summary: convert(getattr(summary, options.sort)), reverse=options.reverse)
    return (said + unsaid)[:options.limit]


def _fits(summary: RunSummary, name: str, wanted: list[str]) -> bool:
    values = [getattr(summary, name) or ""]
    if name == "data":
        values.append(str(summary.card.get("data", "")))
    return any(fnmatchcase(value, pattern) for value in values for pattern in wanted)


def table(summaries: list[RunSummary], width: int | None = None, colours: bool = False) -> list[str]:
    """Lines of a table, without the columns that are empty and, within ``width`` characters, those that have no room."""
    cells = {name: [text(summary) for summary in summaries] for name, text in COLUMNS.items()}
    cells = {name: column for name, column in cells.items() if name in ("run", "state") or any(column)}
    widths = {name: max(len(name), *map(len, column)) for name, column in cells.items()}
    dropped = []
    for name in SPARE:
        if width and sum(widths.values()) + 2 * (len(widths) - 1) > width and name in widths:
            dropped.append(name)
            del widths[name]
    lines = ["  ".join(_flush(name, name, widths) for name in widths)]
    for row, summary in enumerate(summaries):
        line = [_flush(cells[name][row], name, widths) for name in widths]
        if colours:
            line[list(widths).index("state")] = f"\033[{COLOURS[summary.state]}m{line[list(widths).index('state')]}\033[0m"
        lines.append("  ".join(line).rstrip())
    if dropped:
        lines.append(f"(no room for {', '.join(dropped)}: widen the terminal, or format=json)")
    return lines


def _flush(text: str, name: str, widths: dict[str, int]) -> str:
    return text.ljust(widths[name]) if name in WORDS else text.rjust(widths[name])


def _digits(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _heard(summary: RunSummary, name: str) -> str:
    """What was heard last of the voice, and behind a stroke what its recordings score."""
    value, recording = getattr(summary, name), summary.recordings.get(name)
    return _digits(value, ".2f") + ("" if value is None or recording is None else f"/{recording:.2f}")


def notes(summaries: list[RunSummary], found: int) -> list[str]:
    """Below the table: how many of each state, how many are not shown, why runs failed or are damaged."""
    counts = Counter(summary.state for summary in summaries)
    line = f"{len(summaries)} runs: " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    hidden = found - len(summaries)
    lines = ["", line + (f"; {hidden} more are not shown (filters, limit)" if hidden else "")]
    return lines + [f"{summary.state}: {summary.run}: {summary.reason}" for summary in summaries if summary.reason]


def folders_and_options(arguments: list[str]) -> tuple[list[Path], ReviewOptions]:
    """``key=value`` arguments are options, the others folders.

    Raises:
        UserError: a folder that is not there, or an option that is none.
    """
    folders, rest = split_paths(ReviewOptions, arguments)
    options = parse(ReviewOptions, rest, doc=__doc__)
    if options.out and options.format != "html":
        raise UserError("out= is for format=html; a table or JSON is printed: redirect it with >")
    for folder in folders or ["outputs"]:
        if not os.path.lexists(folder):
            raise UserError(f"there is no folder {folder}" + ("" if folders else "; give the one that holds the runs"))
    return [Path(folder) for folder in folders or ["outputs"]], options


def gather(folders: list[Path]) -> list[RunSummary]:
    """The runs in and below some folders, each once, named from the folder if it is one, from here if several."""
    if len(folders) == 1:
        return find_runs(folders[0])
    runs: dict[str, RunSummary] = {}
    for folder in folders:
        for summary in find_runs(folder):
            runs.setdefault(os.path.realpath(summary.folder), dataclasses.replace(summary, run=str(summary.folder)))
    return list(runs.values())


def main() -> int:
    """Print the table, or write the report and print its path."""
    folders, options = folders_and_options(sys.argv[1:])
    found = gather(folders)
    if not found and options.format != "json":
        raise UserError(f"there is no run in {', '.join(map(str, folders))}; python -m chatterbox_es.train makes one")
    summaries = select(found, options)
    print_utf8("replace")
    if options.format == "json":
        for summary in summaries:
            print(json.dumps(summary.record(), ensure_ascii=False))
    elif not summaries:
        raise UserError(f"none of the {len(found)} runs in {', '.join(map(str, folders))} fits the filters")
    elif options.format == "html":
        from chatterbox_es.runs.report import write_report  # plots and sound, which the table does without

        title = "" if len(folders) > 1 or len(summaries) == 1 else f"{len(summaries)} runs in {folders[0]}"
        print(write_report(summaries, Path(options.out) if options.out else _beside(folders), title))
    else:
        screen = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if screen else None
        print("\n".join(table(summaries, width, screen and "NO_COLOR" not in os.environ) + notes(summaries, len(found))))
    return 0


def _beside(folders: list[Path]) -> Path:
    return (folders[0] if len(folders) == 1 and folders[0].is_dir() else Path()) / "report.html"


if __name__ == "__main__":
    run(main)
