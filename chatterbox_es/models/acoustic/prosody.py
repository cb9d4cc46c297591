"""Melody and loudness of speech: measured a token while training, drawn a token when speaking, laid over the frames.

FastPitch (Łańcucki 2021) is the model: a decoder that is told pitch and energy need not say the mean of all melodies. Its
predictor gives one value a token, which is the mean again; this one gives a distribution (mixtures of Gaussians, Bishop 1994).
A value is drawn as the quantile of a noise that is shared along the sentence (a Gaussian copula): each token's value has
exactly its predicted distribution, and neighbours go up and down together. Drawn one by one, they would jitter.
"""

import dataclasses
import math

import numpy as np
import scipy.signal
import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.alignment import frame_positions
from chatterbox_es.models.acoustic.harmonics import LOWEST, ROWS, harmonics_at
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.token_predictor import TokenPredictor

UNIT = 1000  # recorded pitch and energy are whole thousandths: mixed precision rounds inputs that are not whole
DRAWN = 3  # values of a token that are drawn: duration, pitch, energy
COMPONENTS = 4  # of each mixture
LEAST_DEVIATION = 0.1  # of a component, so that durations, which are whole frames, have no density without bound
LARGEST = 6.0  # deviations: where quantiles are looked for
HALVINGS = 12  # of that range
TEMPERATURE = 0.8  # of speech where nothing else is said
# How alike the noises of neighbouring tokens are, of duration, pitch and energy: a melody goes on over a syllable and more, a
# sound's length is nearly its own.
ALIKE = np.array([0.5, 0.9, 0.7])
WHOLE = 0.3  # share of the noise's variance that a sentence has in common
SMALLEST_SPREAD = 0.5  # semitones or dB, of a voice that never moves


def semitones(f0: Tensor) -> Tensor:
    """F0 in Hz as semitones above 1 Hz; 0 where it is 0, which is unvoiced."""
    return torch.where(f0 > 0, 12 * f0.clamp(min=1).log2(), 0)


def decibels(log_mels: Tensor) -> Tensor:
    """(frames,) energy of natural-log mels (frames, bins): the mean over bins, in dB."""
    return log_mels.mean(1) * (20 / math.log(10))


def shared_noise(tokens: int, seed: tuple[int, ...]) -> np.ndarray:
    """(tokens, DRAWN) float32, each standard normal: what a sentence has in common, and noise that passes slowly from token to
    token (an autoregressive process of order 1)."""
    random = np.random.default_rng(seed)
    whole, own = random.standard_normal(DRAWN), random.standard_normal((tokens, DRAWN))
    own[1:] *= np.sqrt(1 - ALIKE**2)  # the first one has the process's own variance
    own = np.stack([scipy.signal.lfilter([1.0], [1.0, -alike], column) for alike, column in zip(ALIKE, own.T, strict=True)], 1)
    return (WHOLE**0.5 * whole + (1 - WHOLE)**0.5 * own).astype(np.float32)


@dataclasses.dataclass
class Controls:
    """How a text of so many tokens is to be said; float32."""

    temperature: Tensor  # (): 0 says the likeliest, 1 draws as people were recorded
    noise: Tensor  # (tokens, DRAWN), normal: of duration, pitch, energy
    pitch: Tensor  # (tokens,) semitones higher
    range: Tensor  # (tokens,) factor on how far pitch goes from the sentence's mean
    energy: Tensor  # (tokens,) dB louder


