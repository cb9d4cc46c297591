"""A prepared corpus as the vocoder is trained on it: mels, the waveforms that they are of, and F0."""

import functools

import numpy as np
import torch

from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.config import DataConfig
from chatterbox_es.dataset.f0 import F0
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.waveforms import Waveforms
from chatterbox_es.models.vocoder.loss import SpectralLoss

COMPARED = 10  # held-out utterances that Griffin-Lim says for `SoundSet.baseline`


class SoundSet(FeatureSet):
    """An opened set of mels with its waveforms and F0."""

    unit, naive = "absolute difference a bin of full-band log-mels", "Griffin-Lim"

    def __init__(self, features: FeatureSet, data: DataConfig | None = None):
        """``data`` says how waveforms and F0 are made where they are not there yet.

        Raises:
            UserError: a recording is gone, or has changed since the set was made.
        """
        super().__init__(features.folder, features.source)
        self.waveforms = Waveforms.of(features, data) if data else Waveforms(features)
        self.f0 = F0.of(features, data) if data else F0(features)

    def recorded(self, number: int) -> np.ndarray:
        """(frames * hop,) float32 samples that the mels of one utterance are of."""
        return self.waveforms.samples(number)

    @functools.cached_property
    def _baseline(self) -> float:
        vocoder, loss = GriffinLim(self.contract), SpectralLoss(self.contract.sample_rate)
        held = self.validation[np.linspace(0, len(self.validation) - 1, min(COMPARED, len(self.validation))).astype(int)]
        total = frames = 0.0
        for number in held.tolist():
            made = torch.from_numpy(vocoder(self.stored_mel(number).astype(np.float32)))
            length = int(self.index["frames"][number])
            total += length * float(loss(made[None], torch.from_numpy(self.recorded(number))[None])[0])
            frames += length
        return total / frames

    def baseline(self) -> float:
        """The ``val_loss`` of Griffin-Lim, over some of the held-out utterances."""
        return self._baseline
