"""What is reckoned beforehand against what is there: bytes of weights, gradients and optimiser, operations, a whole step."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from chatterbox_es.config import compose
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.errors import UserError
from chatterbox_es.models.plan import ROOM
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.cost import CONDITIONS, TEXT_PER_SECOND, CostOptions, hours_of, utterance_flops
from chatterbox_es.models.t3.lora import LoraOptions
from chatterbox_es.models.t3.loss import losses_of
from chatterbox_es.models.t3.memory import Shape, plan_memory, step_memory
from chatterbox_es.models.t3.network import T3, T3Size
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, parameter_groups, set_phase
from chatterbox_es.training.optimisation import make_optimizer
from tests.fp16 import fabric_of

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench_t3.py"


def held(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize("optimiser", ["adamw", "adafactor"])
@pytest.mark.parametrize("trains", [TEXT_AND_LORA, FULL_MODEL])
def test_weights_gradients_and_states_are_counted_right(trains, optimiser, make_t3, make_spoken):
    model, lora = make_t3(), LoraOptions(rank=4)
    plan = step_memory(model.size, trains, Shape(1, 11, 31), lora, "32-true", optimiser)
    set_phase(model, trains, lora)
    optimizer = make_optimizer(optimiser, parameter_groups(model), 1e-3, 0.01)
    losses_of(model, collate([make_spoken(9, 31, 20)])).total().backward()
    weights = list(model.parameters())
    assert plan.weights == held(weights)
    assert plan.gradients == held(weight.grad for weight in weights if weight.grad is not None)
    assert plan.trained == sum(weight.numel() for weight in weights if weight.requires_grad)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()
              if isinstance(value, torch.Tensor) and value.numel() > 1]
    assert plan.optimiser == pytest.approx(held(states), rel=0.01)


def test_what_the_phases_hold_of_the_published_size():
    shape = Shape(4, 92, 150)
    half, whole = (step_memory(T3Size(), trains, shape) for trains in (TEXT_AND_LORA, FULL_MODEL))
    assert half.total() < 15e9 and half.frozen > 500e6 and half.weights < 1.3e9
    assert whole.optimiser == 8 * whole.trained and whole.trained > 535e6
    assert step_memory(T3Size(), FULL_MODEL, shape, optimiser="adafactor").total() < whole.total() - 4e9
    assert step_memory(T3Size(), TEXT_AND_LORA, shape, checkpointing=False).total() > half.total() + 1e9


def test_a_run_that_does_not_fit_is_refused_with_what_would(make_t3, monkeypatch):
    monkeypatch.setattr("chatterbox_es.models.t3.memory.held_memory", lambda fabric: 0.0)
    model, fabric = make_t3(), fabric_of("32-true")
    set_phase(model, FULL_MODEL, LoraOptions())
    batches = Batches(None, np.arange(6), 6, 0, None, lengths=(np.full(6, 300), np.full(6, 90)))

    def plan(gigabytes: float, *more: str):
        config = compose(["model=chatterbox", "phase=4_3", "train.samples=0", f"hw.memory_gb={gigabytes}", *more])
        return plan_memory(fabric, model, batches, config, LoraOptions())

    saved, spent = (plan(9, f"model.checkpointing={choice}").memory_needed_gb for choice in ("true", "false"))
    enough = (saved + spent) / 2 / ROOM
    with pytest.raises(UserError, match=r"with model.checkpointing=true or .*hw.micro_batch_frames=300.* it would fit"):
        plan(enough, "model.checkpointing=false")
    assert plan(enough, "model.checkpointing=true").memory_needed_gb == saved
    with pytest.raises(UserError, match="no setting known here makes it fit"):
        plan(0.1 * saved)


@pytest.mark.parametrize("trains", [TEXT_AND_LORA, FULL_MODEL])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_operations_are_those_that_torch_counts(trains, checkpointing, make_spoken):
    """Within 5 %: the perceiver and the stop token are not counted beforehand."""
    size = T3Size(text_rows=300, width=256, layers=4, heads=4, feedforward=1024, perceiver_dropout=0.0)
    model = T3(size).train()
    set_phase(model, trains, LoraOptions(rank=8))
    if checkpointing:
        model.save_memory()
    seconds = 4.0
    batch = collate([make_spoken(round(seconds * TEXT_PER_SECOND), round(seconds * 25), 10)])
    assert model.cond_enc.positions == CONDITIONS
    with FlopCounterMode(display=False) as counter:
        losses_of(model, batch).total().backward()
    expected = utterance_flops(size, trains, seconds, rank=8, checkpointing=checkpointing)
    assert expected == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_hours_follow_from_the_operations():
    options = CostOptions(hours=10, epochs=3, seconds=5, utilisation=0.5, peak_tflops=60)
    seen, flops, hours = hours_of(options)
    assert seen == 10 * 720 * 3 and hours == pytest.approx(flops / 30e12 / 3600)
    assert hours_of(CostOptions(hours=20, epochs=3, seconds=5, utilisation=0.5, peak_tflops=60))[2] == pytest.approx(2 * hours)
    assert hours_of(CostOptions(hours=10, epochs=3, seconds=5, phase="4_3"))[1] > flops


def test_the_command(command, tmp_path):
    said = command("models.t3.cost", "hours=10", "epochs=5", "phase=4_3", "price=0.5", cwd=tmp_path)
    assert said.returncode == 0 and "30,000 utterances" in said.stdout and "25% of 65 TFLOP/s" in said.stdout
    for wrong, named in (("phase=4_4", "4_4"), ("hours=0", "hours"), ("utilisation=-1", "utilisation")):
        failed = command("models.t3.cost", "hours=1", wrong, cwd=tmp_path)
        assert failed.returncode == 2 and named in failed.stderr and "Traceback" not in failed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("phase, room", [("4_2", 5), ("4_3", 12)])
def test_a_step_of_the_full_size_takes_what_was_reckoned(phase, room):
    """Random weights, one second of speech, in float32 on the CPU; frozen weights stay bit for bit."""
    if psutil.virtual_memory().available < room * 1e9:
        pytest.skip(f"needs {room} GB of free memory")
    output = subprocess.run([sys.executable, str(SCRIPT), f"phase={phase}", "precision=32-true", "seconds=1", "steps=1",
                             "digest=true"], check=True, capture_output=True, text=True).stdout
    metrics = json.loads(output.splitlines()[-1])
    assert metrics["parameters"] > 535e6 and 8 < metrics["losses"][0] < 12
    assert 0.85 < metrics["planned_over_peak"] < 1.15
