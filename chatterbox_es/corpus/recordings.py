"""The audio files of a corpus folder, found by the names that metadata files give them."""

import os
import posixpath
import unicodedata
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

AUDIO_FOLDERS = ("wavs", "audio", "clips", "")
"""Where a recording is looked for, in this order; the last is beside the metadata."""

# RAW has no header, so nothing says its rate.
_READABLE = ({name.lower() for name in soundfile.available_formats()} - {"raw"}) | {
    *("wave", "oga", "opus", "aif", "aifc", "snd", "sph", "mat", "iff", "sf"),
}
_UNREADABLE = {"m4a", "aac", "mp4", "wma", "webm", "amr", "mka", "3gp", "raw"}
_PREFERENCE = ("wav", "flac")
CLIP_ENDINGS = ("wav", "flac", "mp3", "opus", "ogg")
"""Into which corpora are converted."""


class Found(NamedTuple):
    """A recording, or why there is none: then `audio` is None and `reason` and `detail` are set."""

    id: str
    audio: Path | None
    reason: str = ""
    detail: str = ""


class Recordings:
    """The index of a folder's audio files, made by one walk over its listings (no `stat` a row).

    Links to folders are followed; hidden folders are not entered. Names are compared in Unicode's composed form
    (NFC), since some file systems store `ñ` as two characters, and with the extension in any case. A file takes its
    name's bytes and 32 more, so that a million are held in some 80 MB.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._names, starts = bytearray(), array("q", [0])
        stems, bases = array("q"), array("q")
        self.unread: list[str] = []  # folders that this user may not list
        for relative in _walk(folder, self.unread):
            stem, extension = _split_extension(_composed(relative))
            if extension:
                self._names += os.fsencode(relative)
                starts.append(len(self._names))
                stems.append(hash(stem))
                bases.append(hash(posixpath.basename(stem)))
        self._starts = starts
        self._stems, self._bases = _Hashes(stems), _Hashes(bases)

    def find(self, name: str) -> Found:
        """The recording that a metadata row calls `name`: with or without extension, with or without folder.

        A bare name that is in none of `AUDIO_FOLDERS` is looked for in all sub-folders, and must then be the only
        one. When several files differ in the extension alone, the extension of `name` decides, else WAV, then FLAC.
        Reasons: "missing-audio", "ambiguous-audio", "unreadable-audio", "outside-folder".
        """
        path = self._relative(name)
        if path is None:
            return Found(name, None, "outside-folder", f"{name!r} lies outside the corpus folder {self.folder}")
        stem, extension = _split_extension(path)
        for place in AUDIO_FOLDERS:
            path = posixpath.join(place, stem)
            files = [file for file in self._files(self._stems, path) if _stem(file) == path]
            if files:
                return self._chosen(files, extension)
        files = [] if "/" in stem else [
            file for file in self._files(self._bases, stem) if posixpath.basename(_stem(file)) == stem]
        if len({_split_extension(file)[0] for file in files}) > 1:
            listed = ", ".join(sorted(files)[:3])
            return Found(name, None, "ambiguous-audio", f"{len(files)} recordings bear the name {name!r}: {listed}")
        if files:
            return self._chosen(files, extension)
        for place in AUDIO_FOLDERS:
            for ending in ("", ".wav", ".flac", ".mp3"):
                if name and (self.folder / place / f"{name}{ending}").is_dir():
                    where = posixpath.join(place, name) + ending
                    return Found(name, None, "unreadable-audio", f"{where} is a folder, not a file")
        places = ", ".join(f"{place}/" for place in AUDIO_FOLDERS if place)
        unread = f"; this user may not read {', '.join(self.unread[:3])}" if self.unread else ""
        return Found(name, None, "missing-audio", f"no recording {name!r} in {places} or beside the metadata{unread}")

    def _files(self, hashes: "_Hashes", name: str) -> list[str]:
        """The files that may bear a name: other names may have its hash."""
        return [os.fsdecode(bytes(self._names[self._starts[number]:self._starts[number + 1]]))
                for number in hashes.places(hash(name))]

    def _relative(self, name: str) -> str | None:
        """`name` as a path from the corpus folder, or None when it leads out of it."""
        path = _composed(name).replace("\\", "/")
        if path.startswith("/") or path[1:3] == ":/":
            root = _composed(self.folder.absolute().as_posix())
            if not path.startswith(root + "/"):
                return None
            path = path.removeprefix(root + "/")
        path = posixpath.normpath(path)
        return None if path == ".." or path.startswith("../") else path

    def _chosen(self, files: list[str], extension: str) -> Found:
        def rank(file: str) -> tuple[bool, int, str]:
            own = _split_extension(file)[1]
            order = _PREFERENCE.index(own) if own in _PREFERENCE else len(_PREFERENCE) + (own in _UNREADABLE)
            return own != extension, order, file

        file = min(files, key=rank)
        stem, own = _split_extension(_composed(file))
        first, _, rest = stem.partition("/")
        name = rest if rest and first in AUDIO_FOLDERS else stem
        if own in _UNREADABLE:
            return Found(
                name, None, "unreadable-audio", f"{file} is a format that is not read: convert it to WAV or FLAC"
            )
        return Found(name, self.folder / file)


class _Hashes:
    """Where each 64-bit hash of a list stands in it."""

    def __init__(self, hashes: array):
        values = np.frombuffer(hashes, np.int64) if hashes else np.empty(0, np.int64)
        self.order = np.argsort(values, kind="stable").astype(np.int32)
        self.sorted = values[self.order]

    def places(self, value: int) -> list[int]:
        first, end = self.sorted.searchsorted(value, "left"), self.sorted.searchsorted(value, "right")
        return self.order[first:end].tolist()


def find_clip(folder: Path, name: str) -> Path | None:
    """A recording whose place is known, by its relative path: also converted to another format, in capitals or decomposed.

    Nothing is listed, so that folders of a million files take no memory. None: there is none, or it is no file.
    """
    stem, extension = _split_extension(name)
    own = name[len(stem):] if extension else ""
    for form in dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))):
        if "\0" not in form and (folder / form).is_file():
            return folder / form
    endings = dict.fromkeys((own.upper(), own.lower(), *(f".{ending}" for ending in CLIP_ENDINGS)))
    for form in dict.fromkeys((stem, unicodedata.normalize("NFC", stem), unicodedata.normalize("NFD", stem))):
        for ending in endings:
            if ending and "\0" not in form and (folder / (form + ending)).is_file():
                return folder / (form + ending)
    return None


def leads_out(name: str) -> bool:
    """Whether a relative path leads out of the folder it is in."""
    path = posixpath.normpath(name.replace("\\", "/"))
    return path.startswith(("/", "../")) or path == ".." or path[1:3] == ":/"


def _walk(folder: Path, unread: list[str]) -> Iterator[str]:
    """Every file under the folder, as POSIX paths relative to it, in a fixed order; folders without rights are noted."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=lambda error: unread.append(str(error.filename))):
        identity = os.path.realpath(parent)
        if identity in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = Path(parent).relative_to(folder).as_posix()
        # A copy from a Mac holds a `._name.wav` beside each file, which is no audio.
        yield from sorted(posixpath.join("" if prefix == "." else prefix, name) for name in names if name[0] != ".")


def _stem(file: str) -> str:
    return _split_extension(_composed(file))[0]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _split_extension(path: str) -> tuple[str, str]:
    """The path without its audio extension, and that extension in lower case; empty when it is none of audio."""
    stem, dot, extension = path.rpartition(".")
    extension = extension.lower()
    if dot and stem and not stem.endswith("/") and extension in _READABLE | _UNREADABLE:
        return stem, extension
    return path, ""
