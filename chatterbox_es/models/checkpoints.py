"""What a checkpoint's file holds, before a model's own class makes sense of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from chatterbox_es.errors import UserError, sentence_of
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.compact import COMPACT, compact, restored


def read_stored(path: Path, mmap: bool = False) -> dict[str, Any]:
    """The content of a checkpoint's file (.pt or .safetensors); no code in it is run (`weights_only`).

    With ``mmap`` the weights of a .pt are read when they are used: for those who ask what it is, and not to keep.

    Raises:
        UserError: it is not there, damaged, an exported voice, or not one of ours.
    """
    if path.suffix == ".onnx":
        raise UserError(f"{path} is an exported voice, which can only speak: name the run or the checkpoint behind it")
    try:
        stored = (_read_safetensors(path) if path.suffix == ".safetensors"
                  else torch.load(path, map_location="cpu", weights_only=True, mmap=mmap))
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {sentence_of(error)}") from error
    except Exception as error:  # whatever the bytes of a foreign file lead the unpickler to
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged or not a checkpoint: {reason}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not a checkpoint of this version")
    weights = stored.get("weights")
    if not mmap and isinstance(weights, dict):
        for name, weight in weights.items():
            if isinstance(weight, torch.Tensor) and not weight.isfinite().all():
                raise UserError(f"{path} holds values that are no numbers (in {name}): its training broke down, or the file is "
                                "damaged; name another checkpoint")
    return stored


def check_tensors(path: Path, weights: Any, expected: Mapping[str, torch.Size]) -> None:
    """
    Raises:
        UserError: the weights are not those of a model that has the ``expected`` tensors.
    """
    if not isinstance(weights, dict):
        raise UserError(f"{path} is not a checkpoint of this version: it holds no weights")
    for name in expected:
        if name not in weights:
            raise UserError(f"{path} is damaged: it lacks the tensor {name}; name another checkpoint")
    for name, weight in weights.items():
        if name not in expected:
            raise UserError(f"{path} is damaged, or of another version: it has a tensor {name}, which its model has not")
        if weight.shape != expected[name]:
            raise UserError(f"{path} is damaged: its tensor {name} is of shape {tuple(weight.shape)} where "
                            f"{tuple(expected[name])} belongs; name another checkpoint")


def check_contract(contract: MelContract, other: MelContract, name: str, others: str) -> None:
    """
    Raises:
        UserError: the mels of what is called ``name`` have another contract than those of ``others``.
    """
    if differences := contract.differences(other):
        raise UserError(f"the mel contract of {name} is not that of {others} ({', '.join(differences)})")


def write_safetensors(path: Path, weights: Mapping[str, torch.Tensor], facts: Mapping[str, Any], small: bool = False) -> None:
    """A checkpoint as safetensors, which any program can read and none can hide code in; ``facts`` are its metadata, in JSON.
    ``small``: as `models.compact` stores weights, which `read_stored` gives in float32 again.

    Raises:
        UserError: the disk is full.
    """
    if small:
        weights, facts = compact(weights), {COMPACT: 1, **facts}
    content = safetensors.torch.save({name: weight.contiguous() for name, weight in weights.items()},
                                     {key: json.dumps(value) for key, value in facts.items()})
    write_whole(path, lambda file: file.write(content))


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Weights, and beside them metadata in JSON."""
    with safetensors.safe_open(path, "pt") as file:
        stored = {key: json.loads(value) for key, value in file.metadata().items()}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return stored | {"weights": restored(weights) if COMPACT in stored else weights}
