"""Utterances side by side, as models of mels are trained on them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.config import DataConfig
from chatterbox_es.dataset.f0 import F0
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.prosody import UNIT, decibels, semitones


@dataclasses.dataclass
class Batch:
    """Utterances side by side: B of them, N tokens in the longest text, T frames in the longest recording.

    Tokens and frames stand one sentence after the other, without padding; their packings say whose they are.
    """

    utterances: list[int]  # numbers in the feature set
    tokens: Tensor  # (tokens,) int64
    text: Packing  # of the tokens
    mels: Tensor  # (frames, bins) float32, standardised
    speech: Packing  # of the frames
    speakers: Tensor  # (B,) int64, places in the card's "speakers"
    dialects: Tensor  # (B,) int64, likewise
    recorded: Tensor | None = None  # (frames, 2) int32, as `Prosody.measure` takes it; of a `PitchedSet`

    @property
    def frames(self) -> int:
        return len(self.mels)

    def to(self, device: torch.device | str) -> "Batch":
        return self._with(lambda part: part.to(device, non_blocking=True) if isinstance(part, Tensor) else part.to(device))

    def pin(self) -> "Batch":
        """In memory that a GPU copies from without waiting."""
        return self._with(lambda part: part.pin_memory() if isinstance(part, Tensor) else part.pin())

    def _with(self, change: Callable[[Any], Any]) -> "Batch":
        names = ("tokens", "text", "mels", "speech", "speakers", "dialects", "recorded")
        return dataclasses.replace(self, **{name: change(getattr(self, name)) for name in names
                                            if getattr(self, name) is not None})

    def inputs(self) -> tuple[Tensor, Packing, Tensor, Packing, Tensor, Tensor, Tensor | None]:
        """What `AcousticModel.align` takes."""
        return self.tokens, self.text, self.mels, self.speech, self.speakers, self.dialects, self.recorded


class PitchedSet(FeatureSet):
    """An opened set with the F0 of its frames, for models that have prosody."""

    def __init__(self, features: FeatureSet, data: DataConfig | None = None):
        """``data`` says how F0 is made where it is not there yet.

        Raises:
            UserError: a recording is gone, or has changed since the set was made.
        """
        super().__init__(features.folder, features.source)
        self.f0 = F0.of(features, data) if data else F0(features)


def collate(features: FeatureSet, utterances: list[int], epoch: int = 0) -> Batch:
    """The batch of some utterances, the same in every epoch; with what was ``recorded`` where the set has F0."""
    texts = [features.token_ids(number) for number in utterances]
    frames = features.index["frames"][utterances].tolist()
    mels, f0 = features.mels(utterances), getattr(features, "f0", None)
    return Batch(utterances, torch.cat(texts), Packing.of([len(text) for text in texts]), mels, Packing.of(frames),
                 features.ids("speaker", utterances), features.ids("dialect", utterances),
                 None if f0 is None else recorded_prosody(f0, features.statistics.restore(mels), utterances))


def recorded_prosody(f0: F0, log_mels: Tensor, utterances: list[int]) -> Tensor:
    """`Batch.recorded` of some utterances with these natural-log mels (frames, bins)."""
    hertz = torch.from_numpy(np.concatenate([f0.hertz(number) for number in utterances]))
    return (UNIT * torch.stack([semitones(hertz), decibels(log_mels)], 1)).round().int()
