"""Weights stored small: large matrices as whole numbers of 8 bits with a scale a row, other parameters in half precision."""

from collections.abc import Mapping

import torch

LARGE = 2**14  # numbers of a matrix; a smaller one is not worth its error
LEVELS = 127  # on either side of 0
SCALE = ".scale"
COMPACT = "compact"  # in a file's facts where its weights are stored so


def compact(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Large matrices and convolutions (rows, …) as int8, each with ``NAME.scale`` (rows,) in float16 beside it; small ones,
    biases and norms in float16; tables that are no parameters, such as statistics, as they are. What `restored` gives of a
    large one is off by at most half its row's scale, which is a 127th of the row's largest number, rounded up."""
    stored = {}
    for name, weight in weights.items():
        if weight.dim() > 1 and not name.endswith(".weight"):
            stored[name] = weight
        elif weight.dim() < 2 or weight.numel() < LARGE:
            stored[name] = weight.half()
        else:
            rows = weight.float().flatten(1)
            scale = (rows.abs().amax(1, keepdim=True) / LEVELS * (1 + 2**-10)).clamp(min=2**-24).half()  # rounded up, not to 0
            stored[name] = (rows / scale).round().clamp(-LEVELS, LEVELS).to(torch.int8).view(weight.shape)
            stored[name + SCALE] = scale[:, 0].contiguous()
    return stored


def restored(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `compact` was given, in float32.

    Raises:
        ValueError: a matrix has no scale that fits it.
    """
    weights = {}
    for name, weight in stored.items():
        if weight.dtype == torch.int8:
            scale = stored.get(name + SCALE)
            if scale is None or scale.shape != weight.shape[:1]:
                raise ValueError(f"{name} has no scale for each of its rows")
            weights[name] = (weight.flatten(1) * scale.float()[:, None]).view(weight.shape)
        elif not (name.endswith(SCALE) and name.removesuffix(SCALE) in stored):
            weights[name] = weight.float()
    return weights
