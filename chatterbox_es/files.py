"""Files that appear whole or not at all, whatever happens while they are written."""

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from chatterbox_es.errors import UserError, sentence_of

PARTIAL = ".partial"


def remove_partials(folder: Path) -> None:
    """Take away what a killed process was writing."""
    for partial in folder.rglob(f"*{PARTIAL}"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def errors_are_said(where: Path) -> Iterator[None]:
    """Turn what the system says of files (no room, no rights …) into a UserError; ``where`` is what was being written."""
    try:
        yield
    except OSError as error:
        if (sentence := sentence_of(error, where)) is None:
            raise
        raise UserError(sentence) from error


def read_utf8(path: Path, key: str) -> str:
    """The text of a file that a user names.

    Raises:
        UserError: it cannot be read, or is not UTF-8; ``key`` is the argument that names it.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{key}={path} cannot be read as UTF-8 text ({error.reason}, byte {error.start}): save it as UTF-8"
                        ) from error
    except OSError as error:
        raise UserError(f"{key}={path} cannot be read: {sentence_of(error) or error}") from error


class _Watched:
    """A file that knows why a write failed, which torch hides, and if it is asked for the SHA-256 of what went into it."""

    def __init__(self, file: BinaryIO, is_hashed: bool):
        self.file, self.is_hashed, self.digest = file, is_hashed, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            written = self.file.write(content)
        except OSError as error:
            self.error = error
            raise
        if self.is_hashed:
            self.digest.update(content)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def write_whole(path: Path, content: bytes | memoryview | Callable[[Any], Any], name: Callable[[str], str] | None = None,
                durable: bool = True) -> Path:
    """Write a file whole or not at all, killed or out of space at any instant: its bytes, or what a function writes into it.

    It is written beside its place, under a name that no other process or thread uses, flushed to the disk, and moved. ``name``
    makes its name of its SHA-256. Without ``durable`` nothing is flushed: of many small files that can be made again. A pipe or
    a device is written into.

    Raises:
        UserError: there is no room, or no right to write there; what was there stays as it was.
    """
    with errors_are_said(path):
        if path.is_symlink():
            path = path.resolve()
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:
                content(device) if callable(content) else device.write(content)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}{PARTIAL}")
        try:
            with partial.open("wb") as file:
                watched = _Watched(file, is_hashed=name is not None)
                try:
                    content(watched) if callable(content) else watched.write(content)
                    file.flush()
                except Exception:
                    if watched.error is not None:
                        raise watched.error from None
                    raise
                if durable:
                    os.fsync(file.fileno())
            if name is not None:
                path = path.with_name(name(watched.digest.hexdigest()))
            os.replace(partial, path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename == str(partial):
                error.filename = str(path)  # which is what somebody knows
            raise
        if durable:
            flush_folder(path.parent)
    return path


def flush_folder(folder: Path) -> None:
    """A file's new name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
