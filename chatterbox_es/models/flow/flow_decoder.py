"""Residual conditional flow matching: from a decoder's mean, with noise, to mels as people were recorded.

A network learns the velocity that carries noise to data along straight lines (Lipman et al. 2023, "Flow Matching for Generative
Modeling"; Matcha-TTS, Mehta et al. 2024); a few steps of Euler's method follow it. Here a line begins at the decoder's own mels
plus noise, so that what is left to learn is their difference to speech.
"""

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.text_encoder import sinusoids
from chatterbox_es.models.convnext import ConvNeXtBlock

STEPS = 4  # of Euler's method
TAU = 0.0  # of speech where nothing else is said: docs/experiments.md
NOISE = 1.0  # deviation of the noise in training; standardised mels have 1
RESIDUE = 0.1  # variance of what the prior leaves open
CYCLE = 512  # frames after which the noise of speech begins again
INSTANTS = 1000  # that a position table tells apart


@dataclasses.dataclass
class Draw:
    """What is drawn of speech where the mean leaves it open."""

    tau: Tensor  # (): how much noise the flow begins with; 0 is the decoder's own mels
    noise: Tensor  # (CYCLE, bins), standard normal: of the frames one after the other, and over again
    steps: int = STEPS


class FrameBlocks(nn.ModuleList):
    """ConvNeXt blocks over the frames of sentences side by side, each as if it were alone."""

    def __init__(self, count: int, width: int, expansion: float):
        super().__init__(ConvNeXtBlock(width, round(width * expansion), 1 / count) for _ in range(count))

    def forward(self, x: Tensor, speech: Packing, added: Tensor | None = None) -> Tensor:
        """Packed (frames, width) → the same. ``added`` (blocks, frames, width) comes to what each block sees."""
        mask = None if speech.mask is None else speech.mask[:, :, None]
        padded = speech.pad(x)
        for number, block in enumerate(self):
            if added is not None:
                padded = padded + speech.pad(added[number])
            padded = block(padded)
            if mask is not None:  # the next convolution sees no padding
                padded = padded * mask
        return speech.pack(padded)


class FlowDecoder(nn.Module):
    """The velocity of mels at a time between noise (0) and speech (1), told the decoder's mels and what these were made of."""

    times: Tensor  # (INSTANTS + 1, hidden)

    def __init__(self, bins: int, width: int, hidden: int, blocks: int, expansion: float):
        super().__init__()
        self.input = nn.Linear(2 * bins + width, hidden)
        self.time = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, blocks * hidden))
        self.blocks = FrameBlocks(blocks, hidden, expansion)
        self.norm = nn.LayerNorm(hidden)
        self.output = nn.Linear(hidden, bins)
        nn.init.zeros_(self.output.weight)  # it begins with what is best without it
        nn.init.zeros_(self.output.bias)
        self.register_buffer("times", sinusoids(INSTANTS + 1, hidden, 10_000), persistent=False)

    def forward(self, mels: Tensor, time: Tensor, prior: Tensor, states: Tensor, speech: Packing) -> Tensor:
        """The velocity (frames, bins) of ``mels`` (frames, bins).

        Args:
            time: (B,) of each sentence, from 0 to 1.
            prior: (frames, bins), the decoder's mels.
            states: (frames, width), its last states.
            speech: of the frames.
        """
        x = self.input(torch.cat([mels, prior, states], 1))
        embedded = self.time(self.times[(time * INSTANTS).round().long()]).unflatten(1, (len(self.blocks), -1))
        added = embedded.transpose(0, 1)[:, speech.rows()] if speech.mask is not None else embedded.transpose(0, 1).expand(
            -1, x.shape[0], -1)
        share = functional.embedding(speech.rows(), time[:, None]) if speech.mask is not None else time
        return self.output(self.norm(self.blocks(x, speech, added))) + self._linear(share) * (mels - prior)

    @staticmethod
    def _linear(time: Tensor) -> Tensor:
        """What the distance from the prior is multiplied by for the velocity that is best where nothing but the `RESIDUE` is
        known: its covariance with the velocity over its own variance. What is left for the network is small at every time
        (preconditioning: Karras et al. 2022)."""
        return (time * RESIDUE - (1 - time) * NOISE**2) / ((1 - time)**2 * NOISE**2 + time**2 * RESIDUE)

    def loss(self, mels: Tensor, prior: Tensor, states: Tensor, speech: Packing) -> Tensor:
        """(frames,) squared error of the velocity, the mean over bins, at a time and with noise that are drawn; at validations
        always at the same time with the same noise."""
        count, mels = len(speech.lengths), mels.float()
        if self.training:
            time, noise = torch.rand(count, device=mels.device), torch.randn_like(mels)
        else:
            frozen = torch.from_numpy(flow_noise(mels.shape[1])).to(mels)
            time, noise = mels.new_full((count,), 0.5), frozen[speech.positions() % CYCLE]
        start = prior.float() + NOISE * noise
        share = functional.embedding(speech.rows(), time[:, None])
        velocity = self(torch.lerp(start, mels, share), time, prior, states, speech)
        return (velocity.float() - (mels - start)).square().mean(1)

    def draw(self, prior: Tensor, states: Tensor, draw: Draw) -> Tensor:
        """Mels (frames, bins) of one sentence."""
        frames = prior.shape[0]
        speech = Packing.alone(frames, prior.device)
        mels = prior + draw.tau * draw.noise[torch.arange(frames, device=prior.device) % CYCLE]
        for step in range(draw.steps):
            time = torch.full((1,), step / draw.steps, device=prior.device)
            mels = mels + self(mels, time, prior, states, speech) / draw.steps
        return torch.where(draw.tau > 0, mels, prior)


def flow_noise(bins: int, seed: tuple[int, ...] = (0,)) -> np.ndarray:
    """(CYCLE, bins) float32, standard normal, the same everywhere."""
    return np.random.default_rng(seed).standard_normal((CYCLE, bins), np.float32)
