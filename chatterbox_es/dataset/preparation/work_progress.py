"""How far preparation is and how long it will take: a bar on a terminal, a line a minute in a log."""

import sys
import time

from tqdm import tqdm

EVERY = 60.0  # seconds between lines


class WorkProgress:
    """Counts rows of the corpus, and the speech in them for the speed. ``total`` None: nobody knows how many there will be.
    ``name`` is what is being done."""

    def __init__(self, total: int | None, done: int, frames_per_second: float, name: str = "prepare"):
        self.total, self.rows, self.done, self.per_second, self.name = total, done, done, frames_per_second, name
        self.seconds = 0.0
        self.began = self.told = time.monotonic()
        self.bar = tqdm(total=total, initial=done, desc=name, unit="utt", disable=not sys.stderr.isatty())
        if done:
            print(f"{done} {f'of {total} ' if total else ''}rows were done before", flush=True)

    def __enter__(self) -> "WorkProgress":
        return self

    def __exit__(self, *failure: object) -> None:
        self.bar.close()
        spent = time.monotonic() - self.began
        if failure[0] is None and spent > EVERY:
            hours = self.seconds / 3600
            print(f"{self.name}: {hours:.1f} h of speech in {clock(spent)}, {self.speed():,.0f} h an hour", flush=True)

    def add(self, rows: int, frames: int) -> None:
        """So many more are done."""
        self.rows += rows
        self.seconds += frames / self.per_second
        self.bar.set_postfix_str(f"{self.speed():,.0f} h/h", refresh=False)
        self.bar.update(rows)
        now = time.monotonic()
        if self.bar.disable and now - self.told >= EVERY:
            self.told = now
            if self.total is None:
                print(f"{self.name}: {self.rows} rows, {self.speed():,.0f} h of speech an hour", flush=True)
                return
            left = (now - self.began) / max(self.rows - self.done, 1) * (self.total - self.rows)
            print(f"{self.name}: {self.rows} of {self.total} rows ({self.rows / self.total:.1%}), {self.speed():,.0f} h of "
                  f"speech an hour, {clock(left)} left", flush=True)

    def speed(self) -> float:
        """Seconds of speech a second."""
        return self.seconds / max(time.monotonic() - self.began, 1e-9)


def clock(seconds: float) -> str:
    """Such as 2:05:09 or 3:20."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
