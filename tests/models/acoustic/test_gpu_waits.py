"""fase4 on a pretended GPU: no device is mixed up in any phase, and a step makes the host wait twice."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from chatterbox_es.dataset.batches import Batches
from chatterbox_es.models.acoustic import validation
from chatterbox_es.models.acoustic.batches import collate
from chatterbox_es.models.acoustic.validation import speak
from chatterbox_es.models.fase4.initialisation import build_model
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from chatterbox_es.training.ema import running_mean
from chatterbox_es.training.optimisation import make_optimizer, training_step
from chatterbox_es.training.validation import validate
from tests.fp16 import fabric_of
from tests.pretend_gpu import CUDA, PretendGpu

WAITS = ["copy at alignment.py", "tolist at optimisation.py"]  # for the encoder, and to read all metrics of the step


@pytest.fixture
def gpu() -> Iterator[PretendGpu]:
    with PretendGpu() as pretended:
        yield pretended


def unnumbered(waits: list[str]) -> list[str]:
    return [wait.rpartition(":")[0] for wait in waits]


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
@pytest.mark.parametrize("phase", ["4_2", "4_3"])
def test_a_training_step_waits_twice_and_all_else_stays_on_its_device(phase, precision, gpu, features, config_of):
    """Forward, backward, norms, clipping, step, validation and speech."""
    recipe, config = Fase4Recipe(), config_of(f"phase={phase}", "phase.encoder_from=null")
    model, fabric = build_model(config, features), gpu.fabric(precision)
    recipe.freeze(model, config)
    gpu.move(model)
    before = {name: weight.detach().cpu() for name, weight in model.named_parameters()}
    wrapped, optimizer = fabric.setup(model.train(), make_optimizer("adamw", recipe.parameter_groups(model), 1e-3, 0.01))
    steps = list(Batches(features, features.train, 3, 0, collate).steps(1, pin=True))
    for step in steps:
        count = len(gpu.waits)
        metrics = training_step(fabric, recipe, wrapped, optimizer, step, 1e-3, clip=0.05)
        assert unnumbered(gpu.since(count)) == WAITS
        assert not metrics["skipped"] and metrics["grad_norm_text"] > 0.05, "the test wants a gradient that is clipped"
    assert len(steps) == 3
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight.detach().cpu(), before[name])}
    assert any(name.startswith("text_encoder") for name in moved)
    assert any(name.startswith("mel_decoder") for name in moved) == (phase == "4_3")
    metrics = validate(fabric, recipe, model, features)
    assert all(map(np.isfinite, metrics.values())), metrics
    mels, durations = speak(fabric, model.eval(), features, int(features.validation[0]))
    assert mels.device.type == "cpu" and len(mels) == durations.sum()


def test_the_figures_are_those_of_the_cpu(gpu, features, config_of):
    """The pretended GPU takes the GPU's branches: attention, copies, indices without a wait."""
    metrics, config, recipe = [], config_of("phase=4_3", "phase.encoder_from=null", "model.dropout=0"), Fase4Recipe()
    for fabric, place in ((fabric_of("32-true"), lambda model: model), (gpu.fabric(), gpu.move)):
        torch.manual_seed(0)
        model = place(build_model(config, features).train())
        wrapped, optimizer = fabric.setup(model, make_optimizer("adamw", recipe.parameter_groups(model), 1e-3, 0.01))
        steps = Batches(features, features.train, 3, 0, collate).steps(1, pin=True)
        metrics.append([training_step(fabric, recipe, wrapped, optimizer, step, 1e-3, 1.0)["train_loss"] for step in steps])
        metrics[-1] += validate(fabric, recipe, model, features).values()
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)


def test_a_warp_on_the_cpu_does_not_keep_the_gpu_from_speaking_the_next(features, config_of, monkeypatch):
    """Here no warp ends before every utterance has been spoken."""
    spoken, all_spoken = [], threading.Event()

    def say(*given):
        spoken.append(given)
        if len(spoken) == len(features.validation):
            all_spoken.set()
        return speak(*given)

    def warp(*_):
        assert all_spoken.wait(60), "the next one waits for the warp"
        return 1.0

    monkeypatch.setattr(validation, "speak", say)
    monkeypatch.setattr(validation, "warped_error", warp)
    model = build_model(config_of("phase=4_3", "phase.encoder_from=null"), features)
    assert validate(fabric_of("32-true"), Fase4Recipe(), model, features)["val_own_durations"] == 1.0
    assert len(spoken) > 1


def test_the_running_mean_reads_nothing_from_the_gpu(gpu):
    layer = gpu.move(torch.nn.Linear(3, 2))
    mean = running_mean(layer, 0.9)
    mean.update_parameters(layer)
    count = len(gpu.waits)
    with torch.no_grad():
        layer.weight.add_(1.0)
    mean.update_parameters(layer)
    assert mean.module.weight.device == CUDA
    assert not [wait for wait in gpu.since(count) if not wait.startswith("copy to the GPU")]  # one number, which is sent
