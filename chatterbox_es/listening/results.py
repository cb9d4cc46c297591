"""What a listening test has found, as lines on screen, CSV, JSON and one page in Spanish for the organiser."""

import csv
import dataclasses
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chatterbox_es.files import write_whole
from chatterbox_es.listening.analysis import Analysis, Results
from chatterbox_es.listening.ratings import ratings_of
from chatterbox_es.listening.scales import SCALES
from chatterbox_es.runs.template import template

RULES = {  # in English, in Spanish; {f}: found, {a}: allowed
    "checks": ("failed {f:.0%} of the attention checks (allowed: {a:.0%})",
               "falló el {f:.0%} de las comprobaciones de atención (se admite el {a:.0%})"),
    "reference": ("hidden reference below 90 in {f:.0%} of the sentences (allowed: {a:.0%}, BS.1534-3)",
                  "puntuó la referencia oculta por debajo de 90 en el {f:.0%} de las frases (se admite el {a:.0%}, BS.1534-3)"),
    "anchor": ("anchor above 90 in {f:.0%} of the sentences (allowed: {a:.0%}, BS.1534-3)",
               "puntuó el ancla por encima de 90 en el {f:.0%} de las frases (se admite el {a:.0%}, BS.1534-3)"),
    "order": ("the reference's mean is below the anchor's ({f:.2f})",
              "la media de la referencia queda por debajo de la del ancla ({f:.2f})"),
    "constant": ("one answer to all {f:.0f} questions", "la misma respuesta a las {f:.0f} preguntas"),
    "fast": ("{f:.0%} of the answers in less time than the sounds last (allowed: {a:.0%})",
             "el {f:.0%} de las respuestas en menos tiempo del que duran los sonidos (se admite el {a:.0%})"),
    "correlation": ("correlation {f:.2f} with the others (allowed: from {a:.2f})",
                    "correlación de {f:.2f} con los demás (se admite desde {a:.2f})"),
}
SPANISH = {"reference": "referencia", "anchor": "ancla"}
ENGLISH, CASTILIAN = 0, 1
NAME_DIGITS = 8  # of a token, as in the name of the file that a listener downloads


def reason(exclusion: Any, language: int) -> str:
    """An exclusion in words."""
    words = RULES[exclusion.rule][language].format(f=exclusion.found, a=exclusion.allowed)
    if language == CASTILIAN:  # 67 % and 0,20
        words = re.sub(r"(?<=\d)%", " %", re.sub(r"(?<=\d)\.(?=\d)", ",", words))
        words = re.sub(r"(?<![\w.])-(?=\d)", "−", words)  # not the hyphen of BS.1534-3
    return words


def describe(analysis: Analysis) -> str:
    """The results as lines of text."""
    design, kept = analysis.design, analysis.kept
    lines = [f"{design.method}: {len(analysis.listeners)} listeners answered, {len(analysis.excluded)} left out, "
             f"{analysis.incomplete} incomplete (counted), {analysis.silent} entered and answered nothing"]
    if not kept.conditions:
        lines.append("every listener was left out: the results are those of all of them")
    else:
        lines += ["means and 95 % intervals" + (f" of the {kept.listeners} kept:" if analysis.excluded else ":"), *_table(kept)]
    if analysis.excluded:
        lines += ["with those left out:", *_table(analysis.everyone)]
    lines += [f"left out: {exclusion.listener[:NAME_DIGITS]} {exclusion.rule}: {reason(exclusion, ENGLISH)}"
              for exclusion in analysis.exclusions]
    lines += [f"not read: {fault}" for fault in analysis.faults]
    if any(estimate.p is None and min(estimate.listeners, estimate.items) < 2 for estimate in analysis.everyone.conditions):
        lines.append("note: one listener or one sentence says nothing about others: the interval is the whole scale")
    return "\n".join(lines)


