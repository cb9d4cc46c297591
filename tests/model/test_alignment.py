"""Alignments against exhaustive search, and what holds for all of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_es.model.alignment import align, frame_positions, whole_frames


def mask(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def best_durations(tokens: torch.Tensor, frames: torch.Tensor) -> list[int]:
    """Of all ways to divide the frames among the tokens, one frame at least to each, the one with the least error."""
    def error(cuts: tuple[int, ...]) -> float:
        ends = (0, *cuts, len(frames))
        return sum(float((frames[a:b] - token).square().sum()) for token, a, b in zip(tokens, ends, ends[1:], strict=False))

    cuts = min(itertools.combinations(range(1, len(frames)), len(tokens) - 1), key=error)
    return [b - a for a, b in itertools.pairwise((0, *cuts, len(frames)))]


@pytest.mark.parametrize("seed", range(8))
def test_alignment_is_the_best_of_all(seed):
    random = torch.Generator().manual_seed(seed)
    sizes = [(4, 9), (1, 6), (5, 5), (3, 11)]  # tokens and frames of each row: very different lengths in one batch
    token_mels = torch.randn(4, 5, 6, generator=random)
    mels = torch.randn(4, 11, 6, generator=random)
    durations = align(token_mels, mels, mask([n for n, _ in sizes]), mask([t for _, t in sizes]))
    for row, (n, t) in enumerate(sizes):
        assert durations[row, :n].tolist() == best_durations(token_mels[row, :n], mels[row, :t])
        assert not durations[row, n:].any()


def test_what_stands_in_the_padding_does_not_matter():
    token_mels, mels = torch.randn(2, 7, 4), torch.randn(2, 30, 4)
    masks = mask([7, 3]), mask([30, 10])
    before = align(token_mels, mels, *masks)
    token_mels[1, 3:], mels[1, 10:] = 1e4, -1e4
    assert torch.equal(align(token_mels, mels, *masks), before)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 25)), min_size=1, max_size=5), st.integers(0, 1000))
def test_every_token_has_a_frame_and_every_frame_a_token(sizes, seed):
    random = torch.Generator().manual_seed(seed)
    tokens, frames = [n for n, _ in sizes], [n + more for n, more in sizes]
    durations = align(torch.randn(len(sizes), max(tokens), 3, generator=random),
                      torch.randn(len(sizes), max(frames), 3, generator=random), mask(tokens), mask(frames))
    assert durations.dtype == torch.int64
    assert durations.sum(1).tolist() == frames
    assert (durations[mask(tokens)] >= 1).all()


def test_fewer_frames_than_tokens_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match=r"batch rows \[1\]"):
        align(torch.zeros(2, 4, 2), torch.zeros(2, 5, 2), mask([4, 4]), mask([5, 3]))


def test_frame_positions_count_from_both_ends():
    token, since, left = frame_positions(torch.tensor([2, 1, 3]))
    assert token.tolist() == [0, 0, 1, 2, 2, 2]
    assert since.tolist() == [0, 1, 0, 0, 1, 2]
    assert left.tolist() == [1, 0, 0, 2, 1, 0]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1.0, 40), min_size=1, max_size=60))
def test_whole_frames_follow_the_running_sum(durations):
    durations = torch.tensor(durations, dtype=torch.float64)
    whole = whole_frames(durations)
    assert whole.dtype == torch.int64
    assert (whole >= 1).all()
    # Durations of a frame or more: nothing is raised to the least of 1, so that rounding errors never add up.
    assert (whole.cumsum(0) - durations.cumsum(0)).abs().max() <= 0.5 + 1e-9


def test_whole_frames_are_at_least_one_and_speed_divides_them():
    assert whole_frames(torch.tensor([0.1, 0.1, 5.0])).tolist()[:2] == [1, 1]
    slow, fast = whole_frames(torch.full((50,), 8.0), 0.5), whole_frames(torch.full((50,), 8.0), 2.0)
    assert (slow.sum().item(), fast.sum().item()) == (800, 200)
