"""What a recogniser is, and how it is given sound."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import soxr

from chatterbox_es.evaluation.processes import in_own_processes

RATE = 16_000  # Hz, what Whisper and nearly all Vosk models hear
Made = TypeVar("Made")
SILENCE_PEAK = 1e-4  # as `audio.waveform`: below, nothing is there to be heard


class Recogniser(Protocol):
    """Sound to text, the same for the same sound whatever was heard before."""

    name: str  # such as whisper:small
    task: str  # in words: what it knows beforehand, which decides how hard the task is

    def expect(self, sentences: Sequence[str]) -> None:
        """Told once, before listening: what will be said, in words. Recognisers of open speech do not care."""
        ...

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        """What is said in ``samples`` (samples,) in [-1, 1] at ``rate`` Hz; "" where nothing is heard."""
        ...


@runtime_checkable
class PhoneRecogniser(Recogniser, Protocol):
    """A recogniser that also hears phones without words to lean on."""

    def phones(self, samples: np.ndarray, rate: int) -> list[str]:
        """The phones it hears, by its own names."""
        ...

    def names_of(self, phonemes: Sequence[str]) -> list[tuple[str, str]]:
        """(phoneme, the recogniser's name of it) of every phoneme that is a sound; marks are left out."""
        ...


def resampled(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """``samples`` (samples,) as float32 at ``target`` Hz."""
    samples = np.asarray(samples, np.float32)
    return samples if rate == target else soxr.resample(samples, rate, target)


def pcm(samples: np.ndarray, rate: int, target: int, peak: float = 0.7) -> bytes:
    """The sound as 16-bit PCM at ``target`` Hz, its peak at ``peak`` of full scale; near-silence stays as it is."""
    sound = resampled(samples, rate, target)
    highest = float(np.abs(sound).max(initial=0.0))
    if highest > SILENCE_PEAK:
        sound = sound / highest * peak
    return (sound.clip(-1, 1) * 32767).astype("<i2").tobytes()


def in_processes(job: Callable[..., Made], recogniser: Any, tasks: Sequence[tuple], processes: int | None = None) -> list[Made]:
    """``job(recogniser, *task)`` of each task, in their order: on all cores where the recogniser uses one (is_parallel)."""
    return in_own_processes(job, tasks, processes if getattr(recogniser, "is_parallel", False) else 1, (recogniser,))
