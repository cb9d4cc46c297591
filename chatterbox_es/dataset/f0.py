"""F0 of a set's frames, made of its waveforms: a file ``f0-KEY/00000.f32`` for each file of mels."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from chatterbox_es.audio import f0
from chatterbox_es.audio.f0 import f0_of_frames
from chatterbox_es.config import DataConfig
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.tracks import Track
from chatterbox_es.dataset.waveforms import Waveforms


class F0(Track):
    """The F0 of a set, a value a frame."""

    name, type, made_by = "f0", np.dtype("<f4"), (__file__, f0.__file__)

    @classmethod
    def of(cls, features: FeatureSet, data: DataConfig, workers: int | None = None) -> Self:
        if cls(features).waiting():
            Waveforms.of(features, data, workers)
        return super().of(features, data, workers)

    def hertz(self, number: int, start: int = 0, frames: int | None = None) -> np.ndarray:
        """(frames,) float32 of one utterance, 0 where it is unvoiced: all of them, or ``frames`` from frame ``start`` on."""
        return self.read(number, start, frames)

    @staticmethod
    def width_of(features: FeatureSet) -> int:
        return 1

    def work(self, data: DataConfig) -> "F0Work":
        return F0Work(self.features.folder)


class F0Work(NamedTuple):
    """The F0 of a shard, made in whatever process."""

    folder: Path  # of the set

    def make(self, number: int) -> tuple[int, int]:
        features = FeatureSet(self.folder)
        waveforms, track = Waveforms(features), F0(features)
        return track.write(number, (f0_of_frames(waveforms.samples(utterance), features.contract)
                                    for utterance in track.numbers(number)))

    def rows(self, number: int) -> str:
        return f"the F0 of shard {number} of {self.folder}"
