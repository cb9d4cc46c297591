"""One optimiser step on one batch, in however many micro-batches and processes it is computed."""

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor, nn

from chatterbox_es.config import Config
from chatterbox_es.dataset.batches import Step
from chatterbox_es.errors import UserError
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.training.processes import reduced


def optimizer_of(groups: list[dict[str, Any]], config: Config) -> torch.optim.Optimizer:
    """AdamW, or Adafactor (Shazeer & Stern 2018), for groups of parameters; one without weight_decay has the phase's.

    Raises:
        UserError: no such optimiser.
    """
    phase, (first, second) = config.phase, config.phase.betas
    return make_optimizer(phase.optimiser, groups, phase.lr, phase.weight_decay, (first, second), config.hw.fused)


def make_optimizer(kind: str, groups: list[dict[str, Any]], lr: float, weight_decay: float,
                   betas: tuple[float, float] = (0.9, 0.98), fused: bool = True) -> torch.optim.Optimizer:
    """`optimizer_of` in plain values. Without the fused kernel weights are stepped one after the other, since all at once
    (foreach) take as much memory again as they are."""
    groups = [{"weight_decay": weight_decay, **group} for group in groups]
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=fused, foreach=None if fused else False)
    if kind == "adafactor":
        # Steps of the rate itself, as AdamW's: relative to a weight's own size, as it was published, adapters that begin at 0
        # would hardly move, and a rate would mean something else.
        return torch.optim.Adafactor(groups, lr=lr, eps=(None, 1.0), foreach=False)
    raise UserError(f"phase.optimiser={kind} is not known; use adamw or adafactor")


def loss_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss in fp16, or None in other precisions."""
    return getattr(fabric._precision, "scaler", None)


def gradient_norms(module: nn.Module) -> dict[str, Tensor]:
    """Euclidean norm of the gradients of each child of a module, () on its device; 0 where it has none."""
    found, none = {}, torch.zeros((), device=next(module.parameters()).device)
    for name, part in module.named_children():
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        found[name] = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) if gradients else none
    return found


def clip_gradients(modules: Sequence[nn.Module], norm: float, most: float) -> None:
    """Scale the gradients of some modules down to the norm ``most`` where theirs, ``norm``, is above it (Pascanu et al.
    2013)."""
    if norm > most:
        torch._foreach_mul_([p.grad for module in modules for p in module.parameters() if p.grad is not None], most / norm)


def clipped_together(optimizer: torch.optim.Optimizer, children: Iterable[str]) -> list[list[str]]:
    """The children of a model whose gradients are clipped by their common norm: each that is a group's "part" by itself, and
    all others."""
    apart = [group["part"] for group in optimizer.param_groups if "part" in group]
    return [*([part] for part in apart), [name for name in children if name not in apart]]


def training_step(fabric: Fabric, recipe: Recipe, model: _FabricModule, optimizer: _FabricOptimizer, step: Step,
                  rate: float, clip: float) -> dict[str, float]:
    """One optimiser step on one batch; what is logged of it.

    The gradient is that of the mean over the whole batch, in however many micro-batches and processes it is computed. Without a
    finite loss and gradient nothing is changed, and "skipped" is true.

    Raises:
        torch.OutOfMemoryError: while the gradient was computed; no weight has moved.
        UserError: the optimiser's step does not fit the memory.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    parts = torch.zeros((), dtype=torch.float64, device=fabric.device)
    counts = 0.0 if step.idle else 1.0
    for micro_batch in step.micro_batches:
        more = fabric.world_size > 1 and micro_batch is not step.micro_batches[-1]
        with fabric.no_backward_sync(model) if more else nullcontext():
            micro_batch = micro_batch.to(fabric.device)
            losses = recipe.losses(fabric, model, micro_batch, step)
            fabric.backward(losses.total() * (counts * fabric.world_size))  # processes average their gradients
            parts = parts + losses.parts() * counts
    parts = reduced(fabric, parts, "sum")
    try:
        sums, norms, finite = move_weights(model.module, optimizer.optimizer, loss_scaler(fabric), parts, clip)
    except torch.OutOfMemoryError as error:
        # Not tried again: some weights may have moved, and smaller micro-batches would not make the optimiser smaller.
        reason = str(error).partition("\n")[0]
        raise UserError(f"out of memory in the optimiser's step ({reason}): some weights may have moved, so it is not tried "
                        "again; the last state is from before. What the optimiser keeps does not fit beside the weights: "
                        "phase.optimiser=adafactor keeps less, a larger GPU or a smaller model helps, smaller batches do "
                        "not") from None
    return recipe.metrics(sums, norms) | {"learning_rate": rate, "skipped": not finite}


def move_weights(module: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None, parts: Tensor,
                 clip: float) -> tuple[list[float], dict[str, float], bool]:
    """Clip the gradients and step, unless something is not finite; the losses' ``parts``, norms by child, whether it stepped.

    ``optimizer`` is torch's own, not Fabric's wrapper: a scaler knows optimisers by their identity, and would unscale the
    gradients once for each. The host waits for the device once, to read all metrics together.
    """
    if scaler:
        scaler.unscale_(optimizer)
    found = gradient_norms(module)
    read = torch.cat([parts, torch.stack([*found.values()]).double()]).tolist()
    sums, norms = read[:len(parts)], dict(zip(found, read[len(parts):], strict=True))
    finite = math.isfinite(sum(sums)) and math.isfinite(sum(norms.values()))
    if finite:
        for names in clipped_together(optimizer, norms):
            clip_gradients([module.get_submodule(name) for name in names], math.hypot(*(norms[name] for name in names)), clip)
        optimizer.step()
    if scaler:
        scaler.update()  # lowers its scale where a gradient was not finite
    optimizer.zero_grad()
    return sums, norms, finite
