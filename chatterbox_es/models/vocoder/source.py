"""What is filtered: pulses at the voice's pitch, and noise; as spectra of frames, and back to samples."""

import torch
from torch import Tensor
from torch.nn import functional

CYCLE = 512  # frames after which the noise of inference begins again


def sample_f0(f0: Tensor, hop: int, margin: int) -> Tensor:
    """F0 (B, frames) Hz at each sample, (B, frames * hop + 2 * margin): linear between the middles of frames, constant
    beyond the first and the last."""
    # By hand: in torch's interpolation the rounding of a sample's place grows with its number, and phases with it.
    padded = functional.pad(f0[:, None], (1, 1), mode="replicate")[:, 0]
    share = (torch.arange(hop, device=f0.device, dtype=f0.dtype) + 0.5) / hop
    between = torch.lerp(padded[:, :-1, None], padded[:, 1:, None], share)
    at_samples = between.flatten(1)[:, hop // 2:hop // 2 + f0.shape[1] * hop]
    return functional.pad(at_samples[:, None], (margin, margin), mode="replicate")[:, 0]


def phase_of(f0: Tensor, rate: int, place: int = 0, known: float = 0.0) -> Tensor:
    """Phase in cycles, from 0 to 1, of a tone of F0 (B, samples) Hz that is ``known`` at the sample ``place``. In double
    precision, since minutes of it are added up; (B, samples) float64."""
    turned = functional.pad(f0[:, :-1].double() / rate, (1, 0)).cumsum(1)
    if place:
        turned = turned - turned[:, place, None]
    return (turned + known).remainder(1)


def pulses(f0: Tensor, phase: Tensor, rate: int) -> Tensor:
    """Band-limited pulses of unit power: all harmonics up to half of the ``rate``, in phase, of equal amplitude but for the
    highest, which fades out as it nears that: a sample does not depend on how F0 is rounded.

    The sum of K cosines has a closed form (Dirichlet's kernel), so that it costs the same for any number of them.

    Args:
        f0: (B, samples) Hz, above 0 and at most a quarter of the rate.
        phase: (B, samples) cycles.

    Returns:
        (B, samples) float32.
    """
    room = rate / 2 / f0
    count = room.floor()
    turn = torch.pi * (phase - phase.round()).to(f0.dtype)  # small on both sides of a peak, where rounding would be seen
    below = turn.sin()
    at_peak = below.abs() < 1e-7
    ratio = ((2 * count - 1) * turn).sin() / torch.where(at_peak, torch.ones_like(below), below)
    all_but_highest = torch.where(at_peak, 2 * count - 1, ratio) - 1
    highest = 2 * (room - count) * (2 * count * turn).cos()
    return (all_but_highest + highest) / (2 * (room - 1)).sqrt()


def noise_table(lines: int, seed: int = 0) -> Tensor:
    """Spectra of white noise of unit power, (`CYCLE`, lines, 2) float32, the same everywhere."""
    return torch.randn(CYCLE, lines, 2, generator=torch.Generator("cpu").manual_seed(seed), device="cpu") * 0.5**0.5


class Transform(torch.nn.Module):
    """Short-time Fourier transform and back; frame *i* is centred on sample hop * i + hop / 2, as the mel contract's are."""

    window: Tensor

    def __init__(self, n_fft: int, hop: int):
        """``hop`` divides ``n_fft``, and both are even."""
        super().__init__()
        self.n_fft, self.hop, self.margin = n_fft, hop, (n_fft - hop) // 2
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.unit = (0.375 * n_fft)**0.5  # of the spectrum of white noise of unit power, under a Hann window

    def analyse(self, samples: Tensor) -> Tensor:
        """(B, frames * hop + 2 * margin) → (B, frames, n_fft // 2 + 1, 2), real and imaginary, of unit power where the samples
        are."""
        return torch.view_as_real(torch.fft.rfft(samples.unfold(1, self.n_fft, self.hop) * (self.window / self.unit)))

    def synthesise(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """The reverse, (B, frames, n_fft // 2 + 1) each → (B, frames * hop): the signal whose spectra are nearest (Griffin &
        Lim 1984, equation 6)."""
        frames = torch.fft.irfft(torch.complex(real, imaginary), self.n_fft) * (self.window * self.unit)
        energy = self.overlap_add(self.window.square().expand(1, real.shape[1], -1))
        return self.overlap_add(frames) / energy

    def overlap_add(self, frames: Tensor) -> Tensor:
        """(B, frames, n_fft) → (B, frames * hop)."""
        parts = self.n_fft // self.hop
        blocks = frames.unflatten(2, (parts, self.hop))
        added = functional.pad(blocks[:, :, 0], (0, 0, 0, parts - 1))
        for part in range(1, parts):
            added = added + functional.pad(blocks[:, :, part], (0, 0, part, parts - 1 - part))
        return added.flatten(1)[:, self.margin:self.margin + frames.shape[1] * self.hop]
