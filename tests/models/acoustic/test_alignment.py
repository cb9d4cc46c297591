"""Alignments against exhaustive search, and what holds for all of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_es.models.acoustic import alignment
from chatterbox_es.models.acoustic.alignment import best_path, frame_positions, likeness, whole_frames
from chatterbox_es.models.acoustic.packing import Packing


def align(token_mels: torch.Tensor, mels: torch.Tensor, text: Packing, speech: Packing) -> torch.Tensor:
    return best_path(likeness(token_mels, mels, text, speech), text, speech)


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
    text, speech = Packing.of([n for n, _ in sizes]), Packing.of([t for _, t in sizes])
    token_mels, mels = torch.randn(13, 6, generator=random), torch.randn(31, 6, generator=random)
    durations = align(token_mels, mels, text, speech)
    rows = zip(*(part.split(packing.lengths) for part, packing in ((durations, text), (token_mels, text), (mels, speech))),
               strict=True)
    for found, tokens, frames in rows:
        assert found.tolist() == best_durations(tokens, frames)


def test_what_stands_in_the_padding_does_not_matter():
    packings = Packing.of([7, 3]), Packing.of([30, 10])
    fit = likeness(torch.randn(10, 4), torch.randn(40, 4), *packings)
    other = fit.clone()
    other[1, 3:], other[1, :, 10:] = 1e4, -1e4
    assert torch.equal(best_path(other, *packings), best_path(fit, *packings))


def test_several_threads_find_what_one_finds(monkeypatch):
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 12, (9,), generator=random).tolist()
    packings = Packing.of(tokens), Packing.of([3 * count + 2 for count in tokens])
    fit = torch.randn(9, max(tokens), 3 * max(tokens) + 2, generator=random)
    one = best_path(fit.clone(), *packings)
    monkeypatch.setattr(alignment, "CELLS", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert torch.equal(best_path(fit, *packings), one)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 25)), min_size=1, max_size=5), st.integers(0, 1000))
def test_every_token_has_a_frame_and_every_frame_a_token(sizes, seed):
    random = torch.Generator().manual_seed(seed)
    tokens, frames = [n for n, _ in sizes], [n + more for n, more in sizes]
    durations = align(torch.randn(sum(tokens), 3, generator=random), torch.randn(sum(frames), 3, generator=random),
                      Packing.of(tokens), Packing.of(frames))
    assert durations.dtype == torch.int64
    assert [int(of_one.sum()) for of_one in durations.split(tokens)] == frames
    assert (durations >= 1).all()


def test_fewer_frames_than_tokens_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match=r"batch rows \[1\]"):
        align(torch.zeros(8, 2), torch.zeros(8, 2), Packing.of([4, 4]), Packing.of([5, 3]))


@pytest.mark.parametrize("frames", [None, 6])
def test_frame_positions_count_from_both_ends(frames):
    token, since, left = frame_positions(torch.tensor([2, 1, 3]), frames)
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
