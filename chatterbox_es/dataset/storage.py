"""Where prepared sets are kept: a folder on this machine, or one behind fsspec (s3://, gs://, memory:// …).

What is written appears whole or not at all: on a disk it is written beside its place, flushed to it and moved; an object
store does the same by itself.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from chatterbox_es.errors import UserError, sentence_of
from chatterbox_es.files import flush_folder, write_whole


class Storage:
    """A folder by its path or URL; names in it are relative, with ``/`` between folders."""

    def __init__(self, url: str | Path):
        self.url = str(url).rstrip("/")
        try:
            self.files, self.root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UserError(f"data.prepared={url} cannot be opened: {error}") from error
        self.is_local = isinstance(self.files, fsspec.implementations.local.LocalFileSystem)
        self.is_of_this_process = self.url.startswith("memory:")

    def below(self, name: str) -> "Storage":
        """A folder in this one."""
        return Storage(f"{self.url}/{name}")

    def path(self, name: str) -> Path:
        """The local path of a name; only where the storage is local."""
        return Path(self.root, name)

    def write(self, name: str, content: bytes | Callable[[BinaryIO], Any]) -> None:
        """Write a file whole; ``content`` is its bytes, or a function that writes them.

        Raises:
            UserError: the storage does not take it (full, no permission, out of reach).
        """
        if self.is_local:
            write_whole(self.path(name), content)
            return
        try:
            with self.files.open(f"{self.root}/{name}", "wb") as file:
                content(file) if callable(content) else file.write(content)
        except OSError as error:
            # What is read while it is written (a table, a recording) is a file of its own, and named.
            raise UserError(error.filename and sentence_of(error)
                            or f"{self.url}/{name} cannot be written: {error.strerror or error}") from error

    def put(self, name: str, source: Path) -> None:
        """Take over a local file, which must lie on the same disk where the storage is local."""
        if self.is_local:
            with source.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(source, self.path(name))
            flush_folder(self.path(name).parent)
        else:
            self.files.put_file(str(source), f"{self.root}/{name}")
            source.unlink()

    def read(self, name: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""
        return self.files.cat_file(f"{self.root}/{name}")

    def read_part(self, name: str, start: int, end: int) -> bytes:
        """The bytes of a file from ``start`` to before ``end``."""
        return self.files.cat_file(f"{self.root}/{name}", start=start, end=end)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The files in a folder of this one, by name, with their sizes in bytes; none where there is no such folder."""
        place = f"{self.root}/{folder}".rstrip("/")
        self.files.invalidate_cache()
        try:
            listed = self.files.ls(place, detail=True)
        except FileNotFoundError:
            return {}
        return {entry["name"].rstrip("/").rpartition("/")[2]: entry["size"] for entry in listed if entry["type"] == "file"}

    def exists(self, name: str) -> bool:
        return self.files.exists(f"{self.root}/{name}")

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.files.rm(f"{self.root}/{name}", recursive=True)

    def make_folder(self, name: str = "") -> None:
        self.files.makedirs(f"{self.root}/{name}".rstrip("/"), exist_ok=True)

    @contextlib.contextmanager
    def locked(self, said: str) -> Iterator[None]:
        """Nobody else on this machine is in here meanwhile; who waits is told so. Remote storages know no lock."""
        if not self.is_local:
            yield
            return
        lock = Path(f"{self.root}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print(said, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
