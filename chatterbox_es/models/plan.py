"""The plan of a run, before it starts: parameters, memory, hours, money."""

import dataclasses

from chatterbox_es.dataset.batches import Batches

GB = 1e9
ROOM = 0.95  # share of the present memory that a plan may fill


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


def not_even_one(batches: Batches, number: int) -> str:
    """What to do about an utterance that does not fit."""
    return (f"out of memory on one utterance, {batches.features.utterance(number)['id']} of {batches.frames[number]} frames: "
            "leave long recordings out (data.max_seconds), or use a machine with more memory")
