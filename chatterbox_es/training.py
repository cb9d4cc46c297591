"""The training loop: one visible function that a test can call."""

import dataclasses
import logging
import math
import sys
import time
from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from chatterbox_es.batches import Batch, Batches, collate
from chatterbox_es.config import Config
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.hardware import gpu_memory_gb, matmul_peak
from chatterbox_es.loss import losses_of, warped_error
from chatterbox_es.model.fase4 import Fase4
from chatterbox_es.run_directory import RunDirectory
from chatterbox_es.tracking import Tracker

log = logging.getLogger(__name__)
VALIDATION_BATCH = 8


@dataclasses.dataclass
class Progress:
    """How far a run is; it ends at the first of its limits."""

    steps: int  # in all, by epochs or train.max_steps
    minutes: float | None
    step: int = 0
    epoch: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)

    @classmethod
    def of(cls, config: Config, batches: int) -> "Progress":
        """The limits that a configuration sets to epochs of so many batches.

        Raises:
            UserError: a limit that is not above 0.
        """
        for name in ("epochs", "max_steps", "max_minutes"):
            limit = config.train[name]
            if limit is not None and not limit > 0:
                raise UserError(f"train.{name}={limit} must be above 0")
        epochs = config.train.epochs or config.phase.epochs
        return cls(min(epochs * batches, config.train.max_steps or sys.maxsize), config.train.max_minutes)

    def describe(self, batches: int) -> str:
        """The limits in words."""
        limits = [f"{self.steps} steps"] if self.minutes is None or self.steps < 1_000_000 else []
        limits += [f"{self.minutes:g} minutes"] if self.minutes is not None else []
        return f"to the end of {' or '.join(limits)}, {batches} steps an epoch"

    def elapsed(self) -> float:
        """Minutes since the start."""
        return (time.monotonic() - self.started) / 60

    def share(self) -> float:
        """0 at the start, 1 at the end."""
        share = self.step / self.steps
        return min(1.0, share if self.minutes is None else max(share, self.elapsed() / self.minutes))


def learning_rate(config: Config, progress: Progress) -> float:
    """Linear warm-up, then the phase's schedule down to 0 at the end of the run."""
    phase = config.phase
    peak = config.hw.lr or phase.lr
    # A short run warms up over its first tenth at most, or it would end before it began.
    warm = min(1.0, max((progress.step + 1) / max(1, phase.warmup_steps), progress.share() / 0.1))
    if phase.schedule == "cosine":
        return peak * warm * 0.5 * (1 + math.cos(math.pi * progress.share()))
    if phase.schedule == "linear":
        return peak * warm * (1 - progress.share())
    raise UserError(f"phase.schedule={phase.schedule} is not known; use cosine or linear")


def loss_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss in fp16, or None in other precisions."""
    return getattr(fabric._precision, "scaler", None)


def gradient_norm(module: nn.Module) -> float:
    """Euclidean norm of a module's gradients; 0 where it has none."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))) if gradients else 0.0


def train(fabric: Fabric, model: Fase4, features: FeatureSet, config: Config, run: RunDirectory, tracker: Tracker,
          on_validation: Callable[[Fase4, int, int, dict, bool], None]) -> float:
    """Train ``model`` on the prepared set; the smallest validation loss is returned.

    ``on_validation(model, epoch, step, metrics, is_best)`` is called after each validation, and saves what is to be
    saved. Parameters that do not require gradients are left alone.
    """
    phase = config.phase
    batches = Batches(features, features.train, config.hw.batch_size or phase.batch_size, config.train.seed)
    progress = Progress.of(config, len(batches))
    # With fp16 the fused step would unscale the gradients itself, too late for clipping them.
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=phase.lr, betas=tuple(phase.betas),
                                  weight_decay=phase.weight_decay, fused=loss_scaler(fabric) is None)
    wrapped, optimizer = fabric.setup(model, optimizer)
    baseline, best = features.baseline(), math.inf
    peak = matmul_peak(fabric, model, batches.mean_frames())
    log.info("%s; predicting the mean scores %.3f; matrix products of these layers' shapes reach %.0f GFLOP/s here in %s",
             progress.describe(len(batches)), baseline, peak / 1e9, fabric._precision.precision)
    # Over the share of the run, whichever limit ends it, so that the time left is right for all of them.
    bar = tqdm(total=1.0, desc=f"phase {phase.name}", disable=not sys.stderr.isatty(),
               bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining} {postfix}")

    def after_step(step: dict[str, float], speed: float) -> None:
        bar.set_postfix_str(f"step {progress.step}, epoch {progress.epoch}, {speed:.1f} steps/s, "
                            f"train_loss {step['train_loss']:.3f}, val_loss {best:.3f}", refresh=False)
        bar.update(progress.share() - bar.n)
        if progress.step % config.train.log_every == 0:
            step |= {"epoch": progress.epoch, "minutes": progress.elapsed(), "gpu_memory_gb": gpu_memory_gb()}
            run.log(step=progress.step, **step)
            tracker.log(progress.step, **step)

    while progress.share() < 1:
        progress.epoch += 1
        metrics = train_epoch(fabric, wrapped, optimizer, batches, config, progress, peak, after_step)
        line = (f"epoch {progress.epoch}, step {progress.step}, {progress.elapsed():.1f} min: "
                f"train_loss {metrics['train_loss_epoch']:.4f}")
        if progress.epoch % phase.validate_every == 0 or progress.share() >= 1:
            metrics |= validate(fabric, model, features) | {"baseline": baseline, "minutes": progress.elapsed()}
            is_best = metrics["val_loss"] < best
            best = min(best, metrics["val_loss"])
            log.info("%s, val_loss %.4f, with its own durations %.4f (the mean scores %.3f)%s", line, metrics["val_loss"],
                     metrics["val_own_durations"], baseline, ", the best so far" if is_best else "")
            on_validation(model, progress.epoch, progress.step, metrics, is_best)
        elif bar.disable:
            log.info("%s, %.2f steps/s", line, metrics["steps_per_second"])
        run.log(step=progress.step, **metrics)
        tracker.log(progress.step, **metrics)
    bar.close()
    return best


