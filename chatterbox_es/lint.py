"""What is wrong with a corpus: rows left out, recordings that stand out, duplicates; as a page to look at and listen to.

    python -m chatterbox_es.lint data=folder data.path=DIR                     writes lint.html, prints a summary
    python -m chatterbox_es.lint data=folder data.path=DIR run=outputs/4_3/TIME    with how well each text fits its sound
    python -m chatterbox_es.lint data=folder data.path=DIR format=json out=worst.jsonl only=alignment,snr

The corpus is prepared first where that has not been done; what preparing has measured is shown without decoding anything
again. All keys of `chatterbox_es.prepare` can be given too. A list that format=json writes can be dropped:
data.drop_list=worst.jsonl.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import BinaryIO, Literal

from chatterbox_es import command_line
from chatterbox_es.config import compose
from chatterbox_es.dataset.drop_rules import DUPLICATES
from chatterbox_es.dataset.inspection import Inspection
from chatterbox_es.dataset.lint_page import write_page
from chatterbox_es.dataset.outliers import METRICS
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.models.acoustic.alignment_scores import alignment_scores
from chatterbox_es.models.families import checkpoint_of_mels


@dataclasses.dataclass
class LintOptions:
    format: Literal["html", "text", "json"] = dataclasses.field(default="html", metadata={"help": "one line a finding"})
    out: str = command_line.path_field("file; none: lint.html in the prepared set, or the screen")
    run: str = command_line.path_field("run or checkpoint that says how well texts fit their sound")
    worst: int = dataclasses.field(default=30, metadata={"help": "utterances on the page with sound and picture"})
    only: str = dataclasses.field(default="", metadata={"help": "metrics, with commas between; none: all"})


def options_of(arguments: list[str]) -> tuple[LintOptions, list[str]]:
    """This command's own options, and the configuration's.

    Raises:
        UserError: one that is neither, or has no such value.
    """
    own, rest = command_line.own_arguments(LintOptions, arguments)
    options = command_line.parse(LintOptions, own, __doc__)
    known = (*(metric.name for metric in METRICS), *DUPLICATES)
    for name in filter(None, options.only.split(",")):
        if name not in known:
            raise UserError(f"only={name}: is not measured; use some of {', '.join(known)}")
    if "alignment" in options.only.split(",") and not options.run:
        raise UserError("only=alignment needs a voice: run=RUN")
    if options.run and not Path(options.run).exists():
        raise UserError(f"run={options.run} does not exist: name a run or a checkpoint")
    if options.worst < 0:
        raise UserError(f"worst={options.worst}: must be 0 or more")
    return options, rest


def main() -> None:
    options, rest = options_of(sys.argv[1:])
    screen, sys.stdout = sys.stdout, sys.stderr  # what preparing says is not the list that is asked for
    try:
        config = compose(rest, __doc__)
        features = prepare(config)
        only = tuple(filter(None, options.only.split(",")))
        alignment = (alignment_scores(*checkpoint_of_mels(Path(options.run)), features, config.data)["alignment"]
                     if options.run else None)
        lint = Inspection.of(features, alignment, only)
    finally:
        sys.stdout = screen
    command_line.print_utf8("replace")
    if options.format == "html":
        path = write_page(lint, Path(options.out) if options.out else features.folder / "lint.html", options.worst)
        print(*lint.summary(), path, sep="\n")
        return
    lines = lint.summary() if options.format == "text" else (json.dumps(row, ensure_ascii=False) for row in lint.records())
    if not options.out:
        for line in lines:
            print(line)
        return

    def write(file: BinaryIO) -> None:
        for line in lines:
            file.write(f"{line}\n".encode())

    print(write_whole(Path(options.out), write))


if __name__ == "__main__":
    command_line.run(main)
