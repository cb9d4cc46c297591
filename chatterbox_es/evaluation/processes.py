"""Work on all cores: threads for what leaves the interpreter's lock, processes for what holds it."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

TASKS_WORTH_A_PROCESS = 8  # it takes seconds to start

_shared: tuple[Any, ...] = ()  # of this process


def on_all_cores(function: Callable[[Given], Made], given: Sequence[Given], threads: int | None = None) -> list[Made]:
    """``function`` of each, in their order. Threads: what takes the time (WORLD, torch, ONNX) leaves the interpreter's lock."""
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return list(pool.map(function, given))


def processes_for(tasks: int, processes: int | None = None) -> int:
    """How many processes so many tasks are worth; below 2, they are done here."""
    return min(processes or os.cpu_count() or 1, tasks // TASKS_WORTH_A_PROCESS)


def in_own_processes(function: Callable[..., Made], tasks: Sequence[tuple], processes: int | None = None,
                     shared: tuple = ()) -> list[Made]:
    """``function(*shared, *task)`` of each task, in their order, on all cores: for what holds the interpreter's lock (pyworld,
    PocketSphinx). ``shared`` is sent to each process once. Few tasks are done here."""
    processes = processes_for(len(tasks), processes)
    if processes < 2:
        return [function(*shared, *task) for task in tasks]
    with ProcessPoolExecutor(processes, process_context(), _start, (shared,)) as pool:
        return list(pool.map(_in_process, [function] * len(tasks), tasks, chunksize=2))


@functools.cache
def process_context() -> multiprocessing.context.BaseContext:
    """How processes are started: forked from one that has imported what they need and nothing else, which begins to do so now.

    A fork of this process would take torch's threads along and may hang; one that starts anew imports everything again.
    """
    anew = multiprocessing.get_context("spawn")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return anew  # Windows
    from multiprocessing import forkserver

    context, command = multiprocessing.get_context("forkserver"), getattr(sys.modules["__main__"], "__spec__", None)
    # Every process runs the command's module once more, whose imports are there already; itself it must not be, or Python
    # warns that it is run twice.
    ours = [name for name in sys.modules if name.startswith("chatterbox_es.") and name != getattr(command, "name", None)]
    context.set_forkserver_preload(["librosa.sequence", *ours])
    try:
        forkserver.ensure_running()
    except OSError:  # a temporary folder whose path is too long for a socket
        return anew
    return context


def _start(shared: tuple) -> None:
    global _shared
    _shared = shared


def _in_process(function: Callable[..., Made], task: tuple) -> Made:
    return function(*_shared, *task)
