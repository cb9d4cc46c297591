"""Weights of a model of mels on disk with all that gives them meaning: sizes, symbols, mel contract, statistics, lineage."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from chatterbox_es.dataset.feature_set import FeatureSet, Statistics
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.aligned import aligned
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.network import AcousticModel, Prediction
from chatterbox_es.models.checkpoints import check_contract, check_tensors, read_stored, write_safetensors
from chatterbox_es.models.compact import COMPACT
from chatterbox_es.text import SymbolTable
from chatterbox_es.text.symbols import PHONES

log = logging.getLogger(__name__)
FORMAT = 1
EMBEDDING = "text_encoder.embedding.weight"  # a row a symbol
STATISTICS = "prosody.statistics"  # rows of speakers, the first of all
STATISTICS_TOLERANCE = 1e-3  # deviations; the same data prepared elsewhere differs by less


@dataclasses.dataclass
class Checkpoint:
    """One set of weights, and what it was trained on. A model's own subclass says which network they are of."""

    weights: dict[str, torch.Tensor]
    model: dict[str, Any]  # arguments of the network
    phase: str
    contract: MelContract
    symbols: SymbolTable
    statistics: Statistics
    front_end: dict[str, str]  # dialect, and the user's lexicon if there was one
    lineage: dict[str, Any]  # data, its content hash, the run it started from, step, epoch, metrics

    output = "mels"
    family = ""
    limits = ""
    network: ClassVar[type[AcousticModel]]

    @property
    def has_flow(self) -> bool:
        """Whether tau and steps can be chosen."""
        return False

    @property
    def has_prosody(self) -> bool:
        """Whether pitch, range, energy and temperature can be chosen."""
        return bool(self.model.get("prosody", False))

    def build(self, features: FeatureSet | None = None) -> AcousticModel:
        """The model with these weights, ready to speak; speakers and dialects, if any, by the ids of a prepared set."""
        with torch.random.fork_rng(devices=()):  # a training that listens goes on as one that does not
            model = self.network(**self.model)
        model.load_state_dict(self.weights)
        if features is not None:
            model.number(features.names)
        return model.eval()

    def aligned_mels(self, features: FeatureSet, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """The natural-log mels (frames, bins) that the voice has for utterances of a set, each frame where the recording's is,
        with their numbers; in no order.

        Raises:
            UserError: the set has other symbols or mels.
        """
        self.check_fits(features, "the voice", statistics=False)
        model = self.build(features)
        for batch, _, prediction in aligned(model, self.statistics, features, numbers):
            mels = self.statistics.restore(self.spoken_mels(model, prediction, batch)).split(batch.speech.lengths)
            yield from zip(batch.utterances, (mel.numpy() for mel in mels), strict=True)

    def spoken_mels(self, model: AcousticModel, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Standardised mels (frames, bins) as it would say them where a recording gives durations and prosody."""
        return prediction.mels.float()

    @staticmethod
    def vectors_key(what: str) -> str:
        return f"{what}_embedding.embedding.weight"

    def vectors(self, what: str) -> dict[str, torch.Tensor]:
        """The vector (width,) of each "speaker" or "dialect" by name; empty where the model is not conditioned on it."""
        names = self.model.get(f"{what}s", ())
        return dict(zip(names, self.weights[self.vectors_key(what)][1:], strict=True)) if names else {}

    def fold(self, what: str, name: str | None) -> "Checkpoint":
        """The same with one speaker (or dialect) for good, no longer conditioned: the vector is added to every token's.

        What it says is what this one says of that name, but for the rounding of a sum. No name: the mean of all; a name
        that has no vector: that of the others.
        """
        vectors = self.vectors(what)
        if not vectors:
            return self
        weights = dict(self.weights)
        others = weights.pop(self.vectors_key(what))[0]
        vector = torch.stack(list(vectors.values())).mean(0) if name is None else vectors.get(name, others)
        weights[EMBEDDING] = weights[EMBEDDING] + vector
        if what == "speaker" and STATISTICS in weights:
            row = 1 + list(vectors).index(name) if name in vectors else 0
            weights[STATISTICS] = weights[STATISTICS][[row]]
        model = {key: value for key, value in self.model.items() if key != f"{what}s"}
        return dataclasses.replace(self, weights=weights, model=model)

    def as_speaker(self, speaker: str, dialect: str) -> "Checkpoint":
        """One voice of a checkpoint of several speakers: without a name, the one with the most recordings.

        Raises:
            UserError: it has no such speaker.
        """
        names = self.model.get("speakers", ())
        if speaker and speaker not in names:
            listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise UserError(f"speaker={speaker} is not known to this voice; " + (
                f"it has {listed}" if names else "it was trained as one voice: leave speaker= out"))
        return self.fold("speaker", speaker or next(iter(names), None)).fold("dialect", dialect)

    def with_symbols(self, table: SymbolTable, rows: int = 0) -> "Checkpoint":
        """The same for a symbol table of another order or other symbols, in an embedding of so many rows, or as many as it has:
        a symbol that both have keeps its vector, and a new one begins as the mean of the phones."""
        rows = rows or max(self.model["symbols"], len(table.in_use))
        if table.digest == self.symbols.digest and rows == self.model["symbols"]:
            return self
        known, old = self.symbols.number, self.weights[EMBEDDING]
        mean = old[[number for symbol, number in known.items() if symbol in PHONES] or list(known.values())].mean(0)
        embedding = old.new_zeros(rows, old.shape[1])
        for number, symbol in enumerate(table.in_use):
            embedding[number] = old[known[symbol]] if symbol in known else mean
        if new := [symbol for symbol in table.in_use if symbol not in known]:
            log.warning("symbols that it has never heard, and that begin as a mean of its phones: %s", " ".join(new))
        return dataclasses.replace(self, weights=self.weights | {EMBEDDING: embedding}, symbols=table,
                                   model=self.model | {"symbols": rows})

    def save(self, path: Path) -> None:
        """Write the file whole or not at all.

        Raises:
            UserError: the disk is full.
        """
        content = {"format": FORMAT, "weights": self.weights, **self.describe()}
        write_whole(path, lambda file: torch.save(content, file))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """From a file.

        Raises:
            UserError: as `read_stored` and `read`, or it is of another model.
        """
        stored = read_stored(path)
        model = stored.get("family", "fase4")  # its files say none
        if model != cls.family:
            raise UserError(f"{path} is a voice of model={model}; this works with model={cls.family} alone")
        return cls.read(stored, path)

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> "Checkpoint":
        """From what was in a file.

        Raises:
            UserError: it is of another version.
        """
        if stored.get("format") != FORMAT:
            raise UserError(f"{path} is not a checkpoint of this version (format {FORMAT})")
        try:
            read = cls(cls.whole_weights(stored), stored["model"], stored["phase"], MelContract(**stored["mel"]),
                       SymbolTable.from_dict(stored["symbols"]), Statistics.from_dict(stored["statistics"]),
                       stored["front_end"], stored["lineage"])
            with torch.device("meta"):
                expected = {name: weight.shape for name, weight in cls.network(**read.model).state_dict().items()}
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(f"{path} is damaged, or no checkpoint of this version ({error!r}); name another one") from error
        check_tensors(path, read.weights, expected)
        return read

    @staticmethod
    def whole_weights(stored: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The weights in a file; with rows of zeros for what no symbol uses, where they were stored small."""
        weights = stored["weights"]
        if COMPACT not in stored:
            return weights
        embedding = weights[EMBEDDING]
        free = stored["model"]["symbols"] - len(embedding)
        return weights | {EMBEDDING: torch.cat([embedding, embedding.new_zeros(free, embedding.shape[1])])}

    def describe(self) -> dict[str, Any]:
        """All but the weights, as plain values."""
        return {"model": self.model, "phase": self.phase, "mel": dataclasses.asdict(self.contract),
                "symbols": self.symbols.to_dict(), "statistics": self.statistics.to_dict(), "front_end": self.front_end,
                "lineage": self.lineage, **self.identity}

    @property
    def identity(self) -> dict[str, str]:
        """The model's name, as files say it; fase4's say none."""
        return {} if self.family == "fase4" else {"family": self.family}

    def rebase(self, new: Statistics) -> None:
        """Change the weights in place so that the same log-mels come out in the units of ``new`` statistics."""
        raise NotImplementedError

    def export(self, path: Path, small: bool = False) -> None:
        """`write_safetensors`; ``small``: also without the rows that no symbol uses, which `read` makes again.

        Raises:
            UserError: the disk is full.
        """
        weights = self.weights
        if small:
            weights = weights | {EMBEDDING: weights[EMBEDDING][:len(self.symbols.in_use)]}
        write_safetensors(path, weights, {"format": FORMAT, **self.describe()}, small)

    def save_final(self, path: Path) -> None:
        """`export` and `save` beside each other.

        Raises:
            UserError: the disk is full.
        """
        self.export(path.with_suffix(".safetensors"))
        self.save(path)

    def companions(self) -> dict[str, Any]:
        """What is written as JSON beside a chosen voice."""
        return {"symbols": self.symbols.to_dict(), "statistics": self.statistics.to_dict()}

    def check_symbols(self, symbols: SymbolTable, mine: str, theirs: str, exactly: bool = False) -> None:
        """Raise UserError when ids mean other symbols here than in ``symbols``, which may go on where this table ends, unless
        it must be ``exactly`` this one."""
        if self.symbols.in_use != (symbols.in_use if exactly else symbols.in_use[:len(self.symbols.in_use)]):
            changed = sorted(set(self.symbols.in_use) ^ set(symbols.in_use)) or ["their order"]
            raise UserError(f"the symbol table of {mine} ({len(self.symbols.in_use)} in use) is not that of {theirs} "
                            f"({len(symbols.in_use)} in use); they differ in: {' '.join(changed)}. "
                            "Train the model again on data prepared with this version")

    def check_fits(self, features: FeatureSet, name: str, statistics: bool = True) -> None:
        """Raise UserError when the weights' symbols, mel contract or statistics are not those of the prepared set."""
        self.check_symbols(features.symbols, name, str(features.folder))
        check_contract(self.contract, features.contract, name, str(features.folder))
        gap = self.statistics.difference(features.statistics)
        if statistics and gap > STATISTICS_TOLERANCE:
            raise UserError(f"the mel statistics of {name} are not those of {features.folder}: they lie up to {gap:.2g} "
                            "standard deviations apart, so it was trained on other data, or one of the two began as the base "
                            "voice and kept its statistics. To go on from it with other data on purpose: train.finetune=RUN")


def rebase_output(weight: torch.Tensor, bias: torch.Tensor, old: Statistics, new: Statistics) -> None:
    """Change a layer that gives standardised mels in place so that the same log-mels come out in the units of ``new``
    statistics."""
    scale = old.deviation / new.deviation
    weight.mul_(scale[:, None])
    bias.copy_(bias * scale + (old.mean - new.mean) / new.deviation)
