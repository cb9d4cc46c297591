"""Where the harmonics of a pitch stand in mels: what a decoder is told beside the pitch itself.

A mel of speech is an envelope times a comb of harmonics, and in logarithms their sum. The comb is known from F0: told as it
is, a decoder need not learn where each harmonic of each pitch lies (neural source-filter models, Wang, Takaki & Yamagishi
2019, give a vocoder its source likewise), and another pitch moves it by exactly as much.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.mel_contract import MelContract

LOWEST = 12 * math.log2(50.0)  # semitones above 1 Hz
STEP = 0.25  # semitones from row to row
ROWS = 209  # up to 1 kHz
FAINTEST = -3.0  # of a valley, in natural logarithms: below it speech has noise


@functools.lru_cache(maxsize=4)
def harmonic_mels(contract: MelContract) -> Tensor:
    """(`ROWS`, bins) float32: log-mels of pulses at each pitch less those of noise of the same power a Hz."""
    lines = np.fft.rfftfreq(contract.n_fft, 1 / contract.sample_rate)
    basis = mel_basis(contract).double().numpy()
    flat = np.maximum(basis.sum(1), 1e-12)
    rows = []
    for hertz in 2 ** ((LOWEST + STEP * np.arange(ROWS)) / 12):
        harmonics = hertz * np.arange(1, int(contract.sample_rate / 2 / hertz) + 1)
        away = (lines[:, None] - harmonics) * contract.window / contract.sample_rate
        rows.append(np.log(basis @ _hann(away).sum(1) * hertz / flat))
    mels = np.stack(rows)
    return torch.from_numpy(np.maximum(mels - mels[:, -8:].mean(), FAINTEST).astype(np.float32))


def _hann(away: np.ndarray) -> np.ndarray:
    """The transform of a Hann window, of peak 1; ``away`` from it in lines of a transform of the window's length. Its side
    lobes do not count: harmonics are further apart."""
    beside = 1 - away**2
    is_edge = np.abs(beside) < 1e-9
    return np.abs(np.where(is_edge, 0.5, np.sinc(away) / np.where(is_edge, 1, beside)))


def harmonics_at(table: Tensor, pitch: Tensor) -> Tensor:
    """Rows of a `harmonic_mels` for ``pitch`` (frames,) in semitones above `LOWEST`, between two in straight lines: (frames,
    bins)."""
    place = (pitch / STEP).clamp(min=0.0).clamp(max=ROWS - 1.001)
    below = place.floor()
    row = below.long()
    return torch.lerp(table[row], table[row + 1], (place - below)[:, None])
