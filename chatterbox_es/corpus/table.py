"""The rows of a metadata file, and what each of its columns means."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
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

SAMPLE = 20_000
"""Rows that tell three columns apart: more would be held in memory and tell no more."""

OTHER_SEPARATORS = (";", ",")

HEADER_NAMES = {
    "id": {"id", "audio_file", "file", "filename", "file_name", "path", "file_path", "audio_path", "wav", "audio", "archivo",
           "fichero", "ruta", "nombre_archivo", "grabacion", "grabación"},
    "text": {"text", "texto", "transcription", "transcript", "sentence", "raw_text", "transcripcion", "transcripción", "frase",
             "oracion", "oración"},
    "spoken": {"normalized_text", "normalised_text", "text_normalized", "normalized", "normalised", "spoken"},
    "speaker": {"speaker", "speaker_name", "speaker_id", "client_id", "hablante", "locutor"},
    "dialect": {"dialect", "dialecto"},
    "accent": {"accent", "accents", "acento"},
}
EITHER = {"name", "nombre"}
"""The speaker, beside a column that is the recording; else the recording."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each column of a table stands, and how many fields a row may have."""

    positions: dict[str, int]
    counts: frozenset[int]
    form: str
    """The layout in words, for messages: `id|speaker|text`."""
    separator: str = "|"
    header_row: int = 0
    """Its line, from 1; 0: there is none."""

    def fits(self, fields: list[str]) -> bool:
        return len(fields) in self.counts

    def value(self, fields: list[str], column: str) -> str:
        """The field of a column; empty when the table or the row has none."""
        position = self.positions.get(column, len(fields))
        return fields[position] if position < len(fields) else ""


def read_rows(metadata: Path, columns: Columns) -> Iterator[Row | Fault]:
    """The non-blank lines of a metadata file under its header, split into fields; a fault for a line that is not UTF-8.

    Quotes are characters like any other. Lines end in LF, CRLF or CR. UTF-16 is read when the file says so by its byte
    order mark. One line is held at a time.
    """
    for row, line in read_lines(metadata):
        if isinstance(line, bytes):
            yield Fault(row, "", "bad-encoding", f"the line is not UTF-8: {line[:60]!r}")
        elif line.strip() and row != columns.header_row:
            yield row, _fields(line, columns.separator)


def read_lines(path: Path) -> Iterator[tuple[int, str | bytes]]:
    """Every line of a text file with its number, without its end; one that is not UTF-8 stays bytes.

    Raises UserError for a file that begins as UTF-16 and is not.
    """
    encoding = encoding_of(path)
    # A damaged byte becomes a lone surrogate, which no text holds and which encodes back to that byte.
    errors = "surrogateescape" if encoding == "utf-8-sig" else None
    try:
        with path.open(newline=None, encoding=encoding, errors=errors) as file:
            for row, line in enumerate(file, start=1):
                line = line.removesuffix("\n")
                try:
                    line.encode()
                    yield row, line
                except UnicodeEncodeError:
                    yield row, line.encode("utf-8", "surrogateescape")
    except UnicodeError as error:
        raise UserError(f"{path} begins as UTF-16 but is not ({error}): save it as UTF-8") from error


