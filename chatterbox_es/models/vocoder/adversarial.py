"""The vocoder and its discriminators, as they are trained: against each other, in one backward pass."""

import torch
from torch import Tensor, nn

from chatterbox_es.models.adversarial import feature_distance, standing_still
from chatterbox_es.models.vocoder.discriminators import Discriminators
from chatterbox_es.models.vocoder.loss import Losses, SpectralLoss, hinge
from chatterbox_es.models.vocoder.network import Vocoder, standardised

OWN_F0 = 0.5  # share of the utterances whose source has the F0 that the vocoder predicts, in place of the recording's


class AdversarialVocoder(nn.Module):
    """Both sides, which `models.adversarial` keeps apart."""

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
