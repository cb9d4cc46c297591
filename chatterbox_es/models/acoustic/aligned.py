"""What a voice says of recordings, frame by frame under the alignment that fits best."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from chatterbox_es.dataset.feature_set import FeatureSet, Statistics
from chatterbox_es.models.acoustic.batches import Batch, collate
from chatterbox_es.models.acoustic.network import AcousticModel, Prediction

BATCH = 16  # utterances


@torch.no_grad()
def aligned(model: AcousticModel, statistics: Statistics, features: FeatureSet,
            numbers: Sequence[int]) -> Iterator[tuple[Batch, Tensor, Prediction]]:
    """Utterances of a set as a model in training sees them, some at a time, the shortest first: with their mels (frames, bins)
    as the voice's own ``statistics`` standardise them, and its prediction of these."""
    order = sorted(numbers, key=lambda number: int(features.index["frames"][number]))
    for start in range(0, len(order), BATCH):
        batch = collate(features, order[start:start + BATCH])
        mels = statistics.standardise(features.statistics.restore(batch.mels))
        yield batch, mels, model(*dataclasses.replace(batch, mels=mels).inputs())
