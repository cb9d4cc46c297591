"""The two inner loops of the mel spectrogram, compiled: windowed frames, and mel magnitudes of their spectra.

As array expressions each would pass over memory several times; half of the time of preparing a corpus went there. They
are compiled at first use (some 2 s) and kept beside this file, or in the user's cache where it cannot be written.
"""

import numba
import numpy as np


@numba.njit(nogil=True, fastmath=True, cache=True)
def windowed_frames(samples: np.ndarray, window: np.ndarray, hop: int, frames: np.ndarray) -> None:
    """Fill ``frames`` (frames, window) float32 with the stretches of ``samples`` (samples,) that begin every ``hop``."""
    for i in range(frames.shape[0]):
        for j in range(frames.shape[1]):
            frames[i, j] = samples[i * hop + j] * window[j]


@numba.njit(nogil=True, fastmath=True, cache=True)
def band_sums(spectra: np.ndarray, ends: np.ndarray, weights: np.ndarray, epsilon: float, sums: np.ndarray) -> None:
    """Fill ``sums`` (frames, bands) float32 with the magnitudes of each band, weighted and added.

    ``spectra`` (frames, 2 × bins) float32 holds real and imaginary parts in turn; band *b* is the bins from ``ends[b, 0]`` to
    before ``ends[b, 1]``, its weights stand in ``weights`` after those of the bands before. ``epsilon`` is added to powers.
    """
    used = ends[:, 1].max()
    magnitudes = np.empty(used, np.float32)
    small = np.float32(epsilon)
    for i in range(spectra.shape[0]):
        spectrum = spectra[i]
        for k in range(used):
            real, imaginary = spectrum[2 * k], spectrum[2 * k + 1]
            magnitudes[k] = np.sqrt(real * real + imaginary * imaginary + small)
        place = 0
        for b in range(ends.shape[0]):
            first, last = ends[b, 0], ends[b, 1]
            total = np.float32(0)
            for k in range(first, last):
                total += magnitudes[k] * weights[place + k - first]
            sums[i, b] = total
            place += last - first
