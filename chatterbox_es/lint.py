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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.config import compose
from chatterbox_es.corpus.drop_rules import DUPLICATES
from chatterbox_es.corpus.duplicates import first_of_same, first_of_same_audio, groups
from chatterbox_es.corpus.outliers import MEASURES, Finding, Outliers, find_outliers
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.prepare import prepare
from chatterbox_es.run_directory import write_whole

FORMATS = ("html", "text", "json")
LISTED = 200  # rows of a list on a page; all are counted, and stand in lint.jsonl
SHOWN = 20  # lines of a summary


@dataclasses.dataclass
class LintOptions:
    format: str = dataclasses.field(default="html", metadata={"help": "html, text or json: one line a finding"})
    out: str = dataclasses.field(default="", metadata={"help": "file; none: lint.html in the prepared set, or the screen"})
    run: str = dataclasses.field(default="", metadata={"help": "run or checkpoint that says how well texts fit their sound"})
    worst: int = dataclasses.field(default=30, metadata={"help": "utterances on the page with sound and picture"})
    only: str = dataclasses.field(default="", metadata={"help": "measures, with commas between; none: all"})


@dataclasses.dataclass
class Lint:
    """What is known of a prepared corpus."""

    features: FeatureSet
    figures: dict[str, np.ndarray]  # by measure, (utterances,)
    outliers: Outliers
    duplicates: dict[str, list[list[int]]]  # "duplicate_audio", "duplicate_text": groups of utterances, the first is kept
    faults: list[dict]  # the first `LISTED` of rows that cannot be used
    excluded: list[dict]  # likewise of rows left out on purpose
    fault_counts: dict[str, int]  # by reason
    excluded_counts: dict[str, int]

    @classmethod
    def of(cls, features: FeatureSet, run: Path | None = None, only: tuple[str, ...] = ()) -> "Lint":
        """Gather it; ``run`` adds the alignment, ``only`` names measures and leaves the others' findings out."""
        quality = np.asarray(features.quality)
        figures = {measure.name: quality[measure.name] for measure in MEASURES if measure.name in quality.dtype.names}
        if run is not None:
            from chatterbox_es.alignment_scores import alignment_scores  # which loads a model

            figures["alignment"] = alignment_scores(run, features)["alignment"]
        wanted = {name: values for name, values in figures.items() if not only or name in only}
        outliers = find_outliers(wanted, features.index["speaker"], features.index["corpus"])
        duplicates = {}
        if not only or "duplicate_audio" in only:
            duplicates["duplicate_audio"] = groups(first_of_same_audio(quality))
        if not only or "duplicate_text" in only:
            duplicates["duplicate_text"] = groups(first_of_same(quality["text"]))
        return cls(features, figures, outliers, duplicates, *_left_out(features.folder / "lint.jsonl"))

    def repeated(self, name: str) -> int:
        """Utterances that a rule for these duplicates would drop."""
        return sum(len(group) - 1 for group in self.duplicates.get(name, []))

    def records(self) -> Iterator[dict[str, Any]]:
        """Every finding for programs, the worst utterance first, then the duplicates; with `id` and `reason`, as a list
        for data.drop_list has them."""
        for number in self.outliers.order:
            found = self.outliers.findings[number]
            yield self._said(number) | {"reason": "; ".join(finding.words for finding in found),
                                        "findings": [dataclasses.asdict(finding) for finding in found]}
        for name, grouped in self.duplicates.items():
            for group in grouped:
                first = self.features.utterance(group[0])["id"]
                for number in group[1:]:
                    yield self._said(number) | {"reason": f"{name} of {first}", "of": first}

    def _said(self, number: int) -> dict[str, Any]:
        said = self.features.utterance(number)
        return {key: said[key] for key in ("id", "row", "speaker", "corpus", "text", "audio") if said.get(key)}

    def summary(self) -> list[str]:
        """For the screen."""
        card, findings = self.features.card, self.outliers
        lines = [f"{len(self.features)} utterances, {card['seconds'] / 3600:.2f} h, in {self.features.folder}"]
        for one, many, counts in (
            ("row cannot be used", "rows cannot be used", self.fault_counts),
            ("row left out on purpose", "rows left out on purpose", self.excluded_counts),
        ):
            lines.append(counted(sum(counts.values()), one, many) + "".join(f"\n  {n:7d} {why}" for why, n in counts.items()))
        lines.append(counted(len(findings.order), "utterance stands out", "utterances stand out") + "".join(
            f"\n  {count:7d} {name}" for name, count in findings.counts.items()))
        for name, what in DUPLICATES.items():
            if name in self.duplicates:
                lines.append(f"{counted(self.repeated(name), 'utterance repeats', 'utterances repeat')} {what} of another one")
        for number in findings.order[:SHOWN]:
            said = self.features.utterance(number)
            lines.append(f"{said['id']} (row {said['row']}): {words(findings.findings[number])}")
        if len(findings.order) > SHOWN:
            lines.append(f"… and {len(findings.order) - SHOWN} more: format=json lists them all")
        return lines


