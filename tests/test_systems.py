"""Linux and macOS run the same commands; Windows is told in a sentence where they run."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Python reads this before anything else of a process. What macOS lacks is taken away; the package's own code finds no
# /proc and no /sys, while libraries, which know both systems, go on as they are.
NO_LINUX = """
import os, platform, resource, select, signal, sys

LINUX = ("sched_getaffinity", "sched_setaffinity", "posix_fadvise", "posix_fallocate", "memfd_create", "copy_file_range",
         "eventfd", "pidfd_open", "getrandom", "splice", "getresuid", "setresuid", "getxattr", "setxattr", "listxattr",
         "O_DIRECT", "O_TMPFILE", "O_PATH", "unshare", "setns", "sched_getparam")
for module, names in ((os, LINUX), (resource, ("prlimit",)), (signal, ("SIGPWR", "SIGSTKFLT", "sigwaitinfo", "sigtimedwait"))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
platform.libc_ver = lambda *given, **more: ("", "")


def deny(event, given):
    if event == "open" and isinstance(given[0], str) and given[0].startswith(("/proc/", "/sys/")):
        frame = sys._getframe(1)
        while frame and "site-packages" not in frame.f_code.co_filename:
            if PACKAGE in frame.f_code.co_filename:
                raise FileNotFoundError(2, "No such file or directory", given[0])
            frame = frame.f_back


sys.addaudithook(deny)
"""
WINDOWS = """
import sys

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
"""


@pytest.fixture
def system(tmp_path):
    """A folder for PYTHONPATH whose Python is that of another system."""
    def made(code: str) -> str:
        (tmp_path / "system").mkdir()
        package = f"PACKAGE = {str(REPOSITORY / 'chatterbox_es')!r}\n"
        (tmp_path / "system" / "sitecustomize.py").write_text(package + code)
        return str(tmp_path / "system")

    return made


def test_without_what_only_linux_has_a_voice_is_trained_and_speaks(tmp_path, system, command, arguments):
    lacking = system(NO_LINUX)
    own = ("data.prepared=prepared", "data.workers=null", "hw.threads=null", "prepare.shard=6")
    trained = arguments(*own, "train.epochs=1", "hw.keep_memory=true", "hydra.run.dir=run")
    steps = [("prepare", *arguments(*own)), ("train", "phase=4_2", *trained),
             ("synthesize", "text=Hola.", "out=hola.wav", "run=run"), ("review", "run")]
    for step in steps:
        done = command(*step, cwd=tmp_path, PYTHONPATH=lacking)
        assert done.returncode == 0, f"{step[0]}: {done.stdout}{done.stderr}"
    assert (tmp_path / "hola.wav").stat().st_size > 1000


@pytest.mark.parametrize("name", ["train", "prepare", "synthesize", "review", "evaluate", "listening_test"])
def test_windows_is_told_what_to_do(tmp_path, system, command, name):
    done = command(name, cwd=tmp_path, PYTHONPATH=system(WINDOWS))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: chatterbox_es runs on Linux and macOS; on Windows install it in WSL: https://aka.ms/wsl\n"
