"""A prepared corpus on disk: mels and tokens that training maps into memory, and what they were made of.

A folder holds

    mels/00000.f16 …  float16 (frames, bins): natural-log mels, one utterance after the other, some hundred in a file
    tokens.npy        int16 (tokens,): ids of the symbol table, likewise
    index.npy         one `INDEX` record an utterance: where it stands in all of them, whose it is, and its side of the split
    utterances.jsonl  one object an utterance, in the same order: id, text, spoken words, recording, row, speaker …
    quality.npy       one `audio.quality.QUALITY` record an utterance
    recordings/       the held-out recordings, by number, where they are no files of their own
    statistics.json   mean and standard deviation of each bin over the training frames
    lint.jsonl        the rows that were left out, and why
    card.json         contract, dialect, symbols, names, counts, the files of mels, and a hash of the content

The folder may lie behind fsspec (s3://, gs:// …): then the files are copied to a folder on this machine when they are
first needed, the mels one file at a time.
"""

import collections
import dataclasses
import hashlib
import json
import mmap
import os
import threading
from pathlib import Path

import numpy as np
import torch

from chatterbox_es.audio.waveform import mono_at, read_source
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.text import SymbolTable

INDEX = np.dtype([("frame", "<i8"), ("frames", "<i4"), ("token", "<i8"), ("tokens", "<i4"), ("line", "<i8"), ("speaker", "<i4"),
                  ("dialect", "<i2"), ("corpus", "<i2"), ("validation", "?")])
"""``frame`` and ``token`` count from the set's first one, ``line`` bytes of utterances.jsonl; names stand in the card."""
CARD = "card.json"  # written last: a folder that has one is whole
SMALL_FILES = ("tokens.npy", "index.npy", "utterances.jsonl", "quality.npy", "statistics.json", "lint.jsonl")
MAPPED = 512 * 2**20  # bytes of mels mapped at once, so that what a process holds stays small on any corpus


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each mel bin, over the frames a model is trained on."""

    mean: torch.Tensor  # (bins,) float32
    deviation: torch.Tensor  # (bins,) float32

    def standardise(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mels (…, bins) to zero mean and unit variance a bin."""
        return (mel - self.mean.to(mel)) / self.deviation.to(mel)

    def restore(self, mel: torch.Tensor) -> torch.Tensor:
        """The reverse of `standardise`."""
        return mel * self.deviation.to(mel) + self.mean.to(mel)

    def difference(self, other: "Statistics") -> float:
        """The largest shift of a mean or change of a deviation, in this one's deviations."""
        shift = (self.mean - other.mean).abs() / self.deviation
        stretch = (other.deviation / self.deviation - 1).abs()
        return max(float(shift.max()), float(stretch.max()))

    def to_dict(self) -> dict:
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def of_moments(cls, mean: np.ndarray, square: np.ndarray) -> "Statistics":
        """From the means (bins,) of the values and of their squares, in double precision."""
        # A bin that never moves (a filter above the recording's bandwidth) would divide by zero.
        deviation = np.sqrt(np.maximum(square - np.square(mean), 1e-4))
        return cls(torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32))

    @classmethod
    def from_dict(cls, values: dict) -> "Statistics":
        return cls(torch.tensor(values["mean"]), torch.tensor(values["deviation"]))


