"""Batches: nothing lost or doubled, the same for the same seed and epoch, resumable."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from chatterbox_es.dataset.batches import Batches, Budget, Order, utterance_rates
from chatterbox_es.dataset.feature_set import INDEX
from chatterbox_es.models.acoustic.batches import collate
from chatterbox_es.models.acoustic.packing import Packing


def lengths_alone(frames: list[int]):
    """What the order of batches needs of a feature set."""
    index = np.zeros(len(frames), INDEX)
    index["frames"] = frames
    index["tokens"] = [max(1, f // 5) for f in frames]
    return SimpleNamespace(index=index)


@pytest.fixture
def many():
    return lengths_alone(np.random.default_rng(0).integers(20, 900, 1003).tolist())


@pytest.mark.parametrize(("batch_size", "count"), [(1, 1003), (4, 1003), (8, 1000), (64, 63), (2000, 1003)])
def test_every_utterance_once_an_epoch(many, batch_size, count):
    utterances = np.random.default_rng(1).permutation(1003)[:count]  # not all: the others are held out
    batches = Batches(many, utterances, batch_size, seed=0, collate=collate)
    order = batches.order(1)
    assert sorted(number for batch in order for number in batch) == sorted(utterances.tolist())
    windows = [min(64 * batch_size, count - start) for start in range(0, count, 64 * batch_size)]
    assert len(order) == sum(-(-utterances // batch_size) for utterances in windows)
    assert max(map(len, order)) <= batch_size


def test_order_is_that_of_seed_and_epoch(many):
    def order(seed: int, epoch: int) -> list[list[int]]:
        return Batches(many, np.arange(1003), 8, seed, collate).order(epoch)

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_like_lengths_share_a_batch_and_short_ones_do_not_come_first(many):
    batches = Batches(many, np.arange(1003), 8, seed=0, collate=collate)
    frames = many.index["frames"]
    spread = np.mean([np.ptp(frames[batch]) for batch in batches.order(1)])
    assert spread < 0.2 * np.ptp(frames)
    means = [frames[batch].mean() for batch in batches.order(1)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
    assert 0 <= batches.padding()["both"] < 0.1


def test_skipping_goes_on_where_it_would_have_been(features):
    batches = Batches(features, features.train, 3, seed=5, collate=collate)
    whole = [step.utterances for step in batches.steps(2)]
    assert len(whole) == 3
    for skip in range(4):
        for workers in (0, 2):
            assert [step.utterances for step in batches.steps(2, skip, workers=workers)] == whole[skip:]


def test_a_batch_holds_what_the_feature_set_says(features):
    batch = collate(features, [3, 0, 6])
    for number, tokens in zip([3, 0, 6], batch.tokens.split(batch.text.lengths), strict=True):
        assert torch.equal(tokens, features.token_ids(number))
    assert torch.equal(batch.mels, torch.cat([features.mel(n) for n in (3, 0, 6)]))
    assert batch.speech.lengths == [len(features.mel(n)) for n in (3, 0, 6)]


def test_a_layout_says_where_packed_rows_stand_in_the_square():
    layout = Packing.of([2, 0, 3])
    assert layout.mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert layout.rows().tolist() == [0, 0, 2, 2, 2] and layout.positions().tolist() == [0, 1, 0, 1, 2]
    packed = torch.randn(5, 4)
    padded = layout.pad(packed)
    assert torch.equal(padded[layout.mask], packed) and not padded[~layout.mask].any()
    assert torch.equal(layout.pack(padded), packed) and torch.equal(layout.pack(padded[:, :, 0]), packed[:, 0])
    alone = Packing.alone(3)
    assert alone.mask is None and torch.equal(alone.places, Packing.of([3]).places)
    assert torch.equal(alone.pad(packed[:3]), Packing.of([3]).pad(packed[:3]))
    assert torch.equal(alone.pack(alone.pad(packed[:3])), packed[:3])


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_and_pieces_divide_a_batch_without_loss_or_doubles(many, processes):
    batches = Batches(many, np.arange(1003), 8, seed=0, collate=collate, budget=Budget(frames=2000, tokens=900))
    for batch in batches.order(1):
        micro_batches = [part for rank in range(processes) for part in batches.micro_batches(batch, rank, processes)]
        assert sorted(number for micro_batch in micro_batches for number in micro_batch) == sorted(batch)
        for micro_batch in micro_batches:
            tokens, frames = batches.size(micro_batch)
            assert len(micro_batch) == 1 or frames <= 2000
            assert len(micro_batch) == 1 or max(many.index["tokens"][micro_batch]) * len(micro_batch) <= 900
    whole = Batches(many, np.arange(1003), 8, seed=0, collate=collate)
    assert whole.order(1) == batches.order(1)  # a budget does not change what a step sees
    assert all(whole.micro_batches(batch) == [batch] for batch in whole.order(1))


def test_batches_can_be_filled_by_frames(many):
    batches = Batches(many, np.arange(1003), 8, seed=0, collate=collate, batch_frames=5000)
    order = batches.order(3)
    assert sorted(number for batch in order for number in batch) == list(range(1003))
    sizes = [batches.size(batch)[1] for batch in order]
    assert max(sizes) <= 5000
    assert np.mean(sizes) > 4200
    assert {len(batch) for batch in order} != {8}


def test_a_process_without_utterances_counts_nothing(features):
    batches = Batches(features, features.train, 3, seed=0, collate=collate)
    step = batches.step(features.train[:1].tolist(), rank=1, processes=2)
    assert step.idle
    assert len(step.micro_batches) == 1
    assert not batches.step(features.train[:1].tolist(), rank=0, processes=2).idle


@pytest.mark.parametrize("rate", [0.25, 0.5, 1.0, 2.0, 2.5])
def test_a_rate_is_kept_over_every_stretch_of_epochs(many, rate):
    rates = np.full(1003, rate)
    rates[:3] = 1
    batches = Batches(many, np.arange(1003), 8, seed=0, collate=collate, rates=rates)
    counts = np.array([np.bincount(batches.order(epoch).numbers, minlength=1003) for epoch in range(1, 13)])
    assert (counts[:, :3] == 1).all()
    assert set(np.unique(counts[:, 3:])) == {int(np.floor(rate)), int(np.ceil(rate))}
    for stretch in (4, 12):
        assert np.abs(counts[:stretch, 3:].sum(0) - rate * stretch).max() < 1
    assert counts[0].sum() == pytest.approx(rates.sum(), abs=3)
    assert batches.order(3) == Batches(many, np.arange(1003), 8, seed=0, collate=collate, rates=rates).order(3)


def test_rates_of_corpora_become_those_of_their_utterances():
    index = np.zeros(4, INDEX)
    index["corpus"] = [0, 1, 1, 0]
    features = SimpleNamespace(index=index, names=lambda what: ["a", "b"])
    assert utterance_rates(features, {"a": 2.0, "b": 0.5}).tolist() == [2.0, 0.5, 0.5, 2.0]
    assert utterance_rates(features, {"a": 1.0, "b": 1.0}) is None


def test_an_order_reads_as_lists_and_in_parts():
    order = Order(np.array([5, 3, 8, 1, 4]), np.array([0, 2, 3, 5]))
    assert list(order) == [[5, 3], [8], [1, 4]]
    assert list(order[1:]) == [[8], [1, 4]]
    assert list(order[3:]) == list(order[2:1]) == []
    assert order[-1] == [1, 4]
    assert order.sums(np.arange(9)).tolist() == [8, 8, 5]
    assert order.largest(np.arange(9)).tolist() == [5, 8, 4]
    with pytest.raises(IndexError):
        order[3]


@pytest.mark.parametrize("budget", [Budget(), Budget(frames=1500), Budget(tokens=300), Budget(frames=2500, tokens=900)])
def test_all_pieces_are_those_of_each_batch(many, budget):
    batches = Batches(many, np.arange(1003), 8, seed=0, collate=collate, budget=budget)
    order = batches.order(1)
    assert list(batches.all_micro_batches(order)) == [part for batch in order for part in batches.micro_batches(batch)]
