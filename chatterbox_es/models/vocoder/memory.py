"""The memory of a run's largest step, from what small ones keep for their backward pass."""

from typing import TYPE_CHECKING

import torch

from chatterbox_es.config import HwConfig
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import held_memory
from chatterbox_es.models.plan import Plan, longest_utterance, memory_plan, not_even_one
from chatterbox_es.models.vocoder.adversarial import AdversarialVocoder

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

WORKING_SHARE = 1 / 3  # of the activations, which the backward pass needs of its own
WORKING_CPU = 3  # times the weights, which the heap and the libraries that compute keep there
TRIED = 4  # stretches


def plan_memory(fabric: "Fabric", model: AdversarialVocoder, batches: Batches, hw: HwConfig) -> Plan:
    """Stretches are all of one length, so that one alone and a few together say what any number of them takes.

    Raises:
        UserError: it does not fit; the message has the override with which it would.
    """
    held = held_memory(fabric)  # before anything is tried: what trials have freed may stay with the process
    weights = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    some, longest = batches.utterances[:TRIED].tolist(), longest_utterance(batches)
    model.train()
    try:
        few, one = (kept_bytes(fabric, model, batches, numbers) for numbers in (some, some[:1]))
    except torch.OutOfMemoryError as error:
        raise UserError(not_even_one(batches, longest)) from error
    each = (few - one) / (len(some) - 1) if len(some) > 1 else one
    fixed = max(0.0, one - each)
    micro_batches = batches.all_micro_batches(batches.first_epoch)
    largest = micro_batches[int(micro_batches.sizes().argmax())]
    activations = (1 + WORKING_SHARE) * (fixed + each * len(largest))
    step = {"before": held, "gradients": weights, "optimiser": 2 * weights, "activations": activations,
            "working": WORKING_CPU * weights if fabric.device.type == "cpu" else 0.0}

    def way_out(missing: float) -> str:
        fits = int(((activations - missing) / (1 + WORKING_SHARE) - fixed) // each)
        if fits < 1:
            return not_even_one(batches, longest)
        frames = fits * int(batches.frames[longest])
        return f"with hw.micro_batch_frames={frames} it would fit: the same batch, in micro-batches"

    return memory_plan(fabric, model, batches, hw, largest, step, way_out)


def kept_bytes(fabric: "Fabric", model: AdversarialVocoder, batches: Batches, utterances: list[int]) -> int:
    """Bytes that the forward pass of some stretches keeps for its backward pass, weights not counted."""
    batch = batches.collate(batches.features, utterances, 1).to(fabric.device)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []), fabric.autocast(), \
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = model(**batch.inputs(), adversarial=True)
    del losses
    return sum(kept.values())
