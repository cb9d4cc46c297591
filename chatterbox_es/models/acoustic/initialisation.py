"""What runs of every model of mels start from: fresh weights of the right sizes, or those of a parent made to fit."""

import logging
from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
import torch
from omegaconf import OmegaConf

from chatterbox_es.config import AcousticRun
from chatterbox_es.dataset.f0 import F0
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.batches import recorded_prosody
from chatterbox_es.models.acoustic.checkpoint import STATISTICS, Checkpoint
from chatterbox_es.models.acoustic.harmonics import harmonic_mels
from chatterbox_es.models.acoustic.network import AcousticModel
from chatterbox_es.models.acoustic.prosody import SMALLEST_SPREAD, UNIT

log = logging.getLogger(__name__)
OF_DATA = ("name", "use_speaker", "use_dialect", "speaker_minimum")  # keys that are no sizes of a network
HEARD = 200  # utterances of a speaker that statistics of prosody are measured on


def model_arguments(config: AcousticRun, features: FeatureSet, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The arguments of a model's network for a run's configuration and data; ``leave_out`` are keys that it does not take."""
    model = config.model
    arguments = {name: value for name, value in cast(dict[str, Any], OmegaConf.to_container(model)).items()
                 if name not in (*OF_DATA, *leave_out)}
    arguments["bins"] = features.contract.bins
    for use, what, least in ((model.use_speaker, "speaker", model.speaker_minimum), (model.use_dialect, "dialect", 1)):
        if use:
            arguments[f"{what}s"] = conditioning_names(features, what, least)
    return arguments


def conditioning_names(features: FeatureSet, what: str, least: int) -> list[str]:
    """The speakers or dialects with at least so many utterances to train on, the one with most of them first.

    Raises:
        UserError: the corpus names fewer than two.
    """
    counts = np.bincount(features.ids(what, features.train), minlength=len(features.names(what)))
    named = {name: int(count) for name, count in zip(features.names(what), counts, strict=True) if name and count >= least}
    if len(named) < 2:
        raise UserError(f"model.use_{what}=true, and {features.folder} has {len(named)} {what}s with a name and at least "
                        f"{least} utterances to train on; there is nothing to tell apart: leave it out"
                        + (", or lower model.speaker_minimum" if what == "speaker" and len(counts) > 1 else ""))
    return sorted(named, key=lambda name: (-named[name], name))


def build_network(network: type[AcousticModel], arguments: dict[str, Any], features: FeatureSet) -> AcousticModel:
    """A model with fresh weights; its speakers and dialects by the ids of a set, its prosody measured there.

    Raises:
        UserError: it has too few rows for the symbol table.
    """
    if (count := len(features.symbols.in_use)) > (rows := arguments["symbols"]):
        raise UserError(f"model.symbols={rows} rows are too few for the {count} symbols of the table")
    model = network(**arguments)
    model.number(features.names)
    if model.prosody is not None:
        model.prosody.statistics.copy_(prosody_statistics(features, arguments.get("speakers", ())))
        model.prosody.harmonics.copy_(harmonic_mels(features.contract))
    return model


def prosody_statistics(features: FeatureSet, speakers: Sequence[str]) -> torch.Tensor:
    """`Prosody.statistics`: mean and deviation of voiced frames' pitch in semitones and of all frames' energy in dB, over some
    recordings to train on, for everybody together and then for each of the ``speakers``."""
    f0 = F0(features)
    of, names, rows = features.index["speaker"][features.train], features.names("speaker"), []
    for name in (None, *speakers):
        chosen = features.train if name is None else features.train[of == names.index(name)]
        some = chosen[np.linspace(0, len(chosen) - 1, min(HEARD, len(chosen))).astype(int)].tolist()
        recorded = recorded_prosody(f0, features.statistics.restore(features.mels(some)), some).double() / UNIT
        pitch, energy = recorded[recorded[:, 0] > 0, 0], recorded[:, 1]
        if not len(pitch):
            pitch = torch.zeros(2, dtype=torch.float64)
        rows.append([pitch.mean(), pitch.std(unbiased=False).clamp(min=SMALLEST_SPREAD),
                     energy.mean(), energy.std(unbiased=False).clamp(min=SMALLEST_SPREAD)])
    return torch.tensor(rows, dtype=torch.float32)




def remap_embeddings(parent: Checkpoint, model: AcousticModel, features: FeatureSet) -> dict[str, torch.Tensor]:
    """The parent's weights for a model that is conditioned on other speakers or dialects than the parent, on none, or newly.

    A name that both know keeps its vector; a new speaker begins as the `nearest_speaker`, others as the mean of the parent's,
    or as 0 where it had none. Where the model has no such embedding, a vector is added to every token's (`Checkpoint.fold`):
    that of the data's one speaker (or dialect) if the parent knew it, else the nearest, else the mean of all.
    """
    for what in ("speaker", "dialect"):
        mine, old = model.named(what), parent.vectors(what)
        if mine is not None:
            width = mine.embedding.embedding_dim
            default = torch.stack(list(old.values())).mean(0) if old else torch.zeros(width)
            key = parent.vectors_key(what)
            others = parent.weights[key][0] if old else default
            like = [name if name in old or what == "dialect" else nearest_speaker(parent, model, name) for name in mine.names]
            parent.weights[key] = torch.stack([others, *(old.get(name or "", default) for name in like)])
        elif old:
            named = [name for name in features.names(what) if name]
            is_known = len(named) == 1 and named[0] in old
            near = nearest_speaker(parent, model) if what == "speaker" and not is_known else None
            parent = parent.fold(what, named[0] if is_known else near)
    return parent.weights


def nearest_speaker(parent: Checkpoint, model: AcousticModel, name: str = "") -> str | None:
    """The speaker of a parent whose mean pitch is nearest to that of a model's speaker, or of all its data; None where pitch
    was not measured in both."""
    speakers, known = parent.model.get("speakers", ()), parent.weights.get(STATISTICS)
    if not speakers or known is None or model.prosody is None:
        return None
    embedding = model.named("speaker")
    mine = model.prosody.statistics[embedding.row(name) if embedding else 0]
    away = (known[1:, 0] - mine[0].to(known)).abs()
    nearest = int(away.argmin())
    log.info("%s begins as %s, whose pitch is nearest: %.1f semitones away", name or "the voice", speakers[nearest],
             away[nearest])
    return speakers[nearest]


def fitting_weights(parent: Checkpoint, model: AcousticModel, features: FeatureSet, name: str,
                    finetune: bool) -> dict[str, torch.Tensor]:
    """The weights of a parent, which is called ``name``, for a model that goes on with its data, or is fine-tuned on others.

    Raises:
        UserError: the parent has other symbols or mels, or prosody that the model has not.
    """
    if finetune:
        parent = parent.with_symbols(features.symbols, model.text_encoder.embedding.num_embeddings)
    parent.check_fits(features, name, statistics=not finetune)
    if finetune:
        parent.rebase(features.statistics)
    return told_prosody(remap_embeddings(parent, model, features), model, name)


def told_prosody(weights: dict[str, torch.Tensor], model: AcousticModel, name: str) -> dict[str, torch.Tensor]:
    """A parent's weights for a model whose prosody is measured already; where the parent had none it begins as without.

    Raises:
        UserError: the parent has prosody, and the model has not.
    """
    mine = {key: weight for key, weight in model.state_dict().items() if key.startswith("prosody.")}
    if not mine and any(key.startswith("prosody.") for key in weights):
        raise UserError(f"{name} was trained with model.prosody=true, and speaks by it; write that here, too")
    if mine and STATISTICS not in weights:
        log.info("%s has no prosody: it is learnt from here on", name)
    return mine | weights | {key: mine[key] for key in (STATISTICS,) if key in mine}


def load_weights(model: AcousticModel, weights: dict[str, torch.Tensor], name: str) -> None:
    """`load_state_dict`, with an error that names the first weight which does not fit."""
    mine = model.state_dict()
    for key in [*mine, *weights]:
        if key not in mine or key not in weights:
            raise UserError(f"{name} does not fit this model: {key} is only in {'it' if key in weights else 'this model'}")
        if mine[key].shape != weights[key].shape:
            raise UserError(f"{name} does not fit this model: {key} is {tuple(weights[key].shape)} there and "
                            f"{tuple(mine[key].shape)} here; check model.*")
    model.load_state_dict(weights)
