"""The training loop: one visible function that a test can call."""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from chatterbox_es.config import Config
from chatterbox_es.dataset.batches import Step
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import gpu_memory_gb, matmul_peak, peak_memory
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.training.fitting import fitting_step
from chatterbox_es.training.interruption import InterruptedRun, Interruption
from chatterbox_es.training.optimisation import loss_scaler
from chatterbox_es.training.plan import make_plan
from chatterbox_es.training.processes import reduced
from chatterbox_es.training.progress import Clock
from chatterbox_es.training.schedule import learning_rate
from chatterbox_es.training.session import Training
from chatterbox_es.training.tracking import Tracker
from chatterbox_es.training.validation import ValidationCallback, validate

log = logging.getLogger(__name__)


def train(fabric: Fabric, recipe: Recipe, model: nn.Module, features: FeatureSet, config: Config, run: RunDirectory,
          tracker: Tracker, on_validation: ValidationCallback, caught: Interruption | None = None,
          state: dict[str, Any] | None = None) -> float:
    """Train ``model`` on the prepared set, from a ``state`` that was saved or from the beginning; the smallest validation loss.

    Parameters that do not require gradients are left alone.

    Raises:
        UserError: it does not fit the memory, the disk is full, or there was no finite loss for many steps.
        InterruptedRun: a signal came; the state is saved.
    """
    caught = caught or Interruption()
    training = Training.set_up(fabric, recipe, model, features, config, run)
    progress, batches = training.progress, training.batches
    plan = make_plan(training, features, on_validation)
    peak = matmul_peak(fabric, recipe.products(model, *batches.mean_size()))
    if state is None:
        run.cut_metrics(0)
    else:
        training.restore(state)
        on_validation.restore(state["kept"])
        state.clear()  # as large as the model and its optimiser
        log.info("goes on at step %d, epoch %d, after %.1f minutes", progress.step, progress.epoch, progress.before)
    training.saved = progress.started = time.monotonic()
    baseline, clock = features.baseline(), Clock()
    log.info("%s; %s scores %.3f; matrix products of these layers' shapes reach %.0f GFLOP/s here in %s",
             progress.describe(len(batches.first_epoch)), features.naive, baseline, peak / 1e9, fabric._precision.precision)
    # Over the share of the run, whichever limit ends it, so that the time left is right for all of them.
    bar = tqdm(total=1.0, desc=f"phase {config.phase.name}", disable=not (fabric.is_global_zero and sys.stderr.isatty()),
               bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining} {postfix}")

    def write(**metrics: float) -> None:
        if fabric.is_global_zero:
            run.log(step=progress.step, **metrics)
            tracker.log(progress.step, **metrics)

    def after_step(step: dict[str, float], speed: float) -> None:
        bar.set_postfix_str(f"step {progress.step}, epoch {progress.epoch}, {speed:.1f} steps/s, "
                            f"train_loss {step['train_loss']:.3f}, val_loss {progress.best:.3f}", refresh=False)
        bar.update(progress.share() - bar.n)
        if progress.step % config.train.log_every == 0:
            write(**step, epoch=progress.epoch, minutes=progress.elapsed(), gpu_memory_gb=gpu_memory_gb())

    def save() -> None:
        if training.saved_at == (progress.epoch, progress.batch):
            return
        with clock.on("checkpoint"):
            training.save({"kept": on_validation.state()})
            on_validation.saved()
        clock.states += 1

    # Processes end validation together; only where there is one can it be left half-way.
    check = caught.check if fabric.world_size == 1 else lambda: None
    try:
        agree(training, caught)
        while not (progress.is_over() and progress.is_validated()):
            metrics = train_epoch(training, caught, clock, peak, after_step, save)
            is_last = progress.is_over()
            line = (f"epoch {progress.epoch}, step {progress.step}, {progress.elapsed():.1f} min: "
                    f"train_loss {metrics['train_loss_epoch']:.4f}")
            validates = is_last or progress.epoch % config.phase.validate_every == 0 and progress.has_room_to_validate()
            began = time.monotonic()
            if validates:
                chosen, found = better_weights(training, features, check)
                with clock.on("listening"):
                    found |= on_validation.listen(chosen, progress, is_last, check)
                metrics |= found | {"baseline": baseline, "minutes": progress.elapsed()}
                is_best = metrics["val_loss"] < progress.best
                log.info("%s, val_loss %.4f, %s%s", line, metrics["val_loss"], recipe.describe(metrics),
                         ", the best so far" if is_best else "")
                on_validation(chosen, progress.epoch, progress.step, metrics, is_best, is_last, check)
                if training.mean:
                    on_validation.keep_mean(training.mean.module, metrics["val_loss_mean"])
                progress.best = min(progress.best, metrics["val_loss"])
            elif bar.disable:
                log.info("%s, %.2f steps/s", line, metrics["steps_per_second"])
            write(**metrics)
            if is_last:
                break
            progress.next_epoch()
            if validates:
                save()
                training.ending = (time.monotonic() - began + on_validation.unheard()) / 60
                agree(training, caught)
                if progress.is_over() and fabric.is_global_zero:
                    log.warning("this validation took %.1f minutes, longer than was estimated: the run ends with it, before "
                                "its learning rate has reached 0", training.ending)
    except InterruptedRun:
        save()
        raise
    finally:
        bar.close()
    run.update(hours=progress.elapsed() / 60, skipped_steps=progress.skipped, memory_peak_gb=peak_memory(fabric) / 1e9,
               memory_planned_gb=plan.memory_needed_gb, states_written=clock.states,
               seconds={**clock.spent, "all": time.monotonic() - clock.began})
    return progress.best


