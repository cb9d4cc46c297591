"""What an evaluation found: rows of sounds, and metrics of systems made of them, with intervals and failures."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chatterbox_es.evaluation.intervals import interval, rate_interval, resample
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Measure, Metric, Sound
from chatterbox_es.files import write_whole

SOUND = "sound"  # the key of a failure to make or read a sound at all


@dataclasses.dataclass
class Row:
    """One sentence of one system."""

    system: str
    utterance: str
    words: str
    sound: str = ""  # file, below the evaluation's folder
    seconds: float | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)  # measure → reason
    heard: str = ""  # by the recogniser
    said_phones: str = ""  # by the recogniser's names, where it has a phone loop
    heard_phones: str = ""

    def take(self, measure: Measure, found: Mapping[str, float] | Failure) -> None:
        """Note what a measure says of the sound."""
        if isinstance(found, Failure):
            self.failures[measure.name] = found.reason
            return
        self.metrics |= {name: float(value) for name, value in found.items() if np.isfinite(value)}
        lost = [name for name, value in found.items() if not np.isfinite(value)]
        if lost:
            self.failures[measure.name] = f"{', '.join(lost)}: not a number"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A system's metric: its mean over the sentences that have one, or its rate of all of them together."""

    mean: float
    low: float  # of the 95 % bootstrap interval over utterances
    high: float
    n: int
    missing: int  # sentences without a value; rows say why
    beside: float | None = None  # its mean less the recordings', on the utterances that both have
    beside_low: float | None = None
    beside_high: float | None = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of one system less that of another on the sentences that both have, with its paired 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclasses.dataclass
