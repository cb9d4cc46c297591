"""The rows of a corpus on disk, so that nobody has to hold them: one record an utterance or fault, found by its number.

A record is a line of JSON, and behind it the sound where the row came with its own. No file of a set can hold code: a set may
lie in a bucket that others write to.
"""

import array
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from chatterbox_es.audio.waveform import Recording
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.corpus.hub import HubRecording, HubSource
from chatterbox_es.corpus.utterance import EmbeddedRecording
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError

RECORDS, PLACES = "work/manifest.records", "work/manifest.places.npy"


def encode_row(row: Utterance | Fault) -> bytes:
    """A row as bytes."""
    if isinstance(row, Fault):
        return json.dumps({"fault": dataclasses.asdict(row)}).encode() + b"\n"
    said, sound = _described(row.audio)
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return json.dumps({"utterance": values | {"audio": said}}).encode() + b"\n" + sound


def _described(audio: Path | Recording) -> tuple[dict, bytes]:
    """Where a recording is, in plain values; and its bytes where they are nowhere else."""
    if isinstance(audio, Path):
        return {"file": str(audio)}, b""
    if isinstance(audio, HubRecording):
        return {"hub": dataclasses.asdict(audio.source), "column": audio.column, "row": audio.row}, b""
    return {"name": str(audio)}, audio.read_bytes()


def decode_row(record: bytes | memoryview) -> Utterance | Fault:
    """
    Raises:
        ValueError, KeyError, TypeError: that is no row.
    """
    line, _, sound = bytes(record).partition(b"\n")
    said = json.loads(line)
    if "fault" in said:
        return Fault(**said["fault"])
    values = said["utterance"]
    audio = values["audio"]
    recording: Path | Recording
    if "file" in audio:
        recording = Path(audio["file"])
    elif "hub" in audio:
        recording = HubRecording(HubSource(**audio["hub"]), audio["column"], audio["row"])
    else:
        recording = EmbeddedRecording(audio["name"], sound)
    return Utterance(**values | {"audio": recording})


def write_manifest(storage: Storage, rows: Iterable[Utterance | Fault]) -> int:
    """Write the rows in their order; their number. The places are written last: a manifest that has them is whole."""
    places = array.array("q", [0])

    def write(file: BinaryIO) -> None:
        for row in rows:
            record = encode_row(row)
            file.write(record)
            places.append(places[-1] + len(record))

    storage.write(RECORDS, write)
    stored = np.array(places, np.int64)
    storage.write(PLACES, lambda file: np.save(file, stored))
    return len(stored) - 1


def manifest_places(storage: Storage) -> np.ndarray | None:
    """(rows + 1,) int64, where each record begins and the last one ends; nothing where no whole manifest is there."""
    try:
        with storage.files.open(f"{storage.root}/{PLACES}", "rb") as file:
            return np.load(file)
    except (FileNotFoundError, ValueError, EOFError):
        return None


def read_manifest(storage: Storage, places: np.ndarray, first: int, last: int) -> Iterator[Utterance | Fault]:
    """The rows from number ``first`` to before ``last``.

    Raises:
        UserError: the manifest is damaged.
    """
    if first >= last:
        return
    start = int(places[first])
    part = memoryview(storage.read_part(RECORDS, start, int(places[last])))
    for number in range(first, last):
        yield _decoded(storage, RECORDS, part[int(places[number]) - start:int(places[number + 1]) - start])


def _decoded(storage: Storage, name: str, record: memoryview) -> Utterance | Fault:
    try:
        return decode_row(record)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{storage.url}/{name} is damaged ({error}); remove {storage.url}, and the same command begins anew"
                        ) from error


def portion_name(number: int) -> str:
    """The file of the rows of one shard, where they are streamed: see `streaming`."""
    return f"work/{number:05d}.rows"


def kept_name(row: int) -> str:
    """The file of a sound that was streamed; one without bytes where the recording is a file of its own."""
    return f"work/kept/{row}"


def write_portion(storage: Storage, number: int, rows: list[Utterance | Fault]) -> None:
    """The records of some rows, behind a line that says how long each is."""
    records = [encode_row(row) for row in rows]
    lengths = json.dumps([len(record) for record in records]).encode() + b"\n"
    storage.write(portion_name(number), lambda file: file.writelines([lengths, *records]))


def read_portion(storage: Storage, number: int) -> list[Utterance | Fault] | None:
    """The rows of a shard; nothing where they are not here."""
    try:
        content = storage.read(portion_name(number))
    except FileNotFoundError:
        return None
    start, rows = content.find(b"\n") + 1, []
    try:
        lengths = [int(length) for length in json.loads(content[:start])]
    except (ValueError, TypeError):  # the rows are fetched again
        return None
    for length in lengths:
        rows.append(_decoded(storage, portion_name(number), memoryview(content)[start:start + length]))
        start += length
    return rows
