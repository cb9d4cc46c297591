"""T3's weights on disk with all that gives them meaning.

A checkpoint of 4_2 holds what that phase trains, the text embedding and the adapters, and names the file of published
weights that they belong to; one of 4_3 holds all of T3. Both hold the vocabulary and a recording of the voice, so that
with the weights folder they speak.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.checkpoints import read_stored
from chatterbox_es.models.t3.lora import LoraOptions, add_lora, merge_lora
from chatterbox_es.models.t3.network import T3, T3Size
from chatterbox_es.models.t3.tokens import LANGUAGE, known_tokens
from chatterbox_es.models.t3.weights import WeightsFolder, extend_text, fingerprint, load_t3

FORMAT = 1
WEIGHTS = "CHATTERBOX_WEIGHTS"  # where published weights are looked for that are not where they were in training


@dataclasses.dataclass
class Base:
    """The published weights that a model was started from."""

    folder: str
    t3: str  # the file's name
    fingerprint: str
    codec: str  # ``model.codec``

    @classmethod
    def of(cls, weights: WeightsFolder, codec: str) -> "Base":
        return cls(str(weights.folder.resolve()), weights.t3.name, fingerprint(weights.t3), codec)

    def open(self) -> WeightsFolder:
        """
        Raises:
            UserError: the folder is gone, or holds another T3.
        """
        elsewhere = os.environ.get(WEIGHTS)
        try:
            weights = WeightsFolder.open(self.folder if Path(self.folder).is_dir() or not elsewhere else elsewhere)
        except UserError as error:
            raise UserError(f"this voice needs the weights that it was trained from: {error}. Where they are elsewhere now: "
                            f"weights=DIR, or {WEIGHTS}=DIR in the environment") from error
        if fingerprint(weights.t3) != self.fingerprint:
            raise UserError(f"{weights.t3} is not the T3 that this voice was trained from ({self.t3}); weights=DIR names the "
                            "folder where that one is")
        return weights


@dataclasses.dataclass
class T3Checkpoint:
    """One set of weights, and what it was trained on."""

    weights: dict[str, torch.Tensor]  # what was trained
    size: dict[str, int]
    lora: dict[str, Any] | None  # arguments of `LoraOptions`; None: the weights are all of T3
    base: Base
    vocabulary: dict  # content of the vocabulary's file, dialect tags included
    tags: dict[str, str]  # dialect → tag; others are read with [es]
    start_tokens: int
    phase: str
    front_end: dict[str, str]  # dialect, and the user's lexicon if there was one
    reference: dict[str, Any]  # of the voice: samples (int16, 24 kHz), speaker (its name)
    lineage: dict[str, Any]

    family = "chatterbox"
    output = "speech_tokens"
    limits = ("It draws its speech by chance: listen before you use it, and to another seed where it repeats or leaves out "
              "words. It needs Resemble's weights, whose licence holds for it too. What it says carries their watermark.")
    contract = MelContract()

    @property
    def model(self) -> dict[str, Any]:
        """What is asked of any checkpoint's model; its speakers are those that it holds a recording of."""
        named = [name for name in self.reference if name]
        return {"family": self.family, **self.size} | ({"speakers": named} if len(named) > 1 else {})

    def check_symbols(self, symbols: Any, mine: str, theirs: str) -> None:
        """Nothing to compare: T3 reads letters, by its own vocabulary."""

    def build(self, features: FeatureSet | None = None) -> T3:
        """T3 with these weights, adapters merged, ready to speak.

        Raises:
            UserError: the weights that it was started from are not there.
        """
        if self.lora is None:
            with torch.device("meta"):
                model = T3(T3Size(**self.size))
            model.load_state_dict(self.weights, assign=True)
            model.tfmr.rotary_emb = type(model.tfmr.rotary_emb)(model.tfmr.config)
            model.start_tokens = self.start_tokens
            return model.eval()
        model, _ = self.adapted()
        merge_lora(model)
        model.start_tokens = self.start_tokens
        return model.eval()

    def adapted(self) -> tuple[T3, LoraOptions]:
        """The published weights with these adapters on them; for a checkpoint that holds adapters.

        Raises:
            UserError: the weights that it was started from are not there.
        """
        assert self.lora is not None
        weights = self.base.open()
        model, options = load_t3(weights.t3), LoraOptions(**self.lora | {"targets": tuple(self.lora["targets"])})
        extend_to(model, self.vocabulary, self.tags, weights)
        add_lora(model, options)
        load_trained(model, self.weights)
        return model, options

    def check_fits(self, features: FeatureSet, name: str, statistics: bool = True) -> None:
        """Raise UserError when its ids mean other letters than those of the prepared set."""
        vocabulary = getattr(features, "vocabulary", None)
        if vocabulary is None:
            raise UserError(f"{name} speaks from speech tokens, and {features.folder} was prepared without: model=chatterbox")
        if known_tokens(vocabulary()) != known_tokens(self.vocabulary):
            raise UserError(f"the vocabulary of {name} is not that of {features.folder}: prepare with the same model.weights "
                            "and model.dialect_tags")

    def save(self, path: Path) -> None:
        """Write the file whole or not at all.

        Raises:
            UserError: the disk is full.
        """
        content = {"format": FORMAT, "family": self.family,
                   **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
                   "base": dataclasses.asdict(self.base)}
        write_whole(path, lambda file: torch.save(content, file))

    save_final = save  # adapters are complete only with the published weights; `chatterbox_es.export` writes both together

    @classmethod
    def load(cls, path: Path) -> "T3Checkpoint":
        """From a file.

        Raises:
            UserError: as `read_stored` and `read`, or it is of another model.
        """
        stored = read_stored(path)
        if stored.get("family") != cls.family:
            raise UserError(f"{path} is no checkpoint of model={cls.family}")
        return cls.read(stored, path)

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> "T3Checkpoint":
        """From what was in a file.

        Raises:
            UserError: it is of another version.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if "starts" in stored:  # as 0.1 wrote it
            stored = stored | {"start_tokens": stored["starts"]}
        if stored.get("format") != FORMAT or any(name not in stored for name in names):
            raise UserError(f"{path} is not a checkpoint of this version (format {FORMAT})")
        return cls(**{name: stored[name] for name in names} | {"base": Base(**stored["base"])})

    def companions(self) -> dict[str, Any]:
        """What is written as JSON beside a chosen voice."""
        return {"vocabulary": self.vocabulary}


def extend_to(model: T3, vocabulary: dict, tags: dict[str, str], weights: WeightsFolder) -> None:
    """Rows for the dialect tags of a vocabulary, each beginning as that of ``[es]``; those that the weights have are theirs."""
    known, there = known_tokens(vocabulary), known_tokens(json.loads(weights.vocabulary.read_text(encoding="utf-8")))
    ids = {f"[{tag}]": known[f"[{tag}]"] for tag in tags.values() if f"[{tag}]" not in there}
    if ids:
        extend_text(model, ids, known[f"[{LANGUAGE}]"])


def trained_weights(model: T3) -> dict[str, torch.Tensor]:
    """The weights that the phase trains, by their names in the model."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def load_trained(model: T3, weights: dict[str, torch.Tensor]) -> None:
    """Put trained weights where they belong.

    Raises:
        UserError: one of them is not of this model.
    """
    mine = dict(model.named_parameters())
    for name, weight in weights.items():
        if name not in mine or mine[name].shape != weight.shape:
            raise UserError(f"{name} {tuple(weight.shape)} does not fit this T3; check model.rank, model.lora_targets and "
                            "model.dialect_tags")
        mine[name].copy_(weight)
