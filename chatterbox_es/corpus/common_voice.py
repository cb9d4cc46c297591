"""Common Voice: a table of tab-separated values with a header, and a folder of MP3 clips.

The columns of the releases, by their headers: `client_id path sentence up_votes down_votes age gender accent locale
segment` up to 7; `accents` in place of `accent` from 8; `variant` from 12; `sentence_id` and `sentence_domain` from 17.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chatterbox_es.config import SourceConfig
from chatterbox_es.corpus.accents import dialect_of_accent
from chatterbox_es.corpus.exclusions import excluded_by_votes
from chatterbox_es.corpus.headed_table import HeadedTable
from chatterbox_es.corpus.recordings import find_clip, leads_out
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError

LISTS = ("validated", "train", "dev", "test", "other", "invalidated")


def common_voice_rows(folder: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """The rows of `source.parts` (validated, train, dev, test, other, invalidated), in the order of the files.

    `client_id` is the speaker; `accents` (or `variant`) is the dialect where it names one of ours. A clip is also found
    where it was converted to WAV or FLAC. Rows with fewer up votes than `min_up_votes`, or more down votes than
    `max_down_votes`, are excluded.

    Raises UserError: a part is not there, or a column that is asked for.
    """
    parts = source.parts or ["validated"]
    folder = language_folder(folder, parts)
    for part in parts:
        table = HeadedTable(folder / f"{part}.tsv", "\t", needed=("path", "sentence"))
        if source.min_up_votes or source.max_down_votes is not None:
            table.require("up_votes", "down_votes")
        for found in table.rows():
            yield found if isinstance(found, Fault) else _utterance(folder, *found, source)


def language_folder(folder: Path, parts: Sequence[str]) -> Path:
    """The folder that holds the first of some lists: the one given, or the only one in it that does."""
    sign = f"{parts[0]}.tsv"
    if (folder / sign).is_file():
        return folder
    inner = sorted(path.parent for path in folder.glob(f"*/{sign}"))
    languages = [path for path in inner if path.name == "es"] or inner
    if len(languages) != 1:
        listed = ", ".join(path.name for path in languages) or "none"
        others = [path.stem for path in sorted(folder.glob("*.tsv")) if path.stem in LISTS]
        if not languages and others:
            raise UserError(f"{folder} has no {sign}; it has {', '.join(f'{name}.tsv' for name in others)}: read what you have "
                            f"with data.parts=[{','.join(others)}]")
        raise UserError(f"no {sign} in {folder}, and folders in it that have one: {listed}. Give the folder of the Spanish "
                        "corpus as data.path=DIR")
    return languages[0]


def _utterance(folder: Path, row: int, values: Mapping[str, str], source: SourceConfig) -> Utterance | Fault:
    name, text = values["path"], values["sentence"]
    clip = name.removesuffix(".mp3")
    if not name:
        return Fault(row, "", "bad-row", "the row names no clip: its path is empty")
    if not text:
        return Fault(row, clip, "empty-text", "the row has no sentence")
    exclusion = excluded_by_votes(row, clip, values, source)
    if exclusion:
        return exclusion
    if leads_out(name):
        return Fault(row, clip, "outside-folder", f"{name!r} lies outside the folder of the clips")
    # Up to release 2 paths had no extension.
    audio = find_clip(folder / "clips", name) or find_clip(folder / "clips", f"{name}.mp3")
    if audio is None:
        return Fault(row, clip, "missing-audio", f"no clip {name!r} in {folder / 'clips'}")
    accent = values.get("accents") or values.get("accent") or ""
    dialect = dialect_of_accent(accent) or dialect_of_accent(values.get("variant", ""))
    return Utterance(clip, text, audio, speaker=values.get("client_id", ""), dialect=dialect, row=row)
