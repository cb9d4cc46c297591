"""Rows that are fetched while they are prepared, for corpora that are larger than the disk (``data.streaming``).

A shard's rows lie in a portion of their own, sounds included, until the shard is done; only a few portions are there at once.
Of the sounds those stay that may be held out, which reports and evaluations listen to. Rows of shards that an earlier run has
made are fetched once more and not kept.
"""

import heapq
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from chatterbox_es.config import DataConfig
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.dataset.preparation.manifest import kept_name, portion_name, read_portion, write_portion
from chatterbox_es.dataset.preparation.shards import read_shard, record_name, shards_done
from chatterbox_es.dataset.storage import Storage

FETCHED = "work/streamed.json"  # how many rows there are, once all have been fetched
SPARE = 2  # times as many sounds are kept as are held out at most: texts that are often repeated are passed over


class Stream:
    """The rows of a corpus, a portion for each shard."""

    def __init__(self, storage: Storage, rows: Iterable[Utterance | Fault], size: int, data: DataConfig):
        self.storage, self.source, self.size = storage, iter(rows), size
        self.rows = 0  # fetched so far
        self.making: set[int] = set()  # shards whose portions are there
        # by speaker it is known at the end only who is held out: all sounds stay until then
        self.most = SPARE * max(data.validation_maximum, 1) if data.split == "text" else None
        self.kept: list[tuple[int, int]] = []  # a heap of (-rank, row), the highest rank first
        storage.make_folder("work/kept")
        records = [int(name.removesuffix(".shard")) for name in storage.sizes("work") if name.endswith(".shard")]
        self.done = shards_done(storage, max(records, default=-1) + 1)
        for number in records:
            if number in self.done:
                self.settle(number)
            else:
                storage.remove(record_name(number))  # its mels are damaged; a record says that its portion can go

    def numbers(self) -> Iterator[int]:
        """Shards to make, in their order, each when its portion is on the disk. Nothing is fetched where all are made."""
        if self.storage.exists(FETCHED):
            self.rows = json.loads(self.storage.read(FETCHED))
            if len(self.done) == self.shards:
                return
            self.rows = 0
        number = 0
        while rows := list(islice(self.source, self.size)):
            self.rows += len(rows)
            made, _ = self.done.get(number, (0, 0))
            if made != len(rows):  # or the data set has grown since
                if made:
                    self.storage.remove(record_name(number))
                write_portion(self.storage, number, rows)
                self.making.add(number)
                yield number
            number += 1
        self.storage.write(FETCHED, json.dumps(self.rows).encode())

    @property
    def shards(self) -> int:
        """How many there are of what has been fetched."""
        return -(-self.rows // self.size)

    def settle_all(self) -> None:
        """Let go of the portions whose shards are done."""
        for number in sorted(self.making):
            self.settle(number)

    def settle(self, number: int) -> None:
        """Let go of a portion, but for the sounds that may be held out."""
        shard = read_shard(self.storage, number)
        if shard is None:
            return
        rows = read_portion(self.storage, number)
        for rank, row in zip(shard.entries["rank"].tolist(), shard.entries["row"].tolist(), strict=True):
            heapq.heappush(self.kept, (-rank, row))
            let_go = None
            if self.most is not None and len(self.kept) > self.most:
                _, let_go = heapq.heappop(self.kept)
            if let_go == row:
                continue
            if let_go is not None:
                self.storage.remove(kept_name(let_go))
            if rows is not None:
                sound = rows[row - number * self.size].audio
                self.storage.write(kept_name(row), b"" if isinstance(sound, Path) else sound.read_bytes())
        self.storage.remove(portion_name(number))
        self.making.discard(number)
