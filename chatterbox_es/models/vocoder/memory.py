"""The memory of a run's largest step, from what small ones keep for their backward pass."""

import functools
from typing import TYPE_CHECKING

import torch

from chatterbox_es.config import HwConfig
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import held_memory
from chatterbox_es.models.plan import WORKING_SHARE, Plan, kept_bytes, longest_utterance, memory_plan, not_even_one, step_bytes
from chatterbox_es.models.vocoder.adversarial import AdversarialVocoder
from chatterbox_es.models.vocoder.loss import Losses

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

TRIED = 4  # stretches


def plan_memory(fabric: "Fabric", model: AdversarialVocoder, batches: Batches, hw: HwConfig) -> Plan:
    """Stretches are all of one length, so that one alone and a few together say what any number of them takes.

    Raises:
        UserError: it does not fit; the message has the override with which it would.
    """
    held = held_memory(fabric)  # before anything is tried: what trials have freed may stay with the process
    some, longest = batches.utterances[:TRIED].tolist(), longest_utterance(batches)

    def forward(numbers: list[int]) -> Losses:
        return model(**batches.collate(batches.features, numbers, 1).to(fabric.device).inputs(), adversarial=True)

    model.train()
    try:
        few, one = (kept_bytes(fabric, model, functools.partial(forward, numbers)) for numbers in (some, some[:1]))
    except torch.OutOfMemoryError as error:
        raise UserError(not_even_one(batches, longest)) from error
    each = (few - one) / (len(some) - 1) if len(some) > 1 else one
    fixed = max(0.0, one - each)
    micro_batches = batches.all_micro_batches(batches.first_epoch)
    largest = micro_batches[int(micro_batches.sizes().argmax())]
    activations = (1 + WORKING_SHARE) * (fixed + each * len(largest))
    step = step_bytes(fabric, model, held, activations)

    def way_out(missing: float) -> str:
        fits = int(((activations - missing) / (1 + WORKING_SHARE) - fixed) // each)
        if fits < 1:
            return not_even_one(batches, longest)
        frames = fits * int(batches.frames[longest])
        return f"with hw.micro_batch_frames={frames} it would fit: the same batch, in micro-batches"

    return memory_plan(fabric, model, batches, hw, largest, step, way_out)
