"""What the machine can do, and setting it up so that training does it."""

import collections
import contextlib
import ctypes
import datetime
import logging
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil
import torch
from torch import nn

from chatterbox_es.config import Attention, HwConfig
from chatterbox_es.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

log = logging.getLogger(__name__)

TYPES = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}  # what products are computed in; else float32
ATTENTION = {"auto": ("flash", "efficient", "math"), "efficient": ("efficient",), "math": ("math",)}  # torch's kernels
TF32_SINCE = (8, 0)  # compute capability: Ampere
# the oldest Linux driver that runs a CUDA of each major version (NVIDIA, CUDA compatibility guide)
OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


def set_up(hw: HwConfig) -> "Fabric":
    """The devices, processes and precision a run computes with.

    Under ``torchrun`` this is one of several processes; `Fabric` joins them.

    Raises:
        UserError: an accelerator that is not here, or something that it does not have.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    if hw.accelerator == "cuda":
        set_up_cuda(hw)
    else:
        torch.set_num_threads(hw.threads or max(1, cores() // processes_here()))
        torch.set_flush_denormal(True)
        forget_shapes()
        (keep_large_blocks if hw.keep_memory else return_large_blocks)()
    processes, here = int(os.environ.get("WORLD_SIZE", 1)), processes_here()
    strategy: str | DDPStrategy = "auto"
    if processes > 1:
        # Preparing a large corpus, which the others wait for, takes longer than the usual half hour.
        backend = "gloo" if hw.accelerator == "cpu" else "nccl"
        strategy = DDPStrategy(process_group_backend=backend, timeout=datetime.timedelta(days=2))
    fabric = Fabric(accelerator=hw.accelerator, devices=here, num_nodes=processes // here, strategy=strategy,
                    precision=precision_of(hw))
    if processes > 1:
        fabric.launch()
    return fabric


def cores() -> int:
    """CPU cores that this process may use; macOS, which ties no process to cores, has all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes_here() -> int:
    """Processes that torchrun started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def set_up_cuda(hw: HwConfig) -> None:
    """What a profile says of NVIDIA GPUs."""
    if hw.allocator:
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", hw.allocator)
    require_gpu(hw)
    capability, name = torch.cuda.get_device_capability(), torch.cuda.get_device_name()
    kernels = {architecture for architecture in torch.cuda.get_arch_list() if architecture.startswith("sm_")}
    if kernels and not any(int(a[3:].rstrip("af")) // 10 == capability[0] for a in kernels):
        raise UserError(f"this torch has no kernels for {name} (compute capability {capability[0]}.{capability[1]}; it has "
                        f"{', '.join(sorted(kernels))}): install a build that has them, https://pytorch.org/get-started/locally")
    if hw.torchrun and "WORLD_SIZE" not in os.environ:
        raise UserError(f"hw={hw.name} computes with one process a GPU: torchrun --nproc_per_node={torch.cuda.device_count()} "
                        "-m chatterbox_es.train …; with one GPU: hw=t4 or hw=ampere")
    if hw.tf32 and capability < TF32_SINCE:
        raise UserError(f"hw.tf32=true: {name} has no TF32 (Ampere was the first); hw.tf32=false, or hw=t4")
    torch.set_float32_matmul_precision("high" if hw.tf32 else "highest")
    set_up_attention(hw.attention)
    log.info("attention: %s", attention_kernels(TYPES.get(precision_of(hw), torch.float32)))


def set_up_attention(allowed: Attention = "auto") -> None:
    """Which of torch's kernels attention may take. Flash never alone: it takes no mask, and both models give one. cuDNN's
    never: it plans anew for each shape, and here every batch, and every token that is spoken, has its own."""
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cuda.enable_flash_sdp("flash" in ATTENTION[allowed])
    torch.backends.cuda.enable_mem_efficient_sdp("efficient" in ATTENTION[allowed])
    torch.backends.cuda.enable_math_sdp("math" in ATTENTION[allowed])


def attention_kernels(dtype: torch.dtype, device: str = "cuda") -> str:
    """The kernels that attention in a type takes on this GPU, in words; torch is asked, as it asks itself."""
    cuda = torch.backends.cuda
    heads = torch.empty(1, 2, 64, 64, dtype=dtype, device=device)

    def kernel(mask: torch.Tensor | None) -> str:
        asked = cuda.SDPAParams(heads, heads, heads, mask, 0.0, mask is None, False)
        if cuda.flash_sdp_enabled() and cuda.can_use_flash_attention(asked):
            return "flash"
        if cuda.mem_efficient_sdp_enabled() and cuda.can_use_efficient_attention(asked):
            return "efficient"
        return "math" if cuda.math_sdp_enabled() else "none, which will fail"

    masked = kernel(torch.ones(1, 2, 64, 64, dtype=torch.bool, device=device))
    return f"{masked} kernel where padding is masked, {kernel(None)} kernel where nothing is; cuDNN's is off"


def require_gpu(hw: HwConfig) -> None:
    """Raise UserError, with the reason, where torch sees no GPU."""
    if not torch.cuda.is_available():
        raise UserError(f"hw={hw.name} needs an NVIDIA GPU and torch sees none: "
                        f"{why_no_gpu(torch.version.cuda, installed_driver())}; on a machine without one: hw=cpu")


def installed_driver() -> str | None:
    """The version of the NVIDIA driver, or None."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", text)
    return found[1] if found else None


