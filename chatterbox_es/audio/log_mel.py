"""The log-mel spectrogram that the mel contract defines."""

import functools
import math

import numpy as np
import torch

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.audio.spectrum import band_sums, windowed_frames
from chatterbox_es.mel_contract import MelContract

CHUNK = 64  # frames whose spectra are computed at once: as much as the cache of one core holds


@functools.lru_cache(maxsize=4)
def _bands(contract: MelContract) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The window, and the filter bank without its zeros: the ends (bins, 2) of each filter and all their weights."""
    basis = mel_basis(contract).numpy()
    used = [np.flatnonzero(row) for row in basis]  # a filter narrower than a line of the spectrum may hold none
    ends = np.array([[lines[0], lines[-1] + 1] if len(lines) else [0, 0] for lines in used])
    weights = np.concatenate([row[first:last] for row, (first, last) in zip(basis, ends, strict=True)])
    return torch.hann_window(contract.window).numpy(), ends, weights.astype(np.float32)


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
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or len(samples) <= contract.margin:
        raise ValueError(f"log_mel takes (samples,) with more than {contract.margin} samples, got {samples.shape}")
    window, ends, weights = _bands(contract)
    padded = np.pad(samples, contract.margin, mode="reflect")[(contract.n_fft - contract.window) // 2:]
    count = frames_of(len(samples), contract)
    mels = np.empty((count, contract.bins), np.float32)
    # In torch's memory, which is aligned alike in every process: the last bit of a transform may depend on that.
    frames = torch.zeros(min(count, CHUNK), contract.n_fft)
    for first in range(0, count, CHUNK):
        part = frames[:min(CHUNK, count - first)]
        windowed_frames(padded[first * contract.hop:], window, contract.hop, part.numpy()[:, :contract.window])
        spectra = torch.fft.rfft(part).numpy()
        # The 1e-9 under the root is S3Gen's (Matcha-TTS's): it moves only silence, but a vocoder was trained with it.
        band_sums(spectra.view(np.float32), ends, weights, 1e-9, mels[first:first + len(part)])
    np.maximum(mels, contract.floor, out=mels)
    return torch.from_numpy(np.log(mels, out=mels))


def frames_of(samples: int, contract: MelContract) -> int:
    """How many frames `log_mel` makes of that many samples."""
    return math.floor((samples + 2 * contract.margin - contract.n_fft) / contract.hop) + 1
