"""What every model that is trained against discriminators shares: how they judge, and whose weights learn from that.

Both sides take their step at once. What a discriminator learns from is cut off from the model, and while it judges for the
model its own weights stand still; so one loss has the gradients of both, and each side has its own group of the optimiser.
"""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

Judgement = tuple[Tensor, list[Tensor]]  # scores (B, …), higher for recordings, and what each layer made before them


def judge(layers: Iterable[nn.Module], score: nn.Module, x: Tensor, slope: float) -> Judgement:
    """Of (B, channels, …), by layers with leaky rectifiers of a ``slope`` below 0 between."""
    features = []
    for layer in layers:
        x = functional.leaky_relu(layer(x), slope)
        features.append(x)
    return score(x).flatten(1), features


def feature_distance(made: Judgement, recorded: Judgement) -> Tensor:
    """Mean absolute difference of a discriminator's features (Larsen et al. 2016), layer by layer, relative to how large
    those of recordings are."""
    distances = [(ours.float() - theirs.detach().float()).abs().mean() / theirs.detach().float().abs().mean().clamp(min=1e-6)
                 for ours, theirs in zip(made[1], recorded[1], strict=True)]
    return torch.stack(distances).mean()


@contextlib.contextmanager
def standing_still(module: nn.Module) -> Iterator[None]:
    """What is computed inside has no gradient for a module's weights, and has one for what it is computed of."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)
