"""A shard: the mels of some hundred utterances in one file, and what the set needs to know of them in another.

Both are a function of the manifest and the treatment alone, whoever makes them and how often. The second is written when
the first is in its place: a shard that has it is done.
"""

import dataclasses
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from chatterbox_es.audio.quality import QUALITY
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.corpus.splits import rank
from chatterbox_es.dataset.preparation.manifest import manifest_places, read_manifest, read_portion
from chatterbox_es.dataset.preparation.stages import Treated, Treatment, treat
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.files import PARTIAL, errors_are_said

FIXED_POINT = 2.0**20
"""Sums of an utterance's log-mels are kept in this part of a unit as integers, so that they add up the same in any order."""

ENTRY = np.dtype([("row", "<i8"), ("frames", "<i4"), ("tokens", "<i4"), ("line", "<i4"), ("speaker", "<i4"),
                  ("dialect", "<i4"), ("corpus", "<i4"), ("rank", "<u8"), ("digest", "V32")])
"""An utterance in its shard: its number in the manifest, lengths (line: bytes of its JSON line), places in the shard's names,
rank of its text in the split, SHA-256 of mels and tokens."""


@dataclasses.dataclass
class Shard:
    """What is known of a shard beside its mels."""

    rows: int  # of the manifest, faults among them
    entries: np.ndarray  # `ENTRY`
    quality: np.ndarray  # `QUALITY`
    tokens: np.ndarray  # int16
    lines: bytes  # JSON, a line an utterance
    faults: list[Fault]
    names: dict[str, list[str]]  # "speaker", "dialect", "corpus"
    sums: np.ndarray  # (2, bins) int64: of the mels and of their squares, in `FIXED_POINT`
    sha256: str  # of the file of mels
    size: int  # bytes of it

    @property
    def frames(self) -> int:
        return int(self.entries["frames"].sum())

    def write(self, file: BinaryIO) -> None:
        """The record: arrays and JSON, neither of which can hold code."""
        told = {"rows": self.rows, "faults": [dataclasses.asdict(fault) for fault in self.faults], "names": self.names,
                "sha256": self.sha256, "size": self.size}
        np.savez(file, entries=self.entries, quality=self.quality, tokens=self.tokens, sums=self.sums,
                 lines=np.frombuffer(self.lines, np.uint8), told=np.frombuffer(json.dumps(told).encode(), np.uint8))

    @classmethod
    def read(cls, content: bytes) -> "Shard":
        """
        Raises:
            ValueError, LookupError, TypeError, …: whatever bytes that are no record lead to.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("entries", "quality", "tokens", "sums")}
            lines, told = stored["lines"].tobytes(), json.loads(stored["told"].tobytes())
        if (arrays["entries"].dtype, arrays["quality"].dtype) != (ENTRY, QUALITY):
            raise ValueError("the record is of another version")
        return cls(lines=lines, **arrays, **told | {"faults": [Fault(**fault) for fault in told["faults"]]})


def mels_name(number: int) -> str:
    """The file of a shard's mels: float16 (frames, bins), nothing before or after."""
    return f"mels/{number:05d}.f16"


def record_name(number: int) -> str:
    return f"work/{number:05d}.shard"


def make_shard(storage: Storage, treatment: Treatment, number: int, size: int) -> Shard:
    """Treat the utterances of a shard and write it."""
    first, portion = number * size, read_portion(storage, number)
    rows: Iterable[Utterance | Fault]
    if portion is None:
        places = _places(storage)
        if places is None:  # streamed: whoever let go of the rows has seen the shard
            shard = read_shard(storage, number)
            if shard is None:
                raise UserError(f"the rows of shard {number} of {storage.url} are gone; the same command fetches them again")
            return shard
        last = min(first + size, len(places) - 1)
        rows, count = read_manifest(storage, places, first, last), last - first
    else:
        rows, count = portion, len(portion)
    with errors_are_said(Path(storage.url, mels_name(number))):
        mels = _Mels(storage, treatment.contract.bins)
        try:
            shard = _treat_all(rows, first, count, treatment, mels)
            mels.finish(storage, mels_name(number))
        finally:
            mels.path.unlink(missing_ok=True)
    storage.write(record_name(number), shard.write)
    return shard


_known_places: dict[str, np.ndarray | None] = {}


def _places(storage: Storage) -> np.ndarray | None:
    """A manifest's places, read once a process; None where there is no whole one."""
    if storage.url not in _known_places:
        _known_places.clear()
        _known_places[storage.url] = manifest_places(storage)
    return _known_places[storage.url]


