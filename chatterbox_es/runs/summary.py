"""Run directories in a line each: the state, how far a run came, how good it is, and what is wrong with a damaged one.

Read without torch or plots, and of long metrics only the end where that is enough, so that a thousand take no second.
"""

import contextlib
import datetime
import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatterbox_es.runs.metrics import HEARD, LISTENED, RECORDED
from chatterbox_es.runs.run_directory import (
    CHECKPOINTS,
    CONFIG,
    DAMAGED,
    FAILED,
    FINISHED,
    KILLED,
    METRICS,
    RUN_CARD,
    RUNNING,
    SAMPLES,
    STOPPED,
    is_held,
)

STATES = (RUNNING, FINISHED, FAILED, STOPPED, KILLED, DAMAGED)
FILES = (RUN_CARD, METRICS, "train.log", CONFIG)  # of a run; anything else with their name is damage
FOLDERS = (CHECKPOINTS, SAMPLES, "wandb", ".hydra")
KINDS = {"state": str, "phase": str, "started": str, "ended": str, "data": str, "corpus": str, "hw": str, "reason": str,
         "objective": str, "best_val_loss": float, "hours": float, "cost": float, "price_per_hour": float, "lineage": dict,
         "resumed": list}  # of the values in run.json
SUMMED = ("distillmos", "similarity", "wer")  # of what is heard
REQUIRED = ("state", "phase", "started")
TAIL = 16_384  # bytes; some fifty rows


class Damage(Exception):
    """Why a run directory cannot be taken for what it says."""


@dataclass
class RunSummary:
    """One run. ``None`` is what it does not say."""

    folder: Path
    run: str  # the folder, as seen from where runs were looked for
    state: str = DAMAGED
    phase: str | None = None
    data: str | None = None  # the corpus folder's name where the configuration's is "folder"
    hw: str | None = None
    epochs: int | None = None
    best_val_loss: float | None = None
    baseline: float | None = None  # what predicting the mean scores
    of_baseline: float | None = None  # best_val_loss as a share of it
    objective: str | None = None  # of the study that it is a trial of
    distillmos: float | None = None  # as the voice was heard last, by a run that listens
    similarity: float | None = None
    wer: float | None = None
    recordings: dict[str, float] = field(default_factory=dict)  # what the recordings of the same sentences score
    minutes: float | None = None
    cost: float | None = None
    started: str | None = None
    reason: str = ""  # why it failed, or what is damaged
    card: dict[str, Any] = field(default_factory=dict, repr=False)  # run.json

    def record(self) -> dict[str, Any]:
        """What ``format=json`` prints; numbers that are none are null."""
        shown = {name: value for name, value in vars(self).items() if name != "card"}
        return shown | {"folder": str(self.folder), "corpus": self.card.get("corpus")}


def find_runs(root: Path) -> list[RunSummary]:
    """Every run in and below ``root``, the damaged ones too; links are followed, each folder is read once.

    Among runs, what begins like the name of one (a digit) and is none is damaged: a file, an empty folder, a link to
    nothing or in circles. So is any folder that cannot be read.
    """
    found, seen = [], set()
    links: list[tuple[str, tuple]] = []
    waiting: list[tuple[str, tuple]] = [(str(root), ())]
    while waiting or links:
        folder, above = waiting.pop() if waiting else links.pop()
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                if identity in above:
                    found.append(_damaged(folder, root, "a link in circles, to a folder that holds it"))
                continue
            seen.add(identity)
            with os.scandir(folder) as listing:
                entries = {entry.name: entry for entry in listing}
        except OSError as error:
            found.append(_damaged(folder, root, _why(error)))
            continue
        if _is_run(entries):
            found.append(summarise(Path(folder), root, entries))
        elif "card.json" not in entries:  # else a prepared set, which is large and holds no runs
            found += _strays(entries, root)
            for entry in entries.values():
                if not entry.name.startswith(".") and _is_folder(entry):
                    (links if entry.is_symlink() else waiting).append((entry.path, (*above, identity)))
    return sorted(found, key=lambda summary: summary.run)


def _is_run(entries: dict[str, os.DirEntry]) -> bool:
    return any(name in entries for name in FILES[:3]) or sum(name in entries for name in (*FILES, *FOLDERS)) > 1


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in circles
        return False


