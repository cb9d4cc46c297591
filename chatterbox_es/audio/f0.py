"""F0 of speech, by WORLD's fast estimators and a look at what repeats."""

import functools
import types

import numpy as np
import scipy.signal

from chatterbox_es.mel_contract import MelContract
from chatterbox_es.pkg_resources_shim import import_old

FLOOR, CEILING = 60.0, 600.0  # Hz: a creaking man, an excited woman
COARSE_RATE = 4000  # Hz, of the signal in which F0 is first looked for
REPEATS = 0.5  # correlation of a voiced frame's periods
HIGHEST = 1000.0  # Hz; above it voices are noisy
NO_VOICE = 120.0  # Hz, where nothing is voiced


@functools.cache
def world() -> types.ModuleType:
    """The module ``pyworld`` (WORLD: Morise, Yokomori & Ozawa 2016)."""
    return import_old("pyworld")


def f0_of_frames(samples: np.ndarray, contract: MelContract) -> np.ndarray:
    """F0 in Hz at the middle of each frame of a mel contract, 0 where it is unvoiced: (frames * hop,) to (frames,) float32.

    DIO (Morise, Kawahara & Katayose 2009) finds it where it is plain; what lies between is guessed along the line from one such
    frame to the next. StoneMask (Morise et al. 2016) refines both, and a frame is voiced where the signal repeats after the
    period that comes out. docs/experiments.md has the figures beside Harvest's, which takes 70 times as long.
    """
    # WORLD's frames begin at the first sample, the contract's have their middle half a hop later.
    signal = np.asarray(samples[contract.hop // 2:], np.float64)
    rate, period = contract.sample_rate, 1000 * contract.hop / contract.sample_rate
    coarse, times = world().dio(signal, rate, f0_floor=FLOOR, f0_ceil=CEILING, frame_period=period,
                                speed=max(1, rate // COARSE_RATE), allowed_range=0.2)
    f0 = world().stonemask(signal, filled(coarse).astype(np.float64), times, rate)
    f0[repetition(signal, f0, rate, contract.hop) < REPEATS] = 0
    return f0[:len(samples) // contract.hop].astype(np.float32)


def filled(f0: np.ndarray) -> np.ndarray:
    """F0 (frames,) with values where it is unvoiced (0): in between on a logarithmic scale, before and behind the nearest;
    float32."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full(len(f0), NO_VOICE, np.float32)
    return np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)


def repetition(signal: np.ndarray, f0: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """(frames,) how well the signal repeats after each frame's period, from -1 to 1; 0 where there is none.

    It is the correlation of two periods with the two that begin one later, below 1 kHz; frame *i* is centred on sample hop * i.
    """
    found = np.zeros(len(f0))
    if len(signal) < 2:
        return found
    low = scipy.signal.sosfilt(_low_pass(rate), signal[::-1])[::-1]
    low = scipy.signal.sosfilt(_low_pass(rate), low)  # there and back: no delay
    for frame in np.flatnonzero(f0 > 0).tolist():
        period = round(rate / f0[frame])
        start = hop * frame - 3 * period // 2
        first, second = low[max(0, start):start + 2 * period], low[max(0, start) + period:start + 3 * period]
        length = min(len(first), len(second))
        if length > period:
            first, second = first[:length], second[:length]
            found[frame] = first @ second / max(np.sqrt((first @ first) * (second @ second)), 1e-12)
    return found


@functools.lru_cache(maxsize=4)
def _low_pass(rate: int) -> np.ndarray:
    return scipy.signal.butter(2, HIGHEST, fs=rate, output="sos")
