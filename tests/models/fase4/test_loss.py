"""What the losses mean: 1.0 is the mean of the data, 0 is perfect, and two sentences can be learned by heart."""

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from chatterbox_es.dataset.batches import Step
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.loss import losses_of, warped_error
from chatterbox_es.models.acoustic.network import Prediction
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from chatterbox_es.training.optimisation import training_step


def standard(frames: int) -> torch.Tensor:
    """Mels of zero mean and unit variance in each bin, smooth in time."""
    mels = torch.randn(frames, 80).cumsum(0)
    return (mels - mels.mean(0)) / mels.std(0, unbiased=False)


def two_sentences() -> Batch:
    mels = standard(70)
    tokens = torch.cat([torch.arange(3, 17), torch.arange(20, 28)])
    nobody = torch.zeros(2, dtype=torch.int64)
    return Batch([0, 1], tokens, Packing.of([14, 8]), mels, Packing.of([45, 25]), nobody, nobody)


def test_losses_are_means_over_what_they_name():
    mels = standard(10)
    prediction = Prediction(token_mels=torch.stack([mels[:4].mean(0), mels[4:].mean(0)]), mels=torch.zeros(10, 80),
                            durations=torch.tensor([4, 6]), log_durations=torch.log(torch.tensor([4.0, 3.0])))
    losses = losses_of(prediction, mels)
    assert losses.frame.item() == pytest.approx(1.0, abs=1e-5)  # the mean
    within = (mels[:4].var(0, unbiased=False) * 4 + mels[4:].var(0, unbiased=False) * 6).mean() / 10
    assert losses.token.item() == pytest.approx(within.item(), rel=1e-5)
    poisson = ((4 - 4 * torch.log(torch.tensor(4.0))) + (3 - 6 * torch.log(torch.tensor(3.0)))) / 2
    assert losses.duration.item() == pytest.approx(poisson.item(), rel=1e-5)
    assert losses_of(Prediction(mels[[0]], mels, torch.tensor([10]), torch.zeros(1)), mels).frame == 0


def test_the_best_duration_is_the_mean():
    durations = torch.tensor([2, 9, 4, 1])

    def loss(rate: float) -> float:
        prediction = Prediction(torch.zeros(4, 80), torch.zeros(16, 80), durations, torch.full((4,), rate).log())
        return losses_of(prediction, torch.zeros(16, 80)).duration.item()

    assert loss(4.0) < min(loss(3.6), loss(4.4))


def test_the_warped_error_forgives_time_and_nothing_else():
    mels = standard(30)
    slower = mels.repeat_interleave(torch.randint(1, 4, (30,)), 0)
    assert warped_error(slower, mels) == pytest.approx(0, abs=1e-9)
    # the mean scores what it does without a warp, however long it is
    for frames in (3, 12, 100):
        assert warped_error(torch.zeros(frames, 80), mels) == pytest.approx(mels.square().mean().item())
    assert warped_error(mels.flip(0), mels) > 0.3
    # three frames against two, by hand: 0-0, 1-1 and 2-1 cost 0, 1 and 4; a recorded frame counts once
    spoken, recorded = torch.tensor([[0.0], [3.0], [4.0]]), torch.tensor([[0.0], [2.0]])
    assert warped_error(spoken, recorded) == pytest.approx((0 + (1 + 4) / 2) / 2)


def tiny(**changes) -> Fase4:
    return Fase4(**{"symbols": 40, "width": 64, "layers": 1, "heads": 2, "feedforward": 128, "dropout": 0.0,
                    "decoder_hidden": [128], "bins": 80, "duration_hidden": 16} | changes)


def step_of(batch: Batch) -> Step:
    return Step(batch.utterances, [batch], len(batch.tokens), len(batch.mels))


def test_a_tiny_model_learns_two_sentences_by_heart():
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    model = fabric.setup(tiny())
    optimizer = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), lr=3e-3))
    step = step_of(two_sentences())
    losses = [training_step(fabric, Fase4Recipe(), model, optimizer, step, 3e-3, 1.0)["train_loss"] for _ in range(150)]
    assert losses[0] > 0.8
    assert losses[-1] < 0.15


def test_a_step_reports_the_norms_of_encoder_and_decoder_in_any_precision():
    """With fp16 gradients are scaled by some 65,536 on their way; what is reported and clipped is not."""
    steps = {}
    for name, options in (("32", {"precision": "32-true"}), ("16", {"plugins": MixedPrecision("16-mixed", "cpu")})):
        torch.manual_seed(1)
        fabric = Fabric(accelerator="cpu", devices=1, **options)
        model = fabric.setup(tiny())
        optimizer = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), lr=1e-3))
        steps[name] = training_step(fabric, Fase4Recipe(), model, optimizer, step_of(two_sentences()), 1e-3, 1.0)
    assert steps["32"]["learning_rate"] == 1e-3
    for norm in ("grad_norm_text", "grad_norm_vocoder"):
        assert 0 < steps["32"][norm] < 100
        assert steps["16"][norm] == pytest.approx(steps["32"][norm], rel=0.05)


def test_a_batch_in_pieces_has_the_gradient_of_the_whole():
    """Summed over micro-batches of unequal size, with the batch's tokens and frames as the divisors."""
    gradients, metrics = [], []
    whole = two_sentences()
    counts, lengths = whole.text.lengths, whole.speech.lengths
    tokens, frames = sum(counts), sum(lengths)
    micro_batches = [Batch([row], text, Packing.of([len(text)]), mels, Packing.of([len(mels)]), whole.speakers[:1],
                           whole.dialects[:1])
                     for row, (text, mels) in enumerate(zip(whole.tokens.split(counts), whole.mels.split(lengths),
                                                            strict=True))]
    for parts in ([whole], micro_batches):
        torch.manual_seed(0)
        fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
        model = fabric.setup(tiny())
        optimizer = fabric.setup_optimizers(torch.optim.SGD(model.parameters(), lr=1.0))
        before = [p.detach().clone() for p in model.parameters()]
        metrics.append(training_step(fabric, Fase4Recipe(), model, optimizer, Step([0, 1], parts, tokens, frames), 1.0, 1e9))
        gradients.append([old - p for old, p in zip(before, model.parameters(), strict=True)])
    for key in ("train_loss", "train_token_loss", "train_duration_loss", "grad_norm_text", "grad_norm_vocoder"):
        assert metrics[1][key] == pytest.approx(metrics[0][key], rel=1e-5)
    for one, both in zip(*gradients, strict=True):
        torch.testing.assert_close(both, one, atol=1e-6, rtol=1e-4)


def test_gradients_are_clipped_to_the_norm():
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    model = fabric.setup(tiny())
    optimizer = fabric.setup_optimizers(torch.optim.SGD(model.parameters(), lr=1.0))
    before = [p.detach().clone() for p in model.parameters()]
    training_step(fabric, Fase4Recipe(), model, optimizer, step_of(two_sentences()), 1.0, 0.01)
    moved = torch.cat([(old - p).flatten() for old, p in zip(before, model.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)
