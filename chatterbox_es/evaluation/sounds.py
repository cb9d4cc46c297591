"""What is judged: sentences as the systems under comparison say them."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np


@dataclasses.dataclass
class Sound:
    """One sentence as one system says it."""

    system: str  # recordings | round trip | a run's name | a peer's
    utterance: str  # id in the prepared set
    words: str  # what is to be said, normalised
    phonemes: tuple[str, ...]  # likewise, as the front end reads it
    samples: np.ndarray  # (samples,) float32 in [-1, 1]
    rate: int  # Hz
    recording: np.ndarray | None = None  # (samples,) the natural recording of the sentence, at the same rate
    durations: np.ndarray | None = None  # (phonemes,) frames, where the system knows them
    speaker: str = ""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a measure has no value for a sound; such are listed and counted."""

    reason: str


class Measure(Protocol):
    """Figures of sounds. ``name`` is its key in results; ``unavailable`` says which package or model is missing, or ""."""

    name: str

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        """One entry a sound, in their order: figure → value."""
        ...
