"""How well a model of mels predicts held-out speech, utterance by utterance."""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.acoustic.batches import collate
from chatterbox_es.models.acoustic.loss import warped_error
from chatterbox_es.models.acoustic.network import AcousticModel
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.runs.metrics import Metric

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

BATCH = 8  # utterances
METRICS = (
    Metric("val_loss", "squared error under the best alignment", FeatureSet.unit, by_frames=True),
    Metric("val_own_durations", "squared error with its own durations", FeatureSet.unit),
    Metric("val_length_error", "error of the length", "share of the recording's"),
)
FLOW = Metric("val_flow", "velocity of the flow at the middle of the way", "squared error a frame and bin", by_frames=True)
PROSODY = Metric("val_prosody", "prosody of tokens that was not foreseen", "negative log-likelihood a token")


@torch.no_grad()
def utterance_values(fabric: "Fabric", model: AcousticModel, features: FeatureSet,
                     numbers: Sequence[int] | None = None, check: Callable[[], None] = lambda: None) -> UtteranceValues:
    """The metrics of held-out utterances (all of them, or those of ``numbers``); ``check`` is called before each.

    ``val_loss``: squared error a frame and bin under the alignment that fits best. A low one proves nothing about
    speech, since the search picks the path that flatters it. So beside it stand ``val_own_durations``, the error of
    what the model speaks from the text alone, along the best time warp, and ``val_length_error``, how far its length
    is from the recording's, as a share. A model that has prosody is told the recordings' for the first, and has
    ``val_prosody`` beside; ``val_flow`` is of one whose flow is trained.
    """
    model.eval()
    chosen = np.asarray(features.validation if numbers is None else numbers)
    order = chosen[features.index["frames"][chosen].argsort(kind="stable")]
    squared, errors, length, prosody, flow = [], [], [], [], []
    with ThreadPoolExecutor(min(4, torch.get_num_threads())) as beside:  # the next are spoken while these are warped
        for start in range(0, len(order), BATCH):
            batch = collate(features, order[start:start + BATCH].tolist()).to(fabric.device)
            with fabric.autocast():
                prediction = model(*batch.inputs())
            error = (prediction.mels.float() - batch.mels).square().mean(1, dtype=torch.float64)
            squared += torch.stack([frames.mean() for frames in error.split(batch.speech.lengths)]).tolist()
            if prediction.prosody is not None:
                prosody += torch.stack([tokens.mean() for tokens in prediction.prosody.split(batch.text.lengths)]).tolist()
            if prediction.flow is not None:
                flow += torch.stack([frames.mean() for frames in prediction.flow.split(batch.speech.lengths)]).tolist()
            for number in batch.utterances:
                check()
                spoken, _ = speak(fabric, model, features, number)
                recorded = features.mel(number)
                errors.append(beside.submit(warped_error, spoken, recorded))
                length.append(abs(len(spoken) / len(recorded) - 1))
        warped = [error.result() for error in errors]
    found = {"val_loss": squared, "val_own_durations": warped, "val_length_error": length}
    metrics = (*METRICS, *([PROSODY] if prosody else []), *([FLOW] if flow else []))
    return UtteranceValues.of(metrics, [features.utterance(number)["id"] for number in order], features.index["frames"][order],
                              found | {"val_prosody": prosody, "val_flow": flow})


@torch.no_grad()
def speak(fabric: "Fabric", model: AcousticModel, features: FeatureSet, number: int,
          **told: Any) -> tuple[Tensor, Tensor]:
    """What the model says of an utterance's text, as its speaker and in its dialect, in the run's precision; on the CPU.
    Likeliest, but for what its ``speak`` is ``told``."""
    speaker, dialect = (features.ids(what, [number]).to(fabric.device) for what in ("speaker", "dialect"))
    with fabric.autocast():
        mels, durations = model.speak(features.token_ids(number).to(fabric.device),
                                      conditioning=model.conditioning(speaker, dialect), speaker=speaker,
                                      **{name: to_device(value, fabric.device) for name, value in told.items()})
    return mels.cpu(), durations.cpu()


def to_device(told: Any, device: torch.device) -> Any:
    """A dataclass of tensors on a device."""
    return dataclasses.replace(told, **{name: value.to(device) for name, value in vars(told).items()
                                        if isinstance(value, Tensor)})
