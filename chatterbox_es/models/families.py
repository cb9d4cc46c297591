"""The kinds of model that the same commands train: the one place that knows which there are.

``model=fase4`` predicts mels from phonemes (`models.fase4`), ``model=chatterbox`` speech tokens from letters
(`models.t3`). Loop, states, checkpoints on disk, sweeps and selection are the same for both.
"""

from pathlib import Path

from chatterbox_es.config import Config, read_config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.family import Family
from chatterbox_es.models.fase4.family import MelFamily
from chatterbox_es.runs.run_directory import CONFIG


def family_named(name: str) -> Family:
    """
    Raises:
        UserError: no such model, or packages that it needs are missing.
    """
    if name == "fase4":
        return MelFamily()
    if name != "chatterbox":
        raise UserError(f"model={name} is not known; use fase4 or chatterbox")
    try:
        from chatterbox_es.models.t3.family import TokenFamily  # whose packages are optional

        return TokenFamily()
    except ImportError as error:
        raise UserError(f"model=chatterbox needs packages that are not installed ({error}): "
                        "pip install 'chatterbox-es[chatterbox]'") from error


def family_of(config: Config) -> Family:
    """The family of a run's model."""
    return family_named(config.model.name)


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
    family = family_of(config)
    # A relative path is relative to where the run was started: here, or a folder above the run's.
    for place in (Path.cwd(), *run.resolve().parents):
        if found := family.find(place / config.data.prepared, content):
            return found
    if family.name == "chatterbox":
        from chatterbox_es.models.t3.codec import trusted_codec

        config.model.codec = trusted_codec(config.model.codec, codec, str(file))
    features = family.prepare(config)
    if features.card["content"] != content:
        raise UserError(f"the data of {run} has changed since: it was trained on content {content[:12]}, and {features.folder} "
                        f"has {features.card['content'][:12]}; the checkpoints cannot be measured on what validated them")
    return features