def train_epoch(fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, config: Config,
                progress: Progress, peak: float, after_step: Callable[[dict[str, float], float], None]) -> dict[str, float]:
    """One epoch, or as much of it as the run's limits leave; means over it.

    Raises:
        UserError: the loss is no number any more, with the utterances of that step.
    """
    began, losses, flops = time.monotonic(), [], 0
    model.train()
    for batch in batches.epoch(progress.epoch):
        step = training_step(fabric, model, optimizer, batch, learning_rate(config, progress), config.phase.clip)
        progress.step += 1
        if not math.isfinite(step["train_loss"]):
            names = ", ".join(batches.features.utterance(number)["id"] for number in batch.utterances)
            raise UserError(f"train_loss is {step['train_loss']} at step {progress.step} (epoch {progress.epoch}, utterances "
                            f"{names}): the run has diverged; try a smaller phase.lr, and listen to these recordings")
        losses.append(step["train_loss"])
        flops += model.training_flops(int(batch.token_mask.sum()), len(batch.mels))
        after_step(step, len(losses) / (time.monotonic() - began))
        if progress.share() >= 1:
            break
    seconds = time.monotonic() - began
    return {"epoch": progress.epoch, "train_loss_epoch": sum(losses) / len(losses), "epoch_time": seconds,
            "steps_per_second": len(losses) / seconds, "share_of_peak": flops / seconds / peak}


def training_step(fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, rate: float,
                  clip: float) -> dict[str, float]:
    """One step on one batch; what is logged of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    batch = batch.to(fabric.device)
    losses = losses_of(model(batch.tokens, batch.token_mask, batch.mels, batch.frame_mask), batch.mels)
    fabric.backward(losses.total())
    scaler = loss_scaler(fabric)
    scale = scaler.get_scale() if scaler else 1.0  # gradients carry it until they are clipped
    norms = {"grad_norm_text": gradient_norm(model.text_encoder) / scale,
             "grad_norm_vocoder": gradient_norm(model.mel_decoder) / scale}
    fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad()
    return {"train_loss": losses.frame.item(), "train_token_loss": losses.token.item(),
            "train_duration_loss": losses.duration.item(), "learning_rate": rate, **norms}


@torch.no_grad()
def validate(fabric: Fabric, model: Fase4, features: FeatureSet) -> dict[str, float]:
    """How well held-out speech is predicted.

    ``val_loss``: squared error a frame and bin, over all held-out frames, under the alignment that fits best. A low
    one proves nothing about speech, since the search picks the path that flatters it. So beside it stand
    ``val_own_durations``, the error of what the model speaks from the text alone, along the best time warp, and
    ``val_length_error``, how far its length is from the recording's, as a share.
    """
    model.eval()
    order = features.validation[features.index["frames"][features.validation].argsort(kind="stable")]
    squared, frames, warped, length = 0.0, 0, 0.0, 0.0
    for start in range(0, len(order), VALIDATION_BATCH):
        batch = collate(features, order[start:start + VALIDATION_BATCH].tolist()).to(fabric.device)
        with fabric.autocast():
            prediction = model(batch.tokens, batch.token_mask, batch.mels, batch.frame_mask)
        squared += float((prediction.mels.float() - batch.mels).square().sum(dtype=torch.float64))
        frames += len(batch.mels)
        for number in batch.utterances:
            spoken, _ = speak(fabric, model, features.token_ids(number))
            recorded = features.mel(number)
            warped += warped_error(spoken, recorded)
            length += abs(len(spoken) / len(recorded) - 1)
    return {"val_loss": squared / (frames * features.contract.bins), "val_own_durations": warped / len(order),
            "val_length_error": length / len(order)}


def speak(fabric: Fabric, model: Fase4, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """`Fase4.speak` in the run's precision, on the CPU."""
    with fabric.autocast():
        mels, durations = model.speak(tokens.to(fabric.device))
    return mels.cpu(), durations.cpu()
