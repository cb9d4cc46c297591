"""What the commands ask of a kind of model: of its data, its training, its inference."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from chatterbox_es.config import Config
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.runs.metrics import Metric
from chatterbox_es.text import SymbolTable

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without


class MicroBatch(Protocol):
    """Utterances side by side, as a model is given them."""

    utterances: list[int]

    @property
    def frames(self) -> int: ...

    def to(self, device: torch.device | str) -> "MicroBatch": ...

    def pin(self) -> "MicroBatch": ...


class Losses(Protocol):
    """What a micro-batch adds to the losses of its batch."""

    def total(self) -> Tensor:
        """What is minimised."""
        ...

    def parts(self) -> Tensor:
        """(metrics,) float64, without gradients; those of all micro-batches are added up."""
        ...


class StoredModel(Protocol):
    """Weights with all that gives them meaning, as they are written to disk."""

    family: str  # the model's name, ``model.name``
    output: str  # as `InferenceRecipe.output`
    limits: str  # what whoever uses it should know, for the model card
    weights: dict[str, Tensor]
    contract: MelContract
    front_end: dict[str, str]  # dialect, and the user's lexicon if there was one
    lineage: dict[str, Any]
    phase: str

    @property
    def model(self) -> dict[str, Any]:
        """Its arguments; "speakers" are the names that it can speak as."""
        ...

    def build(self, features: FeatureSet | None = None) -> nn.Module: ...

    def save(self, path: Path) -> None: ...

    def save_final(self, path: Path) -> None:
        """`save`, and beside it as safetensors where the weights are complete in themselves."""
        ...

    def companions(self) -> dict[str, Any]:
        """What is written as JSON beside a chosen voice."""
        ...

    def check_fits(self, features: FeatureSet, name: str, statistics: bool = True) -> None: ...

    def check_symbols(self, symbols: SymbolTable, mine: str, theirs: str) -> None: ...


@dataclasses.dataclass
class Frozen:
    """What a phase leaves as it is."""

    parts: list[str]
    digest: Callable[[], str]  # SHA-256 of it, now


class DataRecipe(Protocol):
    """What a model is trained on."""

    name: str  # ``model.name``

    def prepare(self, config: Config) -> FeatureSet:
        """The run's corpus as this model is trained on it; made where it is not there."""
        ...

    def prepare_again(self, config: Config, codec: str, named_by: str) -> FeatureSet:
        """`prepare` by a configuration that was read from the file ``named_by``, whose code nobody has approved; by a ``codec``
        in place of the one that it names.

        Raises:
            UserError: it names code.
        """
        ...

    def find(self, folder: Path, content: str) -> FeatureSet | None:
        """The set with that content hash among those prepared in a folder."""
        ...

    def batches(self, config: Config, features: FeatureSet, budget: Budget, rates: Any) -> Batches: ...


class TrainingRecipe(Protocol):
    """How a model is started, trained and stored."""

    # Whose weights a run leaves: the validation with the lowest ``val_loss``, the last step, or its running mean if there is.
    ends_with: Literal["best", "last", "mean"]

    def start(self, config: Config, features: FeatureSet, fabric: "Fabric") -> tuple[nn.Module, dict]:
        """The model that a new run starts from, and its lineage."""
        ...

    def build(self, config: Config, features: FeatureSet, fabric: "Fabric") -> nn.Module:
        """The model of a run that goes on; `restore` gives it the weights of its state."""
        ...

    def freeze(self, model: nn.Module, config: Config, fabric: "Fabric | None" = None) -> Frozen:
        """Stop the gradients of what the phase does not train; ``fabric`` knows the precision that frozen weights may have."""
        ...

    def compile(self, model: nn.Module) -> None:
        """`torch.compile` of the parts where it pays (``hw.compile``)."""
        ...

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """What is trained, for the optimiser; a group without weight_decay has the phase's. One with "part", a child's name,
        holds all of that child, whose gradients are clipped by their own norm: two that are trained against each other are
        two optimisers."""
        ...

    def losses(self, fabric: "Fabric", model: nn.Module, micro_batch: Any, step: Step) -> Losses:
        """Of a micro-batch of a step's batch, as shares of the whole batch's means."""
        ...

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        """What is logged of a step: `Losses.parts` of the batch, and the gradient norms of the model's parts."""
        ...

    def flops(self, model: nn.Module, step: Step) -> float:
        """Operations of a step, forwards and backwards."""
        ...

    def products(self, model: nn.Module, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        """The linear layers, and how many rows each has of a batch."""
        ...

    def plan(self, fabric: "Fabric", model: nn.Module, batches: Batches, config: Config) -> Plan:
        """The memory of a run's largest step; raises UserError where it does not fit."""
        ...

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """What a state keeps: all that the start of the run would not give again."""
        ...

    def restore(self, model: nn.Module, weights: dict[str, Tensor]) -> None: ...

    def checkpoint(self, model: nn.Module, config: Config, features: FeatureSet, lineage: dict) -> StoredModel: ...


class InferenceRecipe(Protocol):
    """How a model is measured and heard."""

    output: str  # what it predicts, which `speech.voices` makes sound of: mels | speech_tokens; a vocoder's samples are sound
    validation_metrics: tuple[Metric, ...]  # ``val_loss`` first

    def values(self, fabric: "Fabric", model: nn.Module, features: FeatureSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        """`validation_metrics` of held-out utterances, all of them or those of ``numbers``."""
        ...

    def describe(self, metrics: Mapping[str, float]) -> str:
        """A validation in words, behind its ``val_loss``."""
        ...

    def check_speaks(self, config: Config) -> None:
        """
        Raises:
            UserError: what makes sound of the model's predictions cannot be had here.
        """
        ...

    def samples(self, fabric: "Fabric", model: nn.Module, config: Config, features: FeatureSet, numbers: Sequence[int],
                folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
        """Held-out sentences as sound and picture in a folder: name → (samples, rate), name → picture's file.

        Without a folder the sounds alone, and nothing is written.
        """
        ...

    def publish(self, checkpoint: Any, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
                weights: str = "") -> str:
        """Write a checkpoint to a folder that other packages read; what was written, in words.

        Raises:
            UserError: there is no such form of this model.
        """
        ...


class Recipe(DataRecipe, TrainingRecipe, InferenceRecipe, Protocol):
    """All that the commands ask of a kind of model; of no state, so that one object serves any number of runs."""
