"""What a run will take: memory, hours to its end, and what they cost."""

import dataclasses
import logging
import time

import numpy as np
import torch

from chatterbox_es.dataset.batches import Batches
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.plan import Plan
from chatterbox_es.training.fitting import fitting_step
from chatterbox_es.training.optimisation import loss_scaler
from chatterbox_es.training.processes import reduced
from chatterbox_es.training.session import Training, random_state, restore_random_state
from chatterbox_es.training.state import tensor_bytes
from chatterbox_es.training.validation import ValidationCallback, validate

log = logging.getLogger(__name__)
TRIED = 8  # held-out utterances that a plan measures validation with


def make_plan(training: Training, features: FeatureSet, on_validation: ValidationCallback) -> Plan:
    """Plan memory and time of a run, say and store it; what is tried leaves model and random numbers as they were.

    Raises:
        UserError: the run does not fit the memory of some process.
    """
    fabric, config, batches = training.fabric, training.config, training.batches
    plan = plan_of_all(training)
    if config.train.trial_steps > 0:
        random, scaler = random_state(fabric), loss_scaler(fabric)
        scale = scaler.state_dict() if scaler else {}
        training.wrapped.train()
        times = []
        for number, batch in enumerate(trial_steps(batches, config.train.trial_steps)):
            step = batches.step(batch, fabric.global_rank, fabric.world_size)
            # The first as at the end of the run, when most takes part; the others spread over it.
            step.share = (number - 0.5) / config.train.trial_steps if number else 1.0
            began = time.perf_counter()
            fitting_step(training, step, rate=0.0)
            times.append(time.perf_counter() - began)
        written = tensor_bytes(training.state({}))
        training.optimizer.optimizer.state.clear()
        measured = 2 if training.mean else 1  # the running mean is validated beside the weights
        validation = measured * validation_seconds(training, features) + on_validation.rehearse(training.model, written)
        training.ending = training.progress.ending = validation / 60
        restore_random_state(fabric, random)
        if scaler:
            scaler.load_state_dict(scale)
        progress, per_epoch = training.progress, len(batches.first_epoch)
        validations = -(-progress.steps // (per_epoch * config.phase.validate_every))
        minutes = progress.last_step() + progress.ending
        plan_time(plan, sum(times[1:]) / len(times[1:]), validation, progress.steps, validations, minutes,
                  config.hw.price_per_hour)
        if fabric.is_global_zero and progress.minutes is not None and minutes > progress.minutes:
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
    plan, refusal = None, None
    try:
        plan = training.recipe.plan(training.fabric, training.model, training.batches, training.config)
    except UserError as error:
        refusal = error
    refused = reduced(training.fabric, torch.tensor(float(plan is None)), "sum")
    if plan is None or refused:
        raise refusal or UserError("another process has not the memory that this run needs; it says what would fit")
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


def trial_steps(batches: Batches, count: int) -> list[list[int]]:
    """Batches of the first epoch to measure the speed with: the largest first, then ``count`` from short to long."""
    epoch = batches.first_epoch
    ordered = np.argsort(epoch.sums(batches.frames), kind="stable").tolist()
    spread = (ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count))
    return [epoch[place] for place in (ordered[-1], *spread)]


def plan_time(plan: Plan, seconds_per_step: float, seconds_per_validation: float, steps: int, validations: int,
              minutes: float, price: float | None) -> None:
    """Hours to the end and what they cost, into the plan; ``minutes`` is the run's own limit, infinite where it has none."""
    hours = (steps * seconds_per_step + validations * seconds_per_validation) / 3600
    plan.steps, plan.seconds_per_step, plan.seconds_per_validation = steps, seconds_per_step, seconds_per_validation
    plan.hours = min(hours, minutes / 60)
    plan.price_per_hour, plan.cost = price, None if price is None else plan.hours * price