def encoding_of(path: Path) -> str:
    """UTF-8; or UTF-16, by its mark, or by the zeros in every second byte of what is no other text."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) / 4 and min(even, odd) < len(head) / 50:
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8-sig"


@dataclass(slots=True)
class _Survey:
    """What one pass over a metadata file finds; nothing of it grows with the file."""

    first: tuple[int, str] = 0, ""  # its number and the line; 0: none was found
    separator: str = "|"
    rows: int = 0  # non-blank ones under the first
    counts: Counter[int] = field(default_factory=Counter)  # fields a row, the first one's left out
    triples: list[list[str]] = field(default_factory=list)  # the first rows with three fields
    damaged: int = 0
    first_damaged: int = 0
    accented: int = 0
    other: Counter[str] = field(default_factory=Counter)  # rows that hold other programs' separators


def _survey(metadata: Path) -> _Survey:
    found = _Survey(separator=separator_of(metadata))
    for row, line in read_lines(metadata):
        if isinstance(line, bytes):
            found.damaged += 1
            found.first_damaged = found.first_damaged or row
            continue
        found.accented += not line.isascii()
        if not line.strip():
            continue
        found.other.update(sign for sign in OTHER_SEPARATORS if sign in line)
        if not found.first[0]:
            found.first = row, line
            continue
        fields = _fields(line, found.separator)
        found.rows += 1
        found.counts[len(fields)] += 1
        if len(fields) == 3 and len(found.triples) < SAMPLE:
            found.triples.append(fields)
    # One damaged line is a fault; where most accented lines are undecodable, the file is in another encoding.
    if found.damaged > found.accented:
        raise UserError(
            f"{metadata} is not UTF-8 ({found.damaged} lines, the first is line {found.first_damaged}): convert it, for "
            f"example with `iconv -f WINDOWS-1252 -t UTF-8 {metadata.name} > metadata.utf8.csv`, and put it in its place"
        )
    if not found.first[0]:
        raise UserError(f"{metadata} has no rows: write one line a recording, `id|text`")
    return found


def separator_of(metadata: Path) -> str:
    """`|` or a tab, whichever more of the first rows hold; as many: `|`, unless the file is named `.tsv`."""
    lines = [line for _, line in islice(read_lines(metadata), SAMPLE) if isinstance(line, str)]
    tabs, bars = (sum(sign in line for line in lines) for sign in "\t|")
    return "\t" if tabs > bars or tabs == bars and tabs and metadata.suffix.lower() == ".tsv" else "|"


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip() for field in line.split(separator)]


def recognise_columns(metadata: Path, layout: str = "auto") -> Columns:
    """What the columns of a metadata file mean, from one pass over it.

    A first row that names an id column and a text column (`HEADER_NAMES`, as Coqui writes them) is a header and
    decides, unless `layout` is given. Without one, two columns are `id|text`; for three see `recognise_layout`, which
    looks at the first `SAMPLE` rows.

    Raises UserError for a file without rows, of another form, or in another encoding as a whole.
    """
    found = _survey(metadata)
    first_row, first = found.first[0], _fields(found.first[1], found.separator)
    header = header_positions(first)
    if header and not found.rows:
        raise UserError(f"{metadata} has a header and no rows: write one line a recording under it")
    if header and layout == "auto":
        return Columns(header, frozenset({len(first)}), "|".join(first), found.separator, first_row)
    if not header:
        found.counts[len(first)] += 1
        if len(first) == 3:
            found.triples.insert(0, first)
    usual = max(found.counts, key=lambda count: (found.counts[count], count))
    if usual == 1 and (other := next((sign for sign in OTHER_SEPARATORS if 2 * found.other[sign] > found.rows + 1), None)):
        if other == "," and "file_name" in found.first[1]:
            raise UserError(f"{metadata} is laid out as Hugging Face's data sets are (file_name,…): read it with data=hf "
                            f"data.path={metadata.parent}")
        raise UserError(f"the fields of {metadata} are separated by `{other}`, which texts also hold: separate them by `|` or "
                        "by a tab, one line a recording, such as id|text")
    if usual not in (2, 3):
        raise UserError(
            f"most rows of {metadata} have {usual} field{'s' if usual > 1 else ''} separated by `|`; without a header "
            "it must be `id|text`, `id|text|normalised text` or `id|speaker|text`: rewrite it so, or give it a header "
            "such as audio_file|text|speaker_name"
        )
    # Where most rows have two fields, a third is rather a stray `|` in a text, unless the user says otherwise.
    three = usual == 3 or layout == "ljspeech"
    if layout == "auto":
        layout = recognise_layout(found.triples) if three else "ljspeech"
    names = LAYOUTS[layout] if three else ("id", "text")
    # The normalised text may be left out of a row; a speaker may not, for one could not tell which of two is text.
    allowed = frozenset({2, 3} if names == LAYOUTS["ljspeech"] else {usual})
    positions = {name: place for place, name in enumerate(names)}
    return Columns(positions, allowed, "|".join(names), found.separator, first_row if header else 0)


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


def header_positions(fields: list[str]) -> dict[str, int]:
    """Positions of the known columns if this row is a header, else nothing."""
    positions: dict[str, int] = {}
    for position, written in enumerate(fields):
        name = written.casefold().replace(" ", "_")
        column = next((column for column, names in HEADER_NAMES.items() if name in names), None)
        if column is not None:
            positions.setdefault(column, position)
    for position, written in enumerate(fields):
        if written.casefold() in EITHER:
            positions.setdefault("speaker" if "id" in positions else "id", position)
    if "text" not in positions and "spoken" in positions:
        positions["text"] = positions.pop("spoken")
    return positions if {"id", "text"} <= positions.keys() else {}
