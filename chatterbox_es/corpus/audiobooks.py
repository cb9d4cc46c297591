"""Corpora cut from LibriVox's audio books: Multilingual LibriSpeech, CML-TTS, CSS10 and M-AILABS."""

import os
from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.config import SourceConfig
from chatterbox_es.corpus.headed_table import HeadedTable
from chatterbox_es.corpus.recordings import find_clip, leads_out
from chatterbox_es.corpus.table import read_lines
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError

GENDERS = ("female", "male", "mix")


def mls_rows(folder: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """Multilingual LibriSpeech (Pratap et al. 2020): `PART/transcripts.txt` (`id<TAB>text`), `PART/audio/SPEAKER/BOOK/id.flac`.

    The id is SPEAKER_BOOK_NUMBER; `metainfo.txt` and `segments.txt` are not needed.
    """
    for part in source.parts or ["train", "dev", "test"]:
        for row, fields in _fields(_existing(folder / part / "transcripts.txt", "data.parts"), "\t"):
            if isinstance(fields, Fault) or len(fields) != 2 or fields[0].count("_") != 2:
                yield _not_a_row(row, fields, "id<TAB>text, with the id SPEAKER_BOOK_NUMBER")
                continue
            name, text = fields
            speaker, book, _ = name.split("_")
            yield _utterance(row, f"{part}/{name}", folder, f"{part}/audio/{speaker}/{book}/{name}.flac", text, speaker=speaker)


def cml_tts_rows(folder: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """CML-TTS (Oliveira et al. 2023): `train.csv`, `dev.csv`, `test.csv`, separated by `|`, and the files that they name.

    Columns: wav_filename, wav_filesize, transcript, transcript_wav2vec, levenshtein, duration, num_words, client_id.
    `levenshtein` is how like the text is to what a recogniser heard, 0 to 1; below `min_similarity` a row is excluded.
    """
    for part in source.parts or ["train", "dev", "test"]:
        table = HeadedTable(folder / f"{part}.csv", "|", needed=("wav_filename", "transcript", "client_id"))
        if source.min_similarity:
            table.require("levenshtein")
        for found in table.rows():
            if isinstance(found, Fault):
                yield found
                continue
            row, values = found
            name = values["wav_filename"]
            unlike = _unlike(row, name, values, source.min_similarity)
            yield unlike or _utterance(row, name.removesuffix(".wav"), folder, name, values["transcript"],
                                       speaker=values["client_id"])


def css10_rows(folder: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """CSS10 (Park & Mulc 2019), one speaker: `transcript.txt`, `BOOK/FILE.wav|text|normalised text|seconds`."""
    for row, fields in _fields(_existing(folder / "transcript.txt", "data.path"), "|"):
        if isinstance(fields, Fault) or len(fields) != 4:
            yield _not_a_row(row, fields, "file|text|normalised text|seconds")
        else:
            yield _utterance(row, fields[0].removesuffix(".wav"), folder, fields[0], fields[1], spoken=fields[2])


def mailabs_rows(folder: Path, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """M-AILABS: `by_book/{female,male}/SPEAKER/BOOK/metadata.csv` (`name|text|normalised text`), with `wavs/` beside it.

    `by_book/mix/BOOK` is read by several people and nothing says who: their speaker is empty.
    """
    books = folder if folder.name == "by_book" else folder / "by_book"
    if not books.is_dir():
        raise UserError(f"no by_book/ in {folder}: give the folder of the language, such as es_ES, as data.path=DIR")
    tables = sorted(Path(parent, "metadata.csv") for parent, _, files in os.walk(books, followlinks=True)
                    if "metadata.csv" in files)
    if not tables:
        raise UserError(f"no metadata.csv below {books}: unpack the archive there")
    for table in tables:
        book = table.parent.relative_to(books)
        speaker = book.parts[1] if book.parts[0] in GENDERS and len(book.parts) > 2 else ""
        for row, fields in _fields(table, "|"):
            if isinstance(fields, Fault) or len(fields) not in (2, 3):
                yield _not_a_row(row, fields, f"name|text|normalised text, in {book}/metadata.csv")
            else:
                yield _utterance(row, f"{book.as_posix()}/{fields[0]}", table.parent, f"wavs/{fields[0]}.wav", fields[1],
                                 speaker=speaker, spoken=fields[2] if len(fields) == 3 else "")


def _utterance(row: int, id: str, folder: Path, name: str, text: str, speaker: str = "",
               spoken: str = "") -> Utterance | Fault:
    if not (text or spoken):
        return Fault(row, id, "empty-text", "the row has no text")
    if leads_out(name):
        return Fault(row, id, "outside-folder", f"{name!r} lies outside the corpus folder {folder}")
    audio = find_clip(folder, name)
    if audio is None:
        return Fault(row, id, "missing-audio", f"no recording {name!r} in {folder}")
    return Utterance(id, text or spoken, audio, spoken, speaker, row=row)


def _unlike(row: int, id: str, values: dict[str, str], least: float) -> Fault | None:
    if not least:
        return None
    try:
        likeness = float(values["levenshtein"])
    except ValueError:
        return Fault(row, id, "bad-row", f"its levenshtein is no number: {values['levenshtein']!r}")
    if likeness >= least:
        return None
    return Fault(row, id, "unlike-text", f"levenshtein {likeness:g}, below min_similarity={least:g}", excluded=True)


def _existing(path: Path, key: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist: look at {key}, and unpack the whole archive")
    return path


def _fields(path: Path, separator: str) -> Iterator[tuple[int, list[str] | Fault]]:
    """The line number and the fields of each non-blank line; a fault where it is not UTF-8."""
    for row, line in read_lines(path):
        if isinstance(line, bytes):
            yield row, Fault(row, "", "bad-encoding", f"{path.name}: the line is not UTF-8: {line[:60]!r}")
        elif line.strip():
            yield row, [field.strip() for field in line.split(separator)]


def _not_a_row(row: int, fields: list[str] | Fault, form: str) -> Fault:
    if isinstance(fields, Fault):
        return fields
    return Fault(row, fields[0][:80], "bad-row", f"the row is not of the form {form}")
