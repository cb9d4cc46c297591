"""The training loop: one visible function that a test can call."""

import contextlib
import dataclasses
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from chatterbox_es.config import Config, DataConfig
from chatterbox_es.corpus import draw_rates
from chatterbox_es.dataset.batches import Batches, Budget, Step, utterance_rates
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import gpu_memory_gb, matmul_peak, peak_memory
from chatterbox_es.models.plan import Plan, not_even_one
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.training.ema import running_mean
from chatterbox_es.training.interruption import InterruptedRun, Interruption
from chatterbox_es.training.optimisation import loss_scaler, optimizer_of, training_step
from chatterbox_es.training.plan import plan_time, trial_steps
from chatterbox_es.training.progress import Clock, Progress
from chatterbox_es.training.schedule import learning_rate
from chatterbox_es.training.state import save_state, tensor_bytes
from chatterbox_es.training.tracking import Tracker

log = logging.getLogger(__name__)
TRIED = 8  # held-out utterances that a plan measures validation with


@dataclasses.dataclass
class Training:
    """The parts that a run trains with, put together; `state` and `restore` are all that it needs to go on elsewhere."""

    fabric: Fabric
    recipe: Recipe
    model: nn.Module
    wrapped: nn.Module  # the model as Fabric computes with it
    optimizer: torch.optim.Optimizer
    batches: Batches
    progress: Progress
    config: Config
    run: RunDirectory
    mean: AveragedModel | None = None  # of the weights, with train.ema
    saved: float = dataclasses.field(default_factory=time.monotonic)  # when the last state was written
    saved_at: tuple[int, int] | None = None  # its epoch, and the steps made in that
    ending: float = 0.0  # `Progress.ending` by this process's clock

    @classmethod
    def set_up(cls, fabric: Fabric, recipe: Recipe, model: nn.Module, features: FeatureSet, config: Config,
               run: RunDirectory) -> "Training":
        hw = config.hw
        batches = recipe.batches(config, features, Budget(hw.batch_frames, hw.batch_tokens), drawn_rates(features, config.data))
        optimizer = optimizer_of(recipe.parameter_groups(model), config)
        if hw.compile:
            recipe.compile(model)
        wrapped, optimizer = fabric.setup(model, optimizer)
        progress = Progress.of(config, len(batches.first_epoch))
        return cls(fabric, recipe, model, wrapped, optimizer, batches, progress, config, run,
                   running_mean(model, config.train.ema))

    def state(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Weights, optimiser, scaler, random numbers of each process, place in the epoch, and where the metrics end."""
        scaler = loss_scaler(self.fabric)
        random = self.fabric.all_gather(random_state(self.fabric)).cpu().reshape(self.fabric.world_size, -1)
        return {"model": self.recipe.weights(self.model), "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler else {}, "random": random,
                "progress": self.progress.state(), "metrics_bytes": self.run.metrics_bytes(),
                "mean": self.mean.state_dict() if self.mean else {}, **extra}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken."""
        self.recipe.restore(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.mean and state.get("mean"):
            self.mean.load_state_dict(state["mean"])
        if state["scaler"] and (scaler := loss_scaler(self.fabric)):
            scaler.load_state_dict(state["scaler"])
        self.progress.restore(state["progress"])
        if len(state["random"]) == self.fabric.world_size:
            restore_random_state(self.fabric, state["random"][self.fabric.global_rank])
        else:
            log.warning("this run was trained by %d processes and goes on with %d: its dropout will differ",
                        len(state["random"]), self.fabric.world_size)
        if self.fabric.is_global_zero:
            self.run.cut_metrics(state["metrics_bytes"])

    def save(self, extra: dict[str, Any]) -> None:
        """Write the state; every process takes part, the first one writes."""
        state = self.state(extra)
        if self.fabric.is_global_zero:
            self.run.sync_metrics()
            save_state(self.run.checkpoints, self.progress.step, state, self.config.train.keep_states)
        self.saved, self.saved_at = time.monotonic(), (self.progress.epoch, self.progress.batch)

    def state_is_due(self) -> bool:
        return time.monotonic() - self.saved >= self.config.train.state_minutes * 60


def drawn_rates(features: FeatureSet, data: DataConfig) -> np.ndarray | None:
    """How often an epoch draws each utterance of a mix; nothing where it draws each once."""
    if data.kind != "mix":
        return None
    counts = np.bincount(features.index["corpus"][features.train], minlength=len(features.names("corpus")))
    return utterance_rates(features, draw_rates(data, dict(zip(features.names("corpus"), counts.tolist(), strict=True))))


def random_state(fabric: Fabric) -> Tensor:
    """The generators of this process, as bytes: the CPU's, and its GPU's behind it."""
    states = [torch.get_rng_state()]
    if fabric.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(fabric.device))
    return torch.cat(states)


def restore_random_state(fabric: Fabric, state: Tensor) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].contiguous())
    if fabric.device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:].contiguous(), fabric.device)


