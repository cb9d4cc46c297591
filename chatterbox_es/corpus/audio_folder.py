"""A folder of sound files with `metadata.csv` or `metadata.jsonl`, as data sets on the Hugging Face hub are laid out.

https://huggingface.co/docs/datasets/audio_dataset: one `file_name` and further columns a row, a folder a split. Read here
and not by the library, which wants torchcodec for it.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.config import SourceConfig
from chatterbox_es.corpus import hub
from chatterbox_es.corpus.accents import dialect_of_accent
from chatterbox_es.corpus.recordings import find_clip, leads_out
from chatterbox_es.corpus.table import read_lines
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError

NAMES = ("metadata.csv", "metadata.jsonl")


def audio_folder_metadata(folder: Path, split: str) -> Path | None:
    """The metadata of a split, in its folder or in `data/`; without such folders there is one split."""
    for place in (folder / split, folder / "data" / split, folder):
        for name in NAMES:
            path = place / name
            if path.is_file() and "file_name" in path.open(encoding="utf-8-sig", errors="replace").readline():
                return path
    return None


def audio_folder_rows(metadata: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """Every row, in the file's order. Raises UserError where no column holds the text."""
    columns: dict[str, str | None] | None = None
    for row, values in _records(metadata):
        if isinstance(values, Fault):
            yield values
            continue
        columns = columns or _columns(values, source, metadata)
        said = {what: str(values.get(column) or "").strip() if column else "" for what, column in columns.items()}
        name = str(values.get("file_name") or "").strip()
        id = Path(name).with_suffix("").as_posix()
        audio = None if not name or leads_out(name) else find_clip(metadata.parent, name)
        if not said["text"]:
            yield Fault(row, id, "empty-text", "the row has no text")
        elif audio is None:
            yield Fault(row, id, "missing-audio", f"no recording {name!r} in {metadata.parent}")
        else:
            dialect = dialect_of_accent(said["dialect"])
            yield Utterance(id, said["text"], audio, speaker=said["speaker"], dialect=dialect, row=row)


def _records(metadata: Path) -> Iterator[tuple[int, dict | Fault]]:
    """Line number and columns of each row; in a CSV file quotes hold commas and line ends, as the library writes them."""
    if metadata.suffix == ".csv":
        with metadata.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            for values in reader:
                if None in values or None in values.values():
                    yield reader.line_num, Fault(reader.line_num, str(values.get("file_name")), "bad-row",
                                                 f"the row has not the {len(reader.fieldnames or ())} fields of the header")
                else:
                    yield reader.line_num, values
        return
    for row, line in read_lines(metadata):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            yield row, values if isinstance(values, dict) else Fault(row, "", "bad-row", "the line is no JSON object")
        except ValueError as error:
            yield row, Fault(row, "", "bad-row", f"the line is not JSON: {error}")


def _columns(values: dict, source: SourceConfig, metadata: Path) -> dict[str, str | None]:
    columns = {}
    for what, given, names in (("text", source.text_column, hub.TEXT_NAMES), ("speaker", source.speaker_column,
                               hub.SPEAKER_NAMES), ("dialect", source.dialect_column, hub.DIALECT_NAMES)):
        if given and given not in values:
            raise UserError(f"{metadata} has no column {given!r} (data.{what}_column); its columns are {', '.join(values)}")
        columns[what] = given or next((name for name in names if name in values), None)
    if columns["text"] is None:
        raise UserError(f"which column of {metadata} is the text? data.text_column=NAME; its columns are {', '.join(values)}")
    return columns
