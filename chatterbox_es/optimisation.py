"""One optimiser step on one batch, in however many pieces and processes it is computed."""

import math
from contextlib import nullcontext

import torch
from lightning_fabric import Fabric
from torch import nn

from chatterbox_es.batches import Step
from chatterbox_es.config import Config
from chatterbox_es.loss import losses_of


def optimizer_of(fabric: Fabric, model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW for the parameters that are trained."""
    phase = config.phase
    # With fp16 the fused step would unscale the gradients itself, too late for clipping them.
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=phase.lr, betas=tuple(phase.betas),
                             weight_decay=phase.weight_decay, fused=config.hw.fused and loss_scaler(fabric) is None)


def loss_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss in fp16, or None in other precisions."""
    return getattr(fabric._precision, "scaler", None)


def gradient_norm(module: nn.Module) -> float:
    """Euclidean norm of a module's gradients; 0 where it has none."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))) if gradients else 0.0


def clip_gradients(module: nn.Module, norm: float, most: float) -> None:
    """Scale the gradients down to the norm ``most`` where theirs, ``norm``, is above it (Pascanu et al. 2013)."""
    if norm > most:
        torch._foreach_mul_([p.grad for p in module.parameters() if p.grad is not None], most / norm)


def training_step(fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, step: Step, rate: float,
                  clip: float) -> dict[str, float]:
    """One optimiser step on one batch; what is logged of it.

    The gradient is that of the mean over the whole batch, in however many pieces and processes it is computed. Without a
    finite loss and gradient nothing is changed, and "skipped" is true.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    parts = torch.zeros(3, dtype=torch.float64, device=fabric.device)
    counts = 0.0 if step.idle else 1.0
    for piece in step.pieces:
        more = fabric.world_size > 1 and piece is not step.pieces[-1]
        with fabric.no_backward_sync(model) if more else nullcontext():
            piece = piece.to(fabric.device)
            prediction = model(piece.tokens, piece.token_mask, piece.mels, piece.frame_mask, piece.speakers,
                               piece.dialects)
            losses = losses_of(prediction, piece.mels, step.tokens, step.frames)
            fabric.backward(losses.total() * (counts * fabric.world_size))  # processes average their gradients
            parts += losses.parts() * counts
    if fabric.world_size > 1:
        parts = fabric.all_reduce(parts, reduce_op="sum")
    scaler = loss_scaler(fabric)
    if scaler:
        fabric.strategy.precision.unscale_gradients(optimizer)
    norms = {name: gradient_norm(part) for name, part in model.module.named_children()}
    norm = math.hypot(*norms.values())
    clip_gradients(model, norm, clip)
    frame, token, duration = parts.tolist()
    finite = math.isfinite(frame + token + duration) and math.isfinite(norm)
    if finite or scaler:  # a scaler leaves the step out by itself, and lowers its scale
        optimizer.step()
    optimizer.zero_grad()
    return {"train_loss": frame, "train_token_loss": token, "train_duration_loss": duration, "learning_rate": rate,
            "grad_norm_text": norms["text_encoder"], "grad_norm_vocoder": norms["mel_decoder"], "skipped": not finite}
