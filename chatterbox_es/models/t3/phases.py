"""What each phase trains of T3.

| phase | trained | frozen |
|---|---|---|
| 4_2 | text embedding, adapters on the Llama | all other weights of T3 |
| 4_3 | all of T3, started from 4_2 with its adapters merged | nothing that a step reads |

S3Gen, the speech tokeniser and the speaker encoder are never trained: their outputs are prepared beforehand.
"""

from typing import Any

import torch
from torch import nn

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.lora import LoraOptions, adapted, add_lora
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.weights import weights_digest

TEXT_AND_LORA, FULL_MODEL = "text_and_lora", "full_model"
UNREAD = "tfmr.embed_tokens.weight"  # Llama's own embedding


def set_phase(model: T3, trains: str, lora: LoraOptions, frozen_type: torch.dtype = torch.float32) -> None:
    """`add_adapters` and `freeze`: a model made ready for a phase.

    ``frozen_type`` is what frozen weights are kept in: half of the memory in float16 or bfloat16. What is trained stays
    in float32.

    Raises:
        UserError: no such phase, or the model has adapters that were not merged.
    """
    add_adapters(model, trains, lora)
    freeze(model, trains, frozen_type)


def add_adapters(model: T3, trains: str, lora: LoraOptions) -> None:
    """Adapters on the Llama where a phase trains them.

    Raises:
        UserError: no such phase, or the model has adapters that were not merged.
    """
    if trains == TEXT_AND_LORA:
        add_lora(model, lora)
    elif trains != FULL_MODEL:
        raise UserError(f"phase.trains={trains} is not known; use {TEXT_AND_LORA} or {FULL_MODEL}")
    elif next(adapted(model.tfmr), None):
        raise UserError("phase 4_3 trains the weights themselves; merge the adapters of 4_2 first")


def freeze(model: T3, trains: str, frozen_type: torch.dtype = torch.float32) -> None:
    """Gradients for what a phase trains, in float32, and for nothing else, which is kept in ``frozen_type``."""
    if trains == TEXT_AND_LORA:
        wanted = {name for name, _ in model.named_parameters() if name == "text_emb.weight" or ".lora_" in name}
    else:
        wanted = {name for name, _ in model.named_parameters()} - {UNREAD}
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in wanted)
        weight.data = weight.data.to(torch.float32 if name in wanted or trains == FULL_MODEL else frozen_type)


def frozen_digest(model: T3) -> str:
    """SHA-256 of all weights that are not trained."""
    return weights_digest({name: weight for name, weight in model.named_parameters() if not weight.requires_grad})


def parameter_groups(model: T3) -> list[dict[str, Any]]:
    """What is trained. Embeddings, norms and biases are not decayed: rows that no text of the corpus uses stay as they were."""
    embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    plain = [weight for weight in trained if weight.ndim < 2 or id(weight) in embeddings]
    kept = {id(weight) for weight in plain}
    groups: list[dict[str, Any]] = [{"params": [w for w in trained if id(w) not in kept]},
                                    {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