def train_epoch(training: Training, caught: Interruption, clock: Clock, peak: float,
                after_step: Callable[[dict[str, float], float], None], save: Callable[[], None]) -> dict[str, float]:
    """The rest of an epoch, or as much of it as the run's limits leave; means over it.

    Raises:
        UserError: no step gave a finite loss and gradient for `train.max_skipped` in a row.
        InterruptedRun: a signal came.
    """
    fabric, batches, progress, model = training.fabric, training.batches, training.progress, training.model
    hw, epoch, flops, steps = training.config.hw, Clock(), 0.0, 0
    before = dict(clock.spent)
    training.wrapped.train()
    with contextlib.closing(batches.steps(progress.epoch, progress.batch, fabric.global_rank, fabric.world_size, hw.workers,
                                          hw.pin_memory)) as source:
        while not progress.is_over():
            with clock.on("loader"):
                step = next(source, None)
            if step is None:
                break
            step.share = progress.share()
            aligning = getattr(model, "alignment_seconds", 0.0)
            metrics = fitting_step(training, step, learning_rate(training.config, progress))
            clock.spent["alignment"] += getattr(model, "alignment_seconds", 0.0) - aligning
            progress.step, progress.batch, steps = progress.step + 1, progress.batch + 1, steps + 1
            if training.mean and not metrics["skipped"]:
                training.mean.update_parameters(model)
            note_skipped(training, step, metrics)
            if math.isfinite(metrics["train_loss"]):
                progress.losses, progress.counted = progress.losses + metrics["train_loss"], progress.counted + 1
            flops += training.recipe.flops(model, step) / fabric.world_size
            with clock.on("logging"):
                after_step(metrics, steps / (time.monotonic() - epoch.began))
            if agree(training, caught) and not progress.is_over():
                save()
    seconds = time.monotonic() - epoch.began
    epoch.spent = {what: spent - before[what] for what, spent in clock.spent.items()}
    loss = progress.losses / progress.counted if progress.counted else math.nan
    metrics = {"epoch": progress.epoch, "train_loss_epoch": loss, "epoch_time": seconds, "skipped_steps": progress.skipped,
               "memory_gb": peak_memory(fabric) / 1e9}
    if steps:  # a run that was ended at the end of an epoch goes on with none
        metrics |= {"steps_per_second": steps / seconds, "share_of_peak": flops / seconds / peak, **epoch.shares()}
    return metrics


def better_weights(training: Training, features: FeatureSet, check: Callable[[], None]) -> tuple[nn.Module, dict[str, float]]:
    """What a validation goes by: the weights, or their running mean (``train.ema``) where its ``val_loss`` is smaller; and the
    metrics of the one chosen. With a running mean the losses of both stand beside them."""
    fabric, recipe, model = training.fabric, training.recipe, training.model
    metrics = validate(fabric, recipe, model, features, check=check)
    if training.mean is None:
        return model, metrics
    mean = training.mean.module
    found = validate(fabric, recipe, mean, features, check=check)
    losses = {"val_loss_weights": metrics["val_loss"], "val_loss_mean": found["val_loss"]}
    wins = found["val_loss"] < metrics["val_loss"] or math.isnan(metrics["val_loss"])
    return (mean, found | losses) if wins else (model, metrics | losses)


def agree(training: Training, caught: Interruption) -> bool:
    """Let all processes go by the first one's clock, once a step and after each validation; whether a state is due by it.

    In between nobody asks a clock whether an epoch or the run ends, nor for the learning rate: so all enter the same
    reductions, and replicas stay the same bit by bit.

    Raises:
        InterruptedRun: a signal has come to any of them.
    """
    fabric, progress = training.fabric, training.progress
    first = [progress.elapsed(), training.ending, float(training.state_is_due())]
    said = torch.tensor([*(first if fabric.is_global_zero else [0.0] * len(first)), caught.number], dtype=torch.float64)
    progress.now, progress.ending, due, number = reduced(fabric, said, "max").tolist()
    if number:
        raise InterruptedRun(int(number))
    return bool(due)


def note_skipped(training: Training, step: Step, metrics: dict[str, float]) -> None:
    """Count a step that taught nothing, say whose it was, and end the run after too many in a row."""
    progress, limit = training.progress, training.config.train.max_skipped
    if not metrics.pop("skipped"):
        progress.skipped_in_row = 0
        return
    progress.skipped, progress.skipped_in_row = progress.skipped + 1, progress.skipped_in_row + 1
    features = training.batches.features
    names = ", ".join(features.utterance(number)["id"] for number in step.utterances)
    norms = ", ".join(f"{name} {value}" for name, value in metrics.items() if name.startswith("grad_norm"))
    what = f"train_loss {metrics['train_loss']}, {norms} at step {progress.step} (epoch {progress.epoch}, utterances {names})"
    scaler = loss_scaler(training.fabric)
    if scaler and math.isfinite(metrics["train_loss"]):  # usual in fp16 while the scale is being found
        what += f"; the loss was scaled too high and is scaled by {scaler.get_scale():g} now"
    log.warning("step skipped: %s", what)
    if progress.skipped_in_row >= limit:
        raise UserError(f"{limit} steps in a row had no finite loss and gradient; the last: {what}. The run has diverged: try "
                        "a smaller phase.lr, and listen to these recordings; the last state is from before")
