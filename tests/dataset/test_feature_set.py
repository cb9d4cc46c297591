"""Statistics, the baseline, and what standardised means."""

import json
import shutil

import numpy as np
import pytest
import torch

from chatterbox_es.dataset.feature_set import FeatureSet, Statistics, content_hash


def recorded(features: FeatureSet, numbers: np.ndarray) -> np.ndarray:
    """(frames, bins) log-mels as they lie on disk, in double precision."""
    return np.concatenate([features.stored_mel(n) for n in numbers]).astype(np.float64)


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
    frames = sum((features.folder / shard["file"]).stat().st_size for shard in features.card["shards"]) // (2 * 80)
    for start, length, stored in (("frame", "frames", frames), ("token", "tokens", len(features.tokens))):
        assert features.index[start].tolist() == [0, *np.cumsum(features.index[length])[:-1]]
        assert features.index[length].sum() == stored


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
    statistics = Statistics.of_moments(np.zeros(4), np.zeros(4))
    assert statistics.mean.tolist() == [0] * 4
    assert (statistics.deviation > 0).all()
    assert statistics.standardise(torch.zeros(1, 4)).isfinite().all()


def test_the_hash_is_of_the_content(features, tmp_path):
    assert content_hash(features.folder) == features.card["content"]
    for name, dtype in (("tokens.npy", np.int16), ("mels/00000.f16", np.float16)):
        copy = tmp_path / name.replace("/", "_")
        shutil.copytree(features.folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[-dtype().itemsize] ^= 1  # one bit of the last value
        (copy / name).write_bytes(content)
        assert content_hash(copy) != features.card["content"]
