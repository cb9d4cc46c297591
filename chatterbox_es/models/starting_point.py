"""The checkpoint that a phase starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatterbox_es.config import Config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.checkpoints import read_stored
from chatterbox_es.runs.checkpoint_files import BEST, VOICE, final_checkpoint
from chatterbox_es.runs.run_directory import newest_run


def encoder_checkpoint(config: Config, features: FeatureSet, what: str = "text encoder", model: str = "") -> Path:
    """Where the weights of the phase before come from: ``train.encoder``; or what was selected (``outputs/best``), if it is of
    that phase and the same data; or the newest finished run of the phase on the same data.

    ``what`` is taken from it, and ``model`` is what the command to make one says of the model, for the error.

    Raises:
        UserError: there is none.
    """
    wanted = config.phase.encoder_from or ""
    if config.train.encoder:
        return final_checkpoint(Path(config.train.encoder))
    best = Path(config.outputs, BEST, VOICE)
    if best.is_file() and is_of(read_stored(best, mmap=True), wanted, features, config.model.name):
        return best
    found = newest_run(Path(config.outputs), wanted, features.card["content"], config.model.name)
    if found is None:
        path = f" data.path={config.data.path}" if config.data.path else ""
        raise UserError(f"phase {config.phase.name} starts from the {what} of phase {wanted}, and there is no finished "
                        f"{wanted} run of this data in {config.outputs}/. Make one: python -m chatterbox_es.train "
                        f"{model}phase={wanted} data={config.data.name}{path} hw={config.hw.name}; or name one: "
                        "train.encoder=RUN")
    return final_checkpoint(found)


def is_of(stored: Mapping[str, Any], phase: str, features: FeatureSet, model: str) -> bool:
    """Whether what a checkpoint's file holds is of a model, and was trained in a phase on a prepared set."""
    said = stored.get("family", "fase4"), stored.get("phase"), stored.get("lineage", {}).get("content")
    return said == (model, phase, features.card["content"])
