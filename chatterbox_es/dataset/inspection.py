"""What is known of a prepared corpus: rows left out, recordings that stand out, duplicates."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chatterbox_es.dataset.drop_rules import DUPLICATES
from chatterbox_es.dataset.duplicates import first_of_same, first_of_same_audio, groups
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.outliers import METRICS, Finding, Outliers, find_outliers

LISTED = 200  # rows of a list on a page; all are counted, and stand in lint.jsonl
SHOWN = 20  # lines of a summary


@dataclasses.dataclass
class Inspection:
    """What is known of a prepared corpus."""

    features: FeatureSet
    metrics: dict[str, np.ndarray]  # by metric, (utterances,)
    outliers: Outliers
    duplicates: dict[str, list[list[int]]]  # "duplicate_audio", "duplicate_text": groups of utterances, the first is kept
    faults: list[dict]  # the first `LISTED` of rows that cannot be used
    excluded: list[dict]  # likewise of rows left out on purpose
    fault_counts: dict[str, int]  # by reason
    excluded_counts: dict[str, int]

    @classmethod
    def of(cls, features: FeatureSet, alignment: np.ndarray | None = None, only: tuple[str, ...] = ()) -> "Inspection":
        """Gather it; ``alignment`` (utterances,) is how badly each text fits its sound, where a voice said so; ``only`` names
        metrics and leaves the others' findings out."""
        quality = np.asarray(features.quality)
        metrics = {metric.name: quality[metric.name] for metric in METRICS if metric.name in (quality.dtype.fields or ())}
        if alignment is not None:
            metrics["alignment"] = alignment
        wanted = {name: values for name, values in metrics.items() if not only or name in only}
        outliers = find_outliers(wanted, features.index["speaker"], features.index["corpus"])
        duplicates = {}
        if not only or "duplicate_audio" in only:
            duplicates["duplicate_audio"] = groups(first_of_same_audio(quality))
        if not only or "duplicate_text" in only:
            duplicates["duplicate_text"] = groups(first_of_same(quality["text"]))
        return cls(features, metrics, outliers, duplicates, *_left_out(features.folder / "lint.jsonl"))

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
