"""OpenSLR 61 and 71 to 75: crowdsourced speech of six American countries (Guevara-Rukoz et al. 2020)."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.corpus.accents import OPENSLR_COUNTRIES
from chatterbox_es.corpus.recordings import Recordings, find_clip
from chatterbox_es.corpus.table import read_lines
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError

# Country, f or m, speaker, sentence: clf_02121_00019. Women's and men's numbers overlap: the letters belong to the name.
_NAME = re.compile(r"(?P<speaker>(?P<country>[a-z]{2})[a-z]_\d+)_\d+")


def openslr_rows(folder: Path) -> Iterator[Utterance | Fault]:
    """The rows of every `line_index*.tsv` (`name<TAB>text`) below a folder, which may hold one unpacked archive or all.

    The recordings lie beside the list, or anywhere below the folder. Of each set the site offers the list both inside the
    archive and by itself: a row that repeats an earlier one, text and all, is excluded.
    """
    lists = sorted(Path(parent, name) for parent, _, names in os.walk(folder, followlinks=True) for name in names
                   if "line_index" in name.casefold() and name.casefold().endswith(".tsv") and name[0] != ".")
    if not lists:
        raise UserError(f"no line_index.tsv below {folder}: unpack es_ar_female.zip and the like, each into its own folder")
    recordings, seen = Recordings(folder), set()
    for table in lists:
        for row, line in read_lines(table):
            if isinstance(line, bytes):
                yield Fault(row, "", "bad-encoding", f"{table.name}: the line is not UTF-8: {line[:60]!r}")
            elif line.strip():
                name, _, text = (part.strip() for part in line.partition("\t"))
                if (name, text) in seen:
                    yield Fault(row, name, "listed-twice", f"{table} repeats the row of another list", excluded=True)
                else:
                    seen.add((name, text))
                    yield _utterance(row, name, text, table, recordings)


def _utterance(row: int, name: str, text: str, table: Path, recordings: Recordings) -> Utterance | Fault:
    if not name or not text:
        return Fault(row, name, "empty-text" if name else "bad-row", f"{table.name}: the row is not of the form name<TAB>text")
    audio = find_clip(table.parent, f"{name}.wav") if "/" not in name and "\\" not in name else None
    if audio is None:
        found = recordings.find(name)
        if found.audio is None:
            return Fault(row, name, found.reason, found.detail)
        audio = found.audio
    said = _NAME.fullmatch(name)
    speaker = said["speaker"] if said else ""
    return Utterance(name, text, audio, speaker=speaker, dialect=OPENSLR_COUNTRIES.get(said["country"], "") if said else "",
                     row=row)
