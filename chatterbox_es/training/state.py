"""All that a run needs to go on as if it had never stopped, written while it trains.

A state holds weights, optimiser, loss scaler, random numbers, place in the epoch and figures so far. Its name vouches for
the content: a truncated or damaged file is found out, and the one before it used.
"""

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import torch

from chatterbox_es.files import write_whole
from chatterbox_es.runs.checkpoint_files import is_whole, state_name, states
from chatterbox_es.runs.run_directory import read_card

log = logging.getLogger(__name__)
FORMAT = 1
TRIED_BYTES = 32 << 20  # written to see how fast a disk is


def save_state(folder: Path, step: int, content: dict[str, Any], keep: int) -> Path:
    """Write a state into a run's checkpoints folder, and delete all but the ``keep`` newest.

    Raises:
        UserError: the disk is full; the states before stay.
    """
    path = write_whole(folder / "state", lambda file: torch.save({"format": FORMAT, **content}, file),
                       name=lambda digest: state_name(step, digest))
    for old in states(folder)[keep:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def load_newest_state(folder: Path) -> dict[str, Any] | None:
    """The newest state that is whole, or None; damaged ones are named in the log. No code in it is run."""
    for path in states(folder):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not is_whole(path, digest):
                raise ValueError(f"its SHA-256 begins with {digest[:16]}")
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content.get("format") != FORMAT:
                raise ValueError(f"its format is {content.get('format')}, not {FORMAT}")
        except PermissionError:  # it may be whole
            raise
        except Exception as error:  # whatever a damaged file leads the reader to
            log.warning("%s is damaged (%s); trying the one before it", path, str(error).partition("\n")[0])
            continue
        log.info("going on from %s", path)
        return content
    return None


def clear_away(run: Path) -> None:
    """Delete what a finished run needs no more, and what a kill has left: states, files half written, former best checkpoints.

    Its card has said that it is finished, so that nobody who finds none of these begins anew.
    """
    folder, best = run / "checkpoints", (read_card(run) or {}).get("best")
    former = [path for path in folder.glob("best_*.pt") if best is not None and path.name not in best]
    for path in [*states(folder), *run.glob(".*.partial"), *folder.glob(".*.partial"), *former]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s is not needed any more and cannot be deleted: %s", path, error)


def tensor_bytes(content: Any) -> int:
    """Bytes of all tensors in a state, or in a part of it."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return sum(tensor_bytes(part) for part in parts)


def writing_seconds(folder: Path, size: int) -> float:
    """Seconds to write so many bytes into a folder, from a file of some of them, which is deleted again."""
    some = torch.zeros(max(1, min(size, TRIED_BYTES)), dtype=torch.uint8)
    began = time.perf_counter()
    write_whole(folder / "trial", lambda file: torch.save(some, file)).unlink()
    return (time.perf_counter() - began) * size / len(some)
