"""Utterances whose metrics stand out among those of their speaker, or are bad by themselves."""

import math
from dataclasses import dataclass

import numpy as np

STANDS_OUT = 5.0
"""Robust deviations from the speaker's median beyond which a figure is a finding."""

_ENOUGH = 20  # utterances of a speaker to compare with; those of speakers with fewer are compared with their corpus
_NORMAL = 1.4826  # standard deviations a median absolute deviation, where values are normally distributed


@dataclass(frozen=True)
class Metric:
    """A figure of an utterance: which way is bad, and what is said of it."""

    name: str
    title: str
    unit: str
    least_spread: float  # deviations below this are no smaller: a corpus of even recordings is no reason to be strict
    low: str = ""  # what a value far below the others means; nothing: that is never bad
    high: str = ""
    below: float | None = None  # bad whatever the others are
    above: float | None = None
    log: bool = False  # compared by its logarithm

    def words(self, value: float, deviations: float) -> str:
        """A finding in words."""
        said = self.low if deviations < 0 else self.high
        return f"{said}: {self.title.lower()} {self.figure(value)} {self.unit}".rstrip()

    def figure(self, value: float) -> str:
        """A value with as many decimals as tell anything: to a tenth of the least spread."""
        decimals = 2 if self.log else max(0, 1 - math.floor(math.log10(self.least_spread)))
        written = f"{round(float(value), decimals) + 0.0:.{decimals}f}"  # no minus before 0
        return written.rstrip("0").rstrip(".") if decimals else written


METRICS = (
    Metric("speaking_rate", "Speaking rate", "phones/s", 0.08, "slow for its text, or the text lacks words",
            "fast for its text, or the sound lacks words", 4, 25, log=True),
    Metric("alignment", "Alignment error", "", 0.03, "", "a voice trained on the corpus says something else for this text"),
    Metric("snr", "Signal to noise", "dB", 2.0, "noisy", "", 10),
    Metric("bandwidth", "Bandwidth", "Hz", 400.0, "dull, as from a lower sample rate or a telephone", "", 4500),
    Metric("clipping", "Clipping", "of the samples", 1e-4, "", "clipped", None, 1e-3),
    Metric("silence", "Silence", "of the recording", 0.05, "", "mostly silent", None, 0.6),
    Metric("longest_pause", "Longest pause", "s", 0.15, "", "a long pause inside", None, 3.0),
    Metric("level", "Level", "dBFS", 1.5, "quiet", "loud", -45),
    Metric("dc", "Constant offset", "of full scale", 0.002, "off centre", "off centre", -0.05, 0.05),
    Metric("seconds", "Length", "s", 0.3, "short", "long", 0.4, None, log=True),
)  # fmt: skip
"""All that is compared. "alignment" needs a trained voice."""


@dataclass
class Finding:
    """Why an utterance is worth a look."""

    measure: str  # the name of the metric; `lint format=json` writes it under this key
    value: float
    deviations: float  # robust ones from the median of those it is compared with; the sign says the direction
    words: str


@dataclass
class Outliers:
    """Findings by utterance, the worst utterance first."""

    order: list[int]  # utterances
    findings: dict[int, list[Finding]]  # of each, the worst first
    counts: dict[str, int]  # by metric


def find_outliers(metrics: dict[str, np.ndarray], speakers: np.ndarray, corpora: np.ndarray) -> Outliers:
    """Compare each figure (utterances,) with those of the same speaker.

    A robust deviation is the distance from the median, in median absolute deviations that are scaled to standard ones
    (Iglewicz and Hoaglin 1993, "How to detect and handle outliers"). A value beyond a metric's own limit is a finding
    in any case. What is not a number is passed over.
    """
    groups = _groups(speakers, corpora)
    findings: dict[int, list[Finding]] = {}
    counts: dict[str, int] = {}
    for metric in METRICS:
        if metric.name not in metrics:
            continue
        values = np.asarray(metrics[metric.name], np.float64)
        compared = np.log(np.maximum(values, 1e-6)) if metric.log else values
        deviations = robust_deviations(compared, groups, metric.least_spread)
        if metric.below is not None:
            deviations = np.where(values < metric.below, np.minimum(deviations, -STANDS_OUT), deviations)
        if metric.above is not None:
            deviations = np.where(values > metric.above, np.maximum(deviations, STANDS_OUT), deviations)
        bad = (deviations <= -STANDS_OUT) & bool(metric.low) | (deviations >= STANDS_OUT) & bool(metric.high)
        numbers = np.flatnonzero(bad & np.isfinite(values))
        if len(numbers):
            counts[metric.name] = len(numbers)
        for number in numbers.tolist():
            deviation = float(deviations[number])
            findings.setdefault(number, []).append(
                Finding(metric.name, float(values[number]), deviation, metric.words(float(values[number]), deviation)))
    for found in findings.values():
        found.sort(key=lambda finding: -abs(finding.deviations))
    order = sorted(findings, key=lambda number: (-_severity(findings[number]), number))
    return Outliers(order, findings, counts)


def robust_deviations(values: np.ndarray, groups: np.ndarray, least_spread: float) -> np.ndarray:
    """(utterances,) distance of each value from its group's median, in the group's scaled median absolute deviations."""
    deviations = np.zeros(len(values))
    order = np.argsort(groups, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        own = values[members]
        finite = own[np.isfinite(own)]
        if len(finite):
            median = np.median(finite)
            spread = max(_NORMAL * float(np.median(np.abs(finite - median))), least_spread)
            deviations[members] = np.nan_to_num((own - median) / spread, nan=0.0)
    return deviations


def _groups(speakers: np.ndarray, corpora: np.ndarray) -> np.ndarray:
    """(utterances,) with whom each is compared: its speaker, or where he has few utterances all such of its corpus."""
    many = np.bincount(speakers, minlength=1)[speakers] >= _ENOUGH
    return np.where(many, speakers.astype(np.int64) + 1, -corpora.astype(np.int64) - 1)


def _severity(findings: list[Finding]) -> float:
    """The worst deviation counts, others a little."""
    sizes = [min(abs(finding.deviations), 1000.0) for finding in findings]
    return sizes[0] + 0.1 * sum(sizes[1:])
