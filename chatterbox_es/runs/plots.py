"""What can be looked at: mels, alignments and loss curves."""

import io
import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from chatterbox_es.files import write_whole  # noqa: E402
from chatterbox_es.runs.metrics import Metric  # noqa: E402

MARKS = "osx^v"  # of the validation's curves


def draw_mels(path: Path, spoken: np.ndarray, recorded: np.ndarray, symbols: Sequence[str], spoken_durations: np.ndarray,
              recorded_durations: np.ndarray, frames_per_second: float, title: str,
              names: tuple[str, str] = ("recording, aligned", "model, its own durations")) -> None:
    """The recording's mel with its alignment above the model's with its own durations.

    Args:
        spoken, recorded: (frames, bins) standardised log-mels, each of its own length.
        symbols: (tokens,), written under the frames that each token takes.
        spoken_durations, recorded_durations: (tokens,) frames.
    """
    figure, rows = pyplot.subplots(2, 1, figsize=(max(8, 0.022 * max(len(spoken), len(recorded))), 5.4), layout="constrained",
                                   sharex=True)
    for axes, mel, durations, name in ((rows[0], recorded, recorded_durations, names[0]),
                                       (rows[1], spoken, spoken_durations, names[1])):
        axes.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", vmin=-2.5, vmax=2.5, interpolation="nearest",
                    extent=(0, len(mel) / frames_per_second, 0, mel.shape[1]))
        ends = np.cumsum(durations) / frames_per_second
        starts = ends - durations / frames_per_second
        axes.vlines(ends[:-1], 0, mel.shape[1], color="white", linewidth=0.4, alpha=0.6)
        for start, end, symbol in zip(starts, ends, symbols, strict=True):
            axes.text((start + end) / 2, -2, symbol, ha="center", va="top", fontsize=7)
        axes.set_ylabel("mel bin")
        axes.set_title(name, fontsize=9, loc="left")
        axes.tick_params(axis="x", pad=12)
    rows[1].set_xlabel("seconds")
    figure.suptitle(textwrap.fill(title, 110), fontsize=10)
    _save(figure, path)


def draw_losses(path: Path, rows: list[dict], title: str, unit: str, naive: str, metrics: Sequence[Metric]) -> None:
    """Training and validation losses over steps, with the baseline: what a ``naive`` prediction scores.

    Of the validation's ``metrics`` those in the ``unit`` of the loss.
    """
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    styles: dict[str, dict[str, Any]] = {"train_loss": {"linewidth": 0.8}}
    styles |= {metric.name: {"marker": mark} for metric, mark in zip(metrics, itertools.cycle(MARKS)) if metric.unit == unit}
    for name, style in styles.items():
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **style)
    for baseline in [row["baseline"] for row in rows if "baseline" in row][-1:]:  # the same at every validation
        axes.axhline(baseline, linestyle="--", color="gray", label=f"baseline: {naive}")
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.set_title(title, fontsize=10)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format=path.suffix[1:])
    pyplot.close(figure)
    write_whole(path, picture.getbuffer(), durable=False)
