"""The rows of a corpus on disk, so that nobody has to hold them: one record an utterance or fault, found by its number."""

import array
import pickle
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.preparation.storage import Storage

RECORDS, PLACES = "work/manifest.records", "work/manifest.places.npy"


def write_manifest(storage: Storage, rows: Iterable[Utterance | Fault]) -> int:
    """Write the rows in their order; their number. The places are written last: a manifest that has them is whole.

    Records are pickled, since a recording may be any object that knows where its bytes are. They are read by the
    preparation alone, from the folder that it has written them to.
    """
    places = array.array("q", [0])

    def write(file: BinaryIO) -> None:
        for row in rows:
            record = pickle.dumps(row, pickle.HIGHEST_PROTOCOL)
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
    """The rows from number ``first`` to before ``last``."""
    if first >= last:
        return
    start = int(places[first])
    part = memoryview(storage.read_part(RECORDS, start, int(places[last])))
    for number in range(first, last):
        yield pickle.loads(part[int(places[number]) - start:int(places[number + 1]) - start])


def portion_name(number: int) -> str:
    """The file of the rows of one shard, where they are streamed: see `streaming`."""
    return f"work/{number:05d}.rows"


def kept_name(row: int) -> str:
    """The file of a sound that was streamed; one without bytes where the recording is a file of its own."""
    return f"work/kept/{row}"


def write_portion(storage: Storage, number: int, rows: list[Utterance | Fault]) -> None:
    storage.write(portion_name(number), pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))


def read_portion(storage: Storage, number: int) -> list[Utterance | Fault] | None:
    """The rows of a shard; nothing where they are not here."""
    try:
        return pickle.loads(storage.read(portion_name(number)))
    except FileNotFoundError:
        return None
