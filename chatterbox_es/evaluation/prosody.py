"""Melody, voicing and timing beside the recording's.

F0 is compared at the cells of the time warp that `cepstra` finds, so that timing is not charged twice:

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

from chatterbox_es.evaluation.cepstra import Pair, Pairs
from chatterbox_es.evaluation.sounds import Failure, Figure, Sound
from chatterbox_es.text.symbols import PHONES

GROSS = 0.2  # of the recording's F0
SILENCE = -40.0  # dB below the loudest frame
PAUSE = 0.15  # seconds; a shorter silence is part of speech


class Prosody:
    """F0, voicing, duration and speaking rate of each sound against its recording."""

    name = "prosody"
    figures: Mapping[str, Figure] = {
        "f0_rmse": Figure("cents", "lower", "root mean square error of F0 where both are voiced"),
        "f0_rmse_hz": Figure("Hz", "lower", "the same in Hz"),
        "f0_correlation": Figure("", "higher", "correlation of log F0 where both are voiced"),
        "voicing_error": Figure("", "lower", "share of frames voiced in one and not in the other"),
        "gross_pitch_error": Figure("", "lower", "share of the frames voiced in both whose F0 are more than 20 % apart"),
        "duration_ratio": Figure("", "one", "duration over the recording's"),
        "duration_error": Figure("", "lower", "how far the duration is from the recording's, as a share of it"),
        "speaking_rate": Figure("phones/s", "recordings", "phones a second, pauses left out"),
        "rate_error": Figure("", "lower", "how far the speaking rate is from the recording's, as a share of it"),
    }

    def __init__(self, pairs: Pairs):
        self.pairs = pairs

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        self.pairs.learn(sounds)
        return [self._one(sound) for sound in sounds]

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        try:
            return melody(self.pairs.pair(sound)) | timing(sound)
        except ValueError as error:
            return Failure(str(error))


def melody(pair: Pair) -> dict[str, float]:
    """The figures of F0 and voicing; those of the cells voiced in both are left out where there is none."""
    mine, theirs = pair.sound.f0[pair.path[:, 0]], pair.recording.f0[pair.path[:, 1]]
    both = (mine > 0) & (theirs > 0)
    figures = {"voicing_error": float(((mine > 0) != (theirs > 0)).mean())}
    if not both.any():
        return figures
    mine, theirs = mine[both], theirs[both]
    cents = 1200 * np.log2(mine / theirs)
    figures |= {"f0_rmse": float(np.sqrt(np.square(cents).mean())),
                "f0_rmse_hz": float(np.sqrt(np.square(mine - theirs).mean())),
                "gross_pitch_error": float((np.abs(mine / theirs - 1) > GROSS).mean())}
    if len(mine) > 1 and np.ptp(mine) > 0 and np.ptp(theirs) > 0:
        figures["f0_correlation"] = float(np.corrcoef(np.log(mine), np.log(theirs))[0, 1])
    return figures


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