def counted(number: int, one: str, many: str) -> str:
    """A number with what is counted."""
    return f"{number:,} {one if number == 1 else many}"


def words(findings: list[Finding]) -> str:
    """An utterance's findings in one line."""
    return "; ".join(finding.words for finding in findings)


def _left_out(path: Path) -> tuple[list[dict], list[dict], dict[str, int], dict[str, int]]:
    """The first of the rows that cannot be used and of those left out on purpose, and how many of each reason."""
    faults: list[dict] = []
    excluded: list[dict] = []
    counts: tuple[Counter, Counter] = (Counter(), Counter())
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            purpose = bool(row.get("excluded"))
            counts[purpose][row["reason"]] += 1
            listed = excluded if purpose else faults
            if len(listed) < LISTED:
                listed.append(row)
    ordered = [dict(sorted(count.items(), key=lambda item: (-item[1], item[0]))) for count in counts]
    return faults, excluded, ordered[0], ordered[1]


def options_of(arguments: list[str]) -> tuple[LintOptions, list[str]]:
    """This command's own options, and the configuration's.

    Raises:
        UserError: one that is neither, or has no such value.
    """
    names = {field.name for field in dataclasses.fields(LintOptions)}
    own = [argument for argument in arguments if argument.partition("=")[0] in names or argument in ("-h", "--help")]
    options = command_line.parse(LintOptions, own, __doc__)
    if options.format not in FORMATS:
        raise UserError(f"format={options.format} is not known; use one of {', '.join(FORMATS)}")
    known = (*(measure.name for measure in MEASURES), *DUPLICATES)
    for name in filter(None, options.only.split(",")):
        if name not in known:
            raise UserError(f"only={name}: is not measured; use some of {', '.join(known)}")
    if "alignment" in options.only.split(",") and not options.run:
        raise UserError("only=alignment needs a voice: run=RUN")
    if options.run and not Path(options.run).exists():
        raise UserError(f"run={options.run} does not exist: name a run or a checkpoint")
    if options.worst < 0:
        raise UserError(f"worst={options.worst}: must be 0 or more")
    return options, [argument for argument in arguments if argument not in own]


def main() -> None:
    options, rest = options_of(sys.argv[1:])
    screen, sys.stdout = sys.stdout, sys.stderr  # what preparing says is not the list that is asked for
    try:
        features = prepare(compose(rest, __doc__))
        only = tuple(filter(None, options.only.split(",")))
        lint = Lint.of(features, Path(options.run) if options.run else None, only)
    finally:
        sys.stdout = screen
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    if options.format == "html":
        from chatterbox_es.lint_page import write_page  # sound and pictures, which the others do without

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

    try:
        print(write_whole(Path(options.out), write))
    except OSError as error:
        raise UserError(f"out={options.out} cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    command_line.run(main)