@dataclasses.dataclass
class TokenProsody:
    """Of each token, (tokens,): normalised by the speaker's statistics."""

    pitch: Tensor  # 0 where unvoiced
    voiced: Tensor  # 1 or 0
    energy: Tensor
    height: Tensor  # pitch again, in semitones above `LOWEST`: above 1 Hz rounding would be coarser

    def stretched(self, text: Packing, durations: Tensor, frames: int | None = None) -> Tensor:
        """(frames, 4): pitch, voicing, energy and height of each frame. They are what they are in a token's middle and go
        straight to the next one's; pitch stays level towards an unvoiced token, and at both ends of a sentence."""
        token, since, left = frame_positions(durations, frames)
        lengths = durations.float()
        away = (since - left).float() / 2  # frames behind the token's middle
        last = durations.shape[0] - 1
        other = (token + torch.where(away < 0, -1, 1)).clamp(0, last)
        rows = text.rows()
        other = torch.where(rows[other] == rows[token], other, token)
        share = away.abs() / ((lengths[token] + lengths[other]) / 2)
        sung = torch.where((self.voiced[other] > 0) & (self.voiced[token] > 0), other, token)
        pitch, height = (torch.lerp(value[token], value[sung], share) for value in (self.pitch, self.height))
        return torch.stack([pitch, self.voiced[token], torch.lerp(self.energy[token], self.energy[other], share), height], 1)


class Mixtures:
    """Distributions of some values a token, each a mixture of Gaussians."""

    def __init__(self, parameters: Tensor):
        """``parameters`` (tokens, 3 * values * COMPONENTS): logits, means, what deviations are made of."""
        logits, self.means, spread = parameters.float().unflatten(1, (3, -1, COMPONENTS)).unbind(1)
        self.log_weights, self.deviations = logits.log_softmax(2), LEAST_DEVIATION + functional.softplus(spread)

    def log_density(self, values: Tensor) -> Tensor:
        """(tokens, values) → the same."""
        away = (values[..., None] - self.means) / self.deviations
        return (self.log_weights - 0.5 * away.square() - self.deviations.log() - 0.5 * math.log(2 * math.pi)).logsumexp(2)

    def quantiles(self, normal: Tensor) -> Tensor:
        """The values (tokens, values) below which as much lies as below ``normal`` of a normal distribution: by bisection, and
        straight on between the last two ends. So they hardly move where rounding decides which half is taken."""
        share = self._below(normal)
        low, high = torch.full_like(normal, -LARGEST), torch.full_like(normal, LARGEST)
        below_low, below_high = torch.zeros_like(normal), torch.ones_like(normal)
        weights = self.log_weights.exp()
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            found = (weights * self._below((middle[..., None] - self.means) / self.deviations)).sum(2)
            is_below = found < share
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
            below_low, below_high = torch.where(is_below, found, below_low), torch.where(is_below, below_high, found)
        between = (share - below_low) / (below_high - below_low).clamp(min=1e-9)
        return torch.lerp(low, high, between.clamp(0, 1))

    @staticmethod
    def _below(normal: Tensor) -> Tensor:
        return 0.5 * (1 + (normal * 0.5**0.5).erf())


