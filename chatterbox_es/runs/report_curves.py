"""The curves of a report: what metrics.jsonl holds, drawn as SVG that takes its colours from the page's theme.

One run has its losses in one plot; several runs have a plot for each metric, a colour for each run.
"""

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from chatterbox_es.runs.metrics import HEARD, Metric, metrics_of, recorded
from chatterbox_es.runs.run_directory import METRICS
from chatterbox_es.runs.summary import number, read_rows

POINTS = 120  # of a curve; of more rows the means of neighbours are drawn
LARGEST = 1e30  # of a value that is drawn
COLOURED = 8  # runs, beyond which a reader cannot tell colours apart
WIDTH, HEIGHT = 4.6, 3.0  # inches of 72: legible at the width of a telephone
# Colours that stand for the theme's; `_themed` puts its variables in their place.
INK, GRID, GREY = "#0a0b0c", "#0a0b0d", "#0a0b0e"
SERIES = [f"#0a0c{number:02x}" for number in range(COLOURED)]


@dataclass
class Metrics:
    """Rows of metrics.jsonl by step."""

    rows: list[dict] = field(default_factory=list)
    unreadable: int = 0  # lines, those without a step among them
    undrawn: int = 0  # values that are NaN, infinite or so large that no axis has room for them
    card: Mapping[str, Any] = field(default_factory=dict)  # of the run

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any]) -> "Metrics":
        """What can be read of a run's metrics; no file is no rows."""
        try:
            rows, unreadable = read_rows((folder / METRICS).read_bytes().splitlines())
        except OSError:
            return cls(card=card)
        kept = [row for row in rows if _drawable(row.get("step")) is not None]
        undrawn = sum(isinstance(value, int | float) and _drawable(value) is None for row in kept for value in row.values())
        return cls(kept, unreadable + len(rows) - len(kept), undrawn, card)

    def validated(self) -> list[Metric]:
        """What its validations measure."""
        return metrics_of(self.card, self.rows)

    def losses(self) -> list[str]:
        """Of these the names of those that are in the unit of the loss."""
        units = {metric.name: metric.unit for metric in self.validated()}
        return [name for name, unit in units.items() if unit == units.get("val_loss")]

    def loss_unit(self) -> tuple[str, str]:
        """The unit of the loss, and what the baseline is the score of."""
        unit = next((metric.unit for metric in self.validated() if metric.name == "val_loss"), "") or LOSS_UNIT
        return unit, str(self.card.get("naive") or MEAN)

    def series(self, key: str, over: str = "step") -> tuple[np.ndarray, np.ndarray]:
        """(points,) of ``over`` (step or minutes) and (points,) of a metric, where it is a number."""
        points = [(row["step"], value) for row in self.rows if (value := _drawable(row.get(key))) is not None]
        steps, values = np.array(points, dtype=float).reshape(-1, 2).T
        if over == "minutes":
            timed = np.array([(row["step"], minutes) for row in self.rows
                              if (minutes := _drawable(row.get("minutes"))) is not None], dtype=float).reshape(-1, 2)
            if not len(timed):
                return np.empty(0), np.empty(0)
            order = np.argsort(timed[:, 0], kind="stable")  # rows of an epoch have no minutes of their own
            return np.interp(steps, timed[order, 0], timed[order, 1]), values
        return steps, values

    def validations(self) -> list[dict]:
        """The rows of validations."""
        return [row for row in self.rows if number(row.get("val_loss")) is not None]


