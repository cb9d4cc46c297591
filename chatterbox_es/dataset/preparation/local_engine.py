"""Shards, or what is made of them, on this machine: here where one process is enough, else by one process a core.

Processes of their own rather than forks of this one, which may train, hold a GPU or run in a notebook.
"""

import json
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Sized
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import torch

from chatterbox_es.dataset.preparation.shards import make_shard
from chatterbox_es.dataset.preparation.stages import Treatment
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import cores

ATTEMPTS = 3  # to make a shard, where the process that makes it dies


class Work(Protocol):
    """What is made shard by shard: told to worker processes as a pickle, so that it knows where everything lies."""

    def make(self, number: int) -> tuple[int, int]:
        """Make that of one shard; its rows and frames. Raises UserError where it cannot be made."""
        ...

    def rows(self, number: int) -> str:
        """Which rows those are, in words."""
        ...


class ShardWork(NamedTuple):
    """The shards of a set: see `make_shard`."""

    url: str  # of the set's storage
    treatment: Treatment
    size: int  # rows of a shard

    def make(self, number: int) -> tuple[int, int]:
        shard = make_shard(Storage(self.url), self.treatment, number, self.size)
        return shard.rows, shard.frames

    def rows(self, number: int) -> str:
        return f"rows {number * self.size} to {(number + 1) * self.size - 1} of the corpus, counted from 0,"


def make_shards(storage: Storage, treatment: Treatment, shards: Iterable[int], size: int,
                workers: int | None = None) -> Generator[tuple[int, int], None, None]:
    """`make_all` of a set's shards."""
    return make_all(ShardWork(storage.url, treatment, size), shards, 1 if storage.is_of_this_process else workers)


def make_all(work: Work, shards: Iterable[int], workers: int | None = None) -> Generator[tuple[int, int], None, None]:
    """Make the work of shards; rows and frames of each, as they are done. ``shards`` may take its time: it is asked for the
    next one while others are being made.

    Raises:
        UserError: a shard cannot be made, or the process that makes it dies again and again.
    """
    workers = workers or cores()
    if isinstance(shards, Sized):
        workers = min(workers, len(shards))
    if workers <= 1:
        yield from _make_here(work, shards)
        return
    team = Team(work)
    try:
        yield from team.make(shards, workers)
    finally:
        team.stop()


def _make_here(work: Work, shards: Iterable[int]) -> Iterator[tuple[int, int]]:
    threads = torch.get_num_threads()
    for number in shards:
        torch.set_num_threads(1)
        try:
            made = work.make(number)
        finally:
            torch.set_num_threads(threads)  # what is set here is also what the products of training would use
        yield made


def questions_of(worker: subprocess.Popen[str]) -> IO[str]:
    assert worker.stdin is not None  # a pipe: see `Team.hire`
    return worker.stdin


def answers_of(worker: subprocess.Popen[str]) -> IO[str]:
    assert worker.stdout is not None  # likewise
    return worker.stdout


class Team:
    """Worker processes and what each of them is making."""

    def __init__(self, work: Work):
        self.work, self.job = work, pickle.dumps(work).hex()
        self.selector = selectors.DefaultSelector()
        self.making: dict[subprocess.Popen[str], int] = {}
        self.attempts: dict[int, int] = {}

    def make(self, shards: Iterable[int], workers: int) -> Iterator[tuple[int, int]]:
        waiting = iter(shards)
        for number in islice(waiting, workers):
            self.hire(number)
        following = next(waiting, None)
        while self.making:
            for key, _ in self.selector.select():
                worker = key.data
                line = answers_of(worker).readline()
                number = self.making.pop(worker)
                if not line:
                    self.bury(worker, number)
                    self.hire(number)
                    continue
                answer = json.loads(line)
                if "error" in answer:
                    raise UserError(answer["error"])
                if following is not None:
                    self.tell(worker, following)
                    following = next(waiting, None)
                else:
                    self.selector.unregister(answers_of(worker))
                    questions_of(worker).close()
                    worker.wait()
                yield answer["rows"], answer["frames"]

    def hire(self, number: int) -> None:
        """Start a worker with its first shard."""
        package = str(Path(__file__).resolve().parents[3])
        paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        worker = subprocess.Popen([sys.executable, "-m", "chatterbox_es.dataset.preparation.worker"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True,
                                  env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})
        self.selector.register(answers_of(worker), selectors.EVENT_READ, worker)
        self.tell(worker, self.job)
        self.tell(worker, number)

    def tell(self, worker: subprocess.Popen[str], what: str | int) -> None:
        if isinstance(what, int):
            self.making[worker] = what
        try:
            questions_of(worker).write(f"{what}\n")
            questions_of(worker).flush()
        except BrokenPipeError:  # it is dead, which the end of its answers will say
            pass

    def bury(self, worker: subprocess.Popen[str], number: int) -> None:
        """Take a dead worker off; its shard is made again, but not for ever."""
        self.selector.unregister(answers_of(worker))
        code = worker.wait()
        self.attempts[number] = self.attempts.get(number, 0) + 1
        if self.attempts[number] >= ATTEMPTS:
            raise UserError(
                f"the process that prepares {self.work.rows(number)} "
                f"ended {ATTEMPTS} times without an answer (exit code {code}); what it said stands above. Perhaps memory is "
                "short (prepare.workers=1), or one of these recordings makes the decoder fail")
        print(f"a process that prepares shard {number} ended with exit code {code}: the shard is made again", flush=True)

    def stop(self) -> None:
        for worker in self.making:
            worker.kill()
            worker.wait()
        self.making.clear()
        self.selector.close()
