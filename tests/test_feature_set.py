"""Statistics, the baseline, and what standardised means."""

import json

import numpy as np
import pytest
import torch

from chatterbox_es.feature_set import INDEX, FeatureSet, Statistics, content_hash, training_statistics


def recorded(features: FeatureSet, numbers: np.ndarray) -> np.ndarray:
    """(frames, bins) log-mels as they lie on disk, in double precision."""
    rows = [features.index[n] for n in numbers]
    return np.concatenate([features.mels[r["frame"]:r["frame"] + r["frames"]] for r in rows]).astype(np.float64)


def test_standardised_training_frames_have_mean_zero_and_variance_one(features):
    frames = torch.cat([features.mel(n) for n in features.train]).double()
    assert frames.mean(0).abs().max() < 1e-4
    assert (frames.var(0, unbiased=False) - 1).abs().max() < 1e-3
    np.testing.assert_allclose(features.statistics.mean, recorded(features, features.train).mean(0), atol=1e-5)


def test_the_baseline_is_what_predicting_the_training_mean_scores(features):
    train, held_out = recorded(features, features.train), recorded(features, features.validation)
    expected = np.square((held_out - train.mean(0)) / train.std(0)).mean()
    assert features.baseline() == pytest.approx(expected, rel=1e-4)
    assert abs(expected - 1) > 1e-3  # held-out frames were not part of the statistics


def test_both_sides_of_the_split_are_the_whole(features):
    assert sorted([*features.train, *features.validation]) == list(range(len(features))) == list(range(10))
    assert len(features.validation) == 2  # a fifth, as there are fewer than validation_minimum
    for start, length, stored in (("frame", "frames", features.mels), ("token", "tokens", features.tokens)):
        assert features.index[start].tolist() == [0, *np.cumsum(features.index[length])[:-1]]
        assert features.index[length].sum() == len(stored)


def test_restoring_reverses_standardising(features):
    mel = torch.randn(5, 80) * 3 - 6
    torch.testing.assert_close(features.statistics.restore(features.statistics.standardise(mel)), mel)
    again = Statistics.from_dict(json.loads(json.dumps(features.statistics.to_dict())))
    assert torch.equal(again.mean, features.statistics.mean)
    assert torch.equal(again.deviation, features.statistics.deviation)


def test_difference_is_in_deviations():
    mine = Statistics(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0]))
    assert mine.difference(mine) == 0
    assert mine.difference(Statistics(torch.tensor([1.0, 1.0]), mine.deviation)) == pytest.approx(0.5)
    assert mine.difference(Statistics(mine.mean, torch.tensor([2.0, 1.25]))) == pytest.approx(0.25)


def test_a_bin_that_never_moves_does_not_divide_by_zero():
    index = np.zeros(2, INDEX)
    index["frames"], index["frame"], index["validation"] = [3, 2], [0, 3], [False, True]
    mels = np.zeros((5, 4), np.float16)
    mels[3:] = 100  # held out: not part of it
    statistics = training_statistics(mels, index)
    assert statistics.mean.tolist() == [0] * 4
    assert (statistics.deviation > 0).all()
    assert statistics.standardise(torch.zeros(1, 4)).isfinite().all()


def test_the_hash_is_of_the_content(features, tmp_path):
    for name in ("mels.npy", "tokens.npy", "index.npy", "statistics.json"):
        (tmp_path / name).write_bytes((features.folder / name).read_bytes())
    assert content_hash(tmp_path) == features.card["content"]
    tokens = np.load(tmp_path / "tokens.npy")
    tokens[1] += 1
    np.save(tmp_path / "tokens.npy", tokens)
    assert content_hash(tmp_path) != features.card["content"]
