"""The plan before a run: what it says, what it refuses, and that the way out it names is one."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from chatterbox_es.config import compose
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import attention_kernels, precision_of, set_up, set_up_attention, why_no_gpu
from chatterbox_es.models.acoustic.batches import collate
from chatterbox_es.models.acoustic.memory import Activations
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.initialisation import start_model
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from chatterbox_es.models.plan import kept_bytes
from chatterbox_es.runs.run_directory import read_card
from chatterbox_es.training.plan import plan_time
from chatterbox_es.training.run import run_phase


@pytest.fixture
def run_of(tmp_path, config_of, features):
    def run(*more: str):
        run_phase(config_of("phase=4_2", "train.samples=0", *more), tmp_path / "run")
        return tmp_path / "run"

    return run


def test_a_plan_is_stored_and_true_where_it_can_be_known(run_of):
    run = run_of("hw.price_per_hour=0.35", "train.epochs=3", "phase.batch_size=4")
    plan = json.loads((run / "plan.json").read_text())
    weights = load_checkpoint(run / "checkpoints/final_text_encoder.pt").weights
    decoder = sum(weight.numel() for name, weight in weights.items() if name.startswith("mel_decoder."))
    assert (plan["frozen"], plan["trained"]) == (decoder, sum(weight.numel() for weight in weights.values()) - decoder)
    assert plan["steps"] == 6
    assert plan["cost"] == pytest.approx(0.35 * plan["hours"])
    assert plan["hours"] == pytest.approx((6 * plan["seconds_per_step"] + 3 * plan["seconds_per_validation"]) / 3600)
    assert plan["memory_needed_gb"] == pytest.approx(sum(plan["memory_gb"].values()), abs=1e-3)
    card = read_card(run)
    assert card["cost"] == pytest.approx(0.35 * card["hours"])


def test_minutes_bound_the_hours(run_of):
    plan = json.loads((run_of("train.max_minutes=0.01", "train.epochs=100000") / "plan.json").read_text())
    half_and_validation = 0.005 / 60 + plan["seconds_per_validation"] / 3600  # where a validation takes longer than half
    assert plan["hours"] == pytest.approx(max(0.01 / 60, half_and_validation))


def test_trial_steps_change_nothing(tmp_path, config_of, features):
    for name, count in (("with", 3), ("without", 0)):
        run_phase(config_of("phase=4_2", "train.samples=0", f"train.trial_steps={count}"), tmp_path / name)
    with_trial, without = (load_checkpoint(tmp_path / name / "checkpoints/final_text_encoder.pt").weights
                           for name in ("with", "without"))
    assert all(torch.equal(with_trial[name], without[name]) for name in without)


def test_what_cannot_fit_is_refused_with_the_override_that_would(run_of, config_of, features, tmp_path, monkeypatch):
    monkeypatch.setattr("chatterbox_es.models.acoustic.memory.held_memory", lambda fabric: 0.0)
    big = ("phase.batch_size=8", "model.feedforward=512", "model.dropout=0.1")
    needed = json.loads((run_of(*big) / "plan.json").read_text())
    tight = needed["memory_needed_gb"] - 0.6 * needed["memory_gb"]["activations"]
    with pytest.raises(UserError, match=r"needs .* GB of .* and .* GB is there; with hw.micro_batch_frames=(\d+)") as refusal:
        run_phase(config_of("phase=4_2", *big, f"hw.memory_gb={tight}"), tmp_path / "refused")
    override = str(refusal.value).split("with ")[1].split(" ")[0]
    run_phase(config_of("phase=4_2", *big, f"hw.memory_gb={tight}", override, "train.samples=0"), tmp_path / "fits")
    plan = json.loads((tmp_path / "fits/plan.json").read_text())
    assert plan["largest_micro_batch"]["frames"] <= int(override.split("=")[1])
    with pytest.raises(UserError, match="one utterance, r.*data.max_seconds"):
        run_phase(config_of("phase=4_2", *big, "hw.memory_gb=0.005"), tmp_path / "never")


def test_activations_of_a_batch_are_estimated_from_small_ones(config_of, features):
    config = config_of("phase=4_2", "model.dropout=0.1")
    model, _ = start_model(config, features)
    fabric, batches = Fabric(accelerator="cpu", devices=1), Batches(features, features.train, 8, 0, collate)
    estimated = Activations.measure(fabric, model, batches, Fase4Recipe().minimised)
    for micro_batch in [*batches.order(1), features.train[:5].tolist(), features.train[2:6].tolist()]:
        kept = kept_bytes(fabric, model, partial(Fase4Recipe().minimised, model, collate(features, micro_batch)))
        assert np.dot(estimated.weights, Activations.sizes(batches, micro_batch)) == pytest.approx(kept, rel=0.02)


def test_time_and_cost_are_plain_products(run_of):
    class Empty:
        pass

    plan = Empty()
    plan_time(plan, seconds_per_step=0.5, seconds_per_validation=10, steps=7200, validations=18, minutes=math.inf, price=0.35)
    assert plan.hours == pytest.approx(1.05)
    assert plan.cost == pytest.approx(0.3675)


# ---- GPUs, as far as they can be judged without one


@pytest.mark.parametrize(("cuda", "driver", "said"), [
    ("12.6", None, "no NVIDIA driver is installed"),
    (None, None, "this torch has no CUDA"),
    (None, "550.54.14", "a build for CUDA 12 or older"),
    (None, "390.10", "a newer driver"),
    ("12.6", "470.82.01", "needs driver 525.60.13 or newer, and 470.82.01 is installed"),
    ("13.0", "550.54.14", "needs driver 580.65.06"),
    ("12.6", "550.54.14", "no GPU answers"),
])
def test_driver_and_cuda_are_compared(cuda, driver, said):
    assert said in why_no_gpu(cuda, driver)


@pytest.fixture
def t4(monkeypatch):
    """What torch says on a machine with a T4."""
    for name, value in (("is_available", True), ("get_device_capability", (7, 5)), ("get_device_name", "Tesla T4"),
                        ("get_arch_list", ["sm_75", "sm_80", "sm_90"]), ("device_count", 4)):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def test_a_t4_has_neither_bf16_nor_tf32_whatever_torch_says(t4):
    assert precision_of(compose(["hw=t4"]).hw) == "16-mixed"
    assert precision_of(compose(["hw=multi_gpu"]).hw) == "16-mixed"  # auto
    with pytest.raises(UserError, match="Tesla T4 has no bf16"):
        precision_of(compose(["hw=t4", "hw.precision=bf16-mixed"]).hw)
    with pytest.raises(UserError, match="Tesla T4 has no TF32"):
        set_up(compose(["hw=ampere"]).hw)


def test_several_gpus_want_torchrun_and_an_old_build_is_named(t4, monkeypatch):
    with pytest.raises(UserError, match="torchrun --nproc_per_node=4 -m chatterbox_es.train"):
        set_up(compose(["hw=multi_gpu"]).hw)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90", "sm_100"])
    with pytest.raises(UserError, match="no kernels for Tesla T4"):
        set_up(compose(["hw=t4"]).hw)


@pytest.fixture
def attention():
    """torch's choice of kernels, put back afterwards."""
    cuda, names = torch.backends.cuda, ("cudnn", "flash", "mem_efficient", "math")
    before = [getattr(cuda, f"{name}_sdp_enabled")() for name in names]
    yield lambda: {name for name in names if getattr(cuda, f"{name}_sdp_enabled")()}
    for name, value in zip(names, before, strict=True):
        getattr(cuda, f"enable_{name}_sdp")(value)


