"""The vocoder and its discriminators, as they are trained: against each other, in one backward pass."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from chatterbox_es.models.vocoder.discriminators import Discriminators, Judgement
from chatterbox_es.models.vocoder.loss import Losses, SpectralLoss, hinge
from chatterbox_es.models.vocoder.network import Vocoder, standardised

OWN_F0 = 0.5  # share of the utterances whose source has the F0 that the vocoder predicts, in place of the recording's


class AdversarialVocoder(nn.Module):
    """Both sides take their step at once: what the discriminators learn from is cut off from the vocoder, and while they judge
    for the vocoder their own weights stand still. So one loss has the gradients of both, and each side has its own group of
    the optimiser."""

    def __init__(self, vocoder: Vocoder, discriminators: Discriminators, judged: float):
        """``judged``: share of a micro-batch that the discriminators see."""
        super().__init__()
        self.vocoder, self.discriminators, self.judged = vocoder, discriminators, judged
        self.spectral_loss = SpectralLoss(vocoder.rate)

    def forward(self, mels: Tensor, samples: Tensor, f0: Tensor, source_f0: Tensor, adversarial: bool) -> Losses:
        """The losses of B stretches of recordings.

        Args:
            mels: (B, frames, bins) natural-log mels.
            samples: (B, frames * hop) float32.
            f0: (B, frames) Hz, 0 where unvoiced.
            source_f0: (B, frames) Hz, the same with values everywhere.
            adversarial: whether the discriminators take part.
        """
        vocoder = self.vocoder
        logits = vocoder.pitch(standardised(mels))
        pitch, voicing = vocoder.pitch.loss(logits, f0)
        own = torch.rand(len(mels), 1, device=mels.device) < OWN_F0
        made = vocoder.decode(mels, torch.where(own, vocoder.pitch.f0(logits.detach()), source_f0), random=True)
        with torch.autocast(made.device.type, enabled=False):  # logarithms of small magnitudes
            mel, spectral = self.spectral_loss(made, samples)
        none = made.new_zeros(())
        against = self.contest(made, samples) if adversarial else (none, none, none)
        return Losses(mel.mean(), spectral.mean(), pitch.mean(), voicing.mean(), *against)

    def contest(self, made: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the vocoder is trained on by the discriminators' scores and by their features, and what they are trained on."""
        count = max(1, round(len(made) * self.judged))
        made, recorded = made[:count], recorded[:count]
        of_recorded = self.discriminators(recorded)
        of_made = self.discriminators(made.detach())
        with standing_still(self.discriminators):
            for_vocoder = self.discriminators(made)
        judges = len(for_vocoder)
        adversarial = sum((torch.relu(1 - scores.float()).mean() for scores, _ in for_vocoder), start=made.new_zeros(()))
        features = sum((feature_distance(ours, theirs) for ours, theirs in zip(for_vocoder, of_recorded, strict=True)),
                       start=made.new_zeros(()))
        discriminator = hinge([scores for scores, _ in of_recorded], [scores for scores, _ in of_made])
        return adversarial / judges, features / judges, discriminator


def feature_distance(made: Judgement, recorded: Judgement) -> Tensor:
    """Mean absolute difference of a discriminator's features (Larsen et al. 2016), layer by layer, relative to how large
    those of recordings are."""
    distances = [(ours.float() - theirs.detach().float()).abs().mean() / theirs.detach().float().abs().mean().clamp(min=1e-6)
                 for ours, theirs in zip(made[1], recorded[1], strict=True)]
    return torch.stack(distances).mean()


@contextlib.contextmanager
def standing_still(module: nn.Module) -> Iterator[None]:
    """What is computed inside has no gradient for a module's weights, and has one for what it is computed of."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)
