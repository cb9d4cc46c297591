"""A prepared corpus on disk: mels and tokens that training maps into memory, and what they were made of.

A folder holds

    mels.npy          float16 (frames, bins): natural-log mels, one utterance after the other
    tokens.npy        int16 (tokens,): ids of the symbol table, likewise
    index.npy         one `INDEX` record an utterance: where it stands in both, and its side of the split
    utterances.jsonl  one object an utterance, in the same order: id, text, spoken words, recording, row, speaker
    statistics.json   mean and standard deviation of each bin over the training frames
    lint.jsonl        the rows that were left out, and why
    card.json         contract, dialect, symbols, counts, and a hash of the content
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from chatterbox_es.acoustics.mel import MelContract
from chatterbox_es.text import SymbolTable

INDEX = np.dtype([("frame", "<i8"), ("frames", "<i4"), ("token", "<i8"), ("tokens", "<i4"), ("validation", "?")])
CARD = "card.json"  # written last: a folder that has one is whole


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
    def from_dict(cls, values: dict) -> "Statistics":
        return cls(torch.tensor(values["mean"]), torch.tensor(values["deviation"]))


class FeatureSet:
    """An opened prepared corpus."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.card = json.loads((self.folder / CARD).read_text(encoding="utf-8"))
        self.contract = MelContract(**self.card["mel"])
        self.symbols = SymbolTable.from_dict(self.card["symbols"])
        self.statistics = Statistics.from_dict(json.loads((self.folder / "statistics.json").read_text()))
        self.index = np.load(self.folder / "index.npy")
        self.mels = np.load(self.folder / "mels.npy", mmap_mode="r")
        self.tokens = np.load(self.folder / "tokens.npy", mmap_mode="r")
        self.train = np.flatnonzero(~self.index["validation"])
        self.validation = np.flatnonzero(self.index["validation"])
        self._utterances: list[dict] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def mel(self, number: int) -> torch.Tensor:
        """Standardised log-mels of one utterance, (frames, bins) float32."""
        row = self.index[number]
        return self.statistics.standardise(
            torch.from_numpy(self.mels[row["frame"]:row["frame"] + row["frames"]].astype(np.float32)))

    def token_ids(self, number: int) -> torch.Tensor:
        """Token ids of one utterance, (tokens,) int64."""
        row = self.index[number]
        return torch.from_numpy(self.tokens[row["token"]:row["token"] + row["tokens"]].astype(np.int64))

    def utterance(self, number: int) -> dict:
        """What `utterances.jsonl` says of one utterance."""
        if self._utterances is None:
            with (self.folder / "utterances.jsonl").open(encoding="utf-8") as lines:
                self._utterances = [json.loads(line) for line in lines]
        return self._utterances[number]

    def baseline(self) -> float:
        """What predicting the training mean scores on the validation frames: mean squared standardised value."""
        total = sum(float(self.mel(number).square().sum(dtype=torch.float64)) for number in self.validation)
        return total / (int(self.index["frames"][self.validation].sum()) * self.contract.bins)


def training_statistics(mels: np.ndarray, index: np.ndarray) -> Statistics:
    """Mean and deviation of each bin over the training utterances, accumulated in double precision."""
    total, squares, frames = np.zeros(mels.shape[1]), np.zeros(mels.shape[1]), 0
    for row in index[~index["validation"]]:
        mel = mels[row["frame"]:row["frame"] + row["frames"]].astype(np.float64)
        total += mel.sum(0)
        squares += np.square(mel).sum(0)
        frames += len(mel)
    mean = total / frames
    # A bin that never moves (a filter above the recording's bandwidth) would divide by zero.
    deviation = np.sqrt(np.maximum(squares / frames - np.square(mean), 1e-4))
    return Statistics(torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32))


def content_hash(folder: Path) -> str:
    """SHA-256 over the files that training reads."""
    digest = hashlib.sha256()
    for name in ("mels.npy", "tokens.npy", "index.npy", "statistics.json"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
