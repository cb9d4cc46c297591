"""The places of a sentence where dialects differ, cut out of its sound."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.evaluation.recogniser import resampled
from chatterbox_es.evaluation.sounds import Failure
from chatterbox_es.mel_contract import MelContract

NUCLEI = frozenset("aeiou") | {f"ˈ{vowel}" for vowel in "aeiou"} | frozenset("jwɪʊ")
PLACES = {"θ": ("θ",), "ʎ": ("ʎ",), "ʝ": ("ʝ",), "f x": ("f", "x"), "sonorants": ("j", "l", "ɲ", "n", "ð")}
NEUTRAL = {"θ": "s", "ʎ": "ʝ"}


@runtime_checkable
class Aligner(Protocol):
    """Where the phonemes of a sound lie, such as `sphinx.Sphinx`."""

    def align(self, samples: np.ndarray, rate: int, phonemes: Sequence[str]) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Place:
    """One place of a contrast in one sound."""

    sound: int  # number of the sound
    kind: str
    spectrum: np.ndarray  # (bins,)


def kind_of(phonemes: Sequence[str], place: int) -> str | None:
    """Which kind of place a phoneme of a Castilian reading is, if any."""
    phoneme = phonemes[place]
    if phoneme == "s":
        return "s" if phonemes[place + 1] in NUCLEI else "final s"
    return next((kind for kind, members in PLACES.items() if phoneme in members), None)


def cut(aligner: Aligner, samples: np.ndarray, rate: int, phonemes: tuple[str, ...]) -> list[tuple[str, np.ndarray]] | Failure:
    """(kind, mean log-mels of its middle half less the sentence's) of each place of interest."""
    contract = MelContract()
    try:
        spans = aligner.align(samples, rate, [NEUTRAL.get(phoneme, phoneme) for phoneme in phonemes])
        mel = log_mel(resampled(samples, rate, contract.sample_rate), contract).numpy()
    except ValueError as error:
        return Failure(str(error))
    spectra, mean = [], mel.mean(0)
    for place in range(len(phonemes)):
        kind = kind_of(phonemes, place)
        if kind is None or np.isnan(spans[place, 0]):
            continue
        begin, end = spans[place] * contract.frames_per_second
        quarter = (end - begin) / 4
        frames = mel[int(begin + quarter):max(int(np.ceil(end - quarter)), int(begin + quarter) + 1)]
        if len(frames):
            spectra.append((kind, frames.mean(0) - mean))
    return spectra
