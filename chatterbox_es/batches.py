"""Which utterances a training step sees, in which order, and what a batch holds."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.feature_set import FeatureSet


@dataclasses.dataclass
class Batch:
    """Utterances side by side: B of them, N tokens in the longest text, T frames in the longest recording.

    Tokens are padded, since attention needs the square; frames stand one recording after the other, without padding.
    """

    utterances: list[int]  # numbers in the feature set
    tokens: Tensor  # (B, N) int64
    token_mask: Tensor  # (B, N) bool, true where there is a token
    mels: Tensor  # (frames, bins) float32, standardised
    frame_mask: Tensor  # (B, T) bool, true where there is a frame

    def to(self, device: torch.device | str) -> "Batch":
        moved = {name: getattr(self, name).to(device, non_blocking=True)
                 for name in ("tokens", "token_mask", "mels", "frame_mask")}
        return dataclasses.replace(self, **moved)


def mask_of(lengths: list[int]) -> Tensor:
    """(B, longest) bool, true for the first ``lengths[b]`` of row *b*."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def collate(features: FeatureSet, utterances: list[int]) -> Batch:
    """The batch of some utterances."""
    texts = [features.token_ids(number) for number in utterances]
    mels = [features.mel(number) for number in utterances]
    return Batch(utterances, torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), mask_of([len(t) for t in texts]),
                 torch.cat(mels), mask_of([len(m) for m in mels]))


class Batches:
    """The training batches of an epoch: a permutation of the utterances, deterministic in (seed, epoch).

    Utterances of like length share a batch: within windows of ``WINDOW`` batches of a random order they are sorted by
    length, cut, and the batches shuffled again. The last batch may be smaller; nothing is dropped.
    """

    WINDOW = 32

    def __init__(self, features: FeatureSet, utterances: np.ndarray, batch_size: int, seed: int):
        self.features, self.utterances, self.batch_size, self.seed = features, utterances, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self.utterances) // self.batch_size)

    def mean_frames(self) -> int:
        """Frames of a batch, on average."""
        return int(self.features.index["frames"][self.utterances].mean() * self.batch_size)

    def order(self, epoch: int) -> list[list[int]]:
        """The utterance numbers of each batch of an epoch."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = random.permutation(self.utterances)
        lengths = self.features.index["frames"]
        window = self.WINDOW * self.batch_size
        batches = []
        for start in range(0, len(shuffled), window):
            part = shuffled[start:start + window]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += [part[i:i + self.batch_size].tolist() for i in range(0, len(part), self.batch_size)]
        random.shuffle(batches)
        return batches

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the ``skip``-th on."""
        for utterances in self.order(epoch)[skip:]:
            yield collate(self.features, utterances)

    def padding(self, epoch: int) -> float:
        """Share of the encoder's padded square that holds no token."""
        tokens = self.features.index["tokens"]
        used = sum(int(tokens[batch].sum()) for batch in self.order(epoch))
        return 1 - used / sum(int(tokens[batch].max()) * len(batch) for batch in self.order(epoch))
