"""How far a run is, and where its time goes."""

import dataclasses
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatterbox_es.config import Config


@dataclasses.dataclass
class Progress:
    """How far a run is; it ends at the first of its limits."""

    steps: int  # in all, by epochs or train.max_steps
    minutes: float | None
    step: int = 0
    epoch: int = 1
    batch: int = 0  # steps made in this epoch
    best: float = math.inf  # validation loss
    skipped: int = 0  # steps without a finite loss and gradient
    skipped_in_row: int = 0
    losses: float = 0.0  # sum over this epoch's steps
    counted: int = 0
    before: float = 0.0  # minutes of earlier sessions
    now: float = 0.0  # minutes of training at the last step, by the clock that all processes go by (`training.loop.agree`)
    ending: float = 0.0  # minutes that the validation at the end takes, with its samples and files, as far as is known
    started: float = dataclasses.field(default_factory=time.monotonic)

    KEPT = ("step", "epoch", "batch", "best", "skipped", "skipped_in_row", "losses", "counted")

    @classmethod
    def of(cls, config: Config, batches: int) -> "Progress":
        """The limits that a configuration sets to epochs of so many batches."""
        epochs = config.train.epochs or config.phase.epochs
        return cls(min(epochs * batches, config.train.max_steps or sys.maxsize), config.train.max_minutes)

    def state(self) -> dict[str, Any]:
        """What a run that goes on needs of it."""
        return {name: getattr(self, name) for name in self.KEPT} | {"before": self.elapsed()}

    def restore(self, state: dict[str, Any]) -> None:
        for name in (*self.KEPT, "before"):
            setattr(self, name, state[name])
        self.started, self.now = time.monotonic(), self.before

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.losses, self.counted = self.epoch + 1, 0, 0.0, 0

    def describe(self, batches: int) -> str:
        """The limits in words."""
        limits = [f"{self.steps} steps"] if self.minutes is None or self.steps < 1_000_000 else []
        limits += [f"{self.minutes:g} minutes"] if self.minutes is not None else []
        return f"to the end of {' or '.join(limits)}, {batches} steps an epoch"

    def elapsed(self) -> float:
        """Minutes of training so far, by this process's clock: to show, never to decide by."""
        return self.before + (time.monotonic() - self.started) / 60

    def last_step(self) -> float:
        """The minute after which no step begins, so that the run ends by its limit; half of that is trained in any case."""
        return math.inf if self.minutes is None else max(self.minutes - self.ending, self.minutes / 2)

    def share(self) -> float:
        """0 at the first step, 1 after the last one."""
        return min(1.0, max(self.step / self.steps, self.now / self.last_step()))

    def is_over(self) -> bool:
        """Whether the last step has been made; one always is."""
        return self.step > 0 and self.share() >= 1

    def has_room_to_validate(self) -> bool:
        """Whether a validation before the last one leaves as many minutes to train in as it takes.

        So even one of twice the minutes estimated does not end the run, whose rate would not have fallen to 0.
        """
        return self.now + 2 * self.ending <= self.last_step()

    def is_validated(self) -> bool:
        """Whether nothing was trained since a validation: states are taken within epochs, and after validations."""
        return self.step > 0 and self.batch == 0


PARTS = ("loader", "logging", "checkpoint", "alignment", "listening")  # what a `Clock` counts


class Clock:
    """Seconds spent on what is not forward, backward or optimiser."""

    def __init__(self) -> None:
        self.began, self.spent = time.monotonic(), dict.fromkeys(PARTS, 0.0)
        self.states = 0  # how many were written

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] += time.perf_counter() - began

    def shares(self) -> dict[str, float]:
        """Of the seconds since the clock was started; listening, which is no part of an epoch, has a share of the whole run."""
        seconds = time.monotonic() - self.began
        return {f"share_{what}": spent / seconds for what, spent in self.spent.items() if what != "listening"}
