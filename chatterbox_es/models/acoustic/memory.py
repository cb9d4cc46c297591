"""The memory of a run's largest step, from what small ones keep for their backward pass."""

import copy
import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from chatterbox_es.config import HwConfig
from chatterbox_es.dataset.batches import Batches, Budget, Order
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import held_memory
from chatterbox_es.models.acoustic.batches import Batch, collate
from chatterbox_es.models.plan import WORKING_SHARE, Plan, kept_bytes, longest_utterance, memory_plan, not_even_one, step_bytes

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

Loss = Callable[[nn.Module, Batch], torch.Tensor]


def plan_memory(fabric: "Fabric", model: nn.Module, batches: Batches, hw: HwConfig, loss: Loss) -> Plan:
    """The memory of a run's largest step, from what small ones keep for their backward pass; ``loss`` is what is minimised.

    Raises:
        UserError: it does not fit; the message has the override with which it would.
    """
    held = held_memory(fabric)  # before anything is tried: what trials have freed may stay with the process
    activations = Activations.measure(fabric, model, batches, loss)
    largest = activations.largest(batches, batches.first_epoch, batches.order(2))
    step = step_bytes(fabric, model, held, activations.of(batches, largest))
    return memory_plan(fabric, model, batches, hw, largest, step,
                       lambda missing: way_out(batches, activations, step["activations"] - missing))


def way_out(batches: Batches, activations: "Activations", room: float) -> str:
    """What would fit into ``room`` bytes of activations."""
    longest = [longest_utterance(batches)]
    if activations.of(batches, longest) > room:
        return not_even_one(batches, longest[0])
    budget = batches.budget.frames or int(batches.frames[batches.utterances].sum())
    smaller = copy.copy(batches)
    while budget > batches.frames[longest[0]]:
        budget = max(int(budget * 0.9), int(batches.frames[longest[0]]))
        smaller.budget = Budget(budget, batches.budget.tokens)
        if activations.of(smaller, activations.largest(smaller, batches.first_epoch)) <= room:
            break
    return f"with hw.micro_batch_frames={budget} it would fit: the same batch, in micro-batches"


@dataclasses.dataclass
class Activations:
    """Bytes kept for the backward pass, as a sum of what they grow with."""

    weights: np.ndarray  # of `sizes`

    @staticmethod
    def sizes(batches: Batches, micro_batch: list[int]) -> list[float]:
        """1, tokens, frames, and the square that attention keeps."""
        tokens, frames = batches.size(micro_batch)
        return [1.0, tokens, frames, len(micro_batch) * float(batches.tokens[micro_batch].max()) ** 2]

    @classmethod
    def measure(cls, fabric: "Fabric", model: nn.Module, batches: Batches, loss: Loss) -> "Activations":
        """Fitted to a few utterances of different lengths, alone and together."""
        ordered = batches.utterances[np.argsort(batches.length[batches.utterances], kind="stable")].tolist()
        short, middle, long = ordered[0], ordered[len(ordered) // 2], ordered[-1]
        micro_batches = [[short], [middle], [long], [short, long], [middle, long], [short, middle]]
        model.train()
        kept, sizes = [], []
        for micro_batch in micro_batches:
            try:
                batch = collate(batches.features, micro_batch).to(fabric.device)
                kept.append(kept_bytes(fabric, model, functools.partial(loss, model, batch)))
            except torch.OutOfMemoryError as error:
                if len(micro_batch) == 1:
                    raise UserError(not_even_one(batches, micro_batch[0])) from error
                continue
            sizes.append(cls.sizes(batches, micro_batch))
        table = np.array(sizes)
        scale = table.max(0)
        from scipy.optimize import nnls  # half a second to import

        fitted, _ = nnls(table / scale, np.array(kept, dtype=float))
        return cls(fitted / scale)

    def largest(self, batches: Batches, *orders: Order) -> list[int]:
        """The micro-batch of some epochs that takes most."""
        found = []
        for order in orders:
            every = batches.all_micro_batches(order)
            sizes = np.stack([np.ones(len(every)), every.sums(batches.tokens), every.sums(batches.frames),
                              every.sizes() * every.largest(batches.tokens).astype(float) ** 2], 1)
            found.append(every[int(np.argmax(sizes @ self.weights))])
        return max(found, key=lambda micro_batch: self.of(batches, micro_batch))

    def of(self, batches: Batches, micro_batch: list[int]) -> float:
        """Bytes of the forward pass of a micro-batch, and of what its backward pass takes beside."""
        return (1 + WORKING_SHARE) * float(np.dot(self.weights, self.sizes(batches, micro_batch)))
