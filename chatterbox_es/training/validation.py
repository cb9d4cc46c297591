"""What is measured of held-out utterances while a run trains, and what is done with it."""

from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.training.processes import reduced
from chatterbox_es.training.progress import Progress


class ValidationCallback:
    """What `train` calls after each validation, to save and to show; a run that goes on gives back what it had kept."""

    def __call__(self, model: nn.Module, epoch: int, step: int, metrics: dict, is_best: bool, is_last: bool,
                 check: Callable[[], None]) -> None:
        """``check()`` raises when the run has been asked to end, and is to be called now and then."""

    def listen(self, model: nn.Module, progress: Progress, is_last: bool, check: Callable[[], None]) -> dict[str, float]:
        """Called before that: more metrics of the validation, where somebody listens to what the model says now."""
        return {}

    def unheard(self) -> float:
        """Seconds that the last validation will take longer than the one before it, which was not listened to."""
        return 0.0

    def rehearse(self, model: nn.Module, state_bytes: int) -> float:
        """Seconds that it will take, with the state of so many bytes that is written then; what it makes is thrown away."""
        return 0.0

    def keep_mean(self, mean: nn.Module, loss: float) -> None:
        """Called after that, with the running mean of the weights and its ``val_loss``, where `train.ema` asks for one."""

    def state(self) -> dict[str, Any]:
        return {}

    def saved(self) -> None:
        """Called when a state with `state` in it is on the disk."""

    def restore(self, state: dict[str, Any]) -> None:
        pass


def validate(fabric: Fabric, recipe: Recipe, model: nn.Module, features: FeatureSet, utterances: Any = None,
             check: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The metrics of `Recipe.values` over some ``utterances``, or all that are held out; each process measures its part."""
    utterances = features.validation if utterances is None else utterances
    values = recipe.values(fabric, model, features, utterances[fabric.global_rank::fabric.world_size], check)
    sums = torch.tensor([values.sums(name) for name in values.values], dtype=torch.float64)
    totals = reduced(fabric, sums, "sum").tolist()
    return {name: total / weight for name, (total, weight) in zip(values.values, totals, strict=True)}
