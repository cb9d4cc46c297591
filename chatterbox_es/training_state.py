"""All that a run needs to go on as if it had never stopped, written while it trains.

``checkpoints/state_<step>-<first 16 digits of its SHA-256>.pt`` holds weights, optimiser, loss scaler, random numbers,
place in the epoch and figures so far. The name vouches for the content: a truncated or damaged file is found out, and
the one before it used.
"""

import hashlib
import logging
import re
from pathlib import Path
from typing import Any

import torch

from chatterbox_es.run_directory import write_whole

log = logging.getLogger(__name__)
FORMAT = 1
NAME = re.compile(r"state_(\d+)-([0-9a-f]{16})\.pt")


def save_state(folder: Path, step: int, content: dict[str, Any], keep: int) -> Path:
    """Write a state into a run's checkpoints folder, and delete all but the ``keep`` newest.

    Raises:
        UserError: the disk is full; the states before stay.
    """
    path = write_whole(folder / "state", lambda file: torch.save({"format": FORMAT, **content}, file),
                       name=lambda digest: f"state_{step:08d}-{digest[:16]}.pt")
    for old in states(folder)[keep:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """The states in a checkpoints folder, the newest first."""
    found = [(int(match[1]), path.stat().st_mtime_ns, path) for path in folder.glob("state_*.pt")
             if (match := NAME.fullmatch(path.name))]
    return [path for *_, path in sorted(found, reverse=True)]


def load_newest_state(folder: Path) -> dict[str, Any] | None:
    """The newest state that is whole, or None; damaged ones are named in the log. No code in it is run."""
    for path in states(folder):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not path.name.endswith(f"-{digest[:16]}.pt"):
                raise ValueError(f"its SHA-256 begins with {digest[:16]}")
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content.get("format") != FORMAT:
                raise ValueError(f"its format is {content.get('format')}, not {FORMAT}")
        except Exception as error:  # whatever a damaged file leads the reader to
            log.warning("%s is damaged (%s); trying the one before it", path, str(error).partition("\n")[0])
            continue
        log.info("going on from %s", path)
        return content
    return None
