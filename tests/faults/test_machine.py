"""Every command as a user without rights, on a full disk, in any terminal: a sentence and exit code 2, nothing half-written."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.faults.commands import COMMANDS, ENCODER, FAST, RUN, TRAIN, Place, cases, is_said, make_accessible
from tests.fork_server import Ended

# ---- rights

@pytest.mark.parametrize(("name", "path"), cases("reads"))
def test_what_may_not_be_read_is_named(place_of: Callable[[str], Place], name: str, path: str):
    place = place_of(name)
    (forbidden,) = place.folder.glob(path)
    forbidden.chmod(0)
    said = place.refused(*COMMANDS[name].arguments)
    make_accessible(place.folder)
    forbidden.chmod(0o600 if forbidden.is_file() else 0o700)
    assert forbidden.name in said and ("may not read" in said or "may not enter" in said), said
    place.only_whole_files()


@pytest.mark.parametrize(("name", "path"), cases("writes"))
def test_where_nothing_may_be_written_is_named(place_of: Callable[[str], Place], name: str, path: str):
    place = place_of(name)
    target = place.folder / path
    locked = target if target.is_dir() else target.parent
    locked.chmod(0o555)
    said = place.refused(*COMMANDS[name].arguments)
    locked.chmod(0o755)
    assert "may not write" in said or "may not change" in said or "readonly" in said, said
    assert place.contents().keys() == place.before.keys()


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
                                  for name, command in COMMANDS.items() if command.writes])
def test_proc_takes_no_files(place_of: Callable[[str], Place], name: str):
    """Somewhere that exists, and that nothing can be written to, root or not."""
    place = place_of(name)
    written = {"out", "data.prepared", "outputs", "sweep.folder"}
    own = [argument for argument in COMMANDS[name].arguments if argument.partition("=")[0] not in written]
    key = {"prepare": "data.prepared", "train 4_2": "outputs", "train 4_3": "outputs", "sweep": "sweep.folder",
           "select": "outputs"}.get(name, "out")
    more = ("train.encoder=" + ENCODER,) if name == "train 4_3" else ()
    ending = {"synthesize": ".wav", "synthesize onnx": ".wav", "export": ".onnx"}.get(name, "")
    said = place.refused(*own, *more, f"{key}=/proc/nothing{ending}")
    assert "/proc/nothing" in said


# ---- no room

@pytest.mark.parametrize("room", [0, 700, 20_000])
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in COMMANDS
                                  if COMMANDS[name].writes])
def test_without_room_nothing_is_half_written(place_of: Callable[[str], Place], name: str, room: int):
    place = place_of(name)
    ended = place.run(*COMMANDS[name].arguments, file_bytes=room)
    is_said(ended, *((2,) if not room else (0, 2)))
    if ended.returncode:
        assert "could not be written" in ended.said or "full" in ended.said or "no room" in ended.said, ended.said
    place.only_whole_files()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here; the largest size of a file stands for it")
    yield disk
    subprocess.run(["umount", disk], capture_output=True)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("prepare", "synthesize file") else pytest.mark.slow)
                                  for name in COMMANDS if COMMANDS[name].writes])
def test_a_full_disk_is_said(place_of: Callable[..., Place], small_disk: Path, name: str):
    place, filler = place_of(name, small_disk), small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    said = place.refused(*COMMANDS[name].arguments)
    assert "disk is full" in said or "no room" in said, said
    filler.unlink()
    place.only_whole_files()


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("phonemize", "review") else pytest.mark.slow)
                                  for name in COMMANDS if name not in ("demo", "listening_test serve")])
def test_what_is_printed_has_no_room(place_of: Callable[[str], Place], name: str):
    place = place_of(name)
    said = place.refused(*COMMANDS[name].arguments, stdout="/dev/full")
    assert "no space left" in said.lower()


def test_a_device_is_written_into_and_not_replaced(place: Place):
    device = place.folder / "null"
    device.symlink_to("/dev/full")
    assert "could not be written" in place.refused("review", RUN, "format=html", "out=null")
    assert device.is_symlink() and stat.S_ISCHR(os.stat("/dev/full").st_mode)


# ---- terminals

@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in (*FAST, "phonemize", "review") else pytest.mark.slow)
                                  for name in COMMANDS if name not in ("demo", "listening_test serve")])
def test_any_terminal_can_show_what_is_said(place_of: Callable[[str], Place], name: str, encoding: str):
    place = place_of(name)
    is_said(place.run(*COMMANDS[name].arguments, encoding=encoding), 0)


@pytest.mark.parametrize("arguments", [
    ("phonemize", "text=El niño está. 北"), ("synthesize", "text=¿Qué tal, niño?", f"run={RUN}"),
    pytest.param(("prepare", "data=folder", "data.path=niño", "data.workers=2", "prepare.shard=4"), marks=pytest.mark.slow),
    pytest.param((*TRAIN, "phase=4_2", "outputs=salidas ñ"), marks=pytest.mark.slow)])
@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "cp1252", "LC_ALL": "C"},
                                         pytest.param({"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
                                                      marks=pytest.mark.slow)])
def test_a_real_process_in_another_terminal(place: Place, command: Callable, arguments: tuple[str, ...],
                                            environment: dict[str, str]):
    if sys.flags.utf8_mode:
        pytest.skip("this Python is told to use UTF-8 everywhere")
    shutil.copytree(place.folder / "corpus", place.folder / "niño")
    environment = {"PYTHONIOENCODING": ""} | environment
    done = subprocess.run([sys.executable, "-m", f"chatterbox_es.{arguments[0]}", *arguments[1:]], cwd=place.folder,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
                          | environment)
    is_said(Ended(done.returncode, *(part.decode("latin-1") for part in (done.stdout, done.stderr))),
            0, *((2,) if "PYTHONUTF8" in environment else ()))  # where no letter beyond ASCII can be a file's