def why_no_gpu(cuda: str | None, driver: str | None) -> str:
    """Why a torch built for ``cuda`` sees no GPU beside an NVIDIA ``driver``, and what to install."""
    if driver is None:
        built = f"this torch is built for CUDA {cuda}" if cuda else "this torch has no CUDA"
        return f"no NVIDIA driver is installed ({built}); where there is a GPU, install its driver"
    if cuda is None:
        fitting = [major for major, oldest in OLDEST_DRIVER.items() if _version(driver) >= _version(oldest)]
        build = f"a build for CUDA {max(fitting)} or older" if fitting else "a newer driver, then a build for its CUDA"
        return f"this torch has no CUDA and the driver is {driver}; install {build}: https://pytorch.org/get-started/locally"
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0]))
    if oldest and _version(driver) < _version(oldest):
        return (f"this torch is built for CUDA {cuda}, which needs driver {oldest} or newer, and {driver} is installed; "
                "update the driver, or install a torch for an older CUDA: https://pytorch.org/get-started/locally")
    return (f"driver {driver} and CUDA {cuda} fit, but no GPU answers (CUDA_VISIBLE_DEVICES="
            f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}; look at nvidia-smi)")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def precision_of(hw: HwConfig) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    """The precision of a run: the one that ``hw.precision`` names, or the fastest that the hardware computes itself.

    ``torch.cuda.is_bf16_supported()`` says yes on a T4, which only emulates it; here emulation does not count.
    """
    native_bf16 = (_cpu_computes_bf16() if hw.accelerator == "cpu"
                   else torch.cuda.is_bf16_supported(including_emulation=False))
    if hw.precision == "auto":
        return "bf16-mixed" if native_bf16 else "32-true" if hw.accelerator == "cpu" else "16-mixed"
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


def return_large_blocks() -> bool:
    """Tell glibc's malloc to take blocks of a megabyte and more from the system and to give them back; false without glibc.

    Left alone it raises that bound to 32 MB. Between the small blocks that checkpointed layers leave behind, the room of
    the large ones is then not found again: a T3 of 30 layers took 2 GB more than it held.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mmap_threshold, trim_threshold = -3, -1
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(mmap_threshold, 1 << 20), mallopt(trim_threshold, 1 << 20)])


def present_memory(fabric: "Fabric") -> float:
    """Bytes that this process can have in all, what it holds already included: on the GPU, or of the machine."""
    if fabric.device.type == "cuda":
        return float(torch.cuda.mem_get_info(fabric.device)[0] + torch.cuda.memory_reserved(fabric.device))
    present = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # a container may have less than the machine
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        present = min(present, limit - used)
    return float(present) / processes_here() + held_memory(fabric)


def held_memory(fabric: "Fabric") -> float:
    """Bytes that this process holds now: tensors on the GPU, or all its memory."""
    if fabric.device.type == "cuda":
        return float(torch.cuda.memory_allocated(fabric.device))
    return float(psutil.Process().memory_info().rss)


def peak_memory(fabric: "Fabric") -> float:
    """The most bytes it has held: tensors on the GPU, or all its memory."""
    if fabric.device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(fabric.device))
    return peak_resident()


def peak_resident() -> float:
    """The most bytes of memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def forget_shapes() -> None:
    """Let oneDNN keep what it prepared for the last shapes alone, not for a thousand of them.

    Every batch has a shape of its own: the usual caches grew by a gigabyte in a hundred steps and made none faster. They read
    these variables when the first product is computed.
    """
    os.environ.setdefault("LRU_CACHE_CAPACITY", "16")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


def gpu_memory_gb() -> float:
    """Most memory that tensors have held on the GPU so far, in GB; 0 without one."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


def matmul_peak(fabric: "Fabric", products: Sequence[tuple[nn.Linear, int]], rounds: int = 5) -> float:
    """FLOP/s of the plain matrix products that a model's step consists of, in the run's precision: its bound.

    For each linear layer the three products of a step (forwards, and backwards for its input and for its weight, unless
    that is frozen), with as many rows as are said with it; the best of some rounds each.
    """
    dtype = TYPES.get(fabric._precision.precision, torch.float32)
    count: dict[tuple, int] = collections.Counter(
        (rows, layer.in_features, layer.out_features, layer.weight.requires_grad)
        for layer, rows in products)
    repeats = 10 if fabric.device.type == "cuda" else 1  # a GPU's launches hide behind the product before
    flops = seconds = 0.0
    with torch.inference_mode():
        for (rows, inner, outer, is_trained), times in count.items():
            x, gradient, weight = (torch.randn(size, device=fabric.device).to(dtype)
                                   for size in ((rows, inner), (rows, outer), (outer, inner)))
            pairs = [(x, weight.t()), (gradient, weight)] + [(gradient.t(), x)] * is_trained
            for pair in pairs:
                fastest = float("inf")
                for _ in range(rounds + 1):
                    _synchronise(fabric)
                    began = time.perf_counter()
                    for _ in range(repeats):
                        torch.mm(*pair)
                    _synchronise(fabric)
                    fastest = min(fastest, (time.perf_counter() - began) / repeats)
                flops, seconds = flops + times * 2 * rows * inner * outer, seconds + times * fastest
    return flops / seconds


def _synchronise(fabric: "Fabric") -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize()
