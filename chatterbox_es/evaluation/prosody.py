"""Melody, voicing and timing beside the recording's.

What a sound's melody does by itself, to be read beside the recording's, over its voiced frames (every 5 ms):

- ``f0_spread``: the standard deviation of F0 in semitones; ``f0_range``: from its 5th to its 95th percentile, in semitones;
  ``f0_range_ratio``: that over the recording's. A voice that averages has less of both;
- ``voiced``: the share of frames that are voiced. A voice that whispers or buzzes has another than the recording's.

F0 is compared at the cells of the time warp that `mcd` finds, so that timing is not charged twice:

- ``f0_rmse`` in cents and ``f0_rmse_hz`` in Hz, and ``f0_correlation`` (Pearson's, of log F0), over the cells in which both
  are voiced; a correlation needs two such cells and a melody that moves;
- ``voicing_error``: the share of cells in which one is voiced and the other is not (Nakatani et al. 2008: VDE);
- ``gross_pitch_error``: the share of the cells voiced in both whose F0 are more than 20 % of the recording's apart (GPE,
  likewise).

Timing, of whole sounds whose silent ends were cut:

- ``duration_ratio``: seconds of the sound over seconds of the recording; ``duration_error``: how far that is from 1;
- ``speaking_rate``: phones a second, pauses left out (ITU-T P.56 in spirit: 10 ms frames within 40 dB of the loudest,
  gaps below 150 ms counted as speech, since stops are silent too); ``rate_error``: how far it is from the recording's, as a
  share of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from chatterbox_es.evaluation.mcd import Pair, Pairs
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound
from chatterbox_es.text.symbols import PHONES

GROSS = 0.2  # of the recording's F0
SILENCE = -40.0  # dB below the loudest frame
PAUSE = 0.15  # seconds; a shorter silence is part of speech


class Prosody:
    """F0, voicing, duration and speaking rate of each sound against its recording; ``melodies`` holds F0 after a call."""

    name = "prosody"
    metrics: Mapping[str, Metric] = {
        "f0_spread": Metric("semitones", "recordings", "standard deviation of F0 where it is voiced"),
        "f0_range": Metric("semitones", "recordings", "from the 5th to the 95th percentile of F0"),
        "f0_range_ratio": Metric("", "one", "that range over the recording's"),
        "voiced": Metric("", "recordings", "share of frames that are voiced"),
        "f0_rmse": Metric("cents", "lower", "root mean square error of F0 where both are voiced"),
        "f0_rmse_hz": Metric("Hz", "lower", "the same in Hz"),
        "f0_correlation": Metric("", "higher", "correlation of log F0 where both are voiced"),
        "voicing_error": Metric("", "lower", "share of frames voiced in one and not in the other"),
        "gross_pitch_error": Metric("", "lower", "share of the frames voiced in both whose F0 are more than 20 % apart"),
        "duration_ratio": Metric("", "one", "duration over the recording's"),
        "duration_error": Metric("", "lower", "how far the duration is from the recording's, as a share of it"),
        "speaking_rate": Metric("phones/s", "recordings", "phones a second, pauses left out"),
        "rate_error": Metric("", "lower", "how far the speaking rate is from the recording's, as a share of it"),
    }

    def __init__(self, pairs: Pairs):
        self.pairs = pairs
        self.melodies: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}  # (system, utterance) → F0, recording's F0

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        self.pairs.learn(sounds)
        return [self._one(sound) for sound in sounds]

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        try:
            pair = self.pairs.pair(sound)
            self.melodies[sound.system, sound.utterance] = pair.sound.f0, pair.recording.f0
            return liveliness(pair.sound.f0, pair.recording.f0) | melody(pair) | timing(sound)
        except ValueError as error:
            return Failure(str(error))


def liveliness(mine: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """The metrics of a sound's own melody; those of F0 are left out where fewer than two frames are voiced.

    Args:
        mine, theirs: (frames,) each, Hz, 0 where unvoiced: the sound's F0 and the recording's.
    """
    metrics = {"voiced": float((mine > 0).mean())}
    if (mine > 0).sum() < 2:
        return metrics
    metrics |= {"f0_spread": float(semitones(mine).std()), "f0_range": f0_range(mine)}
    if (theirs > 0).sum() > 1 and f0_range(theirs) > 0:
        metrics["f0_range_ratio"] = metrics["f0_range"] / f0_range(theirs)
    return metrics


def semitones(f0: np.ndarray) -> np.ndarray:
    """(voiced frames,) F0 above 1 Hz in semitones, of F0 (frames,) in Hz."""
    return 12 * np.log2(f0[f0 > 0])


def f0_range(f0: np.ndarray) -> float:
    """From the 5th to the 95th percentile of F0 (frames,), in semitones."""
    low, high = np.percentile(semitones(f0), (5, 95))
    return float(high - low)


def melody(pair: Pair) -> dict[str, float]:
    """The metrics of F0 and voicing; those of the cells voiced in both are left out where there is none."""
    mine, theirs = pair.sound.f0[pair.path[:, 0]], pair.recording.f0[pair.path[:, 1]]
    both = (mine > 0) & (theirs > 0)
    metrics = {"voicing_error": float(((mine > 0) != (theirs > 0)).mean())}
    if not both.any():
        return metrics
    mine, theirs = mine[both], theirs[both]
    cents = 1200 * np.log2(mine / theirs)
    metrics |= {"f0_rmse": float(np.sqrt(np.square(cents).mean())),
                "f0_rmse_hz": float(np.sqrt(np.square(mine - theirs).mean())),
                "gross_pitch_error": float((np.abs(mine / theirs - 1) > GROSS).mean())}
    if len(mine) > 1 and np.ptp(mine) > 0 and np.ptp(theirs) > 0:
        metrics["f0_correlation"] = float(np.corrcoef(np.log(mine), np.log(theirs))[0, 1])
    return metrics


def timing(sound: Sound) -> dict[str, float]:
    """Duration and speaking rate. Raises ValueError where there is no recording, or no phone."""
    phones = sum(phoneme in PHONES for phoneme in sound.phonemes)
    if sound.recording is None or not phones:
        raise ValueError("there is no recording to compare with" if sound.recording is None else "the sentence has no phones")
    mine, theirs = (phones / speech_seconds(samples, sound.rate) for samples in (sound.samples, sound.recording))
    ratio = len(sound.samples) / len(sound.recording)
    return {"duration_ratio": ratio, "duration_error": abs(ratio - 1), "speaking_rate": mine,
            "rate_error": abs(mine / theirs - 1)}


def speech_seconds(samples: np.ndarray, rate: int) -> float:
    """Seconds of speech in a waveform (samples,), pauses left out.

    Raises:
        ValueError: it is silent, or shorter than a frame.
    """
    hop = max(rate // 100, 1)
    frames = samples[:len(samples) // hop * hop].reshape(-1, hop)
    levels = np.sqrt(np.square(frames, dtype=np.float64).mean(1))
    if not levels.any():
        raise ValueError("it is silent")
    speech = np.flatnonzero(levels > levels.max() * 10 ** (SILENCE / 20))
    gaps = np.diff(speech) - 1
    return (len(speech) + gaps[gaps < PAUSE * 100].sum()) * hop / rate
