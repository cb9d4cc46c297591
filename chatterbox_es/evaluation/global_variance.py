"""How much the spectrum moves: the variance of each mel bin over a sentence against the recording's.

Models that average over what could be said draw flat envelopes: their variance is too small ("global variance", Toda &
Tokuda 2007). Taken over the frames of speech alone (within 40 dB of the loudest), so that pauses do not count, of the log-mels
that voices are trained on.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.evaluation.processes import on_all_cores
from chatterbox_es.evaluation.recogniser import resampled
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound
from chatterbox_es.mel_contract import MelContract

SILENCE = -40.0  # dB below the loudest frame
SMALLEST = 1e-4  # variance of a recording's bin; below, there is nothing in it


class GlobalVariance:
    """``mel_variance``: the geometric mean, over mel bins, of their variances over the recording's.

    ``ratios`` holds those of all bins, (bins,), by (system, utterance) after a call; NaN where the recording is empty.
    """

    name = "variance"
    metrics: Mapping[str, Metric] = {
        "mel_variance": Metric("", "one", "variance of the mel bins over the recording's; below 1 the spectrum is flat")}

    def __init__(self) -> None:
        self.ratios: dict[tuple[str, str], np.ndarray] = {}

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        return on_all_cores(self._one, sounds)

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        if sound.recording is None:
            return Failure("there is no recording to compare with")
        try:
            mine, theirs = (variances(samples, sound.rate) for samples in (sound.samples, sound.recording))
        except ValueError as error:
            return Failure(str(error))
        ratios = np.where(theirs > SMALLEST, np.maximum(mine, SMALLEST) / np.maximum(theirs, SMALLEST), np.nan)
        if np.isnan(ratios).all():
            return Failure("the recording's mel bins do not move at all")
        self.ratios[sound.system, sound.utterance] = ratios
        return {"mel_variance": float(np.exp(np.nanmean(np.log(ratios))))}


def variances(samples: np.ndarray, rate: int) -> np.ndarray:
    """(bins,) the variance of each mel bin over the frames of speech of a waveform (samples,) at ``rate`` Hz.

    Raises:
        ValueError: it is too short for a frame.
    """
    contract = MelContract()
    mel = log_mel(resampled(samples, rate, contract.sample_rate), contract).numpy().astype(np.float64)
    power = np.exp(2 * mel).sum(1)
    return mel[power > power.max() * 10 ** (SILENCE / 10)].var(0)
