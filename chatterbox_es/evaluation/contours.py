"""Lines of the page's pictures: F0 over time, and the variance of the mel bins, as coordinates of an SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chatterbox_es.evaluation.intervals import interval, resample
from chatterbox_es.evaluation.mcd import FRAME_PERIOD

WIDTH, HEIGHT = 600, 120  # of a view box
OCTAVE = 12  # semitones; the least that a picture of F0 shows


def f0_plot(mine: np.ndarray, theirs: np.ndarray) -> dict[str, Any] | None:
    """F0 of a sound and of its recording, (frames,) each in Hz, 0 where unvoiced; None where neither is voiced.

    Both from their own beginnings, on one axis of semitones.
    """
    voiced = np.concatenate([mine[mine > 0], theirs[theirs > 0]])
    if not len(voiced):
        return None
    middle = np.log2(voiced).mean()
    low, high = (float(edge) for edge in np.percentile(np.log2(voiced), (1, 99)))
    low, high = min(low, middle - OCTAVE / 24), max(high, middle + OCTAVE / 24)
    frames = max(len(mine), len(theirs))
    return {"seconds": round(frames * FRAME_PERIOD / 1000, 1), "low": round(2 ** low), "high": round(2 ** high),
            "recording": _runs(theirs, frames, low, high), "voice": _runs(mine, frames, low, high)}


def _runs(f0: np.ndarray, frames: int, low: float, high: float) -> list[str]:
    """A polyline's points for each voiced run."""
    lines, points = [], []
    for frame in range(0, len(f0) + 2, 2):  # every 10 ms
        value = f0[frame] if frame < len(f0) else 0
        if value > 0:
            height = np.clip((np.log2(value) - low) / (high - low), 0, 1)
            points.append(f"{frame / frames * WIDTH:.1f},{HEIGHT * (1 - height):.1f}")
        elif points:
            lines.append(" ".join(points))
            points = []
    return lines


def variance_plot(ratios: Mapping[tuple[str, str], np.ndarray], systems: Sequence[str]) -> dict[str, Any] | None:
    """Of each system, the mean over sentences of the log ratio of each bin's variance to the recording's, with its 95 %
    bootstrap band; None where nothing was measured."""
    curves = []
    for system in systems:
        rows = np.array([np.log2(ratio) for (name, _), ratio in ratios.items() if name == system])
        if len(rows):
            curves.append((system, *_curve(rows)))
    if not curves:
        return None
    low = min(-1.0, *(float(np.nanmin(band)) for _, _, band in curves))
    high = max(1.0, *(float(np.nanmax(band)) for _, _, band in curves))

    def points(values: np.ndarray) -> list[str]:
        steps = WIDTH / max(len(values) - 1, 1)
        return [f"{place * steps:.1f},{HEIGHT * (high - value) / (high - low):.1f}"
                for place, value in enumerate(values) if np.isfinite(value)]

    return {"low": f"{2 ** low:.2g}", "high": f"{2 ** high:.2g}", "one": round(HEIGHT * high / (high - low), 1),
            "curves": [{"system": system, "line": " ".join(points(mean)),
                        "band": " ".join([*points(band[0]), *reversed(points(band[1]))])} for system, mean, band in curves]}


def _curve(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bins,) the mean of rows (sentences, bins), of those that are numbers, and (2, bins) the interval of it."""
    known = np.isfinite(rows)
    weights = resample(len(rows))
    with np.errstate(invalid="ignore"):
        means = (weights @ np.where(known, rows, 0)) / (weights @ known)
        mean = np.where(known, rows, 0).sum(0) / known.sum(0)
    band = np.array([interval(column[np.isfinite(column)]) if np.isfinite(column).any() else (np.nan, np.nan)
                     for column in means.T]).T
    return mean, band
