"""What ``model=flow`` is trained on beside what every model of mels is: what a discriminator says of its prior."""

import dataclasses

import torch
from torch import Tensor

from chatterbox_es.models.acoustic.loss import Losses
from chatterbox_es.models.flow.mel_discriminator import Contest


@dataclasses.dataclass(frozen=True)
class AdversarialWeights:
    """What each of the decoder's losses counts; the discriminator's is its alone."""

    adversarial: float
    features: float


@dataclasses.dataclass
class ContestedLosses:
    """The losses of a micro-batch, which is a ``share`` of its batch, of a model that has a discriminator."""

    losses: Losses
    contest: Contest
    weights: AdversarialWeights
    share: float

    def total(self) -> Tensor:
        contested = (self.weights.adversarial * self.contest.adversarial + self.weights.features * self.contest.features
                     + self.contest.discriminator)
        return self.losses.total() + self.share * contested

    def parts(self) -> Tensor:
        """float64, without gradients: those of the losses, then of the contest in its order."""
        return torch.cat([self.losses.parts(), self.share * torch.stack(self.contest).detach().double()])
