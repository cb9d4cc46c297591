"""The filter bank that a mel contract defines."""

import functools
import math

import numpy as np
import torch

from chatterbox_es.mel_contract import MelContract


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
