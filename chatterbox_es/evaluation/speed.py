"""How fast a voice speaks on the machine at hand."""

import dataclasses
import platform
import time
from collections.abc import Sequence

import numpy as np
import torch

from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.speech.voice import Voice

SENTENCES = 10  # timed one after the other, with nothing else running
PASSAGE = 4  # sentences of the text whose first sound is waited for


@dataclasses.dataclass
class Speed:
    """Seconds of work over seconds of sound, and how long one waits.

    ``rtf_mel``: from text to log-mels; ``rtf``: to sound. ``latency``: seconds from a text of several sentences to its first
    sound, which is that of its first sentence; ``whole``: to its last. Medians over the ``n`` sentences of the texts, and
    over the texts.
    """

    rtf_mel: float
    rtf: float
    latency: float
    whole: float
    n: int


class _Timed:
    """A vocoder that knows how long it took."""

    def __init__(self, vocoder: Vocoder):
        self.vocoder, self.contract, self.name, self.seconds = vocoder, vocoder.contract, vocoder.name, 0.0

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        samples = self.vocoder(mel)
        self.seconds += time.perf_counter() - began
        return samples


def speed_of(voice: Voice, texts: Sequence[str], sentences: int = SENTENCES) -> Speed:
    """Time a voice on some of the sentences (``texts`` not empty, each speakable), after a first one that does not count."""
    texts = list(texts)[:sentences]
    vocoder = voice.vocoder
    voice.speak(texts[0])
    timed = _Timed(vocoder)
    voice.vocoder = timed
    parts, waits = [], []
    try:
        for start in range(0, len(texts), PASSAGE):
            begun = before = time.perf_counter()
            ends = []
            for speech in voice.stream("\n".join(texts[start:start + PASSAGE])):
                ends.append(time.perf_counter())
                seconds = len(speech.samples) / speech.rate
                parts.append(((ends[-1] - before - timed.seconds) / seconds, (ends[-1] - before) / seconds))
                timed.seconds, before = 0.0, time.perf_counter()
            waits.append((ends[0] - begun, ends[-1] - begun))
    finally:
        voice.vocoder = vocoder
    mel, sound = np.median(np.array(parts), axis=0)
    first, whole = np.median(np.array(waits), axis=0)
    return Speed(float(mel), float(sound), float(first), float(whole), len(parts))


def machine() -> str:
    """The processor, its cores, and torch: what a time means nothing without."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {platform.system()}"
