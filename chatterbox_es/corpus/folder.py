"""A folder of recordings with a metadata file, in the forms that LJSpeech, Piper and Coqui write."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from chatterbox_es.corpus.accents import dialect_of_accent
from chatterbox_es.corpus.recordings import Recordings
from chatterbox_es.corpus.table import Columns, read_rows, recognise_columns
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError
from chatterbox_es.text.dialects import DIALECTS

METADATA_NAMES = ("metadata.csv", "metadata.txt", "metadata.tsv")


def read_folder(folder: Path | str, layout: str = "auto") -> tuple[list[Utterance], list[Fault]]:
    """`folder_rows` as a list of utterances and one of faults."""
    found = list(folder_rows(Path(folder), layout))
    return [one for one in found if isinstance(one, Utterance)], [one for one in found if isinstance(one, Fault)]


def folder_rows(folder: Path, layout: str = "auto") -> Iterator[Utterance | Fault]:
    """Every row of a corpus folder, in the file's order: each becomes an utterance or a fault, none vanishes.

    `layout` is one of `table.LAYOUTS`; "auto" recognises it (see `table.recognise_columns`). Audio is looked for in
    `wavs/`, `audio/`, `clips/` and beside the metadata (see `recordings.Recordings`); it is found but not opened
    here. Blank lines are skipped.

    Raises UserError when there is nothing to read: no folder, no metadata, no rows, an unknown form or encoding.
    """
    metadata = find_metadata(folder)
    columns = recognise_columns(metadata, layout)
    recordings = Recordings(folder)
    rows = (found if isinstance(found, Fault) else _utterance(*found, columns, recordings)
            for found in read_rows(metadata, columns))
    yield from distinct(rows)


def distinct(rows: Iterable[Utterance | Fault], lists_overlap: bool = False) -> Iterator[Utterance | Fault]:
    """The rows, with a fault in place of each utterance whose id an earlier one has; in `lists_overlap` it is no fault.

    Of an id its 64-bit hash is kept: half a million take some 60 MB.
    """
    first_rows: dict[int, int] = {}
    for found in rows:
        if isinstance(found, Utterance):
            identity = hash(found.id)
            first = first_rows.get(identity)
            if first is None:
                first_rows[identity] = found.row
            else:
                found = Fault(found.row, found.id, "duplicate-id", f"row {first} already uses the recording {found.id!r}",
                              excluded=lists_overlap)
        yield found


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
    kind = _other_kind(folder)
    if kind:
        raise UserError(f"{folder} has the layout of {kind[1]}: read it with data={kind[0]} data.path={folder}")
    held = ", ".join(sorted(os.listdir(folder))[:8]) or "nothing"
    raise UserError(
        f"no {', '.join(METADATA_NAMES[:-1])} or {METADATA_NAMES[-1]} in {folder} (it holds {held}): write one line "
        "a recording, `id|text`, where id is the name of a file in wavs/, audio/, clips/ or beside metadata.csv"
    )


def _other_kind(folder: Path) -> tuple[str, str] | None:
    """`data=` and the name of a corpus that is laid out as this folder is; None when it is none that is known."""
    signs = {
        ("common_voice", "Common Voice"): ("validated.tsv", "es/validated.tsv", "train.tsv", "es/train.tsv"),
        ("mls", "Multilingual LibriSpeech"): ("*/transcripts.txt",),
        ("cml_tts", "CML-TTS"): ("train.csv",),
        ("openslr", "OpenSLR's Spanish sets"): ("*line_index*.tsv", "*/*line_index*.tsv"),
        ("css10", "CSS10"): ("transcript.txt",),
        ("mailabs", "M-AILABS"): ("by_book", "es_ES/by_book"),
        ("hf", "a Hugging Face data set"): ("dataset_info.json", "dataset_dict.json", "*.parquet", "data/*.parquet",
                                            "*/metadata.jsonl", "metadata.jsonl", "train/metadata.csv"),
    }
    return next((kind for kind, patterns in signs.items() if any(any(folder.glob(pattern)) for pattern in patterns)), None)


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
    dialect = columns.value(fields, "dialect")
    if dialect and dialect not in DIALECTS:
        return Fault(row, name, "unknown-dialect", f"{dialect!r} is no dialect here: use one of {', '.join(DIALECTS)}")
    return Utterance(
        id=found.id,
        text=text or spoken,
        audio=found.audio,
        spoken=spoken,
        speaker=columns.value(fields, "speaker"),
        dialect=dialect or dialect_of_accent(columns.value(fields, "accent")),
        row=row,
    )
