"""How well `Fase4` predicts held-out speech, utterance by utterance."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.fase4.batches import collate
from chatterbox_es.models.fase4.loss import warped_error
from chatterbox_es.models.fase4.network import Fase4
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


@torch.no_grad()
def utterance_values(fabric: "Fabric", model: Fase4, features: FeatureSet,
                     numbers: Sequence[int] | None = None, check: Callable[[], None] = lambda: None) -> UtteranceValues:
    """The metrics of held-out utterances (all of them, or those of ``numbers``); ``check`` is called before each.

    ``val_loss``: squared error a frame and bin under the alignment that fits best. A low one proves nothing about
    speech, since the search picks the path that flatters it. So beside it stand ``val_own_durations``, the error of
    what the model speaks from the text alone, along the best time warp, and ``val_length_error``, how far its length
    is from the recording's, as a share.
    """
    model.eval()
    chosen = np.asarray(features.validation if numbers is None else numbers)
    order = chosen[features.index["frames"][chosen].argsort(kind="stable")]
    squared, errors, length = [], [], []
    with ThreadPoolExecutor(min(4, torch.get_num_threads())) as beside:  # the next are spoken while these are warped
        for start in range(0, len(order), BATCH):
            batch = collate(features, order[start:start + BATCH].tolist()).to(fabric.device)
            with fabric.autocast():
                prediction = model(*batch.inputs())
            error = (prediction.mels.float() - batch.mels).square().mean(1, dtype=torch.float64)
            squared += torch.stack([frames.mean() for frames in error.split(batch.speech.lengths)]).tolist()
            for number in batch.utterances:
                check()
                spoken, _ = speak(fabric, model, features, number)
                recorded = features.mel(number)
                errors.append(beside.submit(warped_error, spoken, recorded))
                length.append(abs(len(spoken) / len(recorded) - 1))
        warped = [error.result() for error in errors]
    found = {"val_loss": squared, "val_own_durations": warped, "val_length_error": length}
    return UtteranceValues.of(METRICS, [features.utterance(number)["id"] for number in order], features.index["frames"][order],
                              found)


@torch.inference_mode()
def speak(fabric: "Fabric", model: Fase4, features: FeatureSet, number: int) -> tuple[Tensor, Tensor]:
    """`Fase4.speak` of an utterance's text, as its speaker and in its dialect, in the run's precision; on the CPU."""
    conditioning = model.conditioning(*(features.ids(what, [number]).to(fabric.device) for what in ("speaker", "dialect")))
    with fabric.autocast():
        mels, durations = model.speak(features.token_ids(number).to(fabric.device), conditioning=conditioning)
    return mels.cpu(), durations.cpu()
