"""The report of one run or of several, side by side: one HTML file that needs nothing else, at most 10 MB.

Losses against predicting the mean, what the run sounds like beside the recordings, learning rate, gradients, machine,
where the run comes from, its configuration, and the recordings that were left out. `chatterbox_es.review` writes it.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from chatterbox_es.runs.lineage import origins
from chatterbox_es.runs.metrics import HEARD, recorded
from chatterbox_es.runs.report_curves import COLOURED, PANELS, Metrics, draw_group, draw_settings
from chatterbox_es.runs.report_samples import embed_samples
from chatterbox_es.runs.run_directory import CONFIG, DAMAGED, FAILED, PLAN, RUN_CARD
from chatterbox_es.runs.summary import SUMMED, RunSummary, number, read_object, read_rows
from chatterbox_es.runs.template import save_page, template

DRAWN = 40  # runs with curves; all are in the table
LISTED = 200  # rows of a table of lint or of validations
LINEAGE_WORDS = {"encoder_from": "its text encoder", "finetuned_from": "its whole model, for fine-tuning"}


@dataclass
class ReportedRun:
    """A run and all that the report shows of it."""

    summary: RunSummary
    metrics: Metrics
    config: dict[str, Any]  # flat: "phase.lr": 0.001
    arguments: list[str]  # what was given on the command line
    plan: dict[str, Any]
    lineage: list[dict[str, Any]]  # the runs it starts from, the oldest first
    prepared: "PreparedSet"
    notes: list[str] = field(default_factory=list)  # what is not as it should be

    @classmethod
    def read(cls, summary: RunSummary, sets: dict[Path, dict]) -> "ReportedRun":
        """Read a run's files; what is missing or damaged becomes a note. ``sets`` caches the cards of prepared sets."""
        folder = summary.folder
        notes: list[str] = []
        metrics = Metrics.read(folder, summary.card)
        config = _flat(_read_yaml(folder / CONFIG, notes))
        arguments = _read_yaml(folder / ".hydra" / "overrides.yaml", [])
        if metrics.unreadable:
            notes.append(f"{metrics.unreadable} lines of metrics.jsonl cannot be read and are not drawn")
        if metrics.undrawn:
            notes.append(f"{metrics.undrawn} values in metrics.jsonl are NaN, infinite or above 1e30 and are not drawn")
        skipped = number(summary.card.get("skipped_steps"))
        if skipped:
            notes.append(f"{skipped:.0f} steps were skipped")
        if summary.reason or summary.state == FAILED:
            notes.insert(0, f"{summary.state}: {summary.reason or 'train.log says why'}")
        return cls(summary, metrics, config, [str(argument) for argument in arguments] if isinstance(arguments, list) else [],
                   read_object(folder / PLAN), lineage_of(summary.card.get("lineage")),
                   PreparedSet.find(summary, config, sets), notes)

    def loss_at(self, epoch: int) -> float | None:
        """The val_loss of an epoch."""
        return next((number(row["val_loss"]) for row in self.metrics.validations() if row.get("epoch") == epoch), None)

    def planned(self) -> list[tuple[str, float | None, float | None]]:
        """What plan.json foresaw, and what it became."""
        if not self.plan:
            return []
        speeds = self.metrics.series("steps_per_second")[1]
        used = {"hours": self.summary.minutes and self.summary.minutes / 60, "cost": self.summary.cost,
                "steps": self.metrics.rows[-1]["step"] if self.metrics.rows else None,
                "seconds_per_step": 1 / speeds.mean() if speeds.any() else None,
                "memory_needed_gb": number(self.summary.card.get("memory_peak_gb"))}
        return [(name, number(self.plan.get(key)), used[key]) for name, key in
                (("hours", "hours"), ("cost", "cost"), ("steps", "steps"), ("seconds a step", "seconds_per_step"),
                 ("memory, GB", "memory_needed_gb")) if (self.plan.get(key), used[key]) != (None, None)]


