"""What is judged: sentences as the systems under comparison say them; and what a measure is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

RECORDINGS, ROUND_TRIP, GRIFFIN_LIM = "recordings", "round trip", "round trip by Griffin-Lim"
REFERENCES = (RECORDINGS, ROUND_TRIP, GRIFFIN_LIM)  # systems that are no voices


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

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a measure has no value for a sound; such are listed and counted."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Metric:
    """What a number is: for the head of a table and for whoever reads it."""

    unit: str  # dB | Hz | … | "" for a share or a score
    better: str  # lower | higher | one (nearer to 1) | recordings (nearer to theirs)
    meaning: str  # a sentence


class Measure(Protocol):
    """Metrics of sounds.

    Building one raises UserError where a package or a model is missing, with how to get it. A measure that needs the
    recording gives a Failure for a sound without one.
    """

    name: str  # its key in failures
    metrics: Mapping[str, Metric]  # what its keys mean

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        """One entry a sound, in their order: metric → value."""
        ...
