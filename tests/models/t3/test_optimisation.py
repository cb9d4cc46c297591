"""What reaches T3's weights in fp16: as `tests/test_optimisation.py` asks of the other model."""

import pytest
import torch

from chatterbox_es.dataset.batches import Step
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.lora import LoraOptions
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, set_phase
from chatterbox_es.models.t3.recipe import T3Recipe
from tests.fp16 import Run, check_two_hundred_steps, check_what_the_optimiser_sees

PHASES = {"4_2": TEXT_AND_LORA, "4_3": FULL_MODEL}


@pytest.fixture
def step(make_spoken) -> Step:
    spoken = [make_spoken(9, 31, 20), make_spoken(20, 60, 40)]
    return Step([0, 1], [collate(spoken)], 29, 91, text_targets=29)


@pytest.fixture
def run_of(make_t3, step):
    def make(precision: str, phase: str, **more) -> Run:
        model, recipe = make_t3(), T3Recipe()
        frozen = {"16-mixed": torch.float16}.get(precision, torch.float32)
        torch.manual_seed(2)
        set_phase(model, PHASES[phase], LoraOptions(rank=4, alpha=8.0, dropout=0.0), frozen)
        model.cond_enc.perceiver.attn.dropout = 0.0
        return Run(precision, recipe, model, **more)

    return make


@pytest.mark.parametrize("kind", ["adamw", "adafactor"])
@pytest.mark.parametrize("phase", PHASES)
def test_the_optimiser_sees_gradients_unscaled_once_and_clipped(phase, kind, run_of, step):
    check_what_the_optimiser_sees(lambda precision: run_of(precision, phase, kind=kind, clip=0.01), step)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_two_hundred_steps_in_fp16_end_where_those_in_fp32_end(phase, run_of, step):
    check_two_hundred_steps(lambda precision: run_of(precision, phase), step)
