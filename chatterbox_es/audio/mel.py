"""The mel contract of Chatterbox's S3Gen, and the filter bank it defines.

One owner for every number that says what a frame is: prepared data and checkpoints store it and are compared by it.
"""

import dataclasses
import functools
import math

import numpy as np
import torch


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
    """Filter bank, (bins, n_fft // 2 + 1) float32: triangles of unit area over Hz on Slaney's mel scale (Auditory Toolbox,
    1998), bit by bit those of librosa, which S3Gen takes them from and which takes a second to import."""
    scale = np.linspace(_slaney_mel(contract.f_min), _slaney_mel(contract.f_max), contract.bins + 2)
    # 3 mels every 200 Hz up to 1 kHz, above it 27 mels every factor of 6.4.
    corners = np.where(scale < 15, 200 / 3 * scale, 1000 * np.exp(np.log(6.4) / 27 * (scale - 15)))
    slopes = corners[:, None] - np.fft.rfftfreq(contract.n_fft, 1 / contract.sample_rate)
    widths = np.diff(corners)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:])).astype(np.float32)
    triangles *= (2 / (corners[2:] - corners[:-2]))[:, None]
    return torch.from_numpy(triangles)


def _slaney_mel(hertz: float) -> float:
    return hertz / (200 / 3) if hertz < 1000 else 15 + math.log(hertz / 1000) / (math.log(6.4) / 27)
