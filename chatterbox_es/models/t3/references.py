"""The recordings that a checkpoint holds, so that it can speak in the voices it was trained on."""

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.audio.waveform import AudioError, normalise_loudness, trim_silence
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.t3.codec import REFERENCE_SECONDS

REFERENCES = 40  # speakers whose voices a checkpoint holds
REFERENCE_CODES = 200  # 8 s: the clip of about that length is a speaker's reference


def treated(samples: np.ndarray, rate: int) -> np.ndarray:
    """The first 10 s of a recording's speech, as loud as what was trained on."""
    return normalise_loudness(trim_silence(samples, rate).samples, rate)[:REFERENCE_SECONDS * rate]


def references(features: FeatureSet, codes: np.ndarray) -> dict[str, Tensor]:
    """Of the speakers with the most recordings, one of about 8 s each: int16 samples at 24 kHz, at most 10 s, by name.

    ``codes`` (utterances,) is how many speech tokens each has.
    """
    speakers = features.index["speaker"]
    counts = np.bincount(speakers[features.train], minlength=len(features.names("speaker")))
    found = {}
    for speaker in np.argsort(-counts, kind="stable")[:REFERENCES].tolist():
        for side in (features.train, features.validation):
            clips = side[speakers[side] == speaker]
            if len(clips):
                clip = int(clips[np.argmin(np.abs(codes[clips].astype(int) - REFERENCE_CODES))])
                try:
                    samples = treated(features.recording(clip), features.contract.sample_rate)
                except AudioError:  # it came inside a data set, which keeps only those held out
                    continue
                found[features.names("speaker")[speaker]] = torch.from_numpy((np.clip(samples, -1, 1) * 32767).astype(np.int16))
                break
    return found