class FeatureSet:
    """An opened prepared corpus."""

    def __init__(self, folder: Path | str, source: "Copies | None" = None):
        """Open the set in ``folder``; ``source`` fetches the files that are not there yet.

        Raises:
            UserError: there is no prepared set, or one of an earlier version.
        """
        self.folder, self.source = Path(folder), source
        if not (self.folder / CARD).is_file():
            raise UserError(f"{folder} holds no prepared set (no {CARD}): python -m chatterbox_es.prepare makes one")
        try:
            self._read()
        except (ValueError, LookupError, TypeError, EOFError, FileNotFoundError) as error:
            raise UserError(f"{folder} is damaged ({error}): delete it, and prepare again") from error
        self.mean = torch.zeros_like(self.statistics.mean)  # of the training frames, as `mel` gives them
        self.train = np.flatnonzero(~self.index["validation"])
        self.validation = np.flatnonzero(self.index["validation"])
        shards = self.card["shards"]
        self._first = np.cumsum([0, *(shard["utterances"] for shard in shards)])
        self._first_frame = np.cumsum([0, *(shard["frames"] for shard in shards)])
        self._maps: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._mapped, self._lock = 0, threading.Lock()

    def _read(self) -> None:
        self.card = json.loads((self.folder / CARD).read_text(encoding="utf-8"))
        if "shards" not in self.card:
            raise UserError(f"{self.folder} was prepared by an earlier version, which kept all mels in one file: prepare it "
                            "anew with python -m chatterbox_es.prepare, and delete this folder")
        self.contract = MelContract(**self.card["mel"])
        self.symbols = SymbolTable.from_dict(self.card["symbols"])
        self.statistics = Statistics.from_dict(json.loads((self.folder / "statistics.json").read_text(encoding="utf-8")))
        self.index = np.load(self.folder / "index.npy", mmap_mode="r")
        self.tokens = np.load(self.folder / "tokens.npy", mmap_mode="r")
        if self.index.dtype != INDEX or len(self.index) != self.card["utterances"]:
            raise ValueError(f"index.npy holds {len(self.index)} utterances where {self.card['utterances']} belong")
        if len(self.index) and len(self.tokens) < (self.index["token"] + self.index["tokens"]).max():
            raise ValueError("tokens.npy is shorter than index.npy says")  # a set that drops some shares the whole one's

    def standardise_by(self, statistics: Statistics) -> None:
        """From now on give mels as ``statistics`` standardise them, those of a voice that goes on with this set."""
        self.mean = statistics.standardise(self.statistics.restore(self.mean))
        self.statistics = statistics

    def __len__(self) -> int:
        return len(self.index)

    @property
    def quality(self) -> np.ndarray:
        """One `audio.quality.QUALITY` record an utterance, mapped."""
        return np.load(self.folder / "quality.npy", mmap_mode="r")

    def stored_mel(self, number: int) -> np.ndarray:
        """Natural-log mels of one utterance as they are on disk, (frames, bins) float16."""
        shard = int(np.searchsorted(self._first, number, "right")) - 1
        row = self.index[number]
        start = int(row["frame"]) - int(self._first_frame[shard])
        return self._shard(shard)[start:start + int(row["frames"])]

    def _shard(self, number: int) -> np.ndarray:
        """The mels of a shard, mapped; those used longest ago are let go."""
        with self._lock:
            if number in self._maps:
                self._maps.move_to_end(number)
                return self._maps[number]
        shard = self.card["shards"][number]
        path = self.folder / shard["file"]
        if self.source is not None:
            self.source.fetch(shard["file"], shard["sha256"])
        expected = shard["frames"] * self.contract.bins * 2
        with path.open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) != expected:
                raise UserError(f"{path} holds {size} bytes where {expected} belong: it is damaged. Delete {self.folder} and "
                                "prepare again")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if expected else b""
        mels = np.frombuffer(content, np.float16).reshape(-1, self.contract.bins)
        with self._lock:
            if number not in self._maps:
                self._maps[number] = mels
                self._mapped += expected
            while self._mapped > MAPPED and len(self._maps) > 1:
                _, gone = self._maps.popitem(last=False)
                self._mapped -= gone.nbytes
        return mels

    def mel(self, number: int) -> torch.Tensor:
        """Standardised log-mels of one utterance, (frames, bins) float32."""
        return self.mels([number])

    def mels(self, numbers: list[int]) -> torch.Tensor:
        """`mel` of some utterances, one after the other, (frames, bins) float32."""
        mels = np.concatenate([self.stored_mel(number) for number in numbers]).astype(np.float32)
        # `Statistics.standardise` bit by bit, but by one thread: torch's wait for one another, for 15 ms where a core is busy.
        mels -= self.statistics.mean.numpy()
        mels /= self.statistics.deviation.numpy()
        return torch.from_numpy(mels)

    def token_ids(self, number: int) -> torch.Tensor:
        """Token ids of one utterance, (tokens,) int64."""
        row = self.index[number]
        return torch.from_numpy(self.tokens[row["token"]:row["token"] + row["tokens"]].astype(np.int64))

    def names(self, what: str) -> list[str]:
        """The speakers ("speaker") or dialects ("dialect") of the set; an utterance's id is a place in them."""
        return self.card["corpora" if what == "corpus" else f"{what}s"]

    def ids(self, what: str, numbers: list[int] | np.ndarray) -> torch.Tensor:
        """(utterances,) int64, the place in `names` of each utterance's speaker or dialect."""
        return torch.from_numpy(self.index[what][numbers].astype(np.int64))

    def utterance(self, number: int) -> dict:
        """What `utterances.jsonl` says of one utterance: read from its place, without the others."""
        number = range(len(self))[number]
        with (self.folder / "utterances.jsonl").open("rb") as lines:
            lines.seek(int(self.index["line"][number]))
            said = json.loads(lines.readline())
        if said.get("embedded"):
            name = f"recordings/{number}"
            kept = self.folder / name
            if (self.source is not None and self.index["validation"][number] and not kept.is_file()
                    and self.source.storage.exists(name)):  # not so where it was not kept: see `dataset.preparation.streaming`
                self.source.fetch(name)
            said["audio"] = str(kept) if kept.is_file() else said["audio"]
        return said

    def recording(self, number: int) -> np.ndarray:
        """The recording of one utterance as it is, not trimmed: (samples,) float32 mono at the contract's rate.

        Raises:
            AudioError: it is gone or cannot be read. Of recordings that came inside a data set only those held out are kept.
        """
        audio = Path(self.utterance(number)["audio"])
        return mono_at(read_source(audio, 3600), self.contract.sample_rate)

    unit, naive = "squared error a frame and bin", "predicting the mean"  # of the loss; what `baseline` is the score of

    def baseline(self) -> float:
        """What predicting the training mean scores on the validation frames: mean squared standardised value."""
        away = (self.mel(number) - self.mean for number in self.validation.tolist())
        total = sum(mel.square().sum(dtype=torch.float64).item() for mel in away)
        return total / (int(self.index["frames"][self.validation].sum()) * self.contract.bins)


