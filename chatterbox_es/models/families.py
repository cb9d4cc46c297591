"""Which models there are: the one place that knows.

``model=fase4`` and ``model=flow`` predict mels from phonemes (`models.fase4`, `models.flow`), ``model=chatterbox`` speech
tokens from letters (`models.t3`),
``model=vocoder`` waveforms from mels (`models.vocoder`). Each brings its recipe and its checkpoint; loop, states, sweeps and
selection are the same for all.
"""

import dataclasses
import pkgutil
from pathlib import Path
from typing import Any

from chatterbox_es.config import Config, read_config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.checkpoints import read_stored
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.runs.checkpoint_files import final_checkpoint, voice_file
from chatterbox_es.runs.run_directory import CONFIG


@dataclasses.dataclass(frozen=True)
class Model:
    """What a model's room gives the commands, by name: who speaks does not wait for the import of what trains."""

    room: str  # below `chatterbox_es.models`
    recipe_name: str
    checkpoint_name: str
    extra: str = ""  # of the package, where it needs packages that need not be there

    @property
    def recipe(self) -> Any:
        """The class of its `Recipe`."""
        return self.named(f"recipe:{self.recipe_name}")

    @property
    def checkpoint(self) -> Any:
        """The class of its `StoredModel`."""
        return self.named(f"checkpoint:{self.checkpoint_name}")

    def named(self, name: str) -> Any:
        """
        Raises:
            UserError: packages that it needs are missing.
        """
        try:
            return pkgutil.resolve_name(f"chatterbox_es.models.{self.room}.{name}")
        except ImportError as error:
            if not self.extra:
                raise
            raise UserError(f"model={self.extra} needs packages that are not installed ({error}): "
                            f"pip install 'chatterbox-es[{self.extra}]'") from error


MODELS = {"fase4": Model("fase4", "Fase4Recipe", "Checkpoint"),
          "flow": Model("flow", "FlowRecipe", "Checkpoint"),
          "vocoder": Model("vocoder", "VocoderRecipe", "Checkpoint"),
          "chatterbox": Model("t3", "T3Recipe", "T3Checkpoint", extra="chatterbox")}


def model_named(name: str) -> Model:
    """
    Raises:
        UserError: no such model.
    """
    if name not in MODELS:
        raise UserError(f"model={name} is not known; use {' or '.join(MODELS)}")
    return MODELS[name]


def recipe_named(name: str) -> Recipe:
    """The recipe of a model, for what asks no configuration.

    Raises:
        UserError: no such model, or packages that it needs are missing.
    """
    return model_named(name).recipe()


def recipe_of(config: Config) -> Recipe:
    """The recipe of a run's model.

    Raises:
        UserError: as `recipe_named`.
    """
    return model_named(config.model.name).recipe.of(config, load_checkpoint)


def load_checkpoint(path: Path, mmap: bool = False) -> Any:
    """Read a checkpoint of any model: a `StoredModel`; ``mmap`` as in `read_stored`.

    Raises:
        UserError: as `read_stored` and `recipe_named`.
    """
    stored = read_stored(path, mmap)
    try:
        checkpoint = model_named(stored.get("family", "fase4")).checkpoint  # files of 0.1 say none
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return checkpoint.read(stored, path)


def release(run: Path, path: Path, **precision: bool) -> None:
    """Write a run's final checkpoint as one that comes along: without this machine's paths, in 8 bits (``small``) or, of a
    vocoder, in half precision (``half``).

    Raises:
        UserError: as `load_checkpoint`, the run has no final checkpoint, or the disk is full.
    """
    made = load_checkpoint(final_checkpoint(run))
    kept = {key: made.lineage[key] for key in ("data", "content", "step", "epoch", "metrics") if key in made.lineage}
    path.parent.mkdir(exist_ok=True)
    dataclasses.replace(made, lineage=kept).export(path, **precision)


def checkpoint_of_mels(run: Path) -> tuple[Any, str]:
    """The `acoustic.checkpoint.Checkpoint` of a run, a checkpoint's file, or outputs/best; and its file's name.

    Raises:
        UserError: as `load_checkpoint`, or its model predicts no mels.
    """
    path = voice_file(run)
    checkpoint = load_checkpoint(path)
    if checkpoint.output != "mels":
        raise UserError(f"{path} is of model={checkpoint.family}; this works with voices that predict mels alone")
    return checkpoint, str(path)


def features_of(run: Path, content: str, codec: str = "") -> FeatureSet:
    """The prepared set that a run was trained on: the one with that content hash where it still lies, or made anew; by a
    ``codec`` in place of the one that its configuration names.

    Raises:
        UserError: its configuration is gone, or names code, or its data has changed since.
    """
    file = run / CONFIG
    if not file.is_file():
        raise UserError(f"{file} is missing, which says on which data {run} was trained")
    config = read_config(file)
    recipe = recipe_of(config)
    # A relative path is relative to where the run was started: here, or a folder above the run's.
    for place in (Path.cwd(), *run.resolve().parents):
        if found := recipe.find(place / config.data.prepared, content):
            return found
    features = recipe.prepare_again(config, codec, str(file))
    if features.card["content"] != content:
        raise UserError(f"the data of {run} has changed since: it was trained on content {content[:12]}, and {features.folder} "
                        f"has {features.card['content'][:12]}; the checkpoints cannot be measured on what validated them")
    return features
