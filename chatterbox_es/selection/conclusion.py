"""The end of a study: what came out of it on screen and in study.html, and its best checkpoint as ``outputs/best``."""

import base64
import html
import io
import logging
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
import optuna
from matplotlib import pyplot
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.runs.checkpoint_files import checkpoints_of
from chatterbox_es.selection.choosing import choose
from chatterbox_es.selection.study import Study, locked, spent, was_killed

log = logging.getLogger(__name__)

SELECTED_FROM = 5  # best trials whose checkpoints are compared; the others are behind them by what they reported
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; display: block; overflow-x: auto; white-space: nowrap }
td, th { padding: .2em .7em; text-align: left }
tr:nth-child(even) { background: #8881 } td.number { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #8881; padding: .7em; white-space: pre-wrap } img { max-width: 100%; background: #fff }
"""


def conclude(study: Study) -> None:
    """Say, draw and keep what a study has found, unless trials still run elsewhere: then whoever ends the last one does.

    Raises:
        UserError: none of its trials has finished.
    """
    if running := study.running():
        log.info("%d trials run in other processes; the one that ends the last of them concludes the study", len(running))
        return
    with locked(study.sweep):
        for line in summary(study.study):
            log.info("%s", line)
        page = Path(study.sweep["folder"], "study.html")
        finished = [trial for trial in study.study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
        notes = []
        ended = len(ended_trials(study.study))
        if finished and study.sweep["select"] and study.study.user_attrs.get("concluded") != ended:
            notes = select(study, finished)
        write_whole(page, lambda file: file.write(render(study.study, notes).encode()))
        study.study.set_user_attr("concluded", ended)
        log.info("%s: all trials, the settings to paste, and plots", page)
    if not finished:
        raise UserError(f"no trial of the study {study.study.study_name} has finished; {page} lists why")


def select(study: Study, finished: list[FrozenTrial]) -> list[str]:
    """Keep the best checkpoint of the best trials; what is to be said of it."""
    best = sorted(finished, key=lambda trial: trial.value)[:SELECTED_FROM]
    runs = [Path(study.sweep["folder"], "trials", str(trial.user_attrs["slot"])) for trial in best]
    here = {run: checkpoints_of(run) for run in runs if run.is_dir()}
    if len(here) < len(runs):
        log.warning("%d of the %d best trials ran on other machines: their checkpoints are not here to compare",
                    len(runs) - len(here), len(runs))
    if not here:
        return []
    _, notes = choose(here, "val_loss", 3, Path(study.sweep["outputs"]), threads=study.sweep["threads"])
    for note in notes:
        log.info("%s", note)
    return notes


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that fill their slots: finished, pruned, or failed by themselves."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and not was_killed(trial)]


def summary(study: optuna.Study) -> list[str]:
    """What came out, in lines."""
    trials = study.get_trials(deepcopy=False)
    ended = Counter(trial.state.name for trial in ended_trials(study))
    killed, waiting = sum(was_killed(trial) for trial in trials), sum(trial.state == TrialState.WAITING for trial in trials)
    lines = [f"study {study.study_name}: {ended['COMPLETE']} trials finished, {ended['PRUNED']} pruned, {ended['FAIL']} failed"
             + (f"; {killed} were killed and run again" if killed else "") + (f"; {waiting} not begun" if waiting else "")
             + f"; {spent(study) / 60:.1f} minutes in all"]
    reasons = Counter(reason(trial) for trial in ended_trials(study) if trial.state == TrialState.FAIL)
    lines += [f"failed ({count}): {why}" for why, count in reasons.most_common()]
    if ended["COMPLETE"]:
        best = study.best_trial
        lines.append(f"best: trial {best.user_attrs['slot']}, val_loss {best.value:.4f}: {override_line(best.params)}")
    return lines


def reason(trial: FrozenTrial) -> str:
    """Why a trial did not finish; nothing for one that did, or may yet."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("reason", "its process was killed or interrupted")
    return trial.user_attrs.get("pruned") or "" if trial.state == TrialState.PRUNED else ""


def override_line(params: Mapping[str, object]) -> str:
    """Settings as arguments of the command line."""
    return " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items())


def render(study: optuna.Study, notes: list[str]) -> str:
    """The page, with everything in it."""
    name = html.escape(study.study_name)
    parts = [f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
             f"<title>Study {name}</title><style>{_STYLE}</style><h1>Study {name}</h1>",
             *(f"<p>{html.escape(line)}</p>" for line in summary(study)[:1])]
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if finished:
        best = study.best_trial
        line = shlex.join(["python", "-m", "chatterbox_es.train", *study.user_attrs.get("arguments", [])])
        parts += [f"<h2>Best settings</h2><p>Trial {best.user_attrs['slot']}, val_loss {best.value:.4f}. To paste:</p>",
                  f"<pre>{html.escape(f'{line} {override_line(best.params)}')}</pre>"]
    if notes:
        parts += ["<h2>Selection</h2><ul>", *(f"<li>{html.escape(note)}</li>" for note in notes), "</ul>"]
    parts.append("<h2>Plots</h2><p>Their numbers count every start: a trial that was killed and run again has two.</p>")
    of = f"of the {len(finished)} finished trials"
    for title, draw in ((f"Which settings matter (importance for val_loss, {of})", plots.plot_param_importances),
                        (f"Parallel coordinates {of}", plots.plot_parallel_coordinate),
                        ("Values in the order of the trials", plots.plot_optimization_history),
                        ("val_loss at each validation; pruned trials end early", plots.plot_intermediate_values)):
        parts += [f"<h3>{title}</h3>", picture(draw, study, title)]
    return "\n".join([*parts, "<h2>Trials</h2>", table(study), "</html>\n"])


def picture(draw: Callable[[optuna.Study], object], study: optuna.Study, title: str) -> str:
    """A plot as an image in the page, or why there is none."""
    finished = sum(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))
    if finished < 2:
        return f"<p>Not drawn: it needs two finished trials, and there are {finished}.</p>"
    with matplotlib.rc_context({"backend": "agg"}):
        pyplot.switch_backend("agg")
        try:
            draw(study)
            figure = pyplot.gcf()
            for axes in figure.axes:
                if axes.get_legend() is not None and len(axes.get_legend().get_texts()) > 5:
                    axes.get_legend().remove()  # one entry a trial
            figure.set_size_inches(10, 5)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        except (RuntimeError, ValueError, ImportError) as error:  # such as values that are all the same
            log.warning("%s was not drawn: %s", title, error)
            return f"<p>Not drawn: {html.escape(str(error))}</p>"
        finally:
            pyplot.close("all")
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def table(study: optuna.Study) -> str:
    """All trials, the best first; killed ones too, since they took time."""
    keys = list(study.user_attrs["space"])
    order = {TrialState.COMPLETE: 0, TrialState.PRUNED: 1, TrialState.FAIL: 2, TrialState.RUNNING: 3, TrialState.WAITING: 4}
    words = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
             TrialState.RUNNING: "running", TrialState.WAITING: "not begun"}
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: (
        order[trial.state], trial.value if trial.value is not None else float("inf"), trial.number))
    head = "".join(f"<th>{html.escape(word)}</th>" for word in (
        "trial", "ended", "val_loss", *keys, "validations", "minutes", "why"))
    rows = []
    for trial in trials:
        numbers = [f"{trial.value:.4f}" if trial.value is not None else "",
                   *(f"{value:.4g}" if isinstance(value := trial.params.get(key, ""), float) else str(value) for key in keys),
                   str(len(trial.intermediate_values)), f"{trial.user_attrs.get('seconds', 0) / 60:.1f}"]
        cells = "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in numbers)
        ended = "killed" if was_killed(trial) else words[trial.state]
        rows.append(f"<tr><td>{trial.user_attrs['slot']}</td><td>{ended}</td>{cells}"
                    f"<td>{html.escape(reason(trial))}</td></tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"