class ValidationCallback:
    """What `train` calls after each validation, to save and to show; a run that goes on gives back what it had kept."""

    def __call__(self, model: nn.Module, epoch: int, step: int, metrics: dict, is_best: bool, is_last: bool,
                 check: Callable[[], None]) -> None:
        """``check()`` raises when the run has been asked to end, and is to be called now and then."""

    def rehearse(self, model: nn.Module, state_bytes: int) -> float:
        """Seconds that it will take, with the state of so many bytes that is written then; what it makes is thrown away."""
        return 0.0

    def keep_mean(self, mean: nn.Module) -> None:
        """Called after that, with the running mean of the weights where `train.ema` asks for one."""

    def state(self) -> dict[str, Any]:
        return {}

    def saved(self) -> None:
        """Called when a state with `state` in it is on the disk."""

    def restore(self, state: dict[str, Any]) -> None:
        pass


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
                metrics |= validate(fabric, recipe, model, features, check=check)
                metrics |= {"baseline": baseline, "minutes": progress.elapsed()}
                is_best = metrics["val_loss"] < progress.best
                log.info("%s, val_loss %.4f, %s%s", line, metrics["val_loss"], recipe.describe(metrics),
                         ", the best so far" if is_best else "")
                on_validation(model, progress.epoch, progress.step, metrics, is_best, is_last, check)
                if training.mean:
                    on_validation.keep_mean(training.mean.module)
                progress.best = min(progress.best, metrics["val_loss"])
            elif bar.disable:
                log.info("%s, %.2f steps/s", line, metrics["steps_per_second"])
            write(**metrics)
            if is_last:
                break
            progress.next_epoch()
            if validates:
                save()
                training.ending = (time.monotonic() - began) / 60
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
    hw, epoch, flops, steps = training.config.hw, Clock(), 0, 0
    before = dict(clock.spent)
    training.wrapped.train()
    with contextlib.closing(batches.steps(progress.epoch, progress.batch, fabric.global_rank, fabric.world_size, hw.workers,
                                          hw.pin_memory)) as source:
        while not progress.is_over():
            with clock.on("loader"):
                step = next(source, None)
            if step is None:
                break
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
    if fabric.world_size > 1:
        said = fabric.all_reduce(said.to(fabric.device), reduce_op="max")
    progress.now, progress.ending, due, number = said.tolist()
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


