"""``model=flow`` on a pretended GPU: no device is mixed up, and a step makes the host wait as often as fase4's."""

import numpy as np
import pytest

from chatterbox_es.dataset.batches import Batches
from chatterbox_es.models.acoustic.batches import collate
from chatterbox_es.models.acoustic.validation import speak
from chatterbox_es.models.families import recipe_of
from chatterbox_es.training.optimisation import make_optimizer, training_step
from chatterbox_es.training.validation import validate
from tests.models.acoustic.test_gpu_waits import WAITS, unnumbered
from tests.models.flow.test_road import TINY
from tests.pretend_gpu import PretendGpu


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
@pytest.mark.parametrize(("phase", "adversarial_from"), [("4_2", 0), ("4_3", 1), ("4_3", 0)])
def test_a_training_step_waits_twice_and_all_else_stays_on_its_device(phase, adversarial_from, precision, config_of):
    with PretendGpu() as gpu:
        config = config_of(*TINY, f"phase={phase}", "phase.encoder_from=null", f"model.adversarial_from={adversarial_from}")
        recipe = recipe_of(config)
        features = recipe.prepare(config)
        model, fabric = recipe.build(config, features, None), gpu.fabric(precision)
        recipe.freeze(model, config)
        gpu.move(model)
        wrapped, optimizer = fabric.setup(model.train(), make_optimizer("adamw", recipe.parameter_groups(model), 1e-3, 0.01))
        for step in Batches(features, features.train, 3, 0, collate).steps(1, pin=True):
            count = len(gpu.waits)
            metrics = training_step(fabric, recipe, wrapped, optimizer, step, 1e-3, clip=0.05)
            assert unnumbered(gpu.since(count)) == WAITS
        assert not metrics["skipped"]  # the last: fp16 may first have to find its scale
        assert all(map(np.isfinite, validate(fabric, recipe, model, features).values()))
        number = int(features.validation[0])
        told = recipe.manner(model, len(features.token_ids(number)), features.contract.bins)
        assert set(told) == ({"controls", "draw"} if phase == "4_3" else {"controls"})
        mels, durations = speak(fabric, model.eval(), features, number, **told)
        assert mels.device.type == "cpu" and len(mels) == durations.sum()
