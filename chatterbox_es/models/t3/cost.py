"""What training T3 takes: floating-point operations, and hours and money under a stated speed.

    python -m chatterbox_es.models.t3.cost hours=10 epochs=5 phase=4_2 [peak_tflops=65] [utilisation=0.25] [price=0.35]

The operations are counted. The hours are no measurement: they hold for a GPU that reaches `utilisation` of its
`peak_tflops`, which `scripts/bench_t3.py` measures where a GPU is at hand (`share_of_peak`). The default peak is that of
NVIDIA's data sheet for the T4, 65 TFLOP/s in fp16.
"""

import sys
from dataclasses import dataclass, field
from typing import Literal

from chatterbox_es.command_line import parse, run
from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.lora import LoraOptions
from chatterbox_es.models.t3.network import T3Size
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA

PHASES = {"4_2": TEXT_AND_LORA, "4_3": FULL_MODEL}
TEXT_PER_SECOND = 15  # ids a second of speech: about a letter each
CONDITIONS, STARTS = 34, 2


@dataclass
class CostOptions:
    hours: float = field(metadata={"help": "hours of recordings"})
    epochs: float = field(default=5, metadata={"help": "how often each is seen"})
    phase: Literal["4_2", "4_3"] = field(default="4_2", metadata={"help": "of training"})
    seconds: float = field(default=6, metadata={"help": "of an utterance, on average"})
    rank: int = field(default=32, metadata={"help": "of the adapters of 4_2"})
    peak_tflops: float = field(default=65, metadata={"help": "of the GPU, in the precision that is trained in"})
    utilisation: float = field(default=0.25, metadata={"help": "share of the peak that is reached: an assumption"})
    price: float | None = field(default=None, metadata={"help": "of an hour of the machine, in your money"})
    checkpointing: bool = field(default=True, metadata={"help": "layers are computed again in the backward pass"})


def utterance_flops(size: T3Size, trains: str, seconds: float, rank: int = LoraOptions.rank,
                    checkpointing: bool = True) -> float:
    """`sequence_flops` of an utterance of so many seconds, with the usual text."""
    return sequence_flops(size, trains, seconds * 25, seconds * TEXT_PER_SECOND + 2, rank, checkpointing)


def sequence_flops(size: T3Size, trains: str, speech: float, text: float, rank: int = LoraOptions.rank,
                   checkpointing: bool = True) -> float:
    """Operations of one utterance's forward and backward pass: two for each multiplication and addition.

    ``speech`` tokens, ``text`` ids. A matrix costs as much backward as forward for what it reads, and once more for its
    own gradient where it is trained.
    """
    positions = CONDITIONS + text + STARTS + speech
    width, wide = size.width, size.feedforward
    layer = positions * (4 * width * width + 3 * width * wide) + positions * positions * width  # causal: half of two squares
    heads = speech * width * size.speech_rows + text * width * size.text_rows
    adapters = positions * rank * (4 * 2 * width + 3 * (width + wide)) if trains == TEXT_AND_LORA else 0
    own = 1 if trains == FULL_MODEL else 0
    again = 1 if checkpointing else 0
    # Computing a layer again stops at the last thing the backward pass needs: what its last matrix reads.
    spared = positions * width * wide if checkpointing and trains == FULL_MODEL else 0
    multiplied = size.layers * ((2 + own + again) * layer - spared + (3 + again) * adapters) + (2 + own) * heads
    return 2 * multiplied


def hours_of(options: CostOptions, size: T3Size = T3Size()) -> tuple[float, float, float]:  # noqa: B008, it is frozen
    """Utterances seen, operations in all, hours.

    Raises:
        UserError: a number that makes no sense.
    """
    for name in ("hours", "epochs", "seconds", "peak_tflops", "utilisation"):
        if not getattr(options, name) > 0:
            raise UserError(f"{name}={getattr(options, name):g}: must be more than 0")
    seen = options.hours * 3600 / options.seconds * options.epochs
    flops = seen * utterance_flops(size, PHASES[options.phase], options.seconds, options.rank, options.checkpointing)
    return seen, flops, flops / (options.peak_tflops * 1e12 * options.utilisation) / 3600


def main() -> None:
    options = parse(CostOptions, sys.argv[1:], __doc__)
    seen, flops, hours = hours_of(options)
    print(f"phase {options.phase}: {seen:,.0f} utterances of {options.seconds:g} s seen, {flops / 1e15:,.0f} PFLOP in all")
    cost = "" if options.price is None else f", {hours * options.price:.2f} at {options.price:g} an hour"
    print(f"{hours:.2f} h at {options.utilisation:.0%} of {options.peak_tflops:g} TFLOP/s{cost} (validation not counted)")


if __name__ == "__main__":
    run(main)
