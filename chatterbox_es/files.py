"""Files that appear whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from chatterbox_es.errors import UserError

PARTIAL = ".partial"


def write_durably(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file beside its place, flush it to the disk and move it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partials(folder: Path) -> None:
    """Take away what a killed process was writing."""
    for partial in folder.rglob(f"*{PARTIAL}"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_full_is_said(where: Path) -> Iterator[None]:
    """Turn "no space left" into a UserError that says where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"the disk is full: {where} could not be written. What was there before is whole. Make room and go on "
                        "with resume=auto") from error


class _Hashing:
    """A file that knows the SHA-256 of what went into it; torch hides why a write failed, so that is kept too."""

    def __init__(self, file: BinaryIO):
        self.file, self.digest, self.error = file, hashlib.sha256(), None

    def write(self, content: Any) -> int:
        try:
            written = self.file.write(content)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(content)
        return written

    def flush(self) -> None:
        self.file.flush()


def write_whole(path: Path, write: Callable[[Any], Any], name: Callable[[str], str] | None = None) -> Path:
    """Write a file whole or not at all, killed or out of space at any instant; ``name`` makes its name of its SHA-256.

    Raises:
        UserError: the disk is full; what was there stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with disk_full_is_said(path):
            with partial.open("wb") as file:
                hashing = _Hashing(file)
                try:
                    write(hashing)
                    file.flush()
                except Exception:
                    if hashing.error is not None:
                        raise hashing.error from None
                    raise
                os.fsync(file.fileno())
            if name is not None:
                path = path.with_name(name(hashing.digest.hexdigest()))
            os.replace(partial, path)
            _sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def _sync_folder(folder: Path) -> None:
    """A file's new name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
