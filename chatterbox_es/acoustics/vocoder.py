"""Log-mels to a waveform."""

from typing import Protocol

import librosa
import numpy as np

from chatterbox_es.acoustics.mel import MelContract, mel_basis


class Vocoder(Protocol):
    """Anything that makes sound of a mel contract's frames; Chatterbox's HiFT fits the same contract."""

    contract: MelContract

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        """Natural-log mels (frames, bins) to samples (frames * hop,) in [-1, 1]."""
        ...


class GriffinLim:
    """Phases by Griffin & Lim 1984, with the magnitudes that best explain the mels.

    Deterministic: the same mels give the same samples.
    """

    def __init__(self, contract: MelContract = MelContract(), iterations: int = 32):
        self.contract, self.iterations = contract, iterations
        self.basis = mel_basis(contract).numpy()

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        c = self.contract
        if mel.ndim != 2 or mel.shape[1] != c.bins:
            raise ValueError(f"a vocoder takes (frames, {c.bins}), got {mel.shape}")
        magnitude = self.magnitude(np.exp(mel.T.astype(np.float32)))
        samples = librosa.griffinlim(magnitude, n_iter=self.iterations, hop_length=c.hop, win_length=c.window, n_fft=c.n_fft,
                                     momentum=0.0, random_state=0)
        # librosa centres frame i on sample hop * i, the contract on hop * i + hop / 2.
        samples = np.pad(samples, (c.hop // 2, c.hop))[:len(mel) * c.hop]
        return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)

    def magnitude(self, mel: np.ndarray, updates: int = 60) -> np.ndarray:
        """Non-negative magnitudes (n_fft // 2 + 1, frames) whose mels come close to ``mel`` (bins, frames).

        Multiplicative updates (Lee & Seung 2001) from the transposed filter bank: smooth where the filters leave
        room, and never negative, as a pseudo-inverse is.
        """
        magnitude = np.maximum(self.basis.T @ (mel / (self.basis.sum(1, keepdims=True) + 1e-9)), 1e-8)
        target = self.basis.T @ mel
        for _ in range(updates):
            magnitude *= target / (self.basis.T @ (self.basis @ magnitude) + 1e-9)
        return magnitude
