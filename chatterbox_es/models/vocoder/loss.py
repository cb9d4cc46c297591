"""What the vocoder is trained on: spectra, F0, and what discriminators say."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.mel_contract import MelContract

FLOOR = 1e-5  # of magnitudes, before the logarithm
MEL_FFT, MEL_BINS = 1024, 100  # of the mels that the loss compares: of the whole band, finer in time than the contract's
RESOLUTIONS = (512, 1024, 2048)  # samples of the transforms of the spectral loss; each hop is a quarter


def magnitudes(samples: Tensor, window: Tensor, hop: int) -> Tensor:
    """(B, samples) → (B, frames, lines), with a floor that keeps the gradient finite."""
    n_fft = len(window)
    found = torch.stft(samples.float(), n_fft, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    return (found.real.square() + found.imag.square() + FLOOR**2).sqrt().transpose(1, 2)


class SpectralLoss(nn.Module):
    """Distances of two sets of waveforms by their magnitudes, phases left out."""

    basis: Tensor

    def __init__(self, rate: int):
        super().__init__()
        contract = MelContract(rate, MEL_FFT, MEL_FFT // 4, MEL_FFT, MEL_BINS, 0.0, rate / 2)
        self.register_buffer("basis", mel_basis(contract).t().contiguous(), persistent=False)
        for n_fft in RESOLUTIONS:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, made: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor]:
        """Two distances of waveforms (B, samples), (B,) each: mean absolute difference of log-mels of the whole band, and over
        several resolutions that of log magnitudes and spectral convergence (Yamamoto et al. 2020)."""
        spectral = made.new_zeros(len(made))
        mel = spectral
        for n_fft in RESOLUTIONS:
            window = self.get_buffer(f"window_{n_fft}")
            ours, theirs = (magnitudes(samples, window, n_fft // 4) for samples in (made, recorded))
            distance = (ours.log() - theirs.log()).abs().mean((1, 2))
            convergence = (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)
            spectral = spectral + (distance + convergence) / len(RESOLUTIONS)
            if n_fft == MEL_FFT:
                our_mels, their_mels = ((found @ self.basis).clamp(min=FLOOR).log() for found in (ours, theirs))
                mel = (our_mels - their_mels).abs().mean((1, 2))
        return mel, spectral


@dataclasses.dataclass
class Losses:
    """Shares of a batch's means."""

    mel: Tensor  # absolute difference a bin and frame of log-mels: the loss that is reported
    spectral: Tensor
    pitch: Tensor  # cross-entropy of F0 and of voicing
    voicing: Tensor
    adversarial: Tensor  # hinge loss of the vocoder
    features: Tensor  # distance of the discriminators' features
    discriminator: Tensor  # its own hinge loss

    def total(self, weights: "LossWeights") -> Tensor:
        return (weights.mel * self.mel + weights.spectral * self.spectral + weights.pitch * (self.pitch + self.voicing)
                + weights.adversarial * self.adversarial + weights.features * self.features + self.discriminator)

    def parts(self) -> Tensor:
        """(7,) float64, in the order of the fields, without gradients."""
        return torch.stack([getattr(self, field.name) for field in dataclasses.fields(self)]).detach().double()


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """What each loss of the vocoder counts; the discriminators' is theirs alone."""

    mel: float = 15.0
    spectral: float = 5.0
    pitch: float = 0.1
    adversarial: float = 1.0
    features: float = 2.0


def hinge(recorded: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """What discriminators are trained on, of their scores (Lim & Ye 2017): recordings above 1, what is made below -1."""
    return sum((functional.relu(1 - real.float()).mean() + functional.relu(1 + fake.float()).mean()
                for real, fake in zip(recorded, made, strict=True)), start=torch.zeros(())) / len(made)
