"""Stretches of recordings side by side, as the vocoder is trained on them."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.audio.f0 import filled
from chatterbox_es.models.vocoder.sound_set import SoundSet


@dataclasses.dataclass
class Batch:
    """B stretches of T mel frames, each of another utterance."""

    utterances: list[int]  # numbers in the set
    mels: Tensor  # (B, T, bins) float32, natural-log
    samples: Tensor  # (B, T * hop) float32
    f0: Tensor  # (B, T) Hz, 0 where unvoiced
    source_f0: Tensor  # (B, T) Hz, the same with values everywhere

    @property
    def frames(self) -> int:
        return self.f0.numel()

    def to(self, device: torch.device | str) -> "Batch":
        return self._with(lambda part: part.to(device, non_blocking=True))

    def pin(self) -> "Batch":
        """In memory that a GPU copies from without waiting."""
        return self._with(lambda part: part.pin_memory())

    def _with(self, change: Callable[[Any], Any]) -> "Batch":
        return dataclasses.replace(self, **{name: change(part) for name, part in self.inputs().items()})

    def inputs(self) -> dict[str, Tensor]:
        """What `AdversarialVocoder.forward` takes."""
        return {"mels": self.mels, "samples": self.samples, "f0": self.f0, "source_f0": self.source_f0}


@dataclasses.dataclass
class OwnMels:
    """The mels that a voice has for the recordings, beside the recordings' own: its vocoder learns to make speech of both."""

    mels: Mapping[int, np.ndarray]  # natural-log (frames, bins) by the utterance's number
    share: float  # of the stretches that are cut from these


def collate(features: SoundSet, utterances: list[int], epoch: int, frames: int, seed: int,
            own: OwnMels | None = None) -> Batch:
    """A stretch of so many ``frames`` of each utterance, cut at random: the same of a seed, an epoch and an utterance. What is
    shorter has silence behind its end."""
    stretches = [stretch(features, number, frames, np.random.default_rng((seed, epoch, number)), own) for number in utterances]
    mels, samples, f0 = (torch.from_numpy(np.stack(parts)) for parts in zip(*stretches, strict=True))
    return Batch(utterances, mels, samples, f0, torch.from_numpy(np.stack([filled(track) for track in f0.numpy()])))


def stretch(features: SoundSet, number: int, frames: int, random: np.random.Generator,
            own: OwnMels | None) -> tuple[np.ndarray, ...]:
    """Mels (frames, bins), samples (frames * hop,) and F0 (frames,) of one utterance, all float32."""
    length, hop = int(features.index["frames"][number]), features.contract.hop
    start = int(random.integers(max(1, length - frames + 1)))
    there = min(frames, length)
    whole = own.mels[number] if own is not None and random.random() < own.share else features.stored_mel(number)
    mels = whole[start:start + there].astype(np.float32)
    samples, f0 = features.waveforms.samples(number, start, there), features.f0.hertz(number, start, there)
    rest = frames - there
    if rest:
        mels = np.pad(mels, ((0, rest), (0, 0)), constant_values=math.log(features.contract.floor))
        samples, f0 = np.pad(samples, (0, rest * hop)), np.pad(f0, (0, rest))
    return mels, samples, f0.astype(np.float32)
