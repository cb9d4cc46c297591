"""What T3 is trained on: the next speech token, the end among them, and a little the next text token.

The published package's own `T3.loss` compares each state with the token it has just read; here a state is compared with
the token after it.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.t3.batches import T3Batch
from chatterbox_es.models.t3.network import STOP_SPEECH, T3


@dataclass(frozen=True)
class LossWeights:
    """What each mean counts in the loss."""

    speech: float = 1.0
    text: float = 0.1


@dataclass
class T3Losses:
    """Means over the tokens that are predicted: nats, natural logarithm. A guess among all codes scores 8.79."""

    speech: Tensor
    text: Tensor
    accuracy: Tensor  # share of the speech tokens whose likeliest prediction is right
    end_accuracy: Tensor  # the same of the stop tokens alone

    def total(self, weights: LossWeights = LossWeights()) -> Tensor:  # noqa: B008, it is frozen
        return weights.speech * self.speech + weights.text * self.text

    def parts(self) -> Tensor:
        """(4,) float64: speech, text, accuracy and accuracy of the end, without their gradients."""
        return torch.stack([self.speech, self.text, self.accuracy, self.end_accuracy]).detach().double()


def losses_of(model: nn.Module, batch: T3Batch, speech_tokens: int | None = None, text_tokens: int | None = None,
              utterances: int | None = None) -> T3Losses:
    """The losses of a batch.

    ``speech_tokens``, ``text_tokens`` and ``utterances`` are those of the whole batch where this is a micro-batch of it: the
    losses of all micro-batches, and their gradients, then add up to the batch's. Where nothing is predicted (all texts were
    dropped) the mean is 0.
    """
    speech, text = token_losses(model, batch)
    ends = speech.targets == STOP_SPEECH
    codes = max(1, speech_tokens or len(speech.targets))
    return T3Losses(speech.losses.sum() / codes, text.losses.sum() / max(1, text_tokens or len(text.targets)),
                    speech.hits.sum() / codes, (speech.hits & ends).sum() / max(1, utterances or len(batch.text)))


@dataclass
class TokenLosses:
    """Of the N tokens of a batch that are predicted."""

    losses: Tensor  # (N,) cross-entropy, nats
    hits: Tensor  # (N,) bool: the likeliest prediction is right
    targets: Tensor  # (N,)
    rows: Tensor  # (N,) whose they are

    def sums(self, values: Tensor, utterances: int) -> Tensor:
        """(utterances,) the sum of some values (N,) over each one's tokens."""
        return torch.zeros(utterances, dtype=torch.float64, device=values.device).index_add_(0, self.rows, values.double())


def token_losses(model: nn.Module, batch: T3Batch) -> tuple[TokenLosses, TokenLosses]:
    """Of the speech tokens and of the text tokens of a batch; ``model`` is T3, or what Fabric has made of it."""
    core = cast(T3, getattr(model, "module", model))
    states = model(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths, batch.text_dropped,
                   batch.start_tokens, batch.longest(core.cond_enc.positions))
    return (_entropy(core.speech_head, states.speech, batch.speech_targets, batch.speech_places),
            _entropy(core.text_head, states.text, batch.text_targets, batch.text_places))


def _entropy(head: nn.Linear, states: Tensor, targets: Tensor, places: Tensor) -> TokenLosses:
    """By places, not by a mask, whose number of true ones a GPU would be waited for, forwards and backwards."""
    logits, wanted = head(states.flatten(0, 1)[places]).float(), targets.flatten()[places]
    return TokenLosses(functional.cross_entropy(logits, wanted, reduction="none"), logits.detach().argmax(-1) == wanted, wanted,
                       places.div(targets.shape[1], rounding_mode="floor"))