def _strays(entries: dict[str, os.DirEntry], root: Path) -> Iterator[RunSummary]:
    """What lies where runs lie, with a name like theirs, and cannot be one."""
    for entry in entries.values():
        if not entry.name[0].isdigit() or "." in entry.name:
            continue
        try:
            if not stat.S_ISDIR(os.stat(entry.path).st_mode):
                yield _damaged(entry.path, root, "a file, where a run's folder should be")
            elif not os.listdir(entry.path):
                yield _damaged(entry.path, root, "an empty folder")
        except PermissionError:
            continue  # said when it is entered
        except OSError as error:
            yield _damaged(entry.path, root, _why(error))


def _damaged(folder: str | Path, root: Path, reason: str) -> RunSummary:
    return RunSummary(Path(folder), _name(Path(folder), root), reason=reason)


def _name(folder: Path, root: Path) -> str:
    """The folder below ``root``; of ``root`` itself its last two parts, as in 4_3/2026-11-23_01-47-17."""
    return os.path.relpath(folder, root) if folder != root else "/".join(Path(os.path.abspath(folder)).parts[-2:])


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a link in circles"
    if error.errno == errno.ENOENT:
        return "a link to nothing"
    return f"cannot be read: {os.strerror(error.errno).lower()}" if error.errno else str(error)


def summarise(folder: Path, root: Path | None = None, entries: dict[str, os.DirEntry] | None = None) -> RunSummary:
    """What a run directory says of itself; what is wrong with it is its ``reason``, and no error.

    Args:
        root: what the name is relative to.
        entries: what the folder holds, where that has been listed already.
    """
    summary = _damaged(folder, root or folder, "")
    try:
        if entries is None:
            with os.scandir(folder) as listing:
                entries = {entry.name: entry for entry in listing}
        _check_kinds(entries)
        card = _read_card(folder)
        summary.card = card
        summary.phase, summary.data, summary.hw = card["phase"], card.get("data"), card.get("hw")
        summary.objective = card.get("objective")
        if summary.data == "folder" and card.get("corpus"):
            summary.data = Path(card["corpus"]).name
        _check_dates(card)
        summary.started = card["started"]
        state = KILLED if card["state"] == RUNNING and not is_held(folder) else card["state"]
        _add_progress(summary, folder, state)
        # A run that goes on, or has, still says why it was stopped before.
        summary.state, summary.reason = state, card.get("reason") or "" if state in (FAILED, STOPPED) else ""
    except Damage as damage:
        summary.reason = str(damage)
    except OSError as error:
        summary.reason = f"{Path(error.filename or folder).name} {_why(error)}"
    return summary


def _check_kinds(entries: dict[str, os.DirEntry]) -> None:
    for name in FILES:
        if name in entries and _is_folder(entries[name]):
            raise Damage(f"{name} is a folder")
    for name in FOLDERS:
        if name in entries and not _is_folder(entries[name]):
            raise Damage(f"{name} is no folder")
    if RUN_CARD not in entries:
        began = "it was lost" if METRICS in entries or CHECKPOINTS in entries else \
            "its data is still being prepared, or it broke before it began (see train.log)"
        raise Damage(f"no run.json: {began}")


def _read_card(folder: Path) -> dict[str, Any]:
    """run.json, with the values that are read here of the right kind."""
    text = (folder / RUN_CARD).read_bytes()
    if not text.strip():
        raise Damage("run.json is empty")
    try:
        card = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise Damage("run.json is no text") from None
    except (ValueError, RecursionError) as error:
        raise Damage(f"run.json is no JSON: {error}") from None
    if not isinstance(card, dict):
        raise Damage(f"run.json holds no object but {str(card)[:40]!r}")
    for key, kind in KINDS.items():
        value = card.get(key)
        if value is None and key in REQUIRED:
            raise Damage(f"run.json has no {key}")
        accepted = (float, int) if kind is float else kind
        if value is not None and (not isinstance(value, accepted) or isinstance(value, bool)):
            raise Damage(f"run.json: {key} is {str(value)[:40]!r}, which is no {_in_words(kind)}")
    if card["state"] not in STATES:
        raise Damage(f"run.json: state {card['state']!r} is none of {', '.join(STATES)}")
    return card


def _in_words(kind: type) -> str:
    return {str: "text", float: "number", dict: "object", list: "list"}[kind]


def date_of(text: str) -> datetime.datetime:
    """An ISO date; one without a zone is local time. Raises `ValueError`."""
    return datetime.datetime.fromisoformat(text).astimezone()


