"""A running mean of a model's weights while it trains: one more candidate for the best ones."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from chatterbox_es.errors import UserError

Tensors = tuple[Tensor, ...] | list[Tensor]


def running_mean(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992), to update after each step; None without
    a decay.

    It looks back over some 1 / (1 - decay) steps, over fewer while there are not as many: the first ones are soon forgotten.

    Raises:
        UserError: the decay is not between 0 and 1.
    """
    if decay is None:
        return None
    if not 0 < decay < 1:
        raise UserError(f"train.ema={decay} must lie between 0 and 1, such as 0.999")

    @torch.no_grad()
    def update(means: Tensors, weights: Tensors, _: Tensor | int) -> None:
        updates = float(mean.n_averaged)
        torch._foreach_lerp_(means, weights, 1 - min(decay, (1 + updates) / (10 + updates)))

    mean = AveragedModel(model, multi_avg_fn=update)
    mean.n_averaged = mean.n_averaged.cpu()  # read at each step: a GPU would have to be waited for
    return mean
