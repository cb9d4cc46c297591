"""Log-mels to a waveform."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.acoustics.mel import MelContract, mel_basis


class Vocoder(Protocol):
    """Anything that makes sound of a mel contract's frames; Chatterbox's HiFT fits the same contract."""

    contract: MelContract

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        """Natural-log mels (frames, bins) to samples (frames * hop,) in [-1, 1]."""
        ...


class GriffinLim:
    """A signal whose mels are those given, by alternating projections (Griffin & Lim 1984) that know of the mels.

    The classical way fixes magnitudes first, by inverting the filter bank, and then looks for phases; but eighty bins
    say nothing of what lies between them, and no signal has the smooth magnitudes that an inversion finds. Here every
    round takes the geometric mean of those and of the signal's own magnitudes, scaled until their mels fit, so that
    fine structure can form. An independent recogniser hears the difference: docs/experiments.md.

    Deterministic: the same mels give the same samples.
    """

    def __init__(self, contract: MelContract | None = None, iterations: int = 32):
        self.contract, self.iterations = contract or MelContract(), iterations
        self.basis = mel_basis(self.contract)
        self.share = self.basis.sum(0)[:, None].clamp(min=1e-6)
        self.window = torch.hann_window(self.contract.window)

    @torch.inference_mode()
    def __call__(self, mel: np.ndarray) -> np.ndarray:
        c = self.contract
        if mel.ndim != 2 or mel.shape[1] != c.bins or not len(mel):
            raise ValueError(f"a vocoder takes (frames, {c.bins}), got {mel.shape}")
        target = torch.from_numpy(np.asarray(mel, np.float32)).T.exp()
        smooth = self.invert(target)
        noise = np.random.default_rng(0).standard_normal(max(len(mel) - 1, 1) * c.hop).astype(np.float32)
        samples = torch.from_numpy(noise)
        for _ in range(self.iterations + 1):
            spectrum = self._analyse(samples, len(mel))
            own = self._fit(spectrum.abs() + 1e-7, target)
            samples = self._synthesise(torch.polar((own * smooth).sqrt(), spectrum.angle()))
        # torch centres frame i on sample hop * i, the contract on hop * i + hop / 2.
        padded = np.pad(samples.numpy(), (c.hop // 2, c.hop))[:len(mel) * c.hop]
        return (padded / max(1.0, float(np.abs(padded).max()))).astype(np.float32)

    def invert(self, target: Tensor, updates: int = 60) -> Tensor:
        """Smooth magnitudes (n_fft // 2 + 1, frames) whose mels are ``target`` (bins, frames)."""
        magnitude = self.basis.T @ (target / (self.basis.sum(1, keepdim=True) + 1e-9)) + 1e-8
        for _ in range(updates):
            magnitude = self._fit(magnitude, target)
        return magnitude

    def _fit(self, magnitude: Tensor, target: Tensor) -> Tensor:
        """Magnitudes scaled towards the mels ``target``: a multiplicative update (Lee & Seung 2001), never negative."""
        return magnitude * (self.basis.T @ (target / (self.basis @ magnitude + 1e-9)) / self.share)

    def _analyse(self, samples: Tensor, frames: int) -> Tensor:
        c = self.contract
        return torch.stft(samples, c.n_fft, c.hop, c.window, self.window, return_complex=True, pad_mode="constant")[:, :frames]

    def _synthesise(self, spectrum: Tensor) -> Tensor:
        c = self.contract
        return torch.istft(spectrum, c.n_fft, c.hop, c.window, self.window, length=max(spectrum.shape[1] - 1, 1) * c.hop)
