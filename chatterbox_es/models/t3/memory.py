"""What one training step of T3 holds in memory, computed beforehand.

Weights, gradients and optimiser states are counted; what the forward pass keeps is a sum over the layers of what each
one's operations keep, which `scripts/bench_t3.py` compares with what a step really takes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric

from chatterbox_es.config import ChatterboxRun
from chatterbox_es.dataset.batches import Batches, Order
from chatterbox_es.hardware import held_memory
from chatterbox_es.models.plan import GB, Plan, longest_utterance, memory_plan
from chatterbox_es.models.t3.conditioning import PROMPT_TOKENS
from chatterbox_es.models.t3.lora import LoraOptions
from chatterbox_es.models.t3.network import T3, T3Size
from chatterbox_es.models.t3.phases import TEXT_AND_LORA, set_phase
from chatterbox_es.models.t3.preparation import weights_folder


@dataclass(frozen=True)
class Shape:
    """What one forward and backward sees."""

    utterances: int
    text: int  # ids of each utterance, start and stop included
    speech: int  # codes of each utterance; 25 a second

    @property
    def positions(self) -> int:
        """Of all rows: conditions, text, two starts and codes."""
        return self.utterances * (34 + self.text + 2 + self.speech)


@dataclass
class StepMemory:
    """Bytes."""

    trained: int  # numbers, not bytes
    frozen: int
    weights: int
    gradients: int
    optimiser: int
    casts: int  # copies of weights in the type that is computed in, kept by autocast for the forward pass
    activations: int  # kept from forward to backward
    working: int  # of the layer or head that is computed

    def total(self) -> int:
        return (self.weights + self.gradients + self.optimiser + self.casts + self.activations + self.working)

    def describe(self) -> str:
        parts = ("weights", "gradients", "optimiser", "casts", "activations", "working")
        sizes = ", ".join(f"{name} {getattr(self, name) / GB:.2f}" for name in parts)
        return f"{self.total() / GB:.2f} GB ({sizes}); {self.trained:,} numbers trained, {self.frozen:,} frozen"


def step_memory(size: T3Size, trains: str, shape: Shape, lora: LoraOptions = LoraOptions(),  # noqa: B008, it is frozen
                precision: str = "16-mixed", optimiser: str = "adamw", checkpointing: bool = True) -> StepMemory:
    """The largest moment of one step; ``precision`` is 32-true, 16-mixed or bf16-mixed.

    Frozen weights are kept in the type that is computed in, trained ones in float32.
    """
    half = precision != "32-true"
    computed = 2 if half else 4
    with torch.device("meta"):
        model = T3(size)
        set_phase(model, trains, lora, torch.float16 if half else torch.float32)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    count = sum(weight.numel() for weight in trained)
    frozen = sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)
    states = 8 * count if optimiser == "adamw" else 4 * sum(_factored(weight.shape) for weight in trained)
    matrices = sum(weight.numel() for name, weight in model.named_parameters()
                   if weight.requires_grad and weight.ndim == 2 and "emb" not in name)
    layer = layer_bytes(size, shape, lora if trains == TEXT_AND_LORA else None, computed)
    kept = size.layers * 4 * size.width * shape.positions if checkpointing else size.layers * layer
    heads = head_bytes(size, shape, computed)
    perceiver = 12 * 4 * size.width * shape.utterances * (PROMPT_TOKENS + 2 * size.queries)
    working = max(layer if checkpointing else 0, heads) + backward_bytes(size, shape, computed)
    return StepMemory(count, frozen, 4 * count + computed * frozen, 4 * count, states, 2 * matrices if half else 0,
                      kept + perceiver + 3 * 4 * size.width * shape.positions, working)


def plan_memory(fabric: Fabric, model: T3, batches: Batches, config: ChatterboxRun, lora: LoraOptions) -> Plan:
    """The memory of a run's largest step; ``model`` is loaded and made ready for its phase.

    Raises:
        UserError: it does not fit; the message says what would.
    """
    chosen = config.model

    def needed(micro_batch: list[int], checkpointing: bool = chosen.checkpointing,
               optimiser: str = config.phase.optimiser) -> StepMemory:
        shape = Shape(len(micro_batch), int(batches.tokens[micro_batch].max()), int(batches.frames[micro_batch].max()))
        return step_memory(model.size, config.phase.trains, shape, lora, fabric._precision.precision, optimiser, checkpointing)

    largest = max((largest_micro_batch(batches, order) for order in (batches.first_epoch, batches.order(2))),
                  key=lambda micro_batch: needed(micro_batch).total())
    step = needed(largest)

    def way_out(missing: float) -> str:
        ways = []
        for said, less in (("model.checkpointing=true", needed(largest, checkpointing=True)),
                           ("phase.optimiser=adafactor", needed(largest, True, "adafactor"))):
            if step.total() - less.total() >= missing:
                ways.append(said if said.startswith("model") or chosen.checkpointing else f"model.checkpointing=true {said}")
        longest = longest_utterance(batches)
        if len(largest) > 1 and step.total() - needed([longest]).total() >= missing:
            ways.append(f"hw.micro_batch_frames={int(batches.frames[longest])} (the same batch, in micro-batches)")
        return f"with {' or '.join(ways)} it would fit" if ways else (
            "no setting known here makes it fit: phase=4_2, shorter recordings (data.max_seconds), or more memory")

    memory = {"before": held_memory(fabric)} | {
        name: getattr(step, name) for name in ("gradients", "optimiser", "casts", "activations", "working")}
    if fabric.device.type == "cpu" and config.train.samples and (codec := weights_folder(chosen).codec):
        memory["codec"] = codec.stat().st_size  # which speaks the samples, and stays
    return memory_plan(fabric, model, batches, config.hw, largest, memory, way_out)


def largest_micro_batch(batches: Batches, order: Order) -> list[int]:
    """The micro-batch of an epoch with the most padded positions."""
    every = batches.all_micro_batches(order)
    positions = every.sizes() * (every.largest(batches.tokens).astype(np.int64) + every.largest(batches.frames) + 36)
    return every[int(np.argmax(positions))]


def layer_bytes(size: T3Size, shape: Shape, lora: LoraOptions | None, computed: int) -> int:
    """What one layer keeps for its backward pass."""
    width, wide = size.width, size.feedforward
    # float32: the stream twice, both norms' normalised values and their products; queries and keys while they are turned.
    full = 4 * (6 * width)
    # as computed: what the seven products read, queries, keys and values, what attention gives
    narrow = computed * (2 * width + 4 * width + 2 * width + 4 * wide)
    beside = 0
    if lora is not None:
        # each adapter keeps what it reads once more, dropped out, and what its first half gives, in both types
        inputs = {"down_proj": wide}
        beside = sum((4 + 1) * inputs.get(name, width) + 2 * (4 + computed) * lora.rank for name in lora.targets)
    return shape.positions * (full + narrow + beside)


def head_bytes(size: T3Size, shape: Shape, computed: int) -> int:
    """Logits of speech and text, their float32 copies and their gradients."""
    speech = shape.utterances * (shape.speech + 1) * size.speech_rows
    text = shape.utterances * (shape.text - 1) * size.text_rows
    copies = 3 * 4 + (computed if computed < 4 else 0)
    return copies * (speech + text)


def backward_bytes(size: T3Size, shape: Shape, computed: int) -> int:
    """Gradients of the stream and of the widest activations while they are passed on."""
    return shape.positions * (2 * 4 * size.width + 3 * computed * size.feedforward)


def _factored(shape: torch.Size) -> int:
    """Numbers of Adafactor's state for one weight."""
    return sum(shape) if len(shape) > 1 else shape.numel()
