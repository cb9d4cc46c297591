"""What tells recorded mels from those that a decoder says.

The mean of all ways to say a frame is none of them: it is smoother. A discriminator of mels (GANSpeech, Yang et al. 2021) asks
for what has been smoothed away, where a squared or absolute error can only ask for the mean. It is small and sees stretches of
a second, as one row of mels after the other.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from chatterbox_es.models.adversarial import Judgement, feature_distance, judge, standing_still

SLOPE = 0.2  # of the rectifiers below 0
FRAMES = 64  # of a stretch


class Contest(NamedTuple):
    """What comes of it, () each."""

    adversarial: Tensor  # of the decoder: how far its scores are from a recording's
    features: Tensor  # likewise: distance of the discriminator's features
    discriminator: Tensor  # its own loss


class MelDiscriminator(nn.Module):
    """Convolutions over frames."""

    def __init__(self, bins: int, width: int):
        super().__init__()
        shapes = ((bins, 4 * width, 3, 1), (4 * width, 4 * width, 5, 2), (4 * width, 8 * width, 5, 2),
                  (8 * width, 8 * width, 5, 1))
        self.layers = nn.ModuleList(weight_norm(nn.Conv1d(narrow, wide, kernel, stride, kernel // 2))
                                    for narrow, wide, kernel, stride in shapes)
        self.score = weight_norm(nn.Conv1d(8 * width, 1, 3, padding=1))

    def forward(self, mels: Tensor) -> Judgement:
        """Of (B, frames, bins), standardised."""
        return judge(self.layers, self.score, mels.transpose(1, 2), SLOPE)

    def contest(self, made: Tensor, recorded: Tensor, lengths: Sequence[int]) -> Contest:
        """By least squares (Mao et al. 2017), over stretches that are cut at random from packed mels (frames, bins) of
        sentences of such ``lengths``; a sentence that is shorter than one has none."""
        starts = list(_starts(lengths))
        if not starts:
            return Contest(*made.new_zeros(3).unbind())
        made, recorded = (torch.stack([mels[start:start + FRAMES] for start in starts]) for mels in (made, recorded))
        of_recorded, of_made = self(recorded), self(made.detach())
        with standing_still(self):
            for_decoder = self(made)
        own = (1 - of_recorded[0].float()).square().mean() + of_made[0].float().square().mean()
        return Contest((1 - for_decoder[0].float()).square().mean(), feature_distance(for_decoder, of_recorded), own)


def _starts(lengths: Sequence[int]) -> Iterator[int]:
    """Where stretches begin: one a sentence, and of long ones so many that half of it is seen."""
    first = 0
    for length in lengths:
        if length >= FRAMES:
            for _ in range(max(1, length // (2 * FRAMES))):
                yield first + int(torch.randint(length - FRAMES + 1, ()))
        first += length
