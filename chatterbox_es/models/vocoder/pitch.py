"""F0 and voicing from mels."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LOWEST, HIGHEST = 50.0, 800.0  # Hz
CLASSES = 192  # 25 cents each
STEP = math.log(HIGHEST / LOWEST) / (CLASSES - 1)  # of the logarithm, from class to class
NEAR = 4  # classes on either side of the likeliest one over which the mean is taken


class PitchHead(nn.Module):
    """F0 as the mean over the likeliest of classes of 25 cents, as CREPE has it (Kim et al. 2018): finer than a class, and a
    frame that might be either of two octaves is one of them, not what lies between."""

    logs: Tensor

    def __init__(self, bins: int, width: int, blocks: nn.Sequential):
        """``blocks`` go from (B, frames, width) to the same."""
        super().__init__()
        self.embed = nn.Linear(bins, width)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, CLASSES + 1)
        self.register_buffer("logs", torch.linspace(math.log(LOWEST), math.log(HIGHEST), CLASSES), persistent=False)

    def forward(self, mels: Tensor) -> Tensor:
        """(B, frames, bins) → (B, frames, CLASSES + 1) float32 logits: of each class, and of being voiced."""
        return self.classes(self.norm(self.blocks(self.embed(mels)))).to(mels.dtype)

    def f0(self, logits: Tensor) -> Tensor:
        """(B, frames) Hz, of unvoiced frames too."""
        likely = logits[..., :CLASSES].sigmoid()
        best = likely.argmax(-1, keepdim=True)
        places = torch.arange(CLASSES, device=logits.device)
        # From the best class on, so that rounding is that of a small number: phases are sums of it over minutes.
        away = places - best
        near = (likely * (away.abs() <= NEAR)).square()
        # Two classes may be as likely as each other, and which is the best hang on rounding; their middle does not.
        middle = _mean(near, away)
        offset = _mean(likely * (NEAR + 1 - (away - middle[..., None]).abs()).clamp(0, 1), away)
        return self.logs[best[..., 0]].exp() * (offset * STEP).exp()

    def loss(self, logits: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of class and voicing, (B, frames) each, the first 0 where unvoiced.

        Args:
            f0: (B, frames) Hz, 0 where unvoiced.
        """
        voiced = (f0 > 0).float()
        distance = (f0.clamp(min=LOWEST).log()[..., None] - self.logs) / STEP
        target = (-0.5 * distance.square()).exp()  # a class of deviation
        of_class = functional.binary_cross_entropy_with_logits(logits[..., :CLASSES], target, reduction="none").sum(-1)
        of_voicing = functional.binary_cross_entropy_with_logits(logits[..., CLASSES], voiced, reduction="none")
        return of_class * voiced, of_voicing


def _mean(weights: Tensor, values: Tensor) -> Tensor:
    """Over the last dimension; 0 where nothing weighs."""
    return (weights * values).sum(-1) / weights.sum(-1).clamp(min=1e-9)
