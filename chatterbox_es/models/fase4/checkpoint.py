"""`Fase4`'s weights on disk: `models.acoustic.checkpoint` says with what."""

import torch

from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.models.acoustic import checkpoint
from chatterbox_es.models.acoustic.checkpoint import rebase_output
from chatterbox_es.models.fase4.network import Fase4


class Checkpoint(checkpoint.Checkpoint):
    """One set of weights of a `Fase4`, and what it was trained on."""

    family = "fase4"
    limits = ("It predicts the average of how a sentence may be said, and sounds flatter than people do. Spanish only, one "
              "voice.")
    network = Fase4

    def rebase(self, new: Statistics) -> None:
        rebase(self.weights, self.statistics, new)


def rebase(weights: dict[str, torch.Tensor], old: Statistics, new: Statistics) -> None:
    """`rebase_output` of the decoder's last layer, among weights."""
    *_, weight, bias = (tensor for name, tensor in weights.items() if name.startswith("mel_decoder."))
    rebase_output(weight, bias, old, new)