class Results:
    """All rows, and what is known of the metrics in them."""

    rows: list[Row]
    metrics: dict[str, Metric]
    rates: dict[str, tuple[str, str]]  # metric → the metrics whose sums it divides
    findings: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # of the dialect's contrasts
    card: dict[str, Any] = dataclasses.field(default_factory=dict)  # what was evaluated, on what
    speeds: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)  # system → metrics of its speed
    melodies: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)  # see Prosody
    ratios: dict[tuple[str, str], np.ndarray] = dataclasses.field(default_factory=dict)  # see GlobalVariance
    trained_on: list[str] = dataclasses.field(default_factory=list)  # each predictor

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(row.system for row in self.rows))

    def of(self, system: str) -> list[Row]:
        return [row for row in self.rows if row.system == system]

    def shown(self) -> list[str]:
        """Metrics that some system has, in the order of the measures; parts of rates are not shown by themselves."""
        parts = {part for pair in self.rates.values() for part in pair}
        found = {name for row in self.rows for name in row.metrics} - parts
        return [name for name in self.metrics if name in found]

    def estimates(self, seed: int = 0) -> dict[str, dict[str, Estimate]]:
        """System → metric → estimate."""
        recorded = {row.utterance: row.metrics for row in self.of(RECORDINGS)}
        return {system: {name: estimate for name in self.shown()
                         if (estimate := self._estimate(name, self.of(system), recorded, seed)) is not None}
                for system in self.systems}

    def _estimate(self, name: str, rows: Sequence[Row], recorded: Mapping[str, Mapping[str, float]],
                  seed: int) -> Estimate | None:
        having = [row for row in rows if name in row.metrics]
        if not having:
            return None
        counts, units = self._parts(name, [row.metrics for row in having])
        pairs = [(row.metrics, recorded[row.utterance]) for row in having if name in recorded.get(row.utterance, {})]
        beside: tuple[float | None, float | None, float | None] = None, None, None
        # Where the recordings all have the same value, the metric is one of being compared with them; a rate is not.
        varies = name in self.rates or len({theirs[name] for _, theirs in pairs}) > 1
        if rows[0].system != RECORDINGS and len(pairs) > 1 and varies:
            found = self._difference(name, pairs, seed)
            beside = found.mean, found.low, found.high
        return Estimate(float(counts.sum() / units.sum()), *rate_interval(counts, units, seed), len(having),
                        len(rows) - len(having), *beside)

    def _parts(self, name: str, metrics: Sequence[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) each: the counts and units whose sums a rate divides; of a metric that is no rate, its values and ones."""
        parts = self.rates.get(name)
        if parts and all(part in row for row in metrics for part in parts):
            counts, units = (np.array([row[part] for row in metrics]) for part in parts)
            return counts, units
        return np.array([row[name] for row in metrics]), np.ones(len(metrics))

    def mean(self, name: str, system: str) -> float | None:
        """A metric of a system, of a rate that of the sums; None where no sentence has it."""
        metrics = [row.metrics for row in self.of(system) if name in row.metrics]
        if not metrics:
            return None
        counts, units = self._parts(name, metrics)
        return float(counts.sum() / units.sum())

    def difference(self, name: str, first: str, second: str, seed: int = 0) -> Difference | None:
        """A metric of ``first`` less that of ``second``; None where they share fewer than two sentences that have it."""
        theirs = {row.utterance: row.metrics for row in self.of(second) if name in row.metrics}
        pairs = [(row.metrics, theirs[row.utterance]) for row in self.of(first)
                 if name in row.metrics and row.utterance in theirs]
        return self._difference(name, pairs, seed) if len(pairs) > 1 else None

    def _difference(self, name: str, pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], seed: int) -> Difference:
        """Of the first of each pair less the second, both on the same resampled utterances."""
        weights = np.vstack([np.ones(len(pairs)), resample(len(pairs), seed)])
        mine, theirs = ((weights @ counts) / (weights @ units)
                        for counts, units in (self._parts(name, side) for side in zip(*pairs, strict=True)))
        return Difference(float(mine[0] - theirs[0]), *interval((mine - theirs)[1:]), len(pairs))

    def scores(self, seed: int = 0) -> dict[str, Estimate]:
        """System → 1 - per / per_control, where a recogniser has a phone loop: 1 perfect, 0 babble."""
        scores: dict[str, Estimate] = {}
        for system in self.systems:
            every = self.of(system)
            rows = [row.metrics for row in every if self._has_score(row)]
            if rows:
                values = _score(self._score_parts(rows), seed)
                scores[system] = Estimate(float(values[0]), *interval(values[1:]), len(rows), len(every) - len(rows))
        return scores

    def score_difference(self, first: str, second: str, seed: int = 0) -> Difference | None:
        """As `difference`, of `scores`."""
        theirs = {row.utterance: row.metrics for row in self.of(second) if self._has_score(row)}
        pairs = [(row.metrics, theirs[row.utterance]) for row in self.of(first)
                 if self._has_score(row) and row.utterance in theirs]
        if len(pairs) < 2:
            return None
        mine, others = (_score(self._score_parts(side), seed) for side in zip(*pairs, strict=True))
        return Difference(float(mine[0] - others[0]), *interval((mine - others)[1:]), len(pairs))

    def _has_score(self, row: Row) -> bool:
        return {"per", "per_control"} <= set(self.rates) and all(
            part in row.metrics for name in ("per", "per_control") for part in self.rates[name])

    def _score_parts(self, rows: Sequence[Mapping[str, float]]) -> np.ndarray:
        return np.array([[row[part] for name in ("per", "per_control") for part in self.rates[name]] for row in rows])

    def failures(self) -> dict[str, dict[str, dict[str, int]]]:
        """System → measure → reason → how often, where there is any."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for row in self.rows:
            for measure, reason in row.failures.items():
                reasons = found.setdefault(row.system, {}).setdefault(measure, {})
                reasons[reason] = reasons.get(reason, 0) + 1
        return found

    def summary(self) -> dict[str, Any]:
        """summary.json."""
        scores = self.scores()
        return {
            **self.card,
            "metrics": {name: dataclasses.asdict(self.metrics[name]) for name in self.shown()},
            "predictors": self.trained_on,
            "contrasts": self.findings,
            "systems": {system: {
                "sentences": len(self.of(system)), "spoken": sum(SOUND not in row.failures for row in self.of(system)),
                "metrics": {name: dataclasses.asdict(estimate) for name, estimate in metrics.items()},
                **({"intelligibility_score": dataclasses.asdict(scores[system])} if system in scores else {}),
                **({"speed": self.speeds[system]} if system in self.speeds else {}),
                "failures": self.failures().get(system, {}),
            } for system, metrics in self.estimates().items()}}

    def write(self, folder: Path) -> None:
        """rows.jsonl and summary.json.

        Raises:
            UserError: the disk is full.
        """
        rows = "".join(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in self.rows)
        write_whole(folder / "rows.jsonl", rows.encode())
        summary = json.dumps(self.summary(), ensure_ascii=False, indent=1)
        write_whole(folder / "summary.json", summary.encode())


def collect(said: Mapping[str, Sequence[tuple[Row, Sound | None]]], measures: Sequence[Measure],
            step: Callable[[str], None] = lambda name: None) -> Results:
    """Apply every measure to every sound; ``step`` is told of each measure before it begins.

    ``said`` holds each system's rows with their sounds, None where there is none.
    """
    rows = [row for pairs in said.values() for row, _ in pairs]
    for measure in measures:
        step(measure.name)
        pairs = [(row, sound) for some in said.values() for row, sound in some if sound is not None]
        for (row, sound), found in zip(pairs, measure([sound for _, sound in pairs]), strict=True):
            row.take(measure, found)
            heard = getattr(measure, "heard", {}).get((sound.system, sound.utterance))
            row.heard = heard.words if heard is not None else row.heard
            if heard is not None:
                row.said_phones, row.heard_phones = " ".join(heard.said), " ".join(heard.phones)
    metrics = {name: metric for measure in measures for name, metric in measure.metrics.items()}
    rates = {name: parts for measure in measures for name, parts in getattr(measure, "rates", {}).items()}
    findings = [_described(finding) for measure in measures for finding in getattr(measure, "findings", ())]
    results = Results(rows, metrics, rates, findings)
    for measure in measures:
        results.melodies |= getattr(measure, "melodies", {})
        results.ratios |= getattr(measure, "ratios", {})
        results.trained_on += filter(None, [getattr(measure, "trained_on", "")])
    return results


def _score(parts: np.ndarray, seed: int) -> np.ndarray:
    """(1 + resamples,): the score of all rows, then of each resample; ``parts`` (rows, 4) are the sums that it divides."""
    sums = np.vstack([np.ones(len(parts)), resample(len(parts), seed)]) @ parts
    return 1 - (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])


