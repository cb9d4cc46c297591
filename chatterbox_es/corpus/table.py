"""The rows of a metadata file, and what each of its columns means."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from chatterbox_es.corpus.utterance import Fault
from chatterbox_es.errors import UserError

Row = tuple[int, list[str]]
"""Line number from 1, and the fields of that line, stripped."""

LAYOUTS = {
    "auto": (),
    "ljspeech": ("id", "text", "spoken"),
    "piper": ("id", "speaker", "text"),
    "coqui": ("id", "text", "speaker"),
}
"""Columns by position of a file without header. Two columns are `id|text` in each of them."""

HEADER_NAMES = {
    "id": {"id", "audio_file", "file", "filename", "file_name", "path", "file_path", "audio_path", "wav", "audio"},
    "text": {"text", "texto", "transcription", "transcript", "sentence", "raw_text", "transcripcion", "transcripción"},
    "spoken": {"normalized_text", "normalised_text", "text_normalized", "normalized", "normalised", "spoken"},
    "speaker": {"speaker", "speaker_name", "speaker_id", "client_id", "hablante", "locutor"},
    "dialect": {"dialect", "dialecto", "accent", "accents", "acento"},
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each column of a table stands, and how many fields a row may have."""

    positions: dict[str, int]
    counts: frozenset[int]
    form: str
    """The layout in words, for messages: `id|speaker|text`."""

    def fits(self, fields: list[str]) -> bool:
        return len(fields) in self.counts

    def value(self, fields: list[str], column: str) -> str:
        """The field of a column; empty when the table or the row has none."""
        position = self.positions.get(column, len(fields))
        return fields[position] if position < len(fields) else ""


def read_rows(metadata: Path) -> tuple[list[Row], list[Fault]]:
    """The non-blank lines of a metadata file, split into fields, and a fault for each line that is not UTF-8.

    Quotes are characters like any other. Lines end in LF, CRLF or CR. Fields are separated by `|`; by tabs in a
    file whose first line has a tab and no `|`, or that is named `.tsv` and has a tab there. UTF-16 is read when the file
    says so by its byte order mark.

    Raises UserError for a file that is in another encoding as a whole, and for one without rows.
    """
    lines = _decoded_lines(metadata)
    faults = [
        Fault(row, "", "bad-encoding", f"the line is not UTF-8: {line[:60]!r}")
        for row, line in lines
        if isinstance(line, bytes)
    ]
    texts = [(row, line) for row, line in lines if isinstance(line, str) and line.strip()]
    if not texts:
        raise UserError(f"{metadata} has no rows: write one line a recording, `id|text`")
    first = texts[0][1]
    separator = "\t" if "\t" in first and ("|" not in first or metadata.suffix == ".tsv") else "|"
    return [(row, [field.strip() for field in line.split(separator)]) for row, line in texts], faults


def _decoded_lines(metadata: Path) -> list[tuple[int, str | bytes]]:
    """Every line with its number; one that is not UTF-8 stays bytes."""
    content = metadata.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            content = content.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise UserError(f"{metadata} begins as UTF-16 but is not ({error}): save it as UTF-8") from error
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines: list[tuple[int, str | bytes]] = []
    for row, line in enumerate(content.split(b"\n"), start=1):
        try:
            lines.append((row, line.decode("utf-8")))
        except UnicodeDecodeError:
            lines.append((row, line))
    # One damaged line is a fault; where most accented lines are undecodable, the file is in another encoding.
    damaged = [row for row, line in lines if isinstance(line, bytes)]
    accented = sum(1 for _, line in lines if isinstance(line, str) and not line.isascii())
    if len(damaged) > accented:
        raise UserError(
            f"{metadata} is not UTF-8 ({len(damaged)} lines, the first is line {damaged[0]}): convert it, for example "
            f"with `iconv -f WINDOWS-1252 -t UTF-8 {metadata.name} > metadata.utf8.csv`, and put it in its place"
        )
    return lines


def recognise_columns(metadata: Path, rows: list[Row], layout: str = "auto") -> tuple[Columns, list[Row]]:
    """What the columns mean, and the rows without the header.

    A first row that names an id column and a text column (`HEADER_NAMES`, as Coqui writes them) is a header and
    decides, unless `layout` is given. Without one, two columns are `id|text`; for three see `recognise_layout`.
    """
    header = _header_positions(rows[0][1])
    body = rows[1:] if header else rows
    if not body:
        raise UserError(f"{metadata} has a header and no rows: write one line a recording under it")
    if header and layout == "auto":
        return Columns(header, frozenset({len(rows[0][1])}), "|".join(rows[0][1])), body
    counts = Counter(len(fields) for _, fields in body)
    usual = max(counts, key=lambda count: (counts[count], count))
    if usual not in (2, 3):
        raise UserError(
            f"most rows of {metadata} have {usual} field{'s' if usual > 1 else ''} separated by `|`; without a header "
            "it must be `id|text`, `id|text|normalised text` or `id|speaker|text`: rewrite it so, or give it a header "
            "such as audio_file|text|speaker_name"
        )
    # Where most rows have two fields, a third is rather a stray `|` in a text, unless the user says otherwise.
    three = usual == 3 or layout == "ljspeech"
    if layout == "auto":
        layout = recognise_layout(fields for _, fields in body if len(fields) == 3) if three else "ljspeech"
    names = LAYOUTS[layout] if three else ("id", "text")
    # The normalised text may be left out of a row; a speaker may not, for one could not tell which of two is text.
    allowed = {2, 3} if names == LAYOUTS["ljspeech"] else {usual}
    return Columns({name: place for place, name in enumerate(names)}, frozenset(allowed), "|".join(names)), body


def recognise_layout(rows: Iterable[list[str]]) -> str:
    """Which column of three is the speaker, if any: "piper" (the second), "coqui" (the third) or "ljspeech" (none).

    A speaker says many texts, while a written text has one reading. So a column is the speaker's when its values
    stand beside two or more different texts each, on average; if both do, the one with fewer values. Few rows may
    not show this: then the second column is the speaker's when it is always a single word that is not a number and
    the third usually has several words. Everything else is text and normalised text.
    """
    pairs = {(fields[1], fields[2]) for fields in rows}
    second, third = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    fewest = min(second, third, key=len)
    if len(pairs) >= 2 * len(fewest):
        return "piper" if fewest is second else "coqui"
    single_words = all(len(value.split()) == 1 and not value.isdecimal() for value in second)
    if single_words and median(len(pair[1].split()) for pair in pairs) > 1:
        return "piper"
    return "ljspeech"


def _header_positions(fields: list[str]) -> dict[str, int]:
    """Positions of the known columns if this row is a header, else nothing."""
    positions: dict[str, int] = {}
    for position, field in enumerate(fields):
        name = field.casefold().replace(" ", "_")
        column = next((column for column, names in HEADER_NAMES.items() if name in names), None)
        if column is not None:
            positions.setdefault(column, position)
    return positions if {"id", "text"} <= positions.keys() else {}
