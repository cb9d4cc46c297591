"""A vocoder's weights on disk with all that gives them meaning: sizes, mel contract, lineage."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.checkpoints import check_contract, check_tensors, read_stored, write_safetensors
from chatterbox_es.models.vocoder.network import Vocoder
from chatterbox_es.runs.checkpoint_files import BASE as BASE_RUN
from chatterbox_es.runs.checkpoint_files import vocoder_beside
from chatterbox_es.text import SymbolTable

FORMAT = 1
BASE = Path(__file__).parents[2] / "weights" / "vocoder_base.safetensors"
"""Comes with the package, and makes sound of any voice's mels."""


@dataclasses.dataclass
class Checkpoint:
    """One set of weights, and what it was trained on. It needs no statistics and knows no symbols: any voice with its mel
    contract can speak through it."""

    weights: dict[str, torch.Tensor]
    model: dict[str, Any]  # arguments of `Vocoder` beside the contract
    phase: str
    contract: MelContract
    front_end: dict[str, str]  # of the data that it heard
    lineage: dict[str, Any]  # data, its content hash, the run it started from, step, epoch, metrics

    family = "vocoder"
    output = "samples"
    limits = "It makes sound of mels and says nothing by itself. It knows the kinds of voices that it heard."

    def build(self, features: FeatureSet | None = None) -> Vocoder:
        """The vocoder with these weights, in float32, ready to sound."""
        with torch.random.fork_rng(devices=()):  # a training that hears samples goes on as one that does not
            vocoder = Vocoder(self.contract, **self.model)
        vocoder.load_state_dict(self.weights)
        return vocoder.eval()

    def save(self, path: Path) -> None:
        """Write the file whole or not at all.

        Raises:
            UserError: the disk is full.
        """
        content = {"format": FORMAT, "family": self.family, "weights": self.weights, **self.describe()}
        write_whole(path, lambda file: torch.save(content, file))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """From a file.

        Raises:
            UserError: as `read_stored` and `read`, or it is of another model.
        """
        stored = read_stored(path)
        if stored.get("family") != cls.family:
            raise UserError(f"{path} is no vocoder: it is of model={stored.get('family', 'fase4')}")
        return cls.read(stored, path)

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> "Checkpoint":
        """From what was in a file.

        Raises:
            UserError: it is of another version, or damaged.
        """
        if stored.get("format") != FORMAT:
            raise UserError(f"{path} is not a vocoder of this version (format {FORMAT})")
        try:
            read = cls(stored["weights"], stored["model"], stored["phase"], MelContract(**stored["mel"]), stored["front_end"],
                       stored["lineage"])
            with torch.device("meta"):
                expected = {name: weight.shape for name, weight in Vocoder(read.contract, **read.model).state_dict().items()}
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(f"{path} is damaged, or no vocoder of this version ({error!r}); name another one") from error
        check_tensors(path, read.weights, expected)
        return read

    def describe(self) -> dict[str, Any]:
        """All but the weights, as plain values."""
        return {"model": self.model, "phase": self.phase, "mel": dataclasses.asdict(self.contract),
                "front_end": self.front_end, "lineage": self.lineage}

    def export(self, path: Path, half: bool = False, small: bool = False) -> None:
        """`write_safetensors`; ``half``: in half precision, which `build` takes as well.

        Raises:
            UserError: the disk is full.
        """
        weights = {name: weight.half() for name, weight in self.weights.items()} if half else self.weights
        write_safetensors(path, weights, {"format": FORMAT, "family": self.family, **self.describe()}, small)

    def save_final(self, path: Path) -> None:
        """`export` and `save` beside each other; beside the voice that it was trained for, too.

        Raises:
            UserError: the disk is full.
        """
        if (voice := self.lineage.get("voice")) and voice != BASE_RUN:  # beside which lies the package
            self.export(vocoder_beside(Path(voice)), half=True)
        self.export(path.with_suffix(".safetensors"))
        self.save(path)

    def companions(self) -> dict[str, Any]:
        """What is written as JSON beside a chosen voice."""
        return {}

    def check_symbols(self, symbols: SymbolTable, mine: str, theirs: str) -> None:
        """It knows none."""

    def check_fits(self, features: FeatureSet, name: str, statistics: bool = True) -> None:
        """Raise UserError when the mel contract is not that of the prepared set."""
        self.check_contract(features.contract, name, str(features.folder))

    def check_contract(self, contract: MelContract, name: str, others: str) -> None:
        """
        Raises:
            UserError: the mels of ``others`` have another contract.
        """
        check_contract(self.contract, contract, name, others)
