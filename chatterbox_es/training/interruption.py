"""SIGTERM (a spot machine is taken away) and SIGINT (Ctrl-C): noted when they come, obeyed where it is safe."""

import contextlib
import signal
import threading
from collections.abc import Iterator

EXIT = 128  # plus the signal's number, as shells have it: 130 for SIGINT, 143 for SIGTERM


class InterruptedRun(Exception):
    """The run has been asked to end and has saved its state."""

    def __init__(self, number: int):
        super().__init__(f"{signal.Signals(number).name} received")
        self.number = number


class Interruption:
    """Which signal has come, if any."""

    number: int = 0

    def check(self) -> None:
        """Raise InterruptedRun if one has come."""
        if self.number:
            raise InterruptedRun(self.number)


@contextlib.contextmanager
def watching() -> Iterator[Interruption]:
    """Note the first signal of each kind; a second one of the same kind ends the process at once."""
    caught = Interruption()
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to that one alone
        yield caught
        return

    def note(number: int, frame: object) -> None:
        caught.number = number
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
