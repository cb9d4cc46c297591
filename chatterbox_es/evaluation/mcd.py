"""Mel-cepstral distortion: how far the spectral envelope is from the recording's, along the best time warp.

Conventions, since published values differ by them:

- Sounds are resampled to 16 kHz first: up to 8 kHz every corpus and every mel holds something, and above it the emptiness
  of the one against the noise of the other would make most of the distance.
- Spectral envelope: WORLD's CheapTrick (Morise 2015) every 5 ms, at F0 from DIO refined by StoneMask (see `prosody`). What
  lies below the noise of 16-bit sound is raised to it.
- Mel-cepstrum: the cepstrum of the envelope, bent onto the mel scale by the all-pass recursion of Oppenheim & Johnson
  (1972), as SPTK's ``sp2mc`` does; order 24; the all-pass constant that fits the mel scale best at the rate (0.41 at
  16 kHz).
- Distance of two frames (Kubichek 1993), in dB: 10 / ln 10 · √(2 Σ (c_k - c'_k)²) over k = 1 … 24. c_0, the loudness, is
  left out.
- Time: exact dynamic time warping (Sakoe & Chiba 1978) on that distance, steps 1-1, 0-1, 1-0 of equal weight; the
  distortion is the mean over the cells of the path. Pauses inside a sentence count, silent ends were cut before.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import librosa
import numpy as np
import scipy.fft
import soxr
from scipy.spatial.distance import cdist

from chatterbox_es.audio.f0 import world
from chatterbox_es.evaluation.processes import in_own_processes, process_context, processes_for
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound

RATE = 16_000  # Hz, of the analysis
ORDER = 24
FRAME_PERIOD = 5.0  # milliseconds
F0_FLOOR, F0_CEILING = 71.0, 800.0  # Hz: WORLD's own
DECIBEL = 10 / np.log(10) * np.sqrt(2)
DECIMATION = 4  # of the signal, for DIO
QUIETEST = 1e-11  # power; the rounding of 16-bit samples has 2^-30 / 12 = 8e-11
SHORTEST = 0.05  # seconds; below, there is nothing to analyse


@dataclasses.dataclass(frozen=True)
class Analysis:
    """A sound as WORLD sees it, every 5 ms."""

    f0: np.ndarray  # (frames,) Hz, 0 where unvoiced
    cepstra: np.ndarray  # (frames, ORDER + 1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A sound beside its recording: frames that belong together."""

    sound: Analysis
    recording: Analysis
    path: np.ndarray  # (cells, 2) frame of the sound, frame of the recording; both ascend


def analyse(samples: np.ndarray, rate: int) -> Analysis:
    """F0 and mel-cepstra of a waveform (samples,).

    F0 is DIO's on the signal at a quarter of its rate, refined by StoneMask on the whole one: a median of 7 cents from
    Harvest's on recorded speech, for a thirtieth of the time.

    Raises:
        ValueError: it is shorter than 50 ms, or silent.
    """
    pyworld = world()
    if len(samples) < SHORTEST * rate:
        raise ValueError(f"{len(samples) / rate:.3f} s of sound are too short to analyse")
    if not np.any(samples):
        raise ValueError("it is silent")
    signal = soxr.resample(np.asarray(samples, dtype=np.float64), rate, RATE, quality="HQ")
    coarse, times = pyworld.dio(signal, RATE, f0_floor=F0_FLOOR, f0_ceil=F0_CEILING, frame_period=FRAME_PERIOD,
                                speed=DECIMATION)
    f0 = pyworld.stonemask(signal, coarse, times, RATE)
    return Analysis(f0, mel_cepstra(pyworld.cheaptrick(signal, f0, times, RATE)))


def mel_cepstra(envelope: np.ndarray, rate: int = RATE, order: int = ORDER) -> np.ndarray:
    """Power spectra (frames, n_fft // 2 + 1) to mel-cepstra (frames, order + 1).

    They stand for log |X| = Σ c_k cos kω, ω on the mel axis.
    """
    cepstra = scipy.fft.irfft(np.log(np.maximum(envelope, QUIETEST)))[:, :envelope.shape[1]]
    cepstra[:, [0, -1]] /= 2  # the two that are their own mirror images
    return cepstra @ _warping(envelope.shape[1], order, all_pass_constant(rate))


@functools.lru_cache(maxsize=4)
def all_pass_constant(rate: int) -> float:
    """The constant whose all-pass phase is nearest to the mel scale up to half of the rate, to three digits."""
    frequencies = np.linspace(0, np.pi, 1000)
    mel = np.log1p(frequencies / np.pi * rate / 2 / 1000)
    mel *= np.pi / mel[-1]
    constants = np.arange(0, 1, 0.001)[:, None]
    phase = frequencies + 2 * np.arctan2(constants * np.sin(frequencies), 1 - constants * np.cos(frequencies))
    return float(constants[np.square(phase - mel).mean(1).argmin(), 0])


