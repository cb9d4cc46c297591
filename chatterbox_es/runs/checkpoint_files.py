"""How the files of weights are named, and how others find them.

    checkpoints/best_<trained>_epoch_<epoch>.pt   the best so far, at a validation
    checkpoints/final_<trained>.pt                at the end, the best; beside it .safetensors, where it is complete in itself
    checkpoints/ema_<trained>.pt                  the running mean of the weights
    checkpoints/state_<step>-<16 digits>.pt       what a run goes on from, with the beginning of its SHA-256
    checkpoints/vocoder.safetensors               the vocoder of a voice's own, in half precision
    outputs/best/voice.pt                         what a selection has chosen; beside it vocoder.safetensors, if it has one
    chatterbox_es/weights/voice_base.safetensors  the voice that comes along, which is called base wherever a run is named
"""

import os
import re
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import CHECKPOINTS, state_of

BEST, VOICE = "best", "voice.pt"  # what a selection leaves below outputs/
VOCODER = "vocoder.safetensors"  # of a voice's own
BASE = "base"  # the name of the voice that comes along
BASE_VOICE = Path(__file__).parents[1] / "weights" / "voice_base.safetensors"
FULL_MODEL = "full_model"  # what a phase trains that trains all
PATTERNS = ("best_*.pt", "final_*.pt", "ema_*.pt")
STATE = re.compile(r"state_(\d+)-([0-9a-f]{16})\.pt")


def best_name(trained: str, epoch: int | str) -> str:
    return f"best_{trained}_epoch_{epoch}.pt"


def final_name(trained: str) -> str:
    return f"final_{trained}.pt"


def ema_name(trained: str) -> str:
    return f"ema_{trained}.pt"


def state_name(step: int, sha256: str) -> str:
    return f"state_{step:08d}-{sha256[:16]}.pt"


def is_whole(state: Path, sha256: str) -> bool:
    """Whether a state's content is the one that its name vouches for."""
    named = STATE.fullmatch(state.name)
    return named is not None and named[2] == sha256[:16]


def run_of(run: Path) -> Path:
    """The run directory of a run or of a checkpoint in one."""
    if not run.is_file():
        return run
    return run.parent.parent if run.parent.name == CHECKPOINTS else run.parent


def is_base(run: Path) -> bool:
    """Whether a run that somebody named is the voice that comes along, and it is there."""
    return run == Path(BASE) and BASE_VOICE.is_file()


def final_checkpoint(run: Path) -> Path:
    """The final checkpoint of a run, or ``run`` itself when it is a checkpoint's file, or the base voice's.

    Raises:
        UserError: no such run, or it has none.
    """
    if is_base(run):
        return BASE_VOICE
    if run.is_file():
        return run
    if not run.is_dir():
        raise UserError(f"there is no run {run}")
    if (run / CHECKPOINTS).is_dir():
        os.listdir(run / CHECKPOINTS)  # what may not be read is not empty
    found = sorted((run / CHECKPOINTS).glob(final_name("*")))
    if not found:
        raise UserError(f"{run} has no final checkpoint in checkpoints/ (its state is {state_of(run)}); name one of its files")
    return found[0]


def checkpoints_of(run: Path) -> list[Path]:
    """The checkpoints that a run offers: the best ones, the final one, and means taken while it trained."""
    return sorted(path for pattern in PATTERNS for path in (run / CHECKPOINTS).glob(pattern))


def best_checkpoints(folder: Path) -> list[Path]:
    """Those in a checkpoints folder that were the best when they were written."""
    return list(folder.glob(best_name("*", "*")))


def holds_full_model(run: Path) -> bool:
    """Whether a run has trained all of its model to the end."""
    return (run / CHECKPOINTS / final_name(FULL_MODEL)).is_file()


def voice_file(run: Path) -> Path:
    """The file that holds the weights of a run, of ``outputs/best``, or ``run`` itself where it is a file.

    Raises:
        UserError: there is none.
    """
    return run / VOICE if (run / VOICE).is_file() and not is_base(run) else final_checkpoint(run)


def vocoder_beside(voice: Path) -> Path:
    """Where the vocoder of its own lies that a voice has, if it has one: beside its checkpoint's file."""
    return voice.with_name(VOCODER)


def states(folder: Path) -> list[Path]:
    """The states in a checkpoints folder, the newest first."""
    found = [(int(match[1]), path.stat().st_mtime_ns, path) for path in folder.glob("state_*.pt")
             if (match := STATE.fullmatch(path.name))]
    return [path for *_, path in sorted(found, reverse=True)]
