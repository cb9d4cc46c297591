"""How well T3 predicts held-out speech, utterance by utterance."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric

from chatterbox_es.models.t3.batches import Spoken, T3Batch, collate
from chatterbox_es.models.t3.loss import token_losses
from chatterbox_es.models.t3.network import STOP_SPEECH, T3
from chatterbox_es.models.t3.prompts import first_tokens
from chatterbox_es.models.t3.token_set import TokenSet
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.runs.metrics import Metric

BATCH = 8  # utterances
METRICS = (
    Metric("val_loss", "cross-entropy", TokenSet.unit, by_frames=True),
    Metric("val_loss_other_text", "cross-entropy with another utterance's text", TokenSet.unit, by_frames=True),
    Metric("val_token_error", "tokens predicted wrong", "share", by_frames=True),
    Metric("val_end_error", "ends predicted wrong", "share"),
    Metric("val_text_loss", "cross-entropy of the text", "nats a text token"),
)
PROMPTS_OF = 0  # seed and epoch: every run's validation has the same prompts


def spoken_of(features: TokenSet, number: int, prompt: int | None, text_dropped: bool = False) -> Spoken:
    """One utterance of a set, conditioned on another clip of its speaker; without one, on its own speaker embedding."""
    clip = number if prompt is None else prompt
    codes = features.codes(number)
    return Spoken(features.text_ids(number).tolist(), codes, features.speaker(clip),
                  codes[:0] if prompt is None else first_tokens(features.codes(prompt)), text_dropped)


def other_texts(features: TokenSet, order: np.ndarray) -> dict[int, list[int]]:
    """For each of some utterances the text ids of the next one that says something else; backwards where all say the same."""
    texts = [features.text_ids(number).tolist() for number in order]
    found = {}
    for place, number in enumerate(order.tolist()):
        following = (texts[(place + step) % len(texts)] for step in range(1, len(texts)))
        own = texts[place]
        found[number] = next((text for text in following if text != own), [own[0], *own[-2:0:-1], own[-1]])
    return found


def place(batch: T3Batch, device: torch.device) -> T3Batch:
    """A batch on the device, without waiting until it is there."""
    return (batch.pin() if device.type == "cuda" else batch).to(device)


@torch.no_grad()
def utterance_values(fabric: Fabric, model: T3, features: TokenSet, numbers: Sequence[int] | None = None, start_tokens: int = 2,
                     check: Callable[[], None] = lambda: None) -> UtteranceValues:
    """The metrics of held-out utterances (all of them, or those of ``numbers``), each read with its recorded tokens before it.

    ``val_loss``: cross-entropy a speech token, the stop token among them. ``val_loss_other_text``: the same with the text
    of the next utterance, so that a voice which ignores its text shows: the two are then alike. ``val_token_error`` and
    ``val_end_error``: shares of tokens, and of stop tokens, whose likeliest prediction is wrong. ``val_text_loss``:
    cross-entropy a text token.
    """
    model.eval()
    chosen = np.asarray(features.validation if numbers is None else numbers)
    order = chosen[features.places["codes"][chosen].argsort(kind="stable")]
    other = other_texts(features, order)
    prompts = features.prompts(PROMPTS_OF)
    values: list[torch.Tensor] = []  # (metrics, utterances) of each batch, on the device: read together, at the end
    for start in range(0, len(order), BATCH):
        check()
        some = order[start:start + BATCH].tolist()
        spoken = [spoken_of(features, number, prompts.choose(number, PROMPTS_OF)) for number in some]
        batch = place(collate(spoken, start_tokens), fabric.device)
        moved = place(collate([dataclasses.replace(one, text=other[number])
                               for one, number in zip(spoken, some, strict=True)], start_tokens), fabric.device)
        with fabric.autocast():
            speech, text = token_losses(model, batch)
            elsewhere, _ = token_losses(model, moved)
        count = (batch.speech_lengths - (start_tokens - 1)).double()
        ends = (speech.targets == STOP_SPEECH).double()
        values.append(torch.stack([
            speech.sums(speech.losses, len(some)) / count, elsewhere.sums(elsewhere.losses, len(some)) / count,
            speech.sums(~speech.hits, len(some)) / count, speech.sums(ends * ~speech.hits, len(some)),
            text.sums(text.losses, len(some)) / (batch.text_lengths.double() - 1)]))
    found = torch.cat(values, 1).cpu().numpy() if values else np.zeros((len(METRICS), 0))
    return UtteranceValues.of(METRICS, [features.utterance(number)["id"] for number in order],
                              features.places["codes"][order] + 1,
                              dict(zip((metric.name for metric in METRICS), found, strict=True)))
