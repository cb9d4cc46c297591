"""The samples that belong to a set's mels: the recordings treated again as preparation treated them, cut to whole frames.

A file ``waveforms-KEY/00000.i16`` for each file of mels holds int16 samples, 2 bytes each: 173 MB an hour at 24 kHz. Their
log-mels are the set's, but for three things: the last two frames of an utterance, whose window reaches past the last whole
frame into what is cut off here; the rounding of the mels to half precision; and bins near the floor, which hear the rounding
of the samples (98 dB below full scale).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.waveform import AudioError
from chatterbox_es.config import DataConfig
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation import stages
from chatterbox_es.dataset.preparation.manifest import portion_name, read_portion, write_portion
from chatterbox_es.dataset.preparation.prepare import treatment_of
from chatterbox_es.dataset.preparation.stages import Treatment, read_speech
from chatterbox_es.dataset.recordings import recordings
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.dataset.tracks import Track
from chatterbox_es.errors import UserError

FULL_SCALE = 32768.0  # what readers of 16-bit files divide by
CHANGED = 0.05  # mean absolute difference of log-mels: between machines it stays below a tenth of that


class Waveforms(Track):
    """The samples of a set, at its contract's rate."""

    name, type, made_by = "waveforms", np.dtype("<i2"), (__file__, stages.__file__)

    def samples(self, number: int, start: int = 0, frames: int | None = None) -> np.ndarray:
        """(frames * hop,) float32 in [-1, 1] of one utterance: all of them, or those of ``frames`` from frame ``start`` on."""
        return self.read(number, start, frames).astype(np.float32) / np.float32(FULL_SCALE)

    @staticmethod
    def width_of(features: FeatureSet) -> int:
        return features.contract.hop

    def work(self, data: DataConfig) -> "WaveformWork":
        return WaveformWork(self.features.folder, treatment_of(data, self.features.contract))

    def ready(self, shards: list[int], data: DataConfig) -> Iterator[int]:
        """The shards, each when the list of its recordings lies on the disk, with those that came inside a data set."""
        waiting, source = list(shards), self.features.source
        rows: list[Utterance | Fault] = []
        for number, said, audio in recordings(self.features, data):
            if not waiting:
                return
            if number in self.numbers(waiting[0]):
                rows.append(Utterance(said["id"], said["text"], audio))
            if number + 1 == self.numbers(waiting[0]).stop:
                shard = waiting.pop(0)
                write_portion(Storage(self.folder), shard, rows)
                rows = []
                if source is not None:
                    source.fetch(self.features.card["shards"][shard]["file"], self.features.card["shards"][shard]["sha256"])
                yield shard


class WaveformWork(NamedTuple):
    """The samples of a shard, made in whatever process."""

    folder: Path  # of the set
    treatment: Treatment

    def make(self, number: int) -> tuple[int, int]:
        waveforms = Waveforms(FeatureSet(self.folder))
        storage = Storage(waveforms.folder)
        rows = read_portion(storage, number)
        if rows is None:
            raise UserError(f"{storage.url}/{portion_name(number)} is gone; the same command goes on")
        made = waveforms.write(number, self._samples(waveforms, number, rows))
        storage.remove(portion_name(number))
        return made

    def rows(self, number: int) -> str:
        return f"the waveforms of shard {number} of {self.folder}"

    def _samples(self, waveforms: Waveforms, shard: int, rows: list[Utterance | Fault]) -> Iterator[np.ndarray]:
        for number, row in zip(waveforms.numbers(shard), rows, strict=True):
            assert isinstance(row, Utterance)
            yield samples_of(row, waveforms.features.stored_mel(number), self.treatment)


def samples_of(utterance: Utterance, mel: np.ndarray, treatment: Treatment) -> np.ndarray:
    """(frames * hop,) int16 of a recording whose natural-log mels (frames, bins) were made before.

    Raises:
        UserError: it cannot be read any more, or its mels are others now.
    """
    contract = treatment.contract
    try:
        _, (samples, *_) = read_speech(utterance.audio, contract.sample_rate, treatment)
    except AudioError as error:
        raise UserError(f"the recording of {utterance.id} could be read when the set was prepared, and now: {error.detail}"
                        ) from error
    now = log_mel(samples, contract).numpy() if len(samples) > contract.margin else np.zeros((0, contract.bins), np.float32)
    if len(now) != len(mel) or np.abs(now - mel.astype(np.float32)).mean() > CHANGED:
        raise UserError(f"{utterance.audio}, the recording of {utterance.id}, has changed since the set was prepared: prepare "
                        "it anew (prepare.check=full sees changes that leave size and time of a file as they were)")
    return np.clip(np.rint(samples[:len(mel) * contract.hop] * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
