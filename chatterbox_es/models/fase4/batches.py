"""Utterances side by side, as `Fase4` is trained on them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.fase4.packing import Packing


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

    @property
    def frames(self) -> int:
        return len(self.mels)

    def to(self, device: torch.device | str) -> "Batch":
        return self._with(lambda part: part.to(device, non_blocking=True) if isinstance(part, Tensor) else part.to(device))

    def pin(self) -> "Batch":
        """In memory that a GPU copies from without waiting."""
        return self._with(lambda part: part.pin_memory() if isinstance(part, Tensor) else part.pin())

    def _with(self, change: Callable[[Any], Any]) -> "Batch":
        return dataclasses.replace(self, **{name: change(getattr(self, name))
                                            for name in ("tokens", "text", "mels", "speech", "speakers", "dialects")})

    def inputs(self) -> tuple[Tensor, Packing, Tensor, Packing, Tensor, Tensor]:
        """What `Fase4.forward` takes."""
        return self.tokens, self.text, self.mels, self.speech, self.speakers, self.dialects


def collate(features: FeatureSet, utterances: list[int], epoch: int = 0) -> Batch:
    """The batch of some utterances, the same in every epoch."""
    texts = [features.token_ids(number) for number in utterances]
    frames = features.index["frames"][utterances].tolist()
    return Batch(utterances, torch.cat(texts), Packing.of([len(text) for text in texts]), features.mels(utterances),
                 Packing.of(frames), features.ids("speaker", utterances), features.ids("dialect", utterances))
