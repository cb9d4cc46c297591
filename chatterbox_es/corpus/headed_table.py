"""A table whose first line names its columns, as most published corpora have one."""

from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.corpus.table import read_lines
from chatterbox_es.corpus.utterance import Fault
from chatterbox_es.errors import UserError


class HeadedTable:
    """Rows by column name, one line held at a time. Quotes are characters like any other, and so are NUL bytes.

    Raises UserError when the file is not there, has no rows, or lacks a column in `needed`.
    """

    def __init__(self, path: Path, separator: str, needed: tuple[str, ...]):
        self.path, self.separator = path, separator
        if not path.is_file():
            there = ", ".join(sorted(other.stem for other in path.parent.glob(f"*{path.suffix}"))[:12]) or "none"
            raise UserError(f"{path} does not exist; of such files {path.parent} has: {there}. Give the corpus's folder as "
                            "data.path=DIR, and those of its lists that you have as data.parts=[NAME,NAME]")
        first = next((line for _, line in read_lines(path) if line.strip()), "")
        if isinstance(first, bytes):
            raise UserError(f"the header of {path} is not UTF-8: {first[:60]!r}")
        self.columns = [name.strip().casefold() for name in first.split(separator)]
        self.require(*needed)

    def require(self, *columns: str) -> None:
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise UserError(f"{self.path} has no column {' or '.join(missing)}; its first line is "
                            f"{self.separator.join(self.columns)[:200]!r}")

    def rows(self) -> Iterator[tuple[int, dict[str, str]] | Fault]:
        """The line number and the stripped values of each row under the header; a row of another length is a fault."""
        header = True
        for row, line in read_lines(self.path):
            if isinstance(line, bytes):
                yield Fault(row, "", "bad-encoding", f"{self.path.name}: the line is not UTF-8: {line[:60]!r}")
                continue
            if not line.strip():
                continue
            if header:
                header = False
                continue
            fields = [value.strip() for value in line.split(self.separator)]
            if len(fields) == len(self.columns):
                yield row, dict(zip(self.columns, fields, strict=True))
            else:
                yield Fault(row, fields[0][:80], "bad-row",
                            f"{self.path.name}: the row has {len(fields)} fields where the header has {len(self.columns)}")
