"""What the machine can do, and setting it up so that training does it."""

import ctypes
import os
import platform
import time

import torch
from lightning_fabric import Fabric
from torch import nn

from chatterbox_es.config import HwConfig
from chatterbox_es.errors import UserError

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")


def set_up(hw: HwConfig) -> Fabric:
    """The devices and the precision a run computes with.

    Raises:
        UserError: an accelerator that is not here, or a precision it does not have.
    """
    if hw.accelerator == "cuda" and not torch.cuda.is_available():
        built = f"this torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch has no CUDA"
        raise UserError(f"hw={hw.name} needs an NVIDIA GPU and torch sees none ({built}); on a machine without one: hw=cpu")
    if hw.accelerator not in ("cpu", "cuda"):
        raise UserError(f"hw.accelerator={hw.accelerator} is not known; use cpu or cuda")
    if hw.accelerator == "cpu":
        torch.set_num_threads(hw.threads or len(os.sched_getaffinity(0)))
        torch.set_flush_denormal(True)
        if hw.keep_memory:
            keep_large_blocks()
    return Fabric(accelerator=hw.accelerator, devices=1, precision=precision_of(hw))


def precision_of(hw: HwConfig) -> str:
    """The precision of a run: the one that ``hw.precision`` names, or the fastest that the hardware computes itself.

    ``torch.cuda.is_bf16_supported()`` says yes on a T4, which only emulates it; here emulation does not count.
    """
    native_bf16 = (_cpu_computes_bf16() if hw.accelerator == "cpu"
                   else torch.cuda.is_bf16_supported(including_emulation=False))
    if hw.precision == "auto":
        return "bf16-mixed" if native_bf16 else "32-true" if hw.accelerator == "cpu" else "16-mixed"
    if hw.precision not in PRECISIONS:
        raise UserError(f"hw.precision={hw.precision} is not known; use auto, {', '.join(PRECISIONS)}")
    if hw.precision == "bf16-mixed" and hw.accelerator == "cuda" and not native_bf16:
        raise UserError(f"hw.precision=bf16-mixed: {torch.cuda.get_device_name()} has no bf16; use 16-mixed")
    return hw.precision


def _cpu_computes_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def keep_large_blocks() -> bool:
    """Tell glibc's malloc to keep freed memory; false where there is no glibc.

    By default every block above 32 MB is given back to the system when it is freed and faulted in again, page by
    page, when the next step asks for it: half of the CPU time of training was spent on that.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(mmap_max, 0), mallopt(trim_threshold, 2**31 - 1), mallopt(top_pad, 256 << 20),
                mallopt(arena_max, 1)])


def gpu_memory_gb() -> float:
    """Most memory that tensors have held on the GPU so far, in GB; 0 without one."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


def matmul_peak(fabric: Fabric, model: nn.Module, rows: int, rounds: int = 5) -> float:
    """FLOP/s of plain matrix products of the model's own shapes in a run's precision: what it could reach at best.

    The best of some rounds over the shapes of all its linear layers, each with so many ``rows``.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features > 1]
    shapes = {(layer.in_features, layer.out_features) for layer in layers}
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(fabric._precision.precision, torch.float32)
    pairs = [tuple(torch.randn(size, device=fabric.device).to(dtype) for size in ((rows, inner), (outer, inner)))
             for inner, outer in sorted(shapes)]
    flops = sum(2 * x.shape[0] * x.shape[1] * w.shape[0] for x, w in pairs)
    fastest = float("inf")
    with torch.inference_mode():
        for _ in range(rounds + 1):
            _synchronise(fabric)
            began = time.perf_counter()
            for x, w in pairs:
                torch.nn.functional.linear(x, w)
            _synchronise(fabric)
            fastest = min(fastest, time.perf_counter() - began)
    return flops / fastest


def _synchronise(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize()
