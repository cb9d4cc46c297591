"""The mel contract of Chatterbox's S3Gen, and the log-mel spectrogram it defines.

One owner for every number that says what a frame is: prepared data and checkpoints store it and are compared by it.
"""

import dataclasses
import functools
import math

import librosa.filters
import numpy as np
import torch
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class MelContract:
    """What a frame means. The defaults are S3Gen's (Resemble AI, Chatterbox), so that its HiFT vocoder fits."""

    sample_rate: int = 24_000  # Hz
    n_fft: int = 1920  # samples
    hop: int = 480  # samples: 50 frames a second
    window: int = 1920  # samples, Hann
    bins: int = 80  # Slaney mel scale, Slaney area normalisation
    f_min: float = 0.0  # Hz
    f_max: float = 8000.0  # Hz
    floor: float = 1e-5  # of the magnitude, before the natural logarithm

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop

    @property
    def margin(self) -> int:
        """Samples of reflection before the first and after the last one (`center=False`, as S3Gen pads)."""
        return (self.n_fft - self.hop) // 2

    def differences(self, other: "MelContract") -> list[str]:
        """Each field in which the two differ, as ``name: mine / other's``."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{name}: {mine[name]} / {theirs[name]}" for name in mine if mine[name] != theirs[name]]


@functools.lru_cache(maxsize=4)
def mel_basis(contract: MelContract) -> torch.Tensor:
    """Filter bank, (bins, n_fft // 2 + 1)."""
    return torch.from_numpy(librosa.filters.mel(
        sr=contract.sample_rate, n_fft=contract.n_fft, n_mels=contract.bins, fmin=contract.f_min, fmax=contract.f_max))


def log_mel(samples: np.ndarray | torch.Tensor, contract: MelContract = MelContract()) -> torch.Tensor:
    """Natural logarithm of the mel magnitudes of ``samples``.

    Args:
        samples: (samples,), mono, in [-1, 1], at the contract's rate.

    Returns:
        (frames, bins) float32; frame *i* is centred on sample ``hop * i + hop / 2``, and there are
        ``samples // hop`` of them.

    Raises:
        ValueError: fewer samples than the reflection needs (720 for S3Gen's contract), or more than one channel.
    """
    samples = torch.as_tensor(samples, dtype=torch.float32)
    if samples.ndim != 1 or len(samples) <= contract.margin:
        raise ValueError(f"log_mel takes (samples,) with more than {contract.margin} samples, got {tuple(samples.shape)}")
    padded = functional.pad(samples[None, None], (contract.margin, contract.margin), mode="reflect")[0, 0]
    spectrum = torch.stft(padded, contract.n_fft, contract.hop, contract.window,
                          torch.hann_window(contract.window), center=False, return_complex=True)
    # The 1e-9 under the root is S3Gen's (Matcha-TTS's): it moves only silence, but a vocoder was trained with it.
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)
    return torch.log(torch.clamp(mel_basis(contract) @ magnitude, min=contract.floor)).T.contiguous()


def frames_of(samples: int, contract: MelContract) -> int:
    """How many frames `log_mel` makes of that many samples."""
    return math.floor((samples + 2 * contract.margin - contract.n_fft) / contract.hop) + 1
