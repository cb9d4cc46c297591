"""Checkpoints of any family, read from disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.fase4.checkpoint import Checkpoint, read_safetensors

if TYPE_CHECKING:
    from chatterbox_es.models.t3.checkpoint import T3Checkpoint


def load_checkpoint(path: Path, mmap: bool = False) -> "Checkpoint | T3Checkpoint":
    """Read a checkpoint (.pt or .safetensors) of either family; no code in it is run (`weights_only`).

    With ``mmap`` the weights of a .pt are read when they are used: for those who ask what it is, and not to keep.

    Raises:
        UserError: it is not there, damaged, or not one of ours.
    """
    try:
        stored = (read_safetensors(path) if path.suffix == ".safetensors"
                  else torch.load(path, map_location="cpu", weights_only=True, mmap=mmap))
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except Exception as error:  # whatever the bytes of a foreign file lead the unpickler to
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged or not a checkpoint: {reason}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not a checkpoint of this version")
    return _read_t3(stored, path) if stored.get("family") == "chatterbox" else Checkpoint.read(stored, path)


def load_mel_checkpoint(path: Path) -> Checkpoint:
    """`load_checkpoint` for what only `Fase4` can do.

    Raises:
        UserError: it is of the other family, besides.
    """
    checkpoint = load_checkpoint(path)
    if not isinstance(checkpoint, Checkpoint):
        raise UserError(f"{path} is a voice of model={checkpoint.family}; this works with model=fase4 alone")
    return checkpoint


def _read_t3(stored: dict[str, Any], path: Path) -> "T3Checkpoint":
    try:
        from chatterbox_es.models.t3.checkpoint import T3Checkpoint  # whose packages are optional
    except ImportError as error:
        raise UserError(f"{path} is a voice of model=chatterbox, which needs packages that are not installed ({error}): "
                        "pip install 'chatterbox-es[chatterbox]'") from error
    return T3Checkpoint.read(stored, path)