def _table(results: Results) -> list[str]:
    lines = []
    for estimate in [*results.conditions, *results.differences]:
        p = "" if estimate.p_holm is None else f"  p {estimate.p_holm:.3g} (Holm)"
        preferred = results.preferences.get(estimate.name)
        counts = f"  {preferred.first}:{preferred.second}, neither {preferred.neither}" if preferred else ""
        lines.append(f"  {estimate.name:<32} {estimate.mean:7.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]  "
                     f"n {estimate.ratings} ({estimate.listeners} x {estimate.items}){p}{counts}")
    return lines


def write_results(analysis: Analysis, folder: Path) -> list[Path]:
    """Write results.html, results.json and the CSV files; their paths.

    Raises:
        UserError: the disk is full.
    """
    files = {"results.html": _page(analysis), "results.json": json.dumps(_content(analysis), ensure_ascii=False, indent=1),
             "means.csv": _csv(_mean_rows(analysis)), "exclusions.csv": _csv(_exclusion_rows(analysis)),
             "ratings.csv": _csv(_rating_rows(analysis))}

    def write(name: str, text: str) -> Path:
        return write_whole(folder / name, text.encode())

    return [write(name, text) for name, text in files.items()]


def _mean_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    for listeners, results in (("kept", analysis.kept), ("all", analysis.everyone)):
        for kind, estimates in (("mean", results.conditions), ("difference", results.differences)):
            for estimate in estimates:
                preferred = results.preferences.get(estimate.name)
                yield {"of": listeners, "kind": kind, **dataclasses.asdict(estimate),
                       "preferred_first": preferred.first if preferred else "",
                       "preferred_second": preferred.second if preferred else "",
                       "neither": preferred.neither if preferred else ""}


def _exclusion_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    for exclusion in analysis.exclusions:
        yield {**dataclasses.asdict(exclusion), "reason": reason(exclusion, ENGLISH)}


def _rating_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    forms = {listener.token: listener.form.get("device", "") for listener in analysis.listeners}
    for rating in ratings_of(analysis.design, analysis.listeners):
        yield {**dataclasses.asdict(rating), "device": forms[rating.listener],
               "excluded": rating.listener in analysis.excluded}


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    """A table with its head; rows of nothing give an empty file."""
    rows, text = list(rows), io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _content(analysis: Analysis) -> dict[str, Any]:
    design = analysis.design
    return {"test": design.test, "method": design.method, "question": design.question, "conditions": design.conditions,
            "items": len(design.items), "listeners": len(analysis.listeners), "excluded": len(analysis.excluded),
            "incomplete": analysis.incomplete, "silent": analysis.silent, "faults": analysis.faults,
            "rules": dataclasses.asdict(design.rules), "kept": dataclasses.asdict(analysis.kept),
            "all": dataclasses.asdict(analysis.everyone),
            "exclusions": [dataclasses.asdict(exclusion) for exclusion in analysis.exclusions]}


def _page(analysis: Analysis) -> str:
    scale = SCALES[analysis.design.method]
    filters = {"figure": _figure, "chance": lambda p: "< 0,0001" if p is not None and p < 1e-4 else _figure(p, 4),
               "spoken": _spoken, "why": lambda exclusion: reason(exclusion, CASTILIAN)}
    ticks = {"mos": (1, 2, 3, 4, 5), "cmos": range(-3, 4), "ab": (0, 0.25, 0.5, 0.75, 1), "mushra": range(0, 101, 20)}
    devices = Counter(listener.form.get("device", "no consta") for listener in analysis.listeners)
    return template("listening/results.html.jinja", filters).render(
        analysis=analysis, design=analysis.design, scale=scale, ticks=list(ticks[analysis.design.method]),
        shown=analysis.kept if analysis.kept.conditions else analysis.everyone, devices=sorted(devices.items()),
        digits=NAME_DIGITS, position=lambda value: round(100 * (value - scale.low) / (scale.high - scale.low), 2))


def _figure(value: float | None, digits: int = 2) -> str:
    return "—" if value is None else f"{value:.{digits}f}".replace(".", ",").replace("-", "−")


def _spoken(name: str) -> str:
    """Names of reference and anchor in Spanish, alone and in pairs and differences."""
    for mark in (" / ", " - "):
        if mark in name:
            return mark.join(map(_spoken, name.split(mark, 1)))
    return SPANISH.get(name, name)
