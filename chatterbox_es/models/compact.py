"""Weights stored small: matrices as whole numbers of 8 bits with a scale a row, all else as it is."""

from collections.abc import Mapping

import torch

LARGE = 2**14  # numbers of a matrix; a smaller one is not worth its error
LEVELS = 127  # on either side of 0
SCALE = ".scale"


def compact(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Large matrices and convolutions (rows, …) as int8, each with ``NAME.scale`` (rows,) beside it; what `restored` gives is
    off by at most half a row's scale, which is a 254th of its largest number. Biases, norms and statistics stay."""
    stored = {}
    for name, weight in weights.items():
        if not name.endswith(".weight") or weight.dim() < 2 or weight.numel() < LARGE:
            stored[name] = weight
            continue
        rows = weight.float().flatten(1)
        scale = (rows.abs().amax(1) / LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
        stored[name] = (rows / scale[:, None]).round().to(torch.int8).view(weight.shape)
        stored[name + SCALE] = scale
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
            weights[name] = (weight.flatten(1) * scale[:, None]).view(weight.shape)
        elif not (name.endswith(SCALE) and name.removesuffix(SCALE) in stored):
            weights[name] = weight.float()
    return weights
