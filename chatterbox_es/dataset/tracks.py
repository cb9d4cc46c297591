"""What runs along with a set's mels: so many values a frame, in one file for each file of mels.

The files lie in a folder ``NAME-KEY`` beside the mels, outside the set's hash: they can be made again at any time. Where
utterances are dropped of a set, both it and the whole one use those of the whole one, as they do with the mels.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

import numpy as np

from chatterbox_es.config import DataConfig
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation.dropping import whole_of
from chatterbox_es.dataset.preparation.local_engine import Work, make_all
from chatterbox_es.dataset.preparation.work_progress import WorkProgress
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.files import remove_partials, write_whole
from chatterbox_es.hardware import cores


class Track:
    """The values of a set, read piece by piece from their files: nothing is held, whatever the corpus's size."""

    name: ClassVar[str]
    type: ClassVar[np.dtype]  # of a value in the files
    made_by: ClassVar[tuple[str, ...]]  # files of code, whose change may change the values

    def __init__(self, features: FeatureSet):
        self.features, self.width = features, self.width_of(features)
        digest = hashlib.sha256()
        for file in self.made_by:
            digest.update(Path(file).read_bytes())
        self.folder = whole_of(features).folder / f"{self.name}-{digest.hexdigest()[:12]}"
        shards = features.card["shards"]
        self._first = np.cumsum([0, *(shard["utterances"] for shard in shards)])
        self._first_frame = np.cumsum([0, *(shard["frames"] for shard in shards)])

    @classmethod
    def of(cls, features: FeatureSet, data: DataConfig, workers: int | None = None) -> Self:
        """Those of a prepared set: opened where they are there, made where they are not, in processes, one a core by default.
        What a killed process has done stays done.

        Raises:
            UserError: a recording is gone or has changed since the set was made; the disk is full.
        """
        track, told = cls(features), "reused"
        if track.waiting():
            storage = Storage(track.folder)
            with storage.locked(f"another process makes {track.folder}: waiting for it"):
                if waiting := track.waiting():
                    storage.make_folder("work")
                    remove_partials(track.folder)
                    cls(whole_of(features))._make(waiting, data, workers or data.workers)
                    storage.remove("work")
                    told = "made"
        print(f"{track.name} {track.folder}: {told}")
        return track

    @staticmethod
    def width_of(features: FeatureSet) -> int:
        """Values a frame."""
        raise NotImplementedError

    def work(self, data: DataConfig) -> Work:
        """What makes the values of a shard."""
        raise NotImplementedError

    def ready(self, shards: list[int], data: DataConfig) -> Iterable[int]:
        """The shards, each when all is there that its values are made of."""
        return shards

    def _make(self, waiting: list[int], data: DataConfig, workers: int | None) -> None:
        counts = [shard["utterances"] for shard in self.features.card["shards"]]
        done = sum(counts) - sum(counts[number] for number in waiting)
        made = make_all(self.work(data), self.ready(waiting, data), min(workers or cores(), len(waiting)))
        with WorkProgress(sum(counts), done, self.features.contract.frames_per_second, self.name) as progress:
            try:
                for rows, frames in made:
                    progress.add(rows, frames)
            finally:
                made.close()

    def waiting(self) -> list[int]:
        """The shards whose file is not there, or not of its length; one that is all faults needs none."""
        sizes = Storage(self.folder).sizes()
        return [number for number in range(len(self.features.card["shards"]))
                if sizes.get(self.path(number).name, 0) != self._bytes(number)]

    def path(self, shard: int) -> Path:
        """The file of a shard: its values and nothing else."""
        return self.folder / f"{shard:05d}.{self.type.kind}{8 * self.type.itemsize}"

    def _bytes(self, shard: int) -> int:
        return self.features.card["shards"][shard]["frames"] * self.width * self.type.itemsize

    def read(self, number: int, start: int = 0, frames: int | None = None) -> np.ndarray:
        """(frames * width,) of one utterance as they are stored: all of them, or those of ``frames`` from frame ``start`` on.

        Raises:
            UserError: the file is damaged.
        """
        number = range(len(self.features))[number]
        shard, row = int(np.searchsorted(self._first, number, "right")) - 1, self.features.index[number]
        length = int(row["frames"])
        frames = length - start if frames is None else frames
        if not 0 <= start <= start + frames <= length:
            raise ValueError(f"frames {start} to {start + frames} of an utterance of {length}")
        place = (int(row["frame"]) - int(self._first_frame[shard]) + start) * self.width
        path = self.path(shard)
        try:
            values = np.fromfile(path, self.type, frames * self.width, offset=place * self.type.itemsize)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        if len(values) != frames * self.width:
            raise UserError(f"{path} is damaged: delete it, and the same command makes it again")
        return values

    def write(self, shard: int, parts: Iterator[np.ndarray]) -> tuple[int, int]:
        """Write a shard whole, utterance by utterance; its utterances and frames.

        Raises:
            UserError: it comes out with another length than its mels.
        """
        def write(file: BinaryIO) -> None:
            for part in parts:
                file.write(part.astype(self.type, copy=False).tobytes())

        write_whole(self.path(shard), write)
        if os.path.getsize(self.path(shard)) != self._bytes(shard):
            self.path(shard).unlink()
            raise UserError(f"{self.path(shard)} has not the length of its mels: prepare {self.features.folder} anew")
        known = self.features.card["shards"][shard]
        return int(known["utterances"]), int(known["frames"])

    def numbers(self, shard: int) -> range:
        """The utterances of a shard."""
        return range(int(self._first[shard]), int(self._first[shard + 1]))


