"""How the files of weights are named, and how others find them."""

import re
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import state_of

BEST, VOICE = "best", "voice.pt"  # what a selection leaves below outputs/
NAME = re.compile(r"state_(\d+)-([0-9a-f]{16})\.pt")


def run_of(run: Path) -> Path:
    """The run directory of a run or of a checkpoint in one."""
    if not run.is_file():
        return run
    return run.parent.parent if run.parent.name == "checkpoints" else run.parent


def final_checkpoint(run: Path) -> Path:
    """The final checkpoint of a run, or ``run`` itself when it is a checkpoint's file.

    Raises:
        UserError: no such run, or it has none.
    """
    if run.is_file():
        return run
    if not run.is_dir():
        raise UserError(f"there is no run {run}")
    found = sorted((run / "checkpoints").glob("final_*.pt"))
    if not found:
        raise UserError(f"{run} has no final checkpoint in checkpoints/ (its state is {state_of(run)}); name one of its files")
    return found[0]


def checkpoints_of(run: Path) -> list[Path]:
    """The checkpoints that a run offers: the best ones, the final one, and means taken while it trained."""
    return sorted(path for kind in ("best", "final", "ema") for path in (run / "checkpoints").glob(f"{kind}_*.pt"))


def voice_file(run: Path) -> Path:
    """The file that holds the weights of a run, of ``outputs/best``, or ``run`` itself where it is a file.

    Raises:
        UserError: there is none.
    """
    return run / VOICE if (run / VOICE).is_file() else final_checkpoint(run)


def states(folder: Path) -> list[Path]:
    """The states in a checkpoints folder, the newest first."""
    found = [(int(match[1]), path.stat().st_mtime_ns, path) for path in folder.glob("state_*.pt")
             if (match := NAME.fullmatch(path.name))]
    return [path for *_, path in sorted(found, reverse=True)]
