"""What can be measured of a recording without listening: level, clipping, noise, bandwidth, pauses, speaking rate.

Preparing a corpus measures each recording from what it has at hand, the decoded file and the log-mels; `lint` shows the
figures and `data.drop` excludes by them.
"""

import functools
import hashlib
import math
import re

import numba
import numpy as np

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.audio.waveform import Source
from chatterbox_es.mel_contract import MelContract

QUALITY = np.dtype([
    ("seconds", "<f4"), ("rate", "<i4"), ("channels", "<i2"), ("level", "<f4"), ("dc", "<f4"), ("clipping", "<f4"),
    ("bandwidth", "<f4"), ("snr", "<f4"), ("silence", "<f4"), ("longest_pause", "<f4"), ("head", "<f4"), ("tail", "<f4"),
    ("speaking_rate", "<f4"), ("audio", "<u8"), ("fingerprint", "<u8", (2,)), ("text", "<u8"),
])  # fmt: skip
"""One recording's figures.

    seconds, rate (Hz), channels   of the file
    level            dBFS, RMS of the active speech (frames within 30 dB of the loudest, in the spirit of ITU-T P.56)
    dc               share of full scale, the largest constant offset of a channel
    clipping         share of the samples that stand in a row of three or more at a channel's highest or lowest value;
                     scaling the recording down afterwards does not hide it, a lossy coder does
    bandwidth        Hz, above which nothing is within 50 dB of the peak of the spectrum; read `bandwidth`
    snr              dB; read `signal_to_noise`
    silence          share of the file in which nobody speaks: its ends, and the pauses of 0.16 s and more
    longest_pause, head, tail   s, inside the speech, before it, after it
    speaking_rate    phones a second of speech, pauses left out
    audio            hash of the frames' powers: equal for equal samples
    fingerprint      128 bits that stay about the same when a recording is coded anew or made louder
    text             hash of the letters and digits that are spoken
"""

_PAUSE = 0.16  # s; the closure of a stop is shorter
_ACTIVE = 1e-3  # of the loudest frame's power: within 30 dB
_SILENT = 1e-4  # likewise, 40 dB: the voiceless onsets that are above it are softer than the active speech
_EQUAL = 1.6e-5  # of full scale, half a step of 16 bits
_SPECTRA = 8
_HOLDS = math.log(1e3)  # a band holds something that comes within 60 dB of the loudest
_WINDOW = np.hanning(1024).astype(np.float32)
_NOISE_BIAS = 1.4  # the floor found by minima is too low by this factor of power (white and pink noise at 5 to 25 dB)


