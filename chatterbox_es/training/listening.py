"""A run that listens to its voice (`train.listen`): when it does, and what that may cost."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from chatterbox_es.config import Config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.evaluation.ears import Ears, Heard
from chatterbox_es.evaluation.speaker_similarity import OF_RECORDING
from chatterbox_es.runs.metrics import HEARD, LISTENED, recorded
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.session import random_state, restore_random_state

log = logging.getLogger(__name__)
SHARE = 0.05  # of a run's time, at most
Speaking = Callable[[list[int]], Mapping[str, tuple[np.ndarray, int]]]
"""Held-out sentences, by their places in the set, as the model says them: utterance → (samples, Hz)."""


class Listening:
    """Has held-out sentences said and heard at validations, as often as `SHARE` allows; always at the last one.

    Training draws the same random numbers as if nothing had been heard.
    """

    def __init__(self, ears: Ears, config: Config, fabric: Fabric):
        self.ears, self.config, self.fabric = ears, config, fabric
        self.recordings: dict[str, float] = {}  # what they score, by figure
        self.spent = 0.0  # seconds of the run, those of earlier sessions too
        self.cost = 0.0  # seconds that it takes once
        self.is_told = False  # that some validations are not heard

    @classmethod
    def load(cls, config: Config, fabric: Fabric) -> "Listening":
        """
        Raises:
            UserError: a package or a model is missing.
        """
        with undisturbed(fabric):
            return cls(Ears.load(config.data.dialect, config.train.recogniser), config, fabric)

    def begin(self, features: FeatureSet) -> None:
        """Choose the sentences and hear their recordings, which the voice is held against.

        Raises:
            UserError: a recording cannot be read.
        """
        with undisturbed(self.fabric):
            self.ears.choose(features, self.config.train.listen)
            self.ears.hear_recordings(1)  # which takes longer than it will
            began = time.perf_counter()
            self.recordings = self.ears.hear_recordings().figures
            self.cost = time.perf_counter() - began
        log.info("listening to %d held-out sentences, whose recordings have %s", len(self.ears.sentences),
                 described(self.recordings))

    def rehearse(self, speak: Speaking) -> float:
        """Seconds that it takes at a validation: the sentences are said once, after one that is not counted."""
        with undisturbed(self.fabric):
            speak(self.ears.numbers[:1])
            began = time.perf_counter()
            speak(self.ears.numbers)
            self.cost += time.perf_counter() - began
        return self.cost

    def is_due(self, progress: Progress, is_last: bool) -> bool:
        """Whether this validation is heard: at any time at most `SHARE` is spent so, and the last one has its part of it."""
        elapsed = 60 * progress.elapsed()
        has_time = (self.spent + self.cost <= SHARE * elapsed
                    and self.spent + 2 * self.cost <= SHARE * elapsed / max(progress.share(), 1e-9))
        if not (has_time or is_last or self.is_told):
            log.info("this validation is not listened to: that takes %.1f s, and %.0f %% of the run's time may go to it; "
                     "the last one always is", self.cost, 100 * SHARE)
            self.is_told = True
        return has_time or is_last

    def __call__(self, speak: Speaking, progress: Progress, is_last: bool) -> tuple[dict[str, float], Heard]:
        """Metrics to log, the recordings' among them, and what was heard of each sentence."""
        began = time.perf_counter()
        with undisturbed(self.fabric):
            heard = self.ears.hear(speak(self.ears.numbers))
        self.cost = time.perf_counter() - began
        self.spent += self.cost
        share = self.spent / max(60 * progress.elapsed(), self.spent)
        log.info("heard in %.1f s: %s (the recordings: %s)", self.cost, described(heard.figures), described(self.recordings))
        if heard.failures:
            log.warning("%d of %d sentences count as the worst there is, such as %s: %s", len(heard.failures),
                        len(self.ears.sentences), *next(iter(heard.failures.items())))
        if is_last and share > SHARE:
            log.warning("listening took %.1f s, %.0f %% of this run, which is too short for train.listen=%d",
                        self.spent, 100 * share, self.config.train.listen)
        metrics = {HEARD + name: value for name, value in heard.figures.items()}
        metrics |= {recorded(HEARD + name): value for name, value in self.recordings.items()}
        return metrics | {f"{HEARD}failures": len(heard.failures), "share_listening": share}, heard

    def card(self) -> dict[str, Any]:
        """What a run's card says of it."""
        return {"sentences": [sentence.utterance for sentence in self.ears.sentences],
                "recogniser": self.config.train.recogniser, "recordings": self.recordings}

    def metrics(self) -> set[str]:
        """The names of the metrics that are made of what is heard."""
        return {HEARD + name for name in (*self.recordings, OF_RECORDING)}


@contextlib.contextmanager
def undisturbed(fabric: Fabric) -> Iterator[None]:
    """Afterwards torch draws the random numbers that it would have drawn."""
    random = random_state(fabric)
    try:
        yield
    finally:
        restore_random_state(fabric, random)


def described(figures: Mapping[str, float]) -> str:
    """Figures in words."""
    labels = {metric.name.removeprefix(HEARD): metric.label.partition(":")[0] for metric in LISTENED}
    return ", ".join(f"{labels[name]} {value:.3f}" for name, value in figures.items())
