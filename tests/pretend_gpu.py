"""A GPU where there is none: what may not be done with a real one is an error, and what the host would wait for is counted.

    with PretendGpu() as gpu:
        model = gpu.move(model)           # weights and buffers are on cuda:0 from here on
        fabric = gpu.fabric("32-true")
        …
        print(gpu.waits)                  # ["item at fase4.py:71", …]; `gpu.since(count)` for those of a stretch

A tensor there computes on the CPU, but says cuda:0, meets no tensor of the CPU and becomes no array. Modes of torch are of
one thread: batches must be read in the thread that opened it (``workers=0``).
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten

# The size of what these give depends on the values they are given, which the host must see before it goes on.
OF_VALUES = {aten.nonzero.default, aten.masked_select.default, aten.unique_dim.default, aten._unique2.default,
             aten.unique_consecutive.default, aten._local_scalar_dense.default, aten.equal.default, aten.bincount.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
           aten._unsafe_index.Tensor, aten._unsafe_index_put.default}  # wait where they are given a mask
MAKERS = {torch.tensor, torch.as_tensor, torch.asarray}  # of values that the host has


class OnGpu(Tensor):
    """A tensor of the pretended GPU. Its values are in `inner`, on the CPU, and so are its own to torch's C++, whose backward
    pass knows no other device here."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGpu":
        made = Tensor._make_wrapper_subclass(cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
                                             dtype=inner.dtype, device="cpu", requires_grad=inner.requires_grad)
        made.inner = inner.detach()
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    def numpy(self, *_: Any, **__: Any) -> None:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    __array__ = numpy

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        PretendGpu.current().look_at(function, args, kwargs)
        outer = {id(given.inner): given for given in tree_flatten((args, kwargs))[0] if isinstance(given, OnGpu)}
        result = function(*inside(args), **inside(on_cpu(kwargs)))
        if function is aten._local_scalar_dense.default:
            return result
        # What was changed in place is given back as the same tensor.
        return tree_map_only(Tensor, lambda made: outer[id(made)] if id(made) in outer else OnGpu(made), result)


def inside(tree: Any) -> Any:
    return tree_map_only(OnGpu, lambda tensor: tensor.inner, tree)


def is_gpu(device: Any) -> bool:
    return device is not None and not isinstance(device, int) and torch.device(device).type == "cuda"


def is_pinned(tensor: Tensor) -> bool:
    return getattr(tensor, "pretends_pinned", False)


def on_cpu(kwargs: dict) -> dict:
    return kwargs | {"device": torch.device("cpu")} if kwargs.get("device") is not None else kwargs


