"""What makes sound of a voice's mels: a trained vocoder where there is one, else Griffin-Lim."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from chatterbox_es.audio.vocoder import GriffinLim, Vocoder, within_full_scale
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.vocoder.checkpoint import BASE, Checkpoint


class NeuralVocoder:
    """A trained vocoder on the processor, as `audio.vocoder.Vocoder` asks."""

    def __init__(self, path: Path, name: str):
        """
        Raises:
            UserError: the file cannot be read, or is no vocoder of this version.
        """
        self.path, self.name = path, name
        self.checkpoint = Checkpoint.load(path)
        self.contract, self.network = self.checkpoint.contract, self.checkpoint.build()

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        return within_full_scale(self.network.vocode(torch.from_numpy(np.asarray(mel, np.float32))).numpy())

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The samples of mels that come in pieces, each as soon as it is certain: together what they are of all at once, but
        for a peak above full scale, by which only what comes with it and after it is divided."""
        loudest = 1.0
        for samples in self.network.stream(torch.from_numpy(np.asarray(mel, np.float32)) for mel in mels):
            loudest = max(loudest, float(samples.abs().max()))
            yield (samples / loudest).numpy()


def trained_for(contract: MelContract, own: Path | None = None) -> NeuralVocoder | None:
    """The trained vocoder that makes sound of a contract's mels: the file ``own`` if it is there, else the one that comes with
    the package if it is there and of that contract.

    Raises:
        UserError: it is damaged, or ``own`` is of another contract.
    """
    if own is not None and own.is_file():
        vocoder = NeuralVocoder(own, "its own vocoder")
        vocoder.checkpoint.check_contract(contract, str(own), "the voice")
        return vocoder
    base = base_vocoder() if BASE.is_file() else None
    return base if base and base.contract == contract else None


def vocoder_for(contract: MelContract, own: Path | None = None) -> Vocoder:
    """The best that there is for mels of a contract: `trained_for`, else Griffin-Lim.

    Raises:
        UserError: as `trained_for`.
    """
    return trained_for(contract, own) or GriffinLim(contract)


def base_vocoder() -> NeuralVocoder:
    """The one that comes along.

    Raises:
        UserError: it is not there, or damaged.
    """
    return NeuralVocoder(BASE, "the base vocoder")