def forget_places() -> None:
    """The manifest is another one from here on."""
    _known_places.clear()


class _Mels:
    """The file of a shard's mels while it is written."""

    def __init__(self, storage: Storage, bins: int):
        folder = storage.path("mels") if storage.is_local else Path(tempfile.gettempdir())
        descriptor, name = tempfile.mkstemp(PARTIAL, "mels-", folder)
        self.path, self.file = Path(name), os.fdopen(descriptor, "wb")
        self.digest, self.size, self.sums = hashlib.sha256(), 0, np.zeros((2, bins), np.int64)

    def add(self, mel: np.ndarray) -> None:
        content = mel.tobytes()
        self.file.write(content)
        self.digest.update(content)
        self.size += len(content)
        self.sums += sums_of(mel)

    def finish(self, storage: Storage, name: str) -> None:
        self.file.close()
        os.chmod(self.path, 0o644)
        storage.put(name, self.path)


def sums_of(mel: np.ndarray) -> np.ndarray:
    """(2, bins) int64: sums of log-mels (frames, bins) and of their squares, in `FIXED_POINT`."""
    mel = mel.astype(np.float64)
    return np.rint(np.stack([mel.sum(0), np.square(mel).sum(0)]) * FIXED_POINT).astype(np.int64)


def _treat_all(rows: Iterable[Utterance | Fault], first: int, count: int, treatment: Treatment, mels: _Mels) -> Shard:
    entries, quality = np.zeros(count, ENTRY), np.zeros(count, QUALITY)
    tokens, lines, faults, used = [], [], [], 0
    names: dict[str, dict[str, int]] = {"speaker": {}, "dialect": {}, "corpus": {}}
    for number, row in enumerate(rows, start=first):
        treated = row if isinstance(row, Fault) else treat(row, treatment)
        if isinstance(treated, Fault):
            faults.append(treated)
            continue
        utterance, reading, mel, figures = treated
        ids, line = np.asarray(reading.ids, np.int16), json_line(treated, treatment)
        mels.add(mel)
        said = {"speaker": utterance.speaker, "dialect": utterance.dialect or treatment.dialect, "corpus": utterance.corpus}
        digest = hashlib.sha256(np.ascontiguousarray(mel).data)
        digest.update(ids.tobytes())
        entries[used] = (number, len(mel), len(ids), len(line), *(names[what].setdefault(name, len(names[what]))
                                                                  for what, name in said.items()),
                         rank(reading.words, treatment.split_seed), digest.digest())
        quality[used] = figures
        tokens.append(ids)
        lines.append(line)
        used += 1
    return Shard(count, entries[:used], quality[:used], np.concatenate(tokens) if tokens else np.zeros(0, np.int16),
                 b"".join(lines), faults, {what: list(known) for what, known in names.items()}, mels.sums,
                 mels.digest.hexdigest(), mels.size)


def json_line(treated: Treated, treatment: Treatment) -> bytes:
    """What `utterances.jsonl` says of an utterance."""
    utterance = treated.utterance
    audio = utterance.audio
    said = {"id": utterance.id, "text": utterance.text, "words": treated.reading.words,
            "audio": os.path.abspath(audio) if isinstance(audio, Path) else str(audio), "row": utterance.row,
            "speaker": utterance.speaker}
    if utterance.dialect and utterance.dialect != treatment.dialect:
        said["dialect"] = utterance.dialect
    if utterance.corpus:
        said["corpus"] = utterance.corpus
    if not isinstance(audio, Path):
        said["embedded"] = True
    return (json.dumps(said, ensure_ascii=False) + "\n").encode()


def read_shard(storage: Storage, number: int) -> Shard | None:
    """A shard that is done; nothing where it is not, or where its record is damaged."""
    try:
        return Shard.read(storage.read(record_name(number)))
    except (FileNotFoundError, EOFError, ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
            zipfile.BadZipFile):  # whatever bytes that are no record lead to
        return None


def shards_done(storage: Storage, shards: int) -> dict[int, tuple[int, int]]:
    """Rows and frames of each shard that is done, by its number."""
    records, mels = storage.sizes("work"), storage.sizes("mels")
    done = {}
    for number in range(shards):
        if record_name(number).partition("/")[2] not in records:
            continue
        shard = read_shard(storage, number)
        if shard is not None and mels.get(mels_name(number).partition("/")[2]) == shard.size:
            done[number] = (shard.rows, shard.frames)
    return done
