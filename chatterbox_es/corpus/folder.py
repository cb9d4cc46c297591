"""A folder of recordings with a metadata file, in the forms that LJSpeech, Piper and Coqui write."""

import os
from pathlib import Path

from chatterbox_es.corpus.recordings import Recordings
from chatterbox_es.corpus.table import LAYOUTS, Columns, read_rows, recognise_columns
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError

METADATA_NAMES = ("metadata.csv", "metadata.txt", "metadata.tsv")


def read_folder(folder: Path | str, layout: str = "auto") -> tuple[list[Utterance], list[Fault]]:
    """Read every row of a corpus folder: each becomes an utterance or a fault, none vanishes.

    `layout` is one of `table.LAYOUTS`; "auto" recognises it (see `table.recognise_columns`). Audio is looked for in
    `wavs/`, `audio/`, `clips/` and beside the metadata (see `recordings.Recordings`); it is found but not opened
    here. Blank lines are skipped. The order is that of the file.

    Raises UserError when there is nothing to read: no folder, no metadata, no rows, an unknown form or encoding.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise UserError(f"unknown metadata layout {layout!r}: use one of {', '.join(LAYOUTS)}")
    metadata = find_metadata(folder)
    rows, faults = read_rows(metadata)
    columns, rows = recognise_columns(metadata, rows, layout)
    recordings = Recordings(folder)
    utterances: list[Utterance] = []
    first_rows: dict[str, int] = {}
    for row, fields in rows:
        found = _utterance(row, fields, columns, recordings)
        if isinstance(found, Utterance):
            first = first_rows.setdefault(found.id, row)
            if first != row:
                found = Fault(row, found.id, "duplicate-id", f"row {first} already uses the recording {found.id!r}")
        (utterances if isinstance(found, Utterance) else faults).append(found)
    faults.sort(key=lambda fault: fault.row)
    return utterances, faults


def find_metadata(folder: Path) -> Path:
    """The metadata file of a corpus folder; UserError says what was looked for."""
    if not folder.exists():
        raise UserError(
            f"the corpus folder {folder} does not exist: give the folder of your recordings as data.path=DIR"
        )
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds metadata.csv as data.path=DIR")
    for name in METADATA_NAMES:
        if (folder / name).is_file():
            return folder / name
    held = ", ".join(sorted(os.listdir(folder))[:8]) or "nothing"
    raise UserError(
        f"no {', '.join(METADATA_NAMES[:-1])} or {METADATA_NAMES[-1]} in {folder} (it holds {held}): write one line "
        "a recording, `id|text`, where id is the name of a file in wavs/, audio/, clips/ or beside metadata.csv"
    )


def _utterance(row: int, fields: list[str], columns: Columns, recordings: Recordings) -> Utterance | Fault:
    """One row of the table as an utterance, or the first thing that is wrong with it."""
    name = columns.value(fields, "id")
    if not columns.fits(fields):
        expected = " or ".join(str(count) for count in sorted(columns.counts))
        return Fault(
            row, name, "bad-row", f"the row has {len(fields)} fields where {expected} are expected ({columns.form})"
        )
    if not name:
        return Fault(row, "", "bad-row", "the row names no recording: its id is empty")
    text, spoken = columns.value(fields, "text"), columns.value(fields, "spoken")
    if not (text or spoken):
        return Fault(row, name, "empty-text", "the row has no text")
    found = recordings.find(name)
    if found.audio is None:
        return Fault(row, name, found.reason, found.detail)
    return Utterance(
        id=found.id,
        text=text or spoken,
        audio=found.audio,
        spoken=spoken,
        speaker=columns.value(fields, "speaker"),
        dialect=columns.value(fields, "dialect"),
        row=row,
    )
