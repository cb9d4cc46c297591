"""The plan of a run, before it starts: parameters, memory, hours, money."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from chatterbox_es.config import HwConfig
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import present_memory

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

GB = 1e9
ROOM = 0.95  # share of the present memory that a plan may fill
# Beside what is kept for the backward pass, that pass needs room of its own, and on the CPU the heap and the libraries that
# compute keep some: measured over batches of 4 to 64 utterances, in fp32 and bf16 (docs/benchmarks.md).
WORKING_SHARE = 1 / 3  # of the activations
WORKING_CPU = 3  # times the trained weights


@dataclasses.dataclass
class Plan:
    """Written to plan.json. Memory in GB of 1e9 bytes, of the process on the CPU, of its tensors on a GPU."""

    parameters: dict[str, int]  # of each part of the model
    trained: int
    frozen: int
    memory_gb: dict[str, float]  # what it holds before the first step, gradients, optimiser, activations of the largest step
    memory_needed_gb: float
    memory_present_gb: float
    largest_micro_batch: dict[str, int]  # utterances, tokens, frames of one forward and backward
    padding: float  # share of the padded squares that holds nothing
    steps: int = 0  # at most; a run by minutes ends earlier
    seconds_per_step: float | None = None
    seconds_per_validation: float | None = None
    hours: float | None = None
    price_per_hour: float | None = None
    cost: float | None = None

    def describe(self) -> list[str]:
        """The plan in lines to read."""
        parts = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        memory = ", ".join(f"{name} {size:.2f}" for name, size in self.memory_gb.items())
        lines = [f"parameters: {self.trained:,} trained, {self.frozen:,} frozen ({parts})",
                 f"memory: {self.memory_needed_gb:.2f} GB needed ({memory}), {self.memory_present_gb:.2f} GB present; largest "
                 "micro-batch {utterances} utterances, {tokens} tokens, {frames} frames; padding {padding:.1%}".format(
                     **self.largest_micro_batch, padding=self.padding)]
        if self.seconds_per_step is not None:
            cost = f", costs {self.cost:.2f} at {self.price_per_hour:g} an hour" if self.cost is not None else ""
            lines.append(f"time: {self.seconds_per_step:.3f} s a step, {self.seconds_per_validation:.1f} s a validation: "
                         f"{self.hours:.2f} h to the end{cost}")
        return lines


def step_bytes(fabric: "Fabric", model: nn.Module, held: float, activations: float) -> dict[str, float]:
    """What a step takes, by what takes it: ``held`` before anything was tried, and the ``activations`` of its largest
    micro-batch, with what the backward pass takes beside them."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return {"before": held, "gradients": weights, "optimiser": 2 * weights, "activations": activations,
            "working": WORKING_CPU * weights if fabric.device.type == "cpu" else 0.0}


def kept_bytes(fabric: "Fabric", model: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes that a forward pass keeps for its backward pass, the model's weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []), fabric.autocast(), \
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        made = forward()
    del made
    return sum(kept.values())


def memory_plan(fabric: "Fabric", model: nn.Module, batches: Batches, hw: HwConfig, largest: list[int],
                memory: Mapping[str, float], way_out: Callable[[float], str]) -> Plan:
    """The plan of a run whose ``largest`` micro-batch makes it take the bytes of ``memory``, by what takes them.

    Raises:
        UserError: it does not fit; the message has ``way_out`` of the bytes that are missing.
    """
    needed, present = sum(memory.values()), hw.memory_gb * GB if hw.memory_gb else present_memory(fabric)
    if (missing := needed - ROOM * present) > 0:
        raise UserError(f"this run needs {needed / GB:.2f} GB of memory and {present / GB:.2f} GB is there; {way_out(missing)}")
    weights = [(p.numel(), p.requires_grad) for p in model.parameters()]
    tokens, frames = batches.size(largest)
    return Plan({name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()},
                sum(count for count, trains in weights if trains), sum(count for count, trains in weights if not trains),
                {name: round(size / GB, 4) for name, size in memory.items()}, round(needed / GB, 4), round(present / GB, 4),
                {"utterances": len(largest), "tokens": tokens, "frames": frames}, round(batches.padding()["both"], 4))


def longest_utterance(batches: Batches) -> int:
    return int(batches.utterances[np.argmax(batches.length[batches.utterances])])


def not_even_one(batches: Batches, number: int) -> str:
    """What to do about an utterance that does not fit."""
    return (f"out of memory on one utterance, {batches.features.utterance(number)['id']} of {batches.frames[number]} frames: "
            "leave long recordings out (data.max_seconds), or use a machine with more memory")