def read_card(path: Path) -> dict:
    """The card of a set among others; nothing where it cannot be read."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


class ContentHash:
    """SHA-256 over what training reads of a set: utterance by utterance, so that it is the same in shards of any size."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def add(self, digests: bytes) -> None:
        """The next utterances: of each the SHA-256 of its float16 mels and int16 tokens, 32 bytes, side by side."""
        self.digest.update(digests)

    def finish(self, index: np.ndarray, names: dict[str, list[str]], statistics: Statistics) -> None:
        for column in ("speaker", "dialect", "validation"):
            self.digest.update(index[column].tobytes())
        self.digest.update(json.dumps([names["speaker"], names["dialect"], statistics.to_dict()]).encode())

    def hexdigest(self) -> str:
        return self.digest.hexdigest()


def content_hash(folder: Path | str) -> str:
    """The hash of a set's content, computed from its files; equal to the card's "content" where nothing has changed since."""
    features, content = FeatureSet(folder), ContentHash()
    for number, row in enumerate(features.index):
        digest = hashlib.sha256(np.ascontiguousarray(features.stored_mel(number)).data)
        digest.update(features.tokens[row["token"]:row["token"] + row["tokens"]].tobytes())
        content.add(digest.digest())
    content.finish(features.index, {what: features.names(what) for what in ("speaker", "dialect")}, features.statistics)
    return content.hexdigest()


class Copies:
    """The local copies of a set that lies behind fsspec."""

    def __init__(self, storage: Storage, folder: Path):
        """``storage`` holds a whole set; its small files are fetched at once."""
        self.storage, self.folder = storage, folder
        card = storage.read(CARD)
        if not (folder / CARD).is_file() or (folder / CARD).read_bytes() != card:
            for name in SMALL_FILES:
                (folder / name).unlink(missing_ok=True)
                self.fetch(name)
            self._keep(CARD, card)

    def fetch(self, name: str, sha256: str | None = None) -> None:
        """Copy a file that is not here yet, and compare it with its hash.

        Raises:
            UserError: it cannot be fetched, or twice holds something else.
        """
        if (self.folder / name).is_file():
            return
        for _ in range(2):
            try:
                content = self.storage.read(name)
            except OSError as error:
                raise UserError(f"{self.storage.url}/{name} cannot be fetched: {error}") from error
            if sha256 is None or hashlib.sha256(content).hexdigest() == sha256:
                self._keep(name, content)
                return
        raise UserError(f"{self.storage.url}/{name} is damaged: it is not what its card says. Prepare the set anew")

    def _keep(self, name: str, content: bytes) -> None:
        write_whole(self.folder / name, content, durable=False)