@dataclass
class PreparedSet:
    """The prepared data of a run, phase 4_1, as far as it can be found."""

    content: str = ""
    folder: Path | None = None
    card: dict[str, Any] = field(default_factory=dict)
    left_out: list[dict] = field(default_factory=list)
    unreadable: int = 0  # lines of lint.jsonl
    looked_in: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, summary: RunSummary, config: dict[str, Any], sets: dict[Path, dict]) -> "PreparedSet":
        """The prepared set with the run's content hash, in ``data.prepared`` as seen from where runs of that kind start."""
        content = str(summary.card.get("content") or "")
        parent = Path(str(config.get("data.prepared") or "outputs/prepared"))
        # A relative path is relative to where the run was started: here, or a folder above the run's.
        above = dict.fromkeys(Path(place, parent) for place in (Path.cwd(), *Path(os.path.abspath(summary.folder)).parents))
        places = [place for place in above if place.is_dir()]
        for place in places:
            if place not in sets:
                sets[place] = {card.parent: read_object(card) for card in sorted(place.glob("*/card.json"))}
            for folder, card in sets[place].items():
                if content and card.get("content") == content:
                    left_out, unreadable = _read_lint(folder / "lint.jsonl")
                    return cls(content, folder, card, left_out, unreadable)
        return cls(content, looked_in=[str(place) for place in places] or [str(parent)])

    def hours(self) -> float:
        """Of the recordings that are in it."""
        return (number(self.card.get("seconds")) or 0) / 3600

    def counts(self) -> list[tuple[str, int]]:
        """Rows left out by reason, the most frequent first."""
        reasons = [str(row.get("reason")) for row in self.left_out]
        return sorted(((reason, reasons.count(reason)) for reason in set(reasons)), key=lambda pair: (-pair[1], pair[0]))


def write_report(summaries: Sequence[RunSummary], path: Path, title: str = "") -> Path:
    """Write the report of one run or of several; those with the lowest val_loss come first.

    Raises:
        UserError: the file cannot be written.
    """
    return save_page(path, render(summaries, title), "; name another file with out=FILE")


def render(summaries: Sequence[RunSummary], title: str = "") -> str:
    """The page."""
    single = len(summaries) == 1
    damaged = [] if single else [summary for summary in summaries if summary.state == DAMAGED]
    ranked = sorted((summary for summary in summaries if summary not in damaged),
                    key=lambda summary: (summary.best_val_loss is None, summary.best_val_loss or 0, summary.run))
    sets: dict[Path, dict] = {}
    runs = [ReportedRun.read(summary, sets) for summary in ranked[:DRAWN]]
    labelled = [(run.summary.run, run.metrics) for run in runs]
    settings = differences(runs)
    heard = [name for name in SUMMED if any(getattr(summary, name) is not None for summary in ranked)]
    return template("runs/report.html.jinja", {"digits": digits, "shown": shown, "number": number}).render(
        title=title or (summaries[0].run if single else f"{len(summaries)} runs"), single=single, runs=runs, ranked=ranked,
        damaged=damaged, plots={group: draw_group(group, labelled) for group in PANELS},
        tried=draw_settings(_tried(runs, settings), [run.summary.best_val_loss for run in runs]),
        samples=embed_samples([run.summary.folder for run in runs]), settings=settings, coloured=COLOURED, listed=LISTED,
        chains=_chains(runs), prepared=list({run.prepared.content: run.prepared for run in runs}.values()),
        validated=list(dict.fromkeys(metric.name for run in runs for metric in run.metrics.validated())),
        heard=heard, recorded=[recorded(HEARD + name) for name in heard],
        objectives=any(summary.objective for summary in ranked),
        facts=_facts(runs[0]) if single else [], judged=_judged(runs[0]) if single else [], words=LINEAGE_WORDS).lstrip()


def differences(runs: Sequence[ReportedRun]) -> dict[str, list[Any]]:
    """The keys of the configuration whose values are not the same in all runs, with each run's value."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    values = {key: [run.config.get(key) for run in runs] for key in keys}
    return {key: value for key, value in values.items() if len({json.dumps(one, default=str) for one in value}) > 1}


def _tried(runs: Sequence[ReportedRun], settings: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Of the settings in which runs differ those that may have changed the loss; none where data or phase differ too."""
    if len({(run.summary.phase, run.prepared.content) for run in runs}) > 1:
        return {}
    return {key: values for key, values in settings.items() if key.split(".")[0] in ("phase", "model", "hw", "train")
            and key not in ("train.samples", "train.keep_best", "train.log_every", "hw.threads", "hw.workers")}


def lineage_of(stored: Any) -> list[dict[str, Any]]:
    """The runs that a run's weights come from, the oldest first: how, run, checkpoint, data, epoch, step, val_loss."""
    stages = []
    for origin in origins(stored):
        known = origin.lineage
        metrics = _object(known, "metrics")
        # What it is says the run itself, if it is still there; an encoder comes from the phase that trains encoders.
        phase = read_object(Path(origin.run) / RUN_CARD).get("phase") or ("4_2" if origin.way == "encoder_from" else None)
        stages.append({"how": origin.way, "run": origin.run, "checkpoint": origin.checkpoint, "phase": phase,
                       "data": known.get("data"), "content": known.get("content"), "epoch": known.get("epoch"),
                       "step": known.get("step"), "val_loss": number(metrics.get("val_loss")),
                       "baseline": number(metrics.get("baseline"))})
    return stages[::-1]


