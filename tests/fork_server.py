"""Commands run as a user runs them, in a process of their own, without the seconds that a process takes to import torch.

    with ForkServer(folder) as server:
        ended = server.run("synthesize", "text=Hola.", cwd=folder, file_bytes=4096, stdout="/dev/full")

A process that has imported everything forks one child a command: the largest file that it may write, its standard output and
the encoding of that are the child's own; and nothing is allowed to it because it is root. What an interpreter does at its end
is done here.
"""

import atexit
import contextlib
import ctypes
import importlib
import io
import json
import os
import resource
import runpy
import select
import signal
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple, Self

from chatterbox_es.__main__ import COMMANDS

CPU_SECONDS = 300  # of one command, before it is ended
SECONDS = 1500  # likewise by the clock, for one that waits for ever: a busy machine's are long
PRELOADED = (*COMMANDS, "models.fase4.recipe", "models.flow.recipe", "models.vocoder.recipe", "selection.sweeper",
             "runs.report", "listening.page", "listening.stimuli")


class Ended(NamedTuple):
    """How a command ended: its exit code (minus a signal's number), and what it wrote."""

    returncode: int
    out: str
    errors: str

    @property
    def said(self) -> str:
        return self.out + self.errors


class ForkServer:
    """The process that forks."""

    def __init__(self, folder: Path, *modules: str):
        """``modules`` of the package: what it imports beside the commands."""
        self.home = folder
        environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1", "HOME": str(folder),
                       "NUMBA_CACHE_DIR": str(folder / "numba"), "MPLCONFIGDIR": str(folder / "matplotlib")}
        root = str(Path(__file__).resolve().parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, __file__, *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()

    def run(self, module: str, *arguments: str, cwd: Path, **how: Any) -> Ended:
        """See `_child` for ``how``."""
        self.process.stdin.write(json.dumps({"module": module, "arguments": arguments, "cwd": str(cwd), **how}) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    def completed(self, module: str, *arguments: str, cwd: Path,
                  environment: dict[str, str | None]) -> subprocess.CompletedProcess:
        """The same of a command that may take long, told as `subprocess` does."""
        ended = self.run(module, *arguments, cwd=cwd, environment=environment, cpu_seconds=3 * CPU_SECONDS)
        return subprocess.CompletedProcess([module, *arguments], ended.returncode, ended.out, ended.errors)


def drop_rights() -> None:
    """Let permissions hold for root too, here and in what is started here: without the capabilities that override them.

    As another user the interpreter itself might be out of reach, which is why this stays root. Linux alone knows this.
    """
    if sys.platform != "linux" or os.geteuid():
        return
    libc = ctypes.CDLL(None)
    overriding = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    for capability in overriding:
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    header, sets = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)  # version 3, this process
    libc.capget(header, sets)
    words = list(struct.unpack("6I", sets.raw))  # effective, permitted, inheritable of the first 32; the others
    words[:3] = [word & ~sum(1 << capability for capability in overriding) for word in words[:3]]
    libc.capset(header, struct.pack("6I", *words))


def serve() -> None:
    """Commands from standard input, a line each, and how they ended to standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name in (*PRELOADED, *sys.argv[1:]):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"chatterbox_es.{name}")
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    out, errors = os.pipe(), os.pipe()  # a file would have the size that the child's may have
    child = os.fork()
    if not child:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(asked.pop("stdout"), os.O_WRONLY) if asked.get("stdout") else out[1], 1)
            os.dup2(errors[1], 2)
            for end in (*out, *errors):
                os.close(end)
            code = _child(**asked)
        finally:
            os._exit(code)
    os.close(out[1])
    os.close(errors[1])
    said: dict[int, bytes] = {out[0]: b"", errors[0]: b""}
    reading, status = list(said), None
    while status is None or reading:
        ready = select.select(reading, (), (), 0.02)[0]
        for end in ready:
            part = os.read(end, 65_536)
            said[end] += part
            if not part:
                reading.remove(end)
        if status is None:
            ended, found = os.waitpid(child, os.WNOHANG)
            status = found if ended else None
        elif not ready:
            break  # what the command has started may live on, and keep its ends open
    for end in said:
        os.close(end)
    texts = [content.decode("utf-8", "backslashreplace") for content in said.values()]
    return {"returncode": os.waitstatus_to_exitcode(status), "out": texts[0], "errors": texts[1]}


def _child(module: str, arguments: list[str], cwd: str, file_bytes: int | None = None,
           encoding: str = "utf-8", environment: dict[str, str | None] | None = None, cpu_seconds: int = CPU_SECONDS,
           memory: int | None = None) -> int:
    """The command's process: with files of ``file_bytes`` and ``memory`` bytes at most, in a terminal of an encoding. Of the
    ``environment`` a variable that is None is taken away; what its PYTHONPATH adds hides nothing that is imported already."""
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    for name, value in (environment or {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.chdir(cwd)
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [cwd, *(path for path in added if path and path not in sys.path)]  # as python -m has it
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    drop_rights()
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding, "backslashreplace", line_buffering=True)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    sys.argv[:] = [module, *arguments]
    code: Any = 0
    sys.modules.pop(f"chatterbox_es.{module}", None)
    try:
        runpy.run_module(f"chatterbox_es.{module}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except Exception:
        print("Exception ignored in: <stdout>", file=sys.stderr)
        traceback.print_exc()
        code = 120
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    serve()
