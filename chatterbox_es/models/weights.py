"""What checkpoints of every model say of their weights and their front end."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from chatterbox_es.config import DataConfig


def front_end_facts(data: DataConfig) -> dict[str, str]:
    """What a checkpoint keeps of the front end: the dialect, and the user's own lexicon."""
    return {"dialect": data.dialect, "lexicon": Path(data.lexicon).read_text(encoding="utf-8") if data.lexicon else ""}


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of a set of weights, names included."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