def _chains(runs: Sequence[ReportedRun]) -> list[list[ReportedRun]]:
    """Runs that come from the same, together."""
    chains: dict[str, list[ReportedRun]] = {}
    for run in runs:
        chains.setdefault(json.dumps([run.prepared.content, run.lineage], default=str), []).append(run)
    return list(chains.values())


def _facts(run: ReportedRun) -> list[tuple[str, str]]:
    """What a single run is: what it trained, on what, for how long."""
    summary, card = run.summary, run.summary.card
    facts = [
        ("phase", summary.phase), ("data", summary.data), ("corpus", card.get("corpus")),
        ("objective of its study", summary.objective), ("hardware", summary.hw),
        ("precision", card.get("precision")), ("seed", card.get("seed")), ("started", _date(summary.started)),
        ("ended", _date(card.get("ended"))), ("resumed", ", ".join(map(_date, card.get("resumed") or []))),
        ("processes", card.get("processes") if card.get("processes") != 1 else None), ("epochs", summary.epochs),
        ("minutes", digits(summary.minutes)), ("cost", digits(summary.cost)),
        ("parameters", ", ".join(f"{name} {shown(count)}" for name, count in _object(card, "parameters").items())),
        ("frozen", _frozen(_object(card, "frozen"))),
        ("wandb", ", ".join(map(str, card["wandb"])) if isinstance(card.get("wandb"), list) else None),
        ("folder", os.path.abspath(summary.folder)),
    ]  # fmt: skip
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _judged(run: ReportedRun) -> list[tuple[str, str, str, str]]:
    """The metrics of a single run: name, baseline, value, meaning. The best val_loss, and the others as they were last."""
    summary, baseline = run.summary, digits(run.summary.baseline)
    if summary.best_val_loss is None:
        return []
    proportion = "" if summary.of_baseline is None else f", {summary.of_baseline:.0%} of the baseline"
    meaning = f"error on sentences that were held out{proportion}"
    rows = [("val_loss, the best", baseline, digits(summary.best_val_loss), meaning)]
    losses, last = run.metrics.losses(), dict[str, Any]()
    for row in run.metrics.validations():  # not every one is listened to
        last |= row
    for metric in run.metrics.validated():
        value, beside = number(last.get(metric.name)), baseline if metric.name in losses else ""
        if metric.name.startswith(HEARD):
            beside = digits(number(last.get(recorded(metric.name))))
        if metric.name != "val_loss" and value is not None:
            rows.append((f"{metric.name}, the last", beside, digits(value), metric.label))
    return rows


def _object(card: dict[str, Any], key: str) -> dict[str, Any]:
    """What a card has under a key; nothing where that is no object."""
    found = card.get(key)
    return found if isinstance(found, dict) else {}


def _date(value: Any) -> str:
    """To the second, without the letter between; what is no date as it stands."""
    return str(value or "")[:19].replace("T", " ")


def _frozen(frozen: dict[str, Any]) -> str:
    """The parts that were frozen, and whether their weights stayed as they were."""
    if not isinstance(frozen.get("parts"), list) or not frozen["parts"]:
        return ""
    same = frozen.get("sha256_before") == frozen.get("sha256_after")
    return f"{', '.join(map(str, frozen['parts']))}: {'unchanged (SHA-256)' if same else 'CHANGED'}"


def _read_lint(path: Path) -> tuple[list[dict], int]:
    try:
        return read_rows(path.read_bytes().splitlines())
    except OSError:
        return [], 0


def _read_yaml(path: Path, notes: list[str]) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        notes.append(f"{path.name} cannot be read ({str(error).splitlines()[0]})")
        return None


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys with dots between."""
    if not isinstance(config, dict):
        return {prefix: config} if prefix else {}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def digits(value: float | None) -> str:
    """A number with four digits that matter; nothing for None."""
    if value is None:
        return ""
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e" in text and 1 <= abs(value) < 1e12 else text


def shown(value: Any) -> str:
    """A configuration's value as YAML would have it; whole numbers with commas."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"e([+-])0", r"e\1", f"{value:g}") if isinstance(value, float) else str(value)