def _drawable(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and abs(found) < LARGEST else None


RECORDING = "the recording"  # what the baseline of a metric that is heard is the score of
LOSS_UNIT, MEAN = "squared error a frame and bin", "predicting the mean"  # of mels, where a run's card does not say


@dataclass(frozen=True)
class Panel:
    """A plot: what is drawn in it, over what."""

    title: str
    unit: str
    keys: tuple[str, ...]
    over: str = "step"
    baseline: bool = False
    log: bool = False
    log_x: bool = False
    naive: str = MEAN  # what the baseline is the score of


PANELS = {
    "losses": (
        Panel("Losses", LOSS_UNIT, ("train_loss",), baseline=True),
        Panel("Losses over time", LOSS_UNIT, (), over="minutes", baseline=True),
        Panel("Error of the length", "share of the recording's", ("val_length_error",)),
        Panel("Token loss", LOSS_UNIT, ("train_token_loss",)),
        Panel("Duration loss", "no baseline of 1; may be negative", ("train_duration_loss",)),
        Panel("Text loss", "nats a text token", ("train_text_loss", "val_text_loss")),
        Panel("Tokens predicted right, while training", "share", ("train_token_accuracy", "train_end_accuracy")),
        Panel("Tokens predicted wrong, held out", "share", ("val_token_error", "val_end_error")),
    ),
    "optimisation": (
        Panel("Learning rate", "a step", ("learning_rate",)),
        Panel("Gradient norms", "before clipping", ("grad_norm_text", "grad_norm_vocoder", "grad_norm_speech"), log=True),
        Panel("Skipped steps", "so far: their loss or gradient was no number", ("skipped_steps",)),
    ),
    "machine": (
        Panel("Throughput", "steps a second", ("steps_per_second",)),
        Panel("Share of the machine's matrix-product peak", "share", ("share_of_peak",)),
        Panel("Where the time goes", "share of the time",
              ("share_loader", "share_alignment", "share_logging", "share_checkpoint")),
        Panel("Listening", "share of the run's time so far", ("share_listening",)),
        Panel("Memory", "GB", ("memory_gb", "gpu_memory_gb")),
    ),
}  # fmt: skip


@dataclass
class Curve:
    """One line in a plot."""

    label: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    marked: bool = False


@dataclass
class Plot:
    """A drawn panel."""

    title: str
    svg: str
    description: str  # for those who do not see it
    legend: list[tuple[str, str, str]]  # variable of the colour, name, last value


def draw_group(group: str, runs: Sequence[tuple[str, Metrics]]) -> list[Plot]:
    """The plots of a group of panels for some runs (label, metrics), without those that nothing was logged for."""
    plots = []
    panels = _panels(group, runs)
    order = [key for key in dict.fromkeys(key for panel in panels for key in panel.keys)  # a metric keeps its colour
             if any(len(metrics.series(key)[1]) for _, metrics in runs)]
    for panel in panels:
        parts = [panel] if len(runs) == 1 or len(panel.keys) == 1 else [
            dataclasses.replace(panel, title=key if panel.over == "step" else f"{key} over {panel.over}", keys=(key,))
            for key in panel.keys]
        for part in parts:
            curves = _curves(part, runs, order)
            if curves:
                plots.append(draw(_in_units_of(part, runs), curves, _baselines(part, runs)))
    return plots


def _panels(group: str, runs: Sequence[tuple[str, Metrics]]) -> list[Panel]:
    """The panels of a group: the losses with what the runs' validations measure in their unit, and at the end one for each
    other metric of a validation that has none yet."""
    if group != "losses":
        return list(PANELS[group])
    losses = tuple(dict.fromkeys(name for _, metrics in runs for name in metrics.losses()))
    panels = [dataclasses.replace(panel, keys=panel.keys + losses) if panel.baseline else panel for panel in PANELS[group]]
    drawn = {key for panel in panels for key in panel.keys}
    others = {metric.name: metric for _, metrics in runs for metric in metrics.validated() if metric.name not in drawn}
    return panels + [Panel(other.label, other.unit, (name,), baseline=name.startswith(HEARD), naive=RECORDING)
                     for name, other in others.items()]


def _in_units_of(panel: Panel, runs: Sequence[tuple[str, Metrics]]) -> Panel:
    """A panel of losses in the unit of these runs, or in all of them where they are mixed."""
    if panel.unit != LOSS_UNIT:
        return panel
    units, naive = (dict.fromkeys(values) for values in zip(*(metrics.loss_unit() for _, metrics in runs), strict=True))
    return dataclasses.replace(panel, unit="; ".join(units), naive="; ".join(naive))


def _curves(panel: Panel, runs: Sequence[tuple[str, Metrics]], order: list[str]) -> list[Curve]:
    curves = []
    for position, (label, metrics) in enumerate(runs):
        for key in panel.keys:
            x, y = metrics.series(key, panel.over)
            if not len(y) or (not y.any() and key not in ("train_loss", "val_loss")):
                continue  # nothing, or 0 throughout: a part that is frozen, a GPU that is not there
            x, y = averaged(x, y)
            name, place = (key, order.index(key)) if len(runs) == 1 else (label, position)
            curves.append(Curve(name, x, y, colour_of(place), key.startswith(("val_", HEARD)) or len(y) < 30))
    return curves


def colour_of(position: int) -> str:
    """Of a run by its place; beyond the first ones all are grey."""
    """Of a run by its place; beyond the first ones all are grey."""
    return SERIES[position] if position < COLOURED else GREY


def averaged(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Means over as many neighbours as it takes to have ``points`` or fewer."""
    if len(x) <= points:
        return x, y
    starts = np.linspace(0, len(x), points, endpoint=False).astype(int)
    sizes = np.diff([*starts, len(x)])
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def _baselines(panel: Panel, runs: Sequence[tuple[str, Metrics]]) -> list[float]:
    """What predicting the mean scores in these runs; 1, which it is about, where none was measured. Of what is heard, what
    the recordings score."""
    if not panel.baseline:
        return []
    if panel.naive == RECORDING:
        return sorted({round(value, 6) for _, metrics in runs for key in panel.keys
                       for value in metrics.series(recorded(key))[1]})
    measured = {round(value, 6) for _, metrics in runs for value in metrics.series("baseline")[1]}
    return sorted(measured) or [1.0]


def draw_settings(settings: dict[str, list], losses: Sequence[float | None]) -> list[Plot]:
    """The best val_loss of some runs against each setting that they differ in, for four runs or more."""
    plots = []
    for key, values in settings.items():
        tried = [(value, loss, place) for place, (value, loss) in enumerate(zip(map(_drawable, values), losses, strict=True))
                 if value is not None and _drawable(loss) is not None]
        if len(tried) >= 4 and len({value for value, _, _ in tried}) > 1:
            curves = [Curve(f"{value:g}", np.array([value], float), np.array([loss]), colour_of(place), True)
                      for value, loss, place in tried]
            smallest, largest = min(value for value, _, _ in tried), max(value for value, _, _ in tried)
            wide = smallest > 0 and largest > 20 * smallest
            plots.append(draw(Panel(f"best_val_loss by {key}", LOSS_UNIT, (key,), over=key, log_x=wide), curves, []))
    return plots


def draw(panel: Panel, curves: list[Curve], baselines: list[float]) -> Plot:
    """A panel with these curves, and a line at each baseline."""
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 10, "svg.hashsalt": panel.title, "axes.linewidth": 0.8,
                                "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "xtick.color": INK,
                                "ytick.color": INK, "grid.color": GRID, "path.simplify_threshold": 0.3}):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        # The runs with colours are the first ones; they lie above the grey.
        for order, curve in enumerate(curves):
            axes.plot(curve.x, curve.y, color=curve.colour, linewidth=1.6 if curve.colour != GREY else 0.8,
                      marker="o" if curve.marked else None, markersize=4, zorder=3 - order / 1000)
        for value in baselines:
            axes.axhline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        if baselines:
            # Room for the words above the line; an intelligibility score may be below 0.
            axes.set_ylim(1.12 * min([0.0, *baselines, *(float(curve.y.min()) for curve in curves)]),
                          1.12 * max([*baselines, *(float(curve.y.max()) for curve in curves)]))
            axes.text(0.99, max(baselines), panel.naive, transform=axes.get_yaxis_transform(), ha="right",
                      va="bottom", fontsize=9)
        _set_scales(axes, panel, curves)
        axes.grid(True, linewidth=0.5)
        axes.set_xlabel(panel.over, fontsize=9)
        axes.set_ylabel(panel.unit, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    legend = [(_variable(curve.colour), curve.label, f"{curve.y[-1]:.4g}") for curve in curves]
    return Plot(panel.title, _themed(buffer.getvalue(), f"{panel.title} {panel.over}"), _described(panel, curves, baselines),
                   legend)


def _set_scales(axes: Axes, panel: Panel, curves: list[Curve]) -> None:
    # A logarithm has no place for 0, the norm of what is frozen.
    if panel.log and any((curve.y > 0).any() for curve in curves):
        axes.set_yscale("log", nonpositive="mask")
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    if panel.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=panel.over in ("step", "validation", "trial")))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1e4 else f"{value / 1e3:g}k"))


def _themed(svg: str, name: str) -> str:
    """Inline SVG: no fixed size, the theme's colours and font, and no id that another plot may have."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1)
    for colour in (INK, GRID, GREY, *SERIES):
        svg = svg.replace(colour, f"var({_variable(colour)})")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    prefix = re.sub(r"\W", "", name)
    referred = set(re.findall(r'(?:url\(#|href="#)([\w.-]+)', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in referred else "", svg)
    svg = re.sub(r'(url\(#|href="#)([\w.-]+)', rf"\1{prefix}-\2", svg)
    # The white ground of figure and axes would hide the theme's.
    return re.sub(r"fill: #ffffff", "fill: none", svg)


def _variable(colour: str) -> str:
    """The theme's variable that a colour stands for."""
    return {INK: "--ink", GRID: "--grid", GREY: "--faint"}.get(colour) or f"--series-{SERIES.index(colour)}"


def _described(panel: Panel, curves: list[Curve], baselines: list[float]) -> str:
    """The plot in words: where each curve begins and ends."""
    ends = [f"{curve.label} from {curve.y[0]:.4g} to {curve.y[-1]:.4g}" for curve in curves[:COLOURED]]
    more = [f"{len(curves) - COLOURED} more runs"] if len(curves) > COLOURED else []
    means = [f"{panel.naive} scores {', '.join(f'{value:.4g}' for value in baselines)}"] if baselines else []
    return f"{panel.title} over {panel.over}: " + "; ".join(ends + more + means)
