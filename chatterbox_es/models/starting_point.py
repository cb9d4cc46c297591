"""The checkpoint that a phase starts from."""

from pathlib import Path

from chatterbox_es.config import Config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.checkpoints import load_checkpoint
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.runs.checkpoint_files import BEST, VOICE, final_checkpoint
from chatterbox_es.runs.run_directory import newest_run


def encoder_checkpoint(config: Config, features: FeatureSet) -> Path:
    """Where the text encoder comes from: ``train.encoder``; or what was selected (``outputs/best``), if it is of that phase
    and the same data; or the newest finished run of the phase on the same data."""
    wanted = config.phase.encoder_from
    if config.train.encoder:
        return final_checkpoint(Path(config.train.encoder))
    best = Path(config.outputs, BEST, VOICE)
    if best.is_file() and is_of(load_checkpoint(best), wanted, features):
        return best
    found = newest_run(Path(config.outputs), wanted, features.card["content"])
    if found is None:
        path = f" data.path={config.data.path}" if config.data.path else ""
        what, model = "text encoder", ""
        if config.model.name != "fase4":
            what, model = "weights", f"model={config.model.name} model.weights={config.model.weights} "
        raise UserError(f"phase {config.phase.name} starts from the {what} of phase {wanted}, and there is no finished "
                        f"{wanted} run of this data in {config.outputs}/. Make one: python -m chatterbox_es.train "
                        f"{model}phase={wanted} data={config.data.name}{path} hw={config.hw.name}; or name one: "
                        "train.encoder=RUN")
    return final_checkpoint(found)


def is_of(checkpoint: Checkpoint, phase: str, features: FeatureSet) -> bool:
    """Whether a checkpoint was trained in a phase on a prepared set."""
    return checkpoint.phase == phase and checkpoint.lineage.get("content") == features.card["content"]
