"""Dropout that draws a byte an element."""

import math

import pytest
import torch

from chatterbox_es.models.acoustic.dropout import Dropout


def test_a_share_is_dropped_and_the_mean_kept():
    x = torch.ones(500, 1001)
    y = Dropout(0.1)(x)
    rate, n = 26 / 256, x.numel()
    dropped = float((y == 0).sum()) / n
    assert abs(dropped - rate) < 5 * math.sqrt(rate * (1 - rate) / n)
    assert torch.unique(y).tolist() == pytest.approx([0, 256 / 230])
    assert abs(float(y.mean()) - 1) < 0.002


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_type_stay_and_neighbours_are_independent(dtype):
    y = Dropout(0.5)(torch.ones(3, 7, 1001, dtype=dtype))
    assert (y.shape, y.dtype) == ((3, 7, 1001), dtype)
    kept = (y != 0).double().flatten()
    for lag in range(1, 17):  # eight elements share a random number
        assert abs(float(((kept[lag:] - 0.5) * (kept[:-lag] - 0.5)).mean())) < 0.01


def test_gradients_pass_where_it_is_kept():
    x = torch.ones(500, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_nothing_happens_in_evaluation_or_at_probability_zero():
    x = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_torchs_seed_repeats_it():
    x, dropout = torch.ones(4097), Dropout(0.1)
    torch.manual_seed(7)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(7)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("probability", [-0.1, 1.0, 1.5])
def test_other_probabilities_are_an_error(probability):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Dropout(probability)
