"""fp16 on a CPU: torch's own autocast and loss scaler, which Lightning would replace by bf16 there; and runs to compare."""

import math
from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from chatterbox_es.dataset.batches import Step
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.training.optimisation import make_optimizer, training_step

PRECISIONS = ("32-true", "16-mixed")


def fabric_of(precision: str) -> Fabric:
    """One process on the CPU that computes in that precision and in no other."""
    if precision == "16-mixed":
        return Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))
    return Fabric(accelerator="cpu", devices=1, precision=precision)


class Run:
    """Steps of a recipe's model on one batch as the loop takes them, and what torch's optimiser sees at each."""

    def __init__(self, precision: str, recipe: Recipe, model: nn.Module, kind: str = "adamw", rate: float = 1e-3,
                 clip: float = 1.0, fused: bool = True):
        self.fabric, self.recipe, self.model, self.rate, self.clip = fabric_of(precision), recipe, model, rate, clip
        self.start = [weight.detach().clone() for weight in model.parameters()]
        self.inner = make_optimizer(kind, recipe.parameter_groups(model), rate, 0.01, fused=fused)
        self.wrapped, self.optimizer = self.fabric.setup(model.train(), self.inner)
        self.seen: list[torch.Tensor] = []  # the gradient of each step, flat
        self.inner.register_step_pre_hook(lambda *_: self.seen.append(self.gradient()))

    @property
    def scaler(self) -> torch.amp.GradScaler:
        return self.fabric._precision.scaler

    def gradient(self) -> torch.Tensor:
        return torch.cat([weight.grad.flatten() for weight in self.model.parameters() if weight.grad is not None])

    def steps(self, step: Step, count: int = 1) -> list[dict[str, float]]:
        return [training_step(self.fabric, self.recipe, self.wrapped, self.optimizer, step, self.rate, self.clip)
                for _ in range(count)]

    def distance(self) -> float:
        """Of the weights from where they began."""
        moved = [(new.detach() - old).float().flatten() for new, old in zip(self.model.parameters(), self.start, strict=True)]
        return float(torch.cat(moved).norm())


def check_what_the_optimiser_sees(run_of: Callable[[str], Run], step: Step) -> None:
    """Gradients unscaled once and clipped, whatever the precision."""
    plain, half = (run_of(precision) for precision in PRECISIONS)
    for run in (plain, half):
        figures, = run.steps(step)
        norm = math.hypot(*(value for name, value in figures.items() if name.startswith("grad_norm")))
        assert not figures["skipped"] and norm > run.clip, f"the test wants a gradient that is clipped, and got {norm}"
        torch.testing.assert_close(run.seen[0].norm().item(), run.clip, rtol=1e-4, atol=0)
    likeness = torch.nn.functional.cosine_similarity(plain.seen[0], half.seen[0], dim=0)
    assert likeness > 0.999, likeness


def check_two_hundred_steps(run_of: Callable[[str], Run], step: Step) -> None:
    """From one start, fp16 learns what fp32 learns."""
    ends = {}
    for precision in PRECISIONS:
        run = run_of(precision)
        figures = run.steps(step, 200)
        assert sum(row["skipped"] for row in figures) <= 2
        ends[precision] = (figures[-1]["train_loss"], run.distance(), figures[0]["train_loss"])
    (loss, distance, first), (half_loss, half_distance, _) = (ends[precision] for precision in PRECISIONS)
    assert loss < 0.8 * first, "the test wants a model that learns"
    torch.testing.assert_close(half_loss, loss, rtol=0.01, atol=0)
    torch.testing.assert_close(half_distance, distance, rtol=0.01, atol=0)