def fitting_step(training: Training, step: Step, rate: float) -> dict[str, float]:
    """`training_step`, in smaller micro-batches where the GPU's memory does not hold it.

    Raises:
        UserError: a single utterance does not fit, or other processes wait for this one.
    """
    batches, fabric = training.batches, training.fabric
    while True:
        try:
            return training_step(fabric, training.recipe, training.wrapped, training.optimizer, step, rate,
                                 training.config.phase.clip)
        except torch.OutOfMemoryError as error:
            reason = str(error).partition("\n")[0]
        # Outside of the except clause, so that nothing of the failed step is held any more.
        training.optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        largest = max(step.micro_batches, key=lambda micro_batch: micro_batch.frames)
        frames = largest.frames
        if len(largest.utterances) == 1:
            raise UserError(f"{not_even_one(batches, largest.utterances[0])} ({reason})")
        budget = max(frames // 2, max(int(batches.frames[number]) for number in largest.utterances))
        if fabric.world_size > 1:
            raise UserError(f"out of memory on {frames} frames in process {fabric.global_rank} ({reason}); go on with "
                            f"hw.batch_frames={budget} resume={training.run.folder}")
        batches.budget = Budget(budget, batches.budget.tokens)
        step = batches.step(step.utterances, epoch=step.epoch)
        log.warning("out of memory on %d frames (%s): from here on a micro-batch holds at most %d frames; batches stay. "
                    "To start with that: hw.batch_frames=%d", frames, reason, budget, budget)


def make_plan(training: Training, features: FeatureSet, on_validation: ValidationCallback) -> Plan:
    """Plan memory and time of a run, say and store it; what is tried leaves model and random numbers as they were.

    Raises:
        UserError: the run does not fit the memory of some process.
    """
    fabric, config, batches = training.fabric, training.config, training.batches
    plan = plan_of_all(training)
    if config.train.trial_steps > 0:
        random, scaler = random_state(fabric), loss_scaler(fabric)
        scale = scaler.state_dict() if scaler else None
        training.wrapped.train()
        times = []
        for batch in trial_steps(batches, config.train.trial_steps):
            step = batches.step(batch, fabric.global_rank, fabric.world_size)
            began = time.perf_counter()
            fitting_step(training, step, rate=0.0)
            times.append(time.perf_counter() - began)
        written = tensor_bytes(training.state({}))
        training.optimizer.optimizer.state.clear()
        validation = validation_seconds(training, features) + on_validation.rehearse(training.model, written)
        training.ending = training.progress.ending = validation / 60
        restore_random_state(fabric, random)
        if scaler:
            scaler.load_state_dict(scale)
        progress, per_epoch = training.progress, len(batches.first_epoch)
        validations = -(-progress.steps // (per_epoch * config.phase.validate_every))
        minutes = None if progress.minutes is None else progress.last_step() + progress.ending
        plan_time(plan, sum(times[1:]) / len(times[1:]), validation, progress.steps, validations, minutes,
                  config.hw.price_per_hour)
        if fabric.is_global_zero and minutes is not None and minutes > progress.minutes:
            log.warning("a validation takes %.1f minutes here, with its samples and files: more than half of "
                        "train.max_minutes=%g, so that the run will take %.1f", progress.ending, progress.minutes, minutes)
    if fabric.is_global_zero:
        for line in plan.describe():
            log.info("plan: %s", line)
        training.run.write_plan(dataclasses.asdict(plan))
    return plan


def plan_of_all(training: Training) -> Plan:
    """The memory's plan, unless the run does not fit one of the processes: then none goes on without it.

    Raises:
        UserError: that.
    """
    fabric, plan, refusal = training.fabric, None, None
    try:
        plan = training.recipe.plan(fabric, training.model, training.batches, training.config)
    except UserError as error:
        refusal = error
    if fabric.world_size > 1:
        refused = fabric.all_reduce(torch.tensor(float(refusal is not None), device=fabric.device), reduce_op="sum")
        if refused and refusal is None:
            refusal = UserError("another process has not the memory that this run needs; it says what would fit")
    if refusal is not None:
        raise refusal
    return plan


def validation_seconds(training: Training, features: FeatureSet) -> float:
    """Seconds to measure all that are held out, from some of middling length; a first one, which compiles, is not counted."""
    frames, held, processes = training.batches.frames, features.validation, training.fabric.world_size
    ordered = held[np.argsort(frames[held], kind="stable")]
    begin = max(0, (len(ordered) - TRIED * processes) // 2)
    some = ordered[begin:begin + TRIED * processes]
    seconds = 0.0
    for numbers in (some[:processes], some):
        began = time.perf_counter()
        validate(training.fabric, training.recipe, training.model, features, numbers)
        seconds = time.perf_counter() - began
    return seconds * float(frames[held].sum() / frames[some].sum())


def validate(fabric: Fabric, recipe: Recipe, model: nn.Module, features: FeatureSet, utterances: Any = None,
             check: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The metrics of `Recipe.values` over some ``utterances``, or all that are held out; each process measures its part."""
    utterances = features.validation if utterances is None else utterances
    values = recipe.values(fabric, model, features, utterances[fabric.global_rank::fabric.world_size], check)
    sums = torch.tensor([values.sums(name) for name in values.values], dtype=torch.float64)
    if fabric.world_size > 1:
        sums = fabric.all_reduce(sums.to(fabric.device), reduce_op="sum")
    return {name: total / weight for name, (total, weight) in zip(values.values, sums.tolist(), strict=True)}