def _described(finding: Any) -> dict[str, Any]:
    """What a system does with a contrast of its dialect, as plain values; proportions only where they were measurable."""
    proportions = {f"{kind} as {finding.contrast.first}": share for kind, share in finding.heard_first.items()
              if finding.is_usable}
    proportions |= {"minimal pairs": finding.pairs} if finding.pairs is not None else {}
    return {"system": finding.system, "contrast": finding.contrast.name, "verdict": finding.verdict, "ceiling": finding.ceiling,
            "shares": {name: {"count": share.count, "of": share.of, "interval": list(share.interval)}
                       for name, share in proportions.items()}}


def table(results: Results, columns: int = 6) -> str:
    """Systems and their metrics with intervals, in blocks of so many columns."""
    estimates, names, blocks = results.estimates(), results.shown(), []
    scores = results.scores()
    for start in range(0, len(names), columns):
        some = names[start:start + columns]
        lines = [("", *(_head(name, results.metrics[name]) for name in some))]
        for system in results.systems:
            lines.append((system, *(_cell(estimates[system].get(name)) for name in some)))
        blocks.append(_columns(lines))
    if scores:
        lines = [("", "intelligibility score (1 perfect, 0 babble)")]
        lines += [(system, f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]") for system, score in scores.items()]
        blocks.append(_columns(lines))
    if results.findings:
        lines = [("", "contrast", "heard", "", "told apart in the recordings")]
        for finding in results.findings:
            proportions = ", ".join(f"{name} {share['count']} of {share['of']}" for name, share in finding["shares"].items())
            lines.append((finding["system"], finding["contrast"], finding["verdict"], proportions, f"{finding['ceiling']:.2f}"))
        blocks.append(_columns(lines))
    if results.speeds:
        lines = [("", "rtf, mel only", "rtf, with sound", "first sound, s", "whole text, s", "n")]
        lines += [(system, f"{speed['rtf_mel']:.4f}", f"{speed['rtf']:.4f}", f"{speed['latency']:.3f}", f"{speed['whole']:.3f}",
                   str(speed["n"])) for system, speed in results.speeds.items()]
        blocks.append(_columns(lines))
    return "\n\n".join(blocks)


def _head(name: str, metric: Metric) -> str:
    return f"{name}, {metric.unit}" if metric.unit else name


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    mean, low, high = (shown_value(value, estimate.mean) for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean} [{low}, {high}]" + (f" n={estimate.n}" if estimate.missing else "")


def shown_value(value: float, size: float, sign: bool = False) -> str:
    """A number with as many decimals as one of about ``size`` needs: four digits in all, three decimals at most."""
    decimals = max(0, 4 - len(str(int(abs(size))))) if abs(size) < 1e4 else 0
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