@pytest.mark.parametrize(("allowed", "left", "masked", "plain"), [
    ("auto", {"flash", "mem_efficient", "math"}, "efficient", "flash"),
    ("efficient", {"mem_efficient"}, "efficient", "efficient"), ("math", {"math"}, "math", "math"),
])
def test_attention_takes_the_kernels_that_are_said_and_never_cudnns(attention, monkeypatch, allowed, left, masked, plain):
    torch.backends.cuda.enable_cudnn_sdp(True)
    set_up_attention(allowed)
    assert attention() == left
    # What a GPU of today can: flash takes no mask.
    monkeypatch.setattr(torch.backends.cuda, "can_use_flash_attention", lambda asked: asked.attn_mask is None)
    monkeypatch.setattr(torch.backends.cuda, "can_use_efficient_attention", lambda asked: True)
    assert attention_kernels(torch.float16, "cpu") == (f"{masked} kernel where padding is masked, {plain} kernel where nothing "
                                                       "is; cuDNN's is off")
    monkeypatch.setattr(torch.backends.cuda, "can_use_efficient_attention", lambda asked: False)
    if allowed == "efficient":
        assert attention_kernels(torch.float32, "cpu").startswith("none, which will fail")


@pytest.mark.parametrize("kernel", ["flash", "flesh"])
def test_an_attention_that_no_model_can_have_is_refused(kernel):
    with pytest.raises(UserError, match=rf"hw.attention={kernel}: must be auto \| efficient \| math"):
        compose(["hw=t4", f"hw.attention={kernel}"])