class PretendGpu(TorchFunctionMode):
    """See the module. ``launches`` counts the kernels, one an operation of torch's that computes something."""

    _open: list["PretendGpu"] = []

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.launches = 0

    @classmethod
    def current(cls) -> "PretendGpu":
        return cls._open[-1]

    def __enter__(self) -> "PretendGpu":
        self._open.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._open.remove(self)

    def move(self, module: nn.Module) -> nn.Module:
        """Weights and buffers of a module onto the GPU; what was tied stays tied."""
        moved: dict[int, nn.Parameter] = {}
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None and not isinstance(weight, OnGpu):
                    if id(weight) not in moved:
                        moved[id(weight)] = nn.Parameter(OnGpu(weight.detach()), weight.requires_grad)
                    part._parameters[name] = moved[id(weight)]
            for name, buffer in part._buffers.items():
                if buffer is not None and not isinstance(buffer, OnGpu):
                    part._buffers[name] = OnGpu(buffer)
        return module

    def fabric(self, precision: str = "32-true") -> Fabric:
        """One process on the GPU. fp16 and bf16 are computed as the CPU computes them, with a scaler where a GPU has one."""
        if precision == "32-true":
            return OneGpu(accelerator="cpu", devices=1, precision=precision)
        return OneGpu(accelerator="cpu", devices=1, plugins=MixedPrecision(precision, "cpu"))

    def since(self, count: int) -> list[str]:
        return self.waits[count:]

    def wait(self, why: str) -> None:
        own = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_stack(sys._getframe(1))
               if "chatterbox_es" in Path(frame.filename).parts]
        self.waits.append(f"{why} at {own[-1] if own else 'no line of ours'}")

    # ---- what Python asks for: devices, copies, values

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if function in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self.copied(function, *args, **kwargs)
        if function is Tensor.pin_memory:
            return self.pin(args[0].clone())
        if function is Tensor.is_pinned:
            return is_pinned(args[0])
        if function is Tensor.copy_:
            return self.copied_into(*args, **kwargs)
        if function is Tensor.tolist and isinstance(args[0], OnGpu):
            self.wait("tolist")
            return args[0].inner.tolist()
        if function in (Tensor.numpy, Tensor.__array__) and isinstance(args[0], OnGpu):
            return args[0].numpy()
        if is_gpu(kwargs.get("device")):
            made = function(*args, **kwargs | {"device": "cpu"})
            if function in MAKERS and not isinstance(made, OnGpu):
                self.wait(f"{name} of the host's values")
            return made if isinstance(made, OnGpu) else OnGpu(made)
        if kwargs.pop("pin_memory", False):
            return self.pin(function(*args, **kwargs))
        return function(*args, **kwargs)

    def pin(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, OnGpu):
            raise RuntimeError("cannot pin a tensor of the GPU")
        tensor.pretends_pinned = True
        return tensor

    def copied(self, function: Callable, tensor: Tensor, *args: Any, non_blocking: bool = False, **kwargs: Any) -> Tensor:
        if function is Tensor.to:
            others = [other for other in (*args, kwargs.pop("other", None)) if isinstance(other, Tensor)]
            args = tuple(part for other in others for part in (other.device, other.dtype)) or args
            if len(args) > 1 and isinstance(args[-1], bool):
                args, non_blocking = args[:-1], args[-1]
            device = kwargs.pop("device", None)
            rest = []
            for part in args:
                if isinstance(part, str | torch.device):
                    device = part
                elif part is not None:
                    rest.append(part)
            device = tensor.device if device is None else torch.device(device)
            changed = tensor.to(*rest, **kwargs) if rest or any(v is not None for v in kwargs.values()) else tensor
        else:
            device = torch.device("cpu") if function is Tensor.cpu else CUDA
            changed = tensor
        if is_gpu(device) == isinstance(tensor, OnGpu):
            return changed
        if is_gpu(device):
            if not (non_blocking and is_pinned(tensor)):
                self.wait("copy to the GPU of " + ("pinned memory" if is_pinned(tensor) else "memory that is not pinned"))
            return Placed.apply(changed)
        self.wait("copy to the CPU")
        return Fetched.apply(changed)

    def copied_into(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        if isinstance(target, OnGpu) == isinstance(source, OnGpu):
            return target.copy_(source, non_blocking)
        host = source if isinstance(target, OnGpu) else target
        if not (non_blocking and is_pinned(host)):
            self.wait("copy")
        if isinstance(target, OnGpu):
            return target.copy_(OnGpu(source))
        return target.copy_(source.inner)

    # ---- what is computed

    def look_at(self, function: Callable, args: tuple, kwargs: dict) -> None:
        """Refuse what a GPU refuses, and count what it waits for."""
        given = [tensor for tensor in tree_flatten((args, kwargs))[0] if isinstance(tensor, Tensor)]
        strangers = [tensor for tensor in given if not isinstance(tensor, OnGpu)]
        scalars = torch.Tag.pointwise in function.tags or function is aten.fill_.Tensor or "_fused_" in str(function)
        if function in INDEXED and len(args) > 2 and isinstance(args[2], Tensor) and args[2].ndim == 0:
            strangers = [tensor for tensor in strangers if tensor is not args[2]]
        if any(tensor.ndim or not scalars for tensor in strangers):
            raise RuntimeError(f"{function}: expected all tensors to be on the same device, but found cuda:0 and cpu "
                               f"({[tuple(tensor.shape) for tensor in strangers]})")
        if function in OF_VALUES:
            self.wait(str(function).removeprefix("aten."))
        elif function in INDEXED and any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
            if not (len(args) > 2 and args[2].numel() == 1):  # one value where a mask is: filled without looking
                self.wait("a mask as an index")
        elif function is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
            self.wait("repeat_interleave without output_size")
        if torch.Tag.inplace_view not in function.tags and not function.is_view:
            self.launches += 1


class Placed(torch.autograd.Function):
    """From the CPU onto the GPU; gradients go the other way."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return OnGpu(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.inner


class Fetched(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.inner.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return OnGpu(gradient)


class OneGpu(Fabric):
    """What Fabric would be with one GPU; models are moved by `PretendGpu.move`."""

    @property
    def device(self) -> torch.device:
        return CUDA

    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer, **more: Any) -> Any:
        return super().setup(module, *optimizers, **more | {"move_to_device": False})