def measure(source: Source, samples: np.ndarray, mel: np.ndarray, contract: MelContract, cut: tuple[float, float],
            phones: int, words: str) -> np.void:
    """The `QUALITY` of a recording, in some 0.4 ms a sentence.

    Args:
        source: the file as decoded.
        samples: (samples,) float32 mono at the contract's rate, trimmed or not, at any gain: what the mels were made of.
        mel: (frames, bins) float32 natural-log mels of ``samples``.
        cut: seconds that were trimmed from both ends.
        phones: spoken in it.
        words: likewise.
    """
    powers = np.exp(2 * mel + _widths(contract))
    energies = powers.sum(1)
    ordered = np.sort(energies)
    loudest, floor = float(ordered[-1]), float(ordered[len(ordered) // 20])
    frame = 1 / contract.frames_per_second
    # Silent is what is 40 dB below the loudest frame; less, down to 25 dB, where noise fills the pauses: then what is
    # within 6 dB of the twentieth part with the lowest levels.
    threshold = loudest * min(max(4 * floor / max(loudest, 1e-30), _SILENT), 10**-2.5)
    # A frame hears what is spoken up to `margin` samples beside its hop: so much longer than its silent frames is a silence.
    beside = contract.margin / contract.hop  # frames
    shortest = max(round(_PAUSE / frame - 2 * beside), 1)
    first, last, paused, longest, speech, active = _speech(energies, threshold, loudest * _ACTIVE, shortest, 2 * beside)
    seconds = len(source.samples) / source.rate
    silent_head, silent_tail = (count + (beside if count else 0) for count in (first, len(mel) - last))
    head, tail = cut[0] + silent_head * frame, cut[1] + silent_tail * frame
    level, offset, clipping = _file_levels(source, active * frame)
    return np.void((  # fmt: skip
        seconds, source.rate, source.samples.shape[1], level, offset, clipping,
        bandwidth(samples, mel, energies >= loudest * _SILENT, contract),
        signal_to_noise(powers, speech), min((head + tail + paused * frame) / max(seconds, frame), 1.0),
        longest * frame, head, tail, phones / max((len(mel) - silent_head - silent_tail - paused) * frame, frame),
        _hash(energies.tobytes()), fingerprint(mel[first:last]), _hash(text_identity(words).encode())), QUALITY)


def signal_to_noise(powers: np.ndarray, speech: float) -> float:
    """Speech over noise in dB, from the powers (frames, bands) and the mean power of the frames with speech.

    The noise of a band is the lowest twentieth of its powers, smoothed over 80 ms: speech leaves each band free now and
    then, also where there is no pause (minimum statistics: Martin 2001, "Noise power spectral density estimation based on
    optimal smoothing and minimum statistics"). Right within some 3 dB from 5 to 25 dB; above, the speech itself is the
    floor, so that a clean recording reads 26 and more.
    """
    bands = np.ascontiguousarray(powers.T)
    pairs = bands[:, :-1:2] + bands[:, 1::2]
    windows = (pairs[:, :-1] + pairs[:, 1:]) / 4 if pairs.shape[1] > 4 else bands
    place = windows.shape[1] // 20
    noise = _NOISE_BIAS * float(np.partition(windows, place, axis=1)[:, place].sum())
    return 10 * math.log10(max(speech - noise, 1e-3 * speech) / max(noise, 1e-10 * speech, 1e-30))


def bandwidth(samples: np.ndarray, mel: np.ndarray, heard: np.ndarray, contract: MelContract) -> float:
    """Hz above which a recording holds nothing within 50 dB of its spectrum's peak.

    Of the frames that are ``heard`` (frames,), the eight with most energy in the highest bands that hold anything are looked
    at, where sibilants are; none that reaches over an end, where a sound that is cut off fills all frequencies. A recording
    that came from a lower rate ends just below half of that rate; one that was brought up by repeating or joining samples
    does not, since that fills the upper half with images.
    """
    outside = -(-max(len(_WINDOW), contract.window) // (2 * contract.hop))
    inside = heard.copy()
    inside[:outside] = inside[len(inside) - outside:] = False
    numbers = np.flatnonzero(inside if inside.any() else heard)
    candidates = mel[numbers]
    peaks = candidates.max(0)
    highest = int(np.flatnonzero(peaks > peaks.max() - _HOLDS)[-1]) + 1
    highs = candidates[:, max(highest - 16, 0):highest].sum(1)
    chosen = numbers[np.argpartition(highs, len(highs) - min(_SPECTRA, len(highs)))[-_SPECTRA:]]
    spectra = np.fft.rfft(_windowed(samples, chosen * contract.hop + contract.hop // 2, _WINDOW))
    return _last_above(spectra, 1e-5) * contract.sample_rate / len(_WINDOW)


def fingerprint(mel: np.ndarray) -> np.ndarray:
    """128 bits of the speech of a recording, uint64 (2,), from its log-mels (frames, bins).

    The signs of how the differences between neighbouring bands change from one stretch to the next (Haitsma and
    Kalker 2002, "A highly robust audio fingerprinting system"), with 17 stretches over the whole recording and 9 bands.
    Two recordings of which one was made from the other differ in few bits, any others in about half.
    """
    bands = _band_means(mel, 17, 9)
    differences = bands[:, 1:] - bands[:, :-1]
    return np.packbits(differences[1:] > differences[:-1]).view("<u8")


def _file_levels(source: Source, active: float) -> tuple[float, float, float]:
    """Level in dBFS of ``active`` seconds of speech, offset and clipping, of a decoded file: see `QUALITY`."""
    offset = clipping = energy = 0.0
    channels = source.samples.shape[1]
    for channel in range(channels):
        samples = np.ascontiguousarray(source.samples[:, channel])
        low, high, mean, squares, extreme = _statistics(samples, _EQUAL)
        energy += squares / channels
        offset = mean if abs(mean) > abs(offset) else offset
        if extreme > 2:
            held = _held(samples, low + _EQUAL, high - _EQUAL)
            clipping = max(clipping, held / len(source.samples))
    return 10 * math.log10(energy / min(max(active * source.rate, 1), len(source.samples)) + 1e-20), offset, clipping


def text_identity(words: str) -> str:
    """What makes two texts the same: their letters and digits, in order."""
    return " ".join(re.findall(r"\w+", words.casefold())) or words.strip()


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=4)
def _widths(contract: MelContract) -> np.ndarray:
    """(bins,) logarithm of how much the square of a band's mean magnitude counts in a frame's power: the band's width."""
    return -np.log(mel_basis(contract).numpy().max(1, initial=1e-9)).astype(np.float32)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _statistics(samples: np.ndarray, equal: float) -> tuple[float, float, float, float, int]:
    """Lowest, highest, mean, sum of squares about it, and how many stand at the lowest or highest."""
    low = high = samples[0]
    total = squares = np.float64(0)
    for start in range(0, samples.shape[0], 4096):
        block = samples[start:start + 4096]
        part = power = np.float32(0)
        for value in block:
            low, high = min(low, value), max(high, value)
            part += value
            power += value * value
        total += part
        squares += power
    top, bottom = np.float32(high - equal), np.float32(low + equal)
    extreme = 0
    for value in samples:
        extreme += (value >= top) | (value <= bottom)
    mean = total / samples.shape[0]
    return low, high, mean, max(squares - mean * mean * samples.shape[0], 0.0), extreme


@numba.njit(nogil=True, cache=True)
def _held(samples: np.ndarray, bottom: float, top: float) -> int:
    """How many samples stand in rows of three or more above ``top`` or below ``bottom``."""
    count = run = side = 0
    for value in samples:
        now = 1 if value >= top else (-1 if value <= bottom else 0)
        run = run + 1 if now == side else 1
        side = now
        if side != 0 and run >= 3:
            count += 3 if run == 3 else 1
    return count


@numba.njit(nogil=True, cache=True)
def _speech(energies: np.ndarray, threshold: float, active_threshold: float,
            shortest: int, beyond: float) -> tuple[int, int, float, float, float, int]:
    """First frame with speech and the one after the last, length of the pauses between and of the longest in frames, mean
    energy of the frames above ``active_threshold``, and their number. ``shortest`` frames in a row below ``threshold`` are a
    pause, which is ``beyond`` frames longer than they."""
    first, last, paused, longest, silent, active, total = -1, 0, 0.0, 0.0, 0, 0, 0.0
    for i in range(energies.shape[0]):
        if energies[i] >= active_threshold:
            active += 1
            total += energies[i]
        if energies[i] < threshold:
            silent += 1
            continue
        if first < 0:
            first = i
        elif silent >= shortest:
            paused += silent + beyond
            longest = max(longest, silent + beyond)
        last, silent = i + 1, 0
    return first, last, paused, longest, total / max(active, 1), active


@numba.njit(nogil=True, cache=True)
def _windowed(samples: np.ndarray, centres: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(centres, window) float32, the samples around each centre; zeros where there are none."""
    pieces = np.zeros((len(centres), len(window)), np.float32)
    for i in range(len(centres)):
        start = centres[i] - len(window) // 2
        for j in range(max(0, -start), min(len(window), len(samples) - start)):
            pieces[i, j] = samples[start + j] * window[j]
    return pieces


@numba.njit(nogil=True, fastmath=True, cache=True)
def _last_above(spectra: np.ndarray, share: float) -> int:
    """The highest bin whose power, averaged over its nine neighbours, is above a share of the highest."""
    bins = spectra.shape[1]
    sums = np.zeros(bins + 1)
    for k in range(bins):
        power = 0.0
        for i in range(spectra.shape[0]):
            power += spectra[i, k].real ** 2 + spectra[i, k].imag ** 2
        sums[k + 1] = sums[k] + power
    smooth = np.empty(bins)
    for k in range(bins):
        first, last = max(k - 4, 0), min(k + 5, bins)
        smooth[k] = (sums[last] - sums[first]) / (last - first)
    limit = share * smooth.max()
    for k in range(bins - 1, -1, -1):
        if smooth[k] > limit:
            return k
    return 0


@numba.njit(nogil=True, fastmath=True, cache=True)
def _band_means(mel: np.ndarray, stretches: int, bands: int) -> np.ndarray:
    """(stretches, bands) means of log-mels (frames, bins) in equal parts of both; a short recording's parts overlap."""
    frames, bins = mel.shape
    means = np.zeros((stretches, bands))
    for s in range(stretches):
        first = min(frames * s // stretches, frames - 1)
        last = max(frames * (s + 1) // stretches, first + 1)
        for t in range(first, last):
            for b in range(bands):
                for k in range(bins * b // bands, bins * (b + 1) // bands):
                    means[s, b] += mel[t, k]
        for b in range(bands):
            means[s, b] /= (last - first) * (bins * (b + 1) // bands - bins * b // bands)
    return means
