"""evaluation.html: an evaluation as one file that needs nothing else, in the look of the reports of runs."""

from pathlib import Path
from typing import Any

from chatterbox_es.evaluation.contours import HEIGHT, WIDTH, f0_plot, variance_plot
from chatterbox_es.evaluation.results import SOUND, Estimate, Results, Row, shown_value
from chatterbox_es.evaluation.sounds import RECORDINGS, REFERENCES
from chatterbox_es.evaluation.verdicts import verdicts
from chatterbox_es.runs.media import UNREADABLE, sound_uri
from chatterbox_es.runs.template import save_page, template

WORST = 8  # sentences a system
ROOM = 8_000_000  # characters of sound in a page
RANKED_BY = ("wer", "per", "distillmos", "mcd")  # the first that a system has, or else its first metric with a direction
DIRECTIONS = {"lower": "lower is better", "higher": "higher is better", "one": "best at 1",
              "recordings": "best at the recordings'"}
FACTS = {"made": "made", "chosen": "chosen", "held_out": "held out", "corpus": "corpus", "dialect": "dialect",
         "prepared": "prepared set", "content": "content", "machine": "machine", "seconds": "seconds it took",
         "recogniser": "recogniser", "vocoder": "vocoder of the voices and the round trip", "commit": "commit"}


def write_page(results: Results, folder: Path, path: Path, title: str = "") -> Path:
    """Write the page; the sounds are those below ``folder``.

    Raises:
        UserError: the file cannot be written.
    """
    return save_page(path, render(results, folder, title))


def render(results: Results, folder: Path, title: str = "") -> str:
    """The page as HTML."""
    judged = [system for system in results.systems if system not in REFERENCES]
    peers = set(judged) - set(results.card.get("checkpoints", judged))
    return template("evaluation/evaluation.html.jinja").render(
        title=title or f"Evaluation: {', '.join(judged) or 'recordings'}", systems=results.systems,
        sentences=results.card.get("sentences", len({row.utterance for row in results.rows})),
        synthetic=results.card.get("synthetic", False), machine=results.card.get("machine", ""), speeds=results.speeds,
        table=_table(results), findings=results.findings, worst=_worst(results, judged, folder),
        verdicts=verdicts(results, [system for system in results.systems if system not in peers]), peers=sorted(peers),
        variance=variance_plot(results.ratios, [system for system in results.systems if system != RECORDINGS]),
        trained_on=results.trained_on, width=WIDTH, height=HEIGHT, failures=_failures(results),
        facts=[(FACTS[key], str(results.card[key])) for key in FACTS if results.card.get(key) not in (None, "")]
        + list(results.card.get("checkpoints", {}).items()), coloured=0).lstrip()


def _table(results: Results) -> list[dict[str, Any]]:
    """A row a metric, a cell a system."""
    estimates, rows = results.estimates(), []
    for name in results.shown():
        found = [estimates[system].get(name) for system in results.systems]
        metric = results.metrics[name]
        rows.append({"name": name, "unit": metric.unit, "meaning": metric.meaning, "better": DIRECTIONS.get(metric.better, ""),
                     "cells": _cells(found)})
    scores = results.scores()
    if scores:
        found = [scores.get(system) for system in results.systems]
        rows.append({"name": "score", "unit": "", "meaning": "1 - per / per_control: 1 is perfect, 0 is babble",
                     "better": DIRECTIONS["higher"], "cells": _cells(found)})
    return rows


def _cells(found: list[Estimate | None]) -> list[dict[str, Any] | None]:
    """Estimates as text, with their places on a common axis from 0 to 100."""
    low = min((estimate.low for estimate in found if estimate), default=0.0)
    high = max((estimate.high for estimate in found if estimate), default=1.0)

    def place(value: float) -> float:
        return round(2 + 96 * (value - low) / (high - low), 1) if high > low else 50.0

    cells: list[dict[str, Any] | None] = []
    for estimate in found:
        if estimate is None:
            cells.append(None)
            continue
        texts = {key: shown_value(getattr(estimate, key), estimate.mean) for key in ("mean", "low", "high")}
        beside = "" if estimate.beside is None or estimate.beside_low is None or estimate.beside_high is None else (
            f"{shown_value(estimate.beside, estimate.mean, sign=True)} [{shown_value(estimate.beside_low, estimate.mean)}, "
            f"{shown_value(estimate.beside_high, estimate.mean)}]")
        cells.append(texts | {"n": estimate.n, "missing": estimate.missing, "beside": beside, "x": place(estimate.mean),
                              "x_low": place(estimate.low), "x_high": place(estimate.high)})
    return cells


def _worst(results: Results, judged: list[str], folder: Path) -> list[dict[str, Any]]:
    """The sentences that each system says worst, with the sounds that the page has room for."""
    groups, room = [], [ROOM]
    uris: dict[str, str] = {}
    for system in judged:
        rows = results.of(system)
        names = [*RANKED_BY, *(name for name in results.shown() if results.metrics[name].better in ("lower", "higher"))]
        name = next((name for name in names if any(name in row.metrics for row in rows)), None)
        if name is None:
            continue
        better = results.metrics[name].better
        ranked = sorted((row for row in rows if name in row.metrics), key=lambda row: row.metrics[name],
                        reverse=better != "higher")[:WORST]
        groups.append({"system": system, "metric": name, "better": better, "sentences": [
            _sentence(row, results, folder, room, uris) for row in ranked]})
    return groups


def _sentence(row: Row, results: Results, folder: Path, room: list[int], uris: dict[str, str]) -> dict[str, Any]:
    beside = [other for other in results.rows if other.utterance == row.utterance and other.system == RECORDINGS]
    shown = set(results.shown())
    return {"utterance": row.utterance, "words": row.words, "heard": row.heard,
            "metrics": [(name, shown_value(value, value)) for name, value in row.metrics.items() if name in shown],
            "melody": f0_plot(*melody) if (melody := results.melodies.get((row.system, row.utterance))) else None,
            "sounds": [(one.system, _uri(folder, one.sound, room, uris))
                       for one in (row, *beside) if SOUND not in one.failures]}


def _uri(folder: Path, sound: str, room: list[int], uris: dict[str, str]) -> str:
    """A sound for the page, "" where there is no room for it or it cannot be read; ``room`` is what is left."""
    if not sound:
        return ""
    if sound not in uris:
        try:
            uri = sound_uri(folder / sound)
        except UNREADABLE:
            uri = ""
        uris[sound] = uri if len(uri) <= room[0] else ""
    room[0] -= len(uris[sound])  # a sound that stands twice in the page takes its room twice
    return uris[sound] if room[0] >= 0 else ""


def _failures(results: Results) -> list[tuple[str, str, int, str]]:
    return [(system, measure, times, reason) for system, measures in results.failures().items()
            for measure, reasons in measures.items()
            for reason, times in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))]
