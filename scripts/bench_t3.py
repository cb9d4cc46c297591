"""A training step of Chatterbox's T3 with random weights: what it takes, beside what was estimated.

    python scripts/bench_t3.py phase=4_2 [precision=bf16-mixed] [device=cpu] [batch=1] [seconds=6] [steps=2] [layers=30]
                               [optimiser=adamw] [checkpointing=true] [rank=32]

Prints seconds a step, operations a second (and `share_of_peak` where peak_tflops= is given), peak memory, and the
estimate of `chatterbox_es.models.t3.memory`. On the CPU memory is the process's largest size beyond what it was after a step of
a tiny T3, with all libraries loaded (one configuration a process); on a GPU it is that of its tensors.
"""

import json
import platform
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import psutil
import torch

from chatterbox_es.command_line import parse, run
from chatterbox_es.hardware import forget_shapes, peak_resident, return_large_blocks
from chatterbox_es.models.plan import GB
from chatterbox_es.models.t3.batches import Spoken, collate
from chatterbox_es.models.t3.cost import PHASES, TEXT_PER_SECOND, utterance_flops
from chatterbox_es.models.t3.lora import LoraOptions
from chatterbox_es.models.t3.loss import losses_of
from chatterbox_es.models.t3.memory import Shape, step_memory
from chatterbox_es.models.t3.network import CODES, START_TEXT, STOP_TEXT, T3, T3Size
from chatterbox_es.models.t3.phases import frozen_digest, parameter_groups, set_phase
from chatterbox_es.training.optimisation import make_optimizer

TYPES = {"32-true": torch.float32, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclass
class BenchOptions:
    phase: str = field(default="4_2", metadata={"help": "4_2 or 4_3"})
    precision: str = field(default="bf16-mixed", metadata={"help": ", ".join(TYPES)})
    device: str = field(default="cpu", metadata={"help": "cpu or cuda"})
    batch: int = field(default=1, metadata={"help": "utterances of one forward and backward"})
    seconds: float = field(default=6, metadata={"help": "of each"})
    steps: int = field(default=2, metadata={"help": "the first is not timed, unless it is the only one"})
    layers: int = field(default=30, metadata={"help": "fewer for a trial"})
    optimiser: str = field(default="adamw", metadata={"help": "adamw or adafactor"})
    checkpointing: bool = field(default=True, metadata={"help": "compute layers again in the backward pass"})
    rank: int = field(default=32, metadata={"help": "of the adapters"})
    threads: int | None = field(default=None, metadata={"help": "on the CPU"})
    peak_tflops: float | None = field(default=None, metadata={"help": "of the device in this precision"})
    digest: bool = field(default=False, metadata={"help": "prove that frozen weights stay, bit for bit"})


def utterances(options: BenchOptions) -> list[Spoken]:
    """Random ones, all as long as asked."""
    random = np.random.default_rng(0)
    text, codes = round(options.seconds * TEXT_PER_SECOND), round(options.seconds * 25)
    return [Spoken((START_TEXT, *random.integers(1, 255, text).tolist(), STOP_TEXT), random.integers(0, CODES, codes),
                   np.full(256, 1 / 16, np.float32), random.integers(0, CODES, 150)) for _ in range(options.batch)]


def main() -> None:
    options = parse(BenchOptions, sys.argv[1:], __doc__)
    if options.device == "cpu":
        forget_shapes()
        return_large_blocks()
    if options.threads:
        torch.set_num_threads(options.threads)
    size, lora, kind = T3Size(layers=options.layers), LoraOptions(rank=options.rank), TYPES[options.precision]
    batch = collate(utterances(options)).to(options.device)
    shape = Shape(options.batch, int(batch.text.shape[1]), int(batch.speech.shape[1]) - 2)
    trains = PHASES[options.phase]
    plan = step_memory(size, trains, shape, lora, options.precision, options.optimiser, options.checkpointing)
    print(f"estimate {plan.describe()}", flush=True)
    tiny = build(T3Size(width=64, heads=1, layers=1, feedforward=64), trains, lora, kind, options.device)
    train(tiny, optimizer_of(tiny, options), batch, kind, options)
    del tiny
    before = psutil.Process().memory_info().rss
    model = build(size, trains, lora, kind, options.device)
    if options.checkpointing:
        model.save_memory()
    optimizer = optimizer_of(model, options)
    digest = frozen_digest(model) if options.digest else None
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, losses = train(model, optimizer, batch, kind, options)
    peak = (torch.cuda.max_memory_allocated() if options.device == "cuda"
            else peak_resident() - before)
    if digest is not None and frozen_digest(model) != digest:
        raise AssertionError("frozen weights have changed")
    flops = options.batch * utterance_flops(size, trains, options.seconds, options.rank, options.checkpointing)
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    metrics = {"device": name, **vars(options), "parameters": model.parameter_count(), "losses": losses,
               "seconds_per_step": seconds, "tflops": flops / seconds / 1e12, "planned_gb": plan.total() / GB,
               "peak_gb": peak / GB, "planned_over_peak": plan.total() / peak}
    if options.peak_tflops:
        metrics["share_of_peak"] = metrics["tflops"] / options.peak_tflops
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in metrics.items()}))


def optimizer_of(model: T3, options: BenchOptions) -> torch.optim.Optimizer:
    return make_optimizer(options.optimiser, parameter_groups(model), 1e-4, 0.01)


def build(size: T3Size, trains: str, lora: LoraOptions, kind: torch.dtype, device: str) -> T3:
    """A model with random weights, each made in the type that it is kept in, so that making it is not the largest moment."""
    with torch.device("meta"):
        model = T3(size)
        set_phase(model, trains, lora, kind)
    model.to_empty(device=device)
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.ones_(weight)
        elif weight.ndim < 2 or ".lora_B." in name:
            torch.nn.init.zeros_(weight)
        else:
            torch.nn.init.normal_(weight, std=0.02)
    model.tfmr.rotary_emb = type(model.tfmr.rotary_emb)(model.tfmr.config).to(device)
    return model


def train(model: T3, optimizer: torch.optim.Optimizer, batch, kind: torch.dtype, options: BenchOptions) -> tuple[float, list]:
    """Mean seconds of a step after the first, and the losses."""
    scaler = torch.amp.GradScaler(options.device, enabled=options.precision == "16-mixed")
    model.train()
    times, losses = [], []
    for _ in range(options.steps):
        began = time.perf_counter()
        with torch.autocast(options.device, kind, enabled=kind is not torch.float32):
            total = losses_of(model, batch).total()
        scaler.scale(total).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([w for w in model.parameters() if w.requires_grad], 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(round(float(total.detach()), 4))
        times.append(time.perf_counter() - began)
    return float(np.mean(times[1:] or times)), losses


if __name__ == "__main__":
    run(main)