class Prosody(nn.Module):
    """Predicts the prosody of tokens from their states, and turns it into what is added to the states of frames."""

    statistics: Tensor  # (1 + speakers, 4): mean and deviation of pitch (semitones) and of energy (dB); row 0 of all others
    harmonics: Tensor  # (ROWS, bins), `harmonic_mels` of the data's contract

    def __init__(self, width: int, hidden: int, dropout: float, bins: int, speakers: int = 0):
        super().__init__()
        self.predictor = TokenPredictor(width, hidden, dropout, DRAWN * COMPONENTS * 3 + 1)
        self.embedding = nn.Linear(3 + bins, width)
        nn.init.zeros_(self.embedding.weight)  # it begins as without
        nn.init.zeros_(self.embedding.bias)
        self.register_buffer("statistics", torch.tensor([[0.0, 1.0, 0.0, 1.0]]).repeat(1 + speakers, 1))
        self.register_buffer("harmonics", torch.zeros(ROWS, bins))

    def measure(self, recorded: Tensor, durations: Tensor, statistics: Tensor) -> TokenProsody:
        """The prosody of recorded tokens under an alignment.

        Args:
            recorded: (frames, 2) int32, of `UNIT` to a semitone and a dB: pitch, 0 where unvoiced, and energy.
            durations: (tokens,) int64.
            statistics: (tokens, 4), those of each token's speaker.
        """
        recorded, voiced = recorded.double() / UNIT, (recorded[:, 0] > 0).double()
        values = torch.stack([recorded[:, 0], voiced, recorded[:, 1]], 1)
        sums = functional.pad(values.cumsum(0), (0, 0, 1, 0))
        ends = durations.cumsum(0)
        pitch, count, energy = (sums[ends] - sums[ends - durations]).unbind(1)
        is_voiced = (count > 0.5 * durations).float()
        pitch_mean, pitch_spread, energy_mean, energy_spread = statistics.unbind(1)
        mean = pitch / count.clamp(min=1)
        return TokenProsody((mean.float() - pitch_mean) / pitch_spread * is_voiced, is_voiced,
                            ((energy / durations).float() - energy_mean) / energy_spread, (mean - LOWEST).float())

    def predict(self, states: Tensor, text: Packing) -> tuple[Mixtures, Tensor]:
        """The distributions of duration (its logarithm, relative to the expected one), pitch and energy, and the logit of being
        voiced; the states are not trained by them."""
        said = self.predictor(states.detach(), text).float()
        return Mixtures(said[:, 1:]), said[:, 0]

    def draw(self, states: Tensor, text: Packing, statistics: Tensor, controls: Controls) -> tuple[Tensor, TokenProsody]:
        """What durations (tokens,) are multiplied by, and the prosody, of one sentence; ``statistics`` (4,) of its speaker.

        At temperature 0 durations are the expected ones and the others the medians; voicing is never drawn, since one vowel
        without voice is heard.
        """
        mixtures, logits = self.predict(states, text)
        longer, pitch, energy = mixtures.quantiles(controls.temperature * controls.noise).unbind(1)
        # The mean of exp(x) lies above exp of the median of x: with this the expected length does not change with temperature.
        middle = mixtures.quantiles(torch.zeros_like(controls.noise))[:, 0]
        longer = longer - (1 - controls.temperature**2) * middle
        voiced = (logits > 0).float()
        mean = (pitch * voiced).sum() / voiced.sum().clamp(min=1)
        pitch = mean + (pitch - mean) * controls.range + controls.pitch / statistics[1]
        return longer.exp(), TokenProsody(pitch * voiced, voiced, energy + controls.energy / statistics[3],
                                          statistics[0] - LOWEST + pitch * statistics[1])

    def loss(self, states: Tensor, text: Packing, recorded: TokenProsody, log_durations: Tensor, durations: Tensor) -> Tensor:
        """(tokens,) negative log-likelihood of the recorded prosody; ``log_durations`` are the expected ones."""
        mixtures, logits = self.predict(states, text)
        longer = durations.float().log() - log_durations.detach().float()
        likely = mixtures.log_density(torch.stack([longer, recorded.pitch, recorded.energy], 1))
        voicing = functional.binary_cross_entropy_with_logits(logits, recorded.voiced, reduction="none")
        return voicing - likely[:, 0] - likely[:, 1] * recorded.voiced - likely[:, 2]

    def forward(self, prosody: TokenProsody, text: Packing, durations: Tensor, frames: int | None = None,
                recorded: Tensor | None = None) -> Tensor:
        """(frames, width), what is added to the frames' states. Where there are ``recorded`` (frames, 2) ones, as `measure`
        takes them, voiced frames have their own pitch: mels then have their harmonics where they are told."""
        pitch, voiced, energy, height = prosody.stretched(text, durations, frames).unbind(1)
        if recorded is not None:
            own = recorded[:, 0]
            height = torch.where(own > 0, (own - LOWEST * UNIT) / UNIT, height)
        harmonics = harmonics_at(self.harmonics, height) * voiced[:, None]
        return self.embedding(torch.cat([torch.stack([pitch, voiced, energy], 1), harmonics], 1))