def _check_dates(card: dict[str, Any]) -> None:
    dates = {}
    for key in ("started", "ended"):
        if card.get(key):
            try:
                dates[key] = date_of(card[key])
            except (ValueError, OverflowError):
                raise Damage(f"run.json: {key} is {card[key]!r}, which is no date") from None
    if dates["started"] > datetime.datetime.now().astimezone() + datetime.timedelta(days=1):
        raise Damage(f"run.json: started lies in the future ({card['started']})")
    if "ended" in dates and dates["ended"] < dates["started"]:
        raise Damage(f"run.json: ended ({card['ended']}) lies before started ({card['started']})")


def _add_progress(summary: RunSummary, folder: Path, state: str) -> None:
    """Epochs, losses, minutes and cost, from the metrics and run.json."""
    card, finished = summary.card, state == FINISHED
    text = _read_metrics(folder / METRICS, finished)
    rows, _ = read_rows(line for line in text.splitlines() if b'"val_loss"' in line)
    end = last_row(text)
    validated = rows[-1] if rows else {}
    best = min((loss for row in rows if (loss := number(row.get("val_loss"))) is not None), default=None)
    summary.best_val_loss = number(card.get("best_val_loss")) if finished else best
    summary.epochs = int(number(end.get("epoch")) or 0)
    summary.baseline = number(validated.get("baseline"))
    if summary.best_val_loss is not None and summary.baseline:
        summary.of_baseline = summary.best_val_loss / summary.baseline
    heard: dict[str, Any] = next((row for row in reversed(rows) if any(metric.name in row for metric in LISTENED)), {})
    summary.distillmos, summary.similarity, summary.wer = (number(heard.get(HEARD + name)) for name in SUMMED)
    summary.recordings = {name: value for name in SUMMED if (value := number(heard.get(RECORDED + name))) is not None}
    summary.minutes = _minutes(card, validated | end)
    summary.cost, price = number(card.get("cost")), number(card.get("price_per_hour"))
    if summary.cost is None and price is not None and summary.minutes is not None:
        summary.cost = price * summary.minutes / 60


def _minutes(card: dict[str, Any], last: dict) -> float | None:
    hours, minutes = number(card.get("hours")), number(last.get("minutes"))
    if hours is not None and card["state"] == FINISHED:
        return 60 * hours
    if minutes is not None or not card.get("ended") or card["state"] == RUNNING:
        return minutes
    return (date_of(card["ended"]) - date_of(card["started"])).total_seconds() / 60


def _read_metrics(path: Path, finished: bool) -> bytes:
    """metrics.jsonl; of a finished run, whose best loss is known, no more than holds its last validation."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if finished and size > TAIL:
                file.seek(size - TAIL)
                file.readline()
            text = file.read()
            if finished and size > TAIL and b'"val_loss"' not in text:
                file.seek(0)
                text = file.read()
    except FileNotFoundError:
        if finished:
            raise Damage("no metrics.jsonl, though the run has finished") from None
        return b""
    if finished and not text.strip():
        raise Damage("metrics.jsonl is empty, though the run has finished")
    if text.strip() and not last_row(text):
        raise Damage("metrics.jsonl holds no row that can be read")
    # While a run writes, or when it was killed, the last row may be torn; the rows before it stand.
    if finished and (not text.endswith(b"\n") or read_rows(text.splitlines()[-1:])[1]):
        raise Damage("metrics.jsonl ends in the middle of a row, though the run has finished")
    if finished and "val_loss" not in last_row(text):
        raise Damage("metrics.jsonl lacks its end: a run finishes with a validation")
    return text


def last_row(text: bytes) -> dict:
    """The last row that can be read, or an empty one."""
    for line in reversed(text.splitlines()):
        rows, _ = read_rows([line])
        if rows:
            return rows[0]
    return {}


def read_rows(lines: Iterable[bytes]) -> tuple[list[dict], int]:
    """Rows of metrics, and how many lines are none: torn when a run was killed, or damaged."""
    rows, unreadable = [], 0
    for line in lines:
        row = None
        with contextlib.suppress(ValueError, RecursionError):  # JSON's and Unicode's errors are ValueErrors
            row = json.loads(line)
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip():
            unreadable += 1
    return rows, unreadable


def read_object(path: Path) -> dict:
    """A JSON object, or an empty one where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


def number(value: Any) -> float | None:
    """A finite number, or None: what was no number yet is logged as NaN or Infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):  # a whole number of hundreds of digits
        return float(value) if math.isfinite(value) else None
    return None
