"""What the processes of a run tell each other."""

from typing import Literal

from lightning_fabric import Fabric
from torch import Tensor


def reduced(fabric: Fabric, values: Tensor, how: Literal["sum", "max"]) -> Tensor:
    """The sum or the largest of all processes' values, element by element; where there is one, its own."""
    if fabric.world_size == 1:
        return values
    return fabric.all_reduce(values.to(fabric.device), reduce_op=how)  # type: ignore[return-value]  # a tensor, of a tensor


def gathered(fabric: Fabric, values: Tensor) -> Tensor:
    """All processes' values, (processes, …) on the CPU."""
    all_values: Tensor = fabric.all_gather(values)  # type: ignore[assignment]  # a tensor, of a tensor
    return all_values.cpu().reshape(fabric.world_size, *values.shape)