@functools.lru_cache(maxsize=4)
def _warping(length: int, order: int, alpha: float) -> np.ndarray:
    """(length, order + 1) what each cepstral coefficient adds to each one on the warped axis.

    Coefficient k belongs to k delays. On the warped axis a delay is (z^-1 + a) / (1 + a z^-1), so row k is the row before,
    filtered by that.
    """
    matrix = np.zeros((length, order + 1))
    matrix[0, 0] = 1
    for before, row in zip(matrix[:-1], matrix[1:], strict=True):
        row[0] = alpha * before[0]
        for n in range(1, order + 1):
            row[n] = before[n - 1] + alpha * (before[n] - row[n - 1])
    return matrix


def align(sound: Analysis, recording: Analysis) -> Pair:
    """The best time warp of two analyses."""
    cost = cdist(sound.cepstra[:, 1:], recording.cepstra[:, 1:])
    _, path = librosa.sequence.dtw(C=cost)
    return Pair(sound, recording, path[::-1])


def distortion(pair: Pair) -> float:
    """The mean distance of the pair's frames along its path, in dB."""
    mine, theirs = pair.sound.cepstra[pair.path[:, 0], 1:], pair.recording.cepstra[pair.path[:, 1], 1:]
    return float(DECIBEL * np.sqrt(np.square(mine - theirs).sum(1)).mean())


def align_sentence(rate: int, recording: np.ndarray, sounds: Sequence[np.ndarray | None]) -> list[Pair | str]:
    """The sounds of one sentence beside its recording (None: the recording itself), each (samples,); or why one cannot be."""
    pairs: list[Pair | str] = []
    try:
        theirs = analyse(recording, rate)
    except ValueError as error:
        return [str(error)] * len(sounds)
    for samples in sounds:
        try:
            pairs.append(itself(theirs) if samples is None else align(analyse(samples, rate), theirs))
        except ValueError as error:
            pairs.append(str(error))
    return pairs


def itself(analysis: Analysis) -> Pair:
    """A sound beside itself: every frame belongs to itself."""
    return Pair(analysis, analysis, np.repeat(np.arange(len(analysis.f0))[:, None], 2, 1))


class Pairs:
    """Sounds aligned with their recordings, once however many measures ask; sentence by sentence, on all cores."""

    def __init__(self, processes: int | None = None, sentences: int = 0) -> None:
        """``sentences``: how many are expected; processes for them get ready while they are said."""
        if processes_for(sentences, processes) > 1:
            process_context()
        self.processes = processes
        self._pairs: dict[tuple[str, str, int], Pair | str] = {}

    def learn(self, sounds: Sequence[Sound]) -> None:
        """Align what is not aligned yet."""
        sentences: dict[tuple[str, int], list[Sound]] = {}
        for sound in sounds:
            if sound.recording is None:
                self._pairs[_key(sound)] = "there is no recording to compare with"
            elif _key(sound) not in self._pairs:
                sentences.setdefault((sound.utterance, sound.rate), []).append(sound)
        tasks = [(rate, some[0].recording, [None if sound.samples is sound.recording else sound.samples for sound in some])
                 for (_, rate), some in sentences.items()]
        for some, pairs in zip(sentences.values(), in_own_processes(align_sentence, tasks, self.processes), strict=True):
            self._pairs |= {_key(sound): pair for sound, pair in zip(some, pairs, strict=True)}

    def pair(self, sound: Sound) -> Pair:
        """Raises ValueError where there is no recording, or one of the two cannot be analysed."""
        if _key(sound) not in self._pairs:
            self.learn([sound])
        pair = self._pairs[_key(sound)]
        if isinstance(pair, str):
            raise ValueError(pair)
        return pair


def _key(sound: Sound) -> tuple[str, str, int]:
    """A system may say a sentence twice, and otherwise the second time."""
    return sound.system, sound.utterance, hash(sound.samples.tobytes())


class MelCepstralDistortion:
    """The distortion of each sound against its recording."""

    name = "mcd"
    metrics: Mapping[str, Metric] = {
        "mcd": Metric("dB", "lower",
                      "mel-cepstral distortion: how far the spectral envelope is from the recording's, after warping")}

    def __init__(self, pairs: Pairs):
        self.pairs = pairs

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        self.pairs.learn(sounds)
        return [self._one(sound) for sound in sounds]

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        try:
            return {"mcd": distortion(self.pairs.pair(sound))}
        except ValueError as error:
            return Failure(str(error))
