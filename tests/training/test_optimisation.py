"""What reaches the weights: gradients unscaled once, clipped, in every precision; and what happens when memory ends there."""

import pytest
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from tests.fp16 import PRECISIONS, Run, check_two_hundred_steps, check_what_the_optimiser_sees
from tests.models.fase4.test_loss import step_of, tiny, two_sentences


def run_of(precision: str, phase: str = "4_3", **more) -> Run:
    torch.manual_seed(1)
    model = tiny()
    model.mel_decoder.requires_grad_(phase == "4_3")
    return Run(precision, Fase4Recipe(), model, **more)


@pytest.fixture
def step():
    return step_of(two_sentences())


def sixteen_sentences() -> Batch:
    """Each token has a sound of its own, and noise beside it: the best alignment is plain, and nothing learned by heart."""
    sounds, counts = torch.randn(40, 80), torch.randint(6, 20, (16,)).tolist()
    texts = [torch.randint(3, 40, (count,)) for count in counts]
    spoken = [sounds[text].repeat_interleave(torch.randint(2, 8, (len(text),)), 0) for text in texts]
    mels = torch.cat(spoken) + 0.7 * torch.randn(sum(map(len, spoken)), 80)
    nobody = torch.zeros(16, dtype=torch.int64)
    return Batch(list(range(16)), torch.cat(texts), Packing.of(counts), mels / mels.std(),
                 Packing.of([len(frames) for frames in spoken]), nobody, nobody)


@pytest.mark.parametrize("kind", ["adamw", "adafactor"])
@pytest.mark.parametrize("phase", ["4_2", "4_3"])
def test_the_optimiser_sees_gradients_unscaled_once_and_clipped(phase, kind, step):
    check_what_the_optimiser_sees(lambda precision: run_of(precision, phase, kind=kind, clip=0.05), step)


@pytest.mark.parametrize("phase", [pytest.param("4_2", marks=pytest.mark.slow), "4_3"])
def test_two_hundred_steps_in_fp16_end_where_those_in_fp32_end(phase):
    check_two_hundred_steps(lambda precision: run_of(precision, phase), step_of(sixteen_sentences()))


def test_with_fp16_the_fused_kernel_steps_as_the_plain_one_does(step):
    fused, plain = (run_of("16-mixed", clip=0.05, fused=fused) for fused in (True, False))
    for run in (fused, plain):
        run.steps(step, 5)
    assert fused.inner.defaults["fused"] and not plain.inner.defaults["fused"]
    for mine, theirs in zip(fused.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-7, rtol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gradient_that_is_not_finite_moves_nothing_and_lowers_the_scale(precision, step):
    run = run_of(precision)
    run.steps(step)
    weights, state = ([tensor.clone() for tensor in tensors] for tensors in (
        run.model.parameters(), [t for kept in run.inner.state.values() for t in kept.values()]))
    scale = run.scaler.get_scale() if precision == "16-mixed" else None
    handle = run.model.mel_decoder[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    metrics, = run.steps(step)
    handle.remove()
    assert metrics["skipped"]
    assert all(map(torch.equal, weights, run.model.parameters()))
    assert all(map(torch.equal, state, [t for kept in run.inner.state.values() for t in kept.values()]))
    if scale:
        assert run.scaler.get_scale() == scale / 2
    assert not run.steps(step)[0]["skipped"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_out_of_memory_in_the_optimisers_step_is_an_error_that_says_so(precision, step):
    """Some weights may have moved by then: a step that is repeated would move them twice."""
    run = run_of(precision)
    run.steps(step)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB\nmore")

    run.inner.register_step_pre_hook(full)
    with pytest.raises(UserError, match=r"in the optimiser's step \(CUDA.*20.00 MiB\): some weights may have moved"):
        run.steps(step)


def test_no_weight_lies_outside_of_a_models_parts():
    """Norms, and whether they are finite, are of a model's children."""
    assert not dict(tiny(speakers=["a"], dialects=["b"]).named_parameters(recurse=False))
