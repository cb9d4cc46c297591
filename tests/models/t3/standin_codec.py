"""A STAND-IN for Chatterbox's codec, for tests alone: random but fixed, and of no use for speech.

Its tokens depend on what is heard (signs of random projections of a coarse spectrum, 64 codes), its sound is a tone a code.
"""

import numpy as np
import torch

from chatterbox_es.audio.mel import MelContract
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.models.t3.codec import Codec

HOP, SPOKEN = 640, 960  # samples a token, at 16 and at 24 kHz
RANDOM = np.random.default_rng(20)
BITS, SPEAKER = RANDOM.normal(size=(40, 6)), RANDOM.normal(size=(40, 256))


def bands(samples: np.ndarray) -> np.ndarray:
    """(tokens, 40) log energies without their mean."""
    frames = np.asarray(samples, np.float64)[:len(samples) // HOP * HOP].reshape(-1, HOP)
    energy = np.abs(np.fft.rfft(frames * np.hanning(HOP), axis=1))[:, :320].reshape(len(frames), 40, 8).mean(2)
    levels = np.log(energy + 1e-3)
    return levels - levels.mean(1, keepdims=True)


class Tokens:
    def __call__(self, recordings):
        return [((bands(samples) @ BITS > 0) @ (1 << np.arange(6)) * 101 % 6561).astype(np.int16) for samples in recordings]


class Speakers:
    def __call__(self, recordings):
        found = np.stack([bands(samples).mean(0) @ SPEAKER for samples in recordings])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


class Tones:
    def to(self, device):
        torch.device(device)
        return self

    def reference(self, samples):
        return {"level": float(np.abs(samples).max())}

    def __call__(self, codes, reference):
        time = np.arange(SPOKEN) / 24_000
        tones = [np.sin(2 * np.pi * (100 + int(code) / 4) * time) for code in codes]
        return (0.3 * np.concatenate(tones)).astype(np.float32)


def load(weights, device) -> Codec:
    torch.device(device)
    return Codec(Tokens(), Speakers(), Tones, lambda: GriffinLim(MelContract()))
