"""How a text is read: its sentences, its words, what was changed to get them, its phonemes and their numbers.

    python -m chatterbox_es.phonemize text="¿Qué tal? Son 21 libros." dialect=castilian
    python -m chatterbox_es.phonemize dialect=rioplatense format=json < sentences.txt

Without text it reads standard input line by line. format=table shows each stage; format=json prints one object a
line with text, words, phonemes, ids, spans.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from chatterbox_es.command_line import parse, path_field, print_utf8, run
from chatterbox_es.errors import UserError
from chatterbox_es.text import DIALECTS, FrontEnd, Reading
from chatterbox_es.text.written import LOCALES


@dataclass
class PhonemizeOptions:
    """The arguments of the command."""

    text: str | None = field(default=None, metadata={"help": "what to read; without it, the lines of standard input"})
    dialect: str = field(default="castilian", metadata={"help": f"one of {', '.join(DIALECTS)}"})
    format: Literal["table", "json"] = field(default="table", metadata={"help": "json is one object a line"})
    lexicon: str | None = path_field("file of your own words: word<TAB>respelling or /IPA/[<TAB>dialects]", default=None)
    locale: str | None = field(
        default=None, metadata={"help": f"whose numbers and $: {', '.join(LOCALES)}; by default the dialect's"}
    )


def as_json(reading: Reading) -> str:
    """One line of JSON."""
    spans = [dataclasses.asdict(span) for span in reading.spans]
    fields = {
        "text": reading.text,
        "words": reading.words,
        "phonemes": reading.phonemes,
        "ids": reading.ids,
        "spans": spans,
    }
    return json.dumps(fields, ensure_ascii=False)


def as_table(reading: Reading) -> str:
    """A stage a row."""
    rows = [("text", reading.text)]
    rows += [(f"sentence {number}", sentence) for number, sentence in enumerate(reading.sentences, 1)]
    rows += [(span.kind, f"{span.written} → {span.spoken or '(not said)'}") for span in reading.spans]
    rows += [
        ("words", reading.words),
        ("phonemes", " ".join(reading.phonemes)),
        ("ids", " ".join(map(str, reading.ids))),
    ]
    if not reading.is_speakable:
        rows.append(("note", "nothing in this text can be said"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def texts(text: str | None) -> Iterator[str]:
    """The text given, or the lines of standard input. Raises UserError on what is no UTF-8."""
    lines = [os.fsencode(text)] if text is not None else sys.stdin.buffer
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            where = "text=" if text is not None else f"standard input, line {number}"
            raise UserError(f"{where}: not UTF-8 ({error})") from None


def main() -> int:
    """Print the reading of each text."""
    options = parse(PhonemizeOptions, sys.argv[1:], doc=__doc__)
    print_utf8()
    front_end = FrontEnd(options.dialect, lexicon=options.lexicon, locale=options.locale)
    for number, text in enumerate(texts(options.text)):
        reading = front_end.read(text)
        if options.format == "json":
            print(as_json(reading), flush=True)
        else:
            print(("\n" if number else "") + as_table(reading), flush=True)
    return 0


if __name__ == "__main__":
    run(main)
