"""Figures of utterances under one set of weights, and how they are made into one of the whole set.

Everything that compares weights reads these values: validation while training, and the selection of checkpoints.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from chatterbox_es.runs.metrics import Metric


@dataclasses.dataclass
class UtteranceValues:
    """Figures of some utterances under one set of weights.

    A figure of the whole set is the mean over the utterances; of those in ``by_frames``, each weighs as much as it has
    frames. A model's `Metric` list says which those are. Others, of an evaluation, are added to ``values`` under names of
    their own.
    """

    utterances: list[str]  # ids, in the order of the arrays
    frames: np.ndarray  # (utterances,) of the recordings
    values: dict[str, np.ndarray]  # name → (utterances,)
    by_frames: frozenset[str] = frozenset({"val_loss"})

    @classmethod
    def of(cls, metrics: Sequence[Metric], utterances: list[str], frames: np.ndarray,
           values: Mapping[str, Sequence[float] | np.ndarray]) -> "UtteranceValues":
        """The ``metrics`` of some utterances, each (utterances,)."""
        return cls(utterances, frames, {metric.name: np.asarray(values[metric.name]) for metric in metrics},
                   frozenset(metric.name for metric in metrics if metric.by_frames))

    def weights(self, name: str) -> np.ndarray:
        """(utterances,) what each counts in the mean of a figure."""
        return self.frames.astype(float) if name in self.by_frames else np.ones(len(self.utterances))

    def sums(self, name: str) -> tuple[float, float]:
        """The weighted sum of a figure, and the sum of the weights: of which means over several parts are made."""
        weights = self.weights(name)
        return float((weights * self.values[name]).sum()), float(weights.sum())

    def mean(self, name: str) -> float:
        """The figure of the whole set."""
        total, weight = self.sums(name)
        return total / weight

    def means(self) -> dict[str, float]:
        return {name: self.mean(name) for name in self.values}

    def add(self, name: str, by_utterance: dict[str, float]) -> None:
        """Another figure, such as an evaluation's, by utterance id.

        Raises:
            ValueError: an utterance has none.
        """
        missing = [utterance for utterance in self.utterances if utterance not in by_utterance]
        if missing:
            raise ValueError(f"{name} is missing for {len(missing)} of {len(self.utterances)} utterances, such as {missing[0]}")
        self.values[name] = np.array([by_utterance[utterance] for utterance in self.utterances], dtype=float)
