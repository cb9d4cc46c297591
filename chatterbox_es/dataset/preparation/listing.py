"""Which files a corpus consists of, and whether they are what they were: names, sizes and times of change.

A listing of half a million files takes seconds, so the last one is kept. The next time, the folders' times of change show
files that came, went or were renamed, and the files themselves are looked at by sample: all of a small corpus, `SAMPLE` of
a large one. A single file of a large corpus whose content is replaced without a new name is therefore found by
``prepare.check=full`` only.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole

SAMPLE = 5000  # files
YOUNG = 2.0  # seconds: a folder that changed just before it was listed may have changed again within its clock's step
BY_CONTENT = (".csv", ".tsv", ".txt")
MOST_BY_CONTENT = 64  # of these; where there are more, they are told by size and time like recordings


def listing_digest(roots: dict[str, Path], kept: Path, full: bool = False) -> str:
    """SHA-256 (hex) over the names, sizes and times of all files below some folders; links are followed.

    Of tables (``.csv``, ``.tsv``, ``.txt``) the content counts, not the time. ``kept`` is the folder of earlier listings,
    which are relied on as the module says unless ``full``; where it cannot be written, each listing is a full one.
    """
    name = hashlib.sha256(json.dumps({key: os.path.abspath(root) for key, root in roots.items()}).encode()).hexdigest()
    record = kept / f"{name[:16]}.npz"
    if not full and (digest := _unchanged(record)):
        return digest
    return _list(roots, record)


def _unchanged(record: Path) -> str | None:
    """The digest of a kept listing, if nothing shows that it is out of date."""
    try:
        with np.load(record) as stored:
            folders, times = _lines(stored["folders"]), stored["folder_times"]
            digest, files, stats = str(stored["digest"]), stored["files"], stored["stats"]
        if any(os.stat(folder).st_mtime_ns != time for folder, time in zip(folders, times.tolist(), strict=True)):
            return None
    except (OSError, ValueError, KeyError, EOFError):
        return None
    names = _lines(files)
    chosen = range(len(names)) if len(names) <= SAMPLE else random.sample(range(len(names)), SAMPLE)
    return digest if all(_stat(names[number]) == tuple(stats[number].tolist()) for number in chosen) else None


def _list(roots: dict[str, Path], record: Path) -> str:
    """List all files, keep the listing where that is sound, and digest it."""
    began = time.time_ns()
    digest, folders, times, names, stats, tables = hashlib.sha256(), [], [], [], [], []
    for key, root in sorted(roots.items()):
        for folder, modified, files in _walk(str(root)):
            folders.append(folder)
            times.append(modified)
            for name in files:
                path = f"{folder}/{name}"
                size, changed = _stat(path)
                names.append(path)
                stats.append((size, changed))
                relative = os.path.relpath(folder, root)
                if name.endswith(BY_CONTENT) and size >= 0:
                    tables.append((key, relative, name, path, size, changed))
                else:
                    digest.update(os.fsencode(f"{key}\0{relative}/{name}\0{size}\0{changed}\n"))
    for key, relative, name, path, size, changed in tables:
        content = f"{size}\0{changed}"
        if len(tables) <= MOST_BY_CONTENT:
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(os.fsencode(f"{key}\0{relative}/{name}\0{content}\n"))
    found = digest.hexdigest()
    if all(began - modified > YOUNG * 1e9 for modified in times):
        _keep(record, folders, times, names, stats, found)
    return found


def _keep(record: Path, folders: list[str], times: list[int], names: list[str], stats: list[tuple], digest: str) -> None:
    stored = io.BytesIO()
    np.savez(stored, folders=_packed(folders), folder_times=np.array(times, np.int64), files=_packed(names),
             stats=np.array(stats, np.int64).reshape(-1, 2), digest=digest)
    with contextlib.suppress(OSError, UserError):  # a listing that cannot be kept is made again
        write_whole(record, stored.getbuffer(), durable=False)


def _walk(root: str) -> Iterator[tuple[str, int, list[str]]]:
    """Every folder with its time of change and its files, in a fixed order; links to folders are followed, circles are not."""
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            folders: list[str] = []
            files: list[str] = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else files).append(entry.name)
        except OSError:  # gone, or not to be read: what is missing in it is said when the corpus is read
            continue
        waiting += [f"{folder}/{name}" for name in sorted(folders, reverse=True)]
        yield folder, status.st_mtime_ns, sorted(files)


def _stat(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns; -1 for a link to nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _packed(names: list[str]) -> np.ndarray:
    return np.frombuffer(b"\0".join(map(os.fsencode, names)), np.uint8)


def _lines(packed: np.ndarray) -> list[str]:
    return [os.fsdecode(name) for name in packed.tobytes().split(b"\0")] if len(packed) else []
