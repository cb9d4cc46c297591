"""Runs that minutes end, by a clock that moves only when a step, a validation or a sample says so; and by one clock in two
processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from chatterbox_es.training import loop, progress, run_writer, session, state
from chatterbox_es.training import plan as plans
from chatterbox_es.training.interruption import InterruptedRun, Interruption
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.run import run_phase

REPOSITORY = Path(__file__).resolve().parents[2]
STEP = 1.0  # seconds


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    perf_counter = time = monotonic


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    for module in (progress, run_writer, loop, plans, session, state):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def run_of(tmp_path, config_of, features, clock, monkeypatch):
    """A run by minutes whose steps take a second and whose validations take what is said, in seconds: when they are tried
    before the start, the first time of all, and in the run."""
    def run(*more: str, tried: float, taken: float | None = None, cold: float = 0.0):
        step, validate, first = loop.fitting_step, loop.validate, [cold]

        def slow_step(*arguments, **options):
            clock.seconds += STEP
            return step(*arguments, **options)

        def slow_validate(fabric, recipe, model, features, utterances=None, **options):
            share = 1 if utterances is None else len(utterances) / len(features.validation)
            clock.seconds += share * (taken if taken is not None and utterances is None else tried)
            clock.seconds += first.pop() if first else 0.0
            return validate(fabric, recipe, model, features, utterances, **options)

        for module in (plans, loop):
            monkeypatch.setattr(module, "fitting_step", slow_step)
            monkeypatch.setattr(module, "validate", slow_validate)
        run_phase(config_of("phase=4_2", "train.samples=0", "train.epochs=1000", "phase.batch_size=3", "phase.warmup_steps=1",
                            *more), tmp_path / "run")
        return tmp_path / "run"

    return run


def epochs(run) -> list[dict]:
    return [row for row in RunDirectory(run).metrics() if "train_loss_epoch" in row]


def no_epoch_is_empty_and_no_weights_are_validated_twice(run) -> None:
    steps = [row["step"] for row in epochs(run)]
    assert steps == sorted(set(steps))
    assert all(row["train_loss_epoch"] > 0 and row["steps_per_second"] > 0 for row in epochs(run))


@pytest.mark.parametrize("validation", [1.0, 12.0, 15.0, 20.0, 29.0])  # of a minute: few seconds, a fifth, …, nearly half
def test_a_run_ends_when_its_minutes_do_and_its_rate_at_zero(run_of, validation):
    run = run_of("train.max_minutes=1", tried=validation)
    no_epoch_is_empty_and_no_weights_are_validated_twice(run)
    assert 60 * epochs(run)[-1]["minutes"] == pytest.approx(60, abs=STEP)
    assert 60 * read_card(run)["hours"] == pytest.approx(1, abs=STEP / 60)
    rates = [row["learning_rate"] for row in RunDirectory(run).metrics() if "learning_rate" in row]
    assert rates[-1] < 0.02 * max(rates)
    assert "val_loss" in epochs(run)[-1]


def test_a_validation_that_takes_much_longer_than_estimated_is_the_last(run_of, caplog):
    run = run_of("train.max_minutes=1", tried=12, taken=45)
    no_epoch_is_empty_and_no_weights_are_validated_twice(run)
    assert [row["step"] for row in epochs(run)] == [3]
    assert "longer than was estimated: the run ends with it" in caplog.text
    assert read_card(run)["state"] == "finished"


def test_one_of_twice_the_time_estimated_still_leaves_the_rate_to_fall(run_of):
    run = run_of("train.max_minutes=1", tried=7, taken=14)
    no_epoch_is_empty_and_no_weights_are_validated_twice(run)
    rates = [row["learning_rate"] for row in RunDirectory(run).metrics() if "learning_rate" in row]
    assert rates[-1] < 0.02 * max(rates)
    assert 60 * epochs(run)[-1]["minutes"] == pytest.approx(60, abs=STEP)


def test_half_of_the_minutes_are_trained_whatever_a_validation_takes(run_of, caplog):
    run = run_of("train.max_minutes=1", tried=100)
    assert epochs(run)[-1]["step"] == 30
    assert "more than half of train.max_minutes=1, so that the run will take 2.2" in caplog.text
    assert json.loads((run / "plan.json").read_text())["hours"] == pytest.approx(130 / 3600)


def test_a_plan_does_not_count_what_only_the_first_time_takes(run_of, clock, monkeypatch):
    """Imports and compilation, of validation and of the samples."""
    first, samples = [50.0], Fase4Recipe.samples

    def slow_samples(self, fabric, model, config, features, numbers, *more):
        clock.seconds += 2 * len(numbers) + (first.pop() if first else 0)
        return samples(self, fabric, model, config, features, numbers, *more)

    monkeypatch.setattr(Fase4Recipe, "samples", slow_samples)
    monkeypatch.setattr(run_writer, "LONG", 100)
    plan = json.loads((run_of("train.epochs=2", "train.samples=2", tried=4, cold=90) / "plan.json").read_text())
    assert plan["seconds_per_step"] == pytest.approx(STEP)
    assert plan["seconds_per_validation"] == pytest.approx(4 + 2 * 2)


def test_speaking_that_takes_long_is_tried_once(run_of, clock, monkeypatch):
    spoken = []

    def slow_samples(self, fabric, model, config, features, numbers, *more):
        spoken.append(len(numbers))
        clock.seconds += 100 * len(numbers)
        return {}, {}

    monkeypatch.setattr(Fase4Recipe, "samples", slow_samples)
    plan = json.loads((run_of("train.max_steps=1", "train.samples=2", tried=4) / "plan.json").read_text())
    assert plan["seconds_per_validation"] == pytest.approx(204)
    assert spoken == [1, 2]  # tried, and at the end


# ---- processes


def process(is_first: bool, others: list[float] | None = None, started: float = 0.0, **more) -> SimpleNamespace:
    """What `training.loop.agree` takes, of one process of two; ``others`` is what the other one says."""
    def all_reduce(tensor, reduce_op):
        assert reduce_op == "max"
        return torch.maximum(tensor, torch.tensor(others, dtype=tensor.dtype))

    fabric = SimpleNamespace(world_size=2, is_global_zero=is_first, device=torch.device("cpu"), all_reduce=all_reduce)
    return SimpleNamespace(fabric=fabric, progress=Progress(1000, minutes=10, step=1, before=4.0, started=started), ending=3.0,
                           state_is_due=lambda: True, **more)


def test_all_processes_go_by_the_first_ones_clock_and_end_by_any_ones_signal(clock):
    first, second = (process(True, [0, 0, 0, 0], clock.seconds), process(False, [2.5, 1.5, 0, 0], clock.seconds))
    assert loop.agree(first, Interruption())
    assert (first.progress.now, first.progress.ending) == (4.0, 3.0)
    assert not loop.agree(second, Interruption())  # by its own clock a state would be due
    assert (second.progress.now, second.progress.ending) == (2.5, 1.5)
    clock.seconds += 600  # nobody asks a clock in between
    assert second.progress.share() == 2.5 / 8.5
    with pytest.raises(InterruptedRun, match="SIGTERM"):
        loop.agree(process(True, [0, 0, 0, 15]), Interruption())


def test_no_process_goes_on_where_one_has_not_the_memory():
    other = SimpleNamespace(plan=lambda *arguments: "a plan")
    alone = process(True, recipe=other, model=None, batches=None, config=None)
    alone.fabric.all_reduce = lambda tensor, reduce_op: tensor + 1
    with pytest.raises(UserError, match="another process has not the memory"):
        plans.plan_of_all(alone)


def test_two_processes_by_minutes_with_slow_states_stay_the_same_bit_by_bit(tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
                                "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, REPOSITORY / "scripts/two_processes.py", "runs=1", "seconds=4", "limit=250"],
                          cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1 hung; in 1 the replicas are bit-identical" in done.stdout
