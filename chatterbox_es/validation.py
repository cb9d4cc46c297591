"""How well held-out speech is predicted, utterance by utterance, and the figures made of that.

Everything that compares weights reads these values: validation while training, and the selection of checkpoints.
"""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.batches import collate
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.loss import warped_error
from chatterbox_es.model.fase4 import Fase4

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

BATCH = 8  # utterances


@dataclasses.dataclass
class UtteranceValues:
    """Figures of some utterances under one set of weights.

    A figure of the whole set is the mean over the utterances; of those in ``by_frames``, each weighs as much as it has
    frames. Lower is better for those that `utterance_values` makes. Others, of an evaluation, are added to ``values``
    under names of their own.
    """

    utterances: list[str]  # ids, in the order of the arrays
    frames: np.ndarray  # (utterances,) of the recordings
    values: dict[str, np.ndarray]  # name → (utterances,)
    by_frames: frozenset[str] = frozenset({"val_loss"})

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


@torch.no_grad()
def utterance_values(fabric: "Fabric", model: Fase4, features: FeatureSet,
                     numbers: Sequence[int] | None = None, check: Callable[[], None] = lambda: None) -> UtteranceValues:
    """The figures of held-out utterances (all of them, or those of ``numbers``); ``check`` is called before each.

    ``val_loss``: squared error a frame and bin under the alignment that fits best. A low one proves nothing about
    speech, since the search picks the path that flatters it. So beside it stand ``val_own_durations``, the error of
    what the model speaks from the text alone, along the best time warp, and ``val_length_error``, how far its length
    is from the recording's, as a share.
    """
    model.eval()
    chosen = np.asarray(features.validation if numbers is None else numbers)
    order = chosen[features.index["frames"][chosen].argsort(kind="stable")]
    squared, warped, length = [], [], []
    with ThreadPoolExecutor(min(4, torch.get_num_threads())) as beside:  # the next are spoken while these are warped
        for start in range(0, len(order), BATCH):
            batch = collate(features, order[start:start + BATCH].tolist()).to(fabric.device)
            with fabric.autocast():
                prediction = model(*batch.inputs())
            error = (prediction.mels.float() - batch.mels).square().mean(1, dtype=torch.float64)
            squared += torch.stack([frames.mean() for frames in error.split(batch.speech.lengths)]).tolist()
            for number in batch.utterances:
                check()
                spoken, _ = speak(fabric, model, features, number)
                recorded = features.mel(number)
                warped.append(beside.submit(warped_error, spoken, recorded))
                length.append(abs(len(spoken) / len(recorded) - 1))
        warped = [error.result() for error in warped]
    return UtteranceValues([features.utterance(number)["id"] for number in order], features.index["frames"][order],
                           {"val_loss": np.array(squared), "val_own_durations": np.array(warped),
                            "val_length_error": np.array(length)})


def speak(fabric: "Fabric", model: Fase4, features: FeatureSet, number: int) -> tuple[Tensor, Tensor]:
    """`Fase4.speak` of an utterance's text, as its speaker and in its dialect, in the run's precision; on the CPU."""
    told = model.told(*(features.ids(what, [number]).to(fabric.device) for what in ("speaker", "dialect")))
    with fabric.autocast():
        mels, durations = model.speak(features.token_ids(number).to(fabric.device), told=told)
    return mels.cpu(), durations.cpu()
