"""The end of a study: what came out of it on screen and in study.html, and its best checkpoint as ``outputs/best``."""

import dataclasses
import io
import logging
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization.matplotlib import plot_parallel_coordinate

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.measures import MeasureOptions
from chatterbox_es.files import write_whole
from chatterbox_es.runs.checkpoint_files import checkpoints_of
from chatterbox_es.runs.media import data_uri
from chatterbox_es.runs.report_curves import COLOURED, MEAN, RECORDING, Curve, Panel, Plot, colour_of, draw
from chatterbox_es.runs.run_directory import read_card
from chatterbox_es.runs.template import template
from chatterbox_es.selection.choosing import choose
from chatterbox_es.selection.study import Study, is_higher_better, locked, objective_of, spent, was_killed

log = logging.getLogger(__name__)

SELECTED_FROM = 5  # best trials whose checkpoints are compared; the others are behind them by what they reported
WORDS = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
         TrialState.RUNNING: "running", TrialState.WAITING: "not begun"}  # in the order in which they are listed
STEEPEST = 3  # times the baseline; a val_loss above would flatten all others in a plot


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
        write_whole(page, render(study, notes).encode())
        study.study.set_user_attr("concluded", ended)
        log.info("%s: all trials, the settings to paste, and plots", page)
    if not finished:
        raise UserError(f"no trial of the study {study.study.study_name} has finished; {page} lists why")


def select(study: Study, finished: list[FrozenTrial]) -> list[str]:
    """Keep the best checkpoint of the best trials; what is to be said of it."""
    runs = [study.folder(trial) for trial in in_order(study.study, finished)[:SELECTED_FROM]]
    here = {run: checkpoints_of(run) for run in runs if run.is_dir()}
    if len(here) < len(runs):
        log.warning("%d of the %d best trials ran on other machines: their checkpoints are not here to compare",
                    len(runs) - len(here), len(runs))
    if not here:
        return []
    ears = MeasureOptions(recogniser=objective_of(study.study).get("train.recogniser") or "")
    _, notes = choose(here, study.objective, 3, Path(study.sweep["outputs"]), threads=study.sweep["threads"], measures=ears)
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
        objective = objective_of(study)["metric"]
        lines.append(f"best: trial {best.user_attrs['slot']}, {objective} {best.value:.4f}: {override_line(best.params)}")
    return lines


def reason(trial: FrozenTrial) -> str:
    """Why a trial did not finish; nothing for one that did, or may yet."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("reason", "its process was killed or interrupted")
    return trial.user_attrs.get("pruned") or "" if trial.state == TrialState.PRUNED else ""


def override_line(params: Mapping[str, object]) -> str:
    """Settings as arguments of the command line."""
    return " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items())


def render(study: Study, notes: list[str]) -> str:
    """The page, with everything in it."""
    trials = study.study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = study.study.best_trial if finished else None
    command = shlex.join(["python", "-m", "chatterbox_es.train", *study.study.user_attrs.get("arguments", [])])
    baseline = next((trial.user_attrs["baseline"] for trial in trials if "baseline" in trial.user_attrs), None)
    curves, undrawn = objective_curves(study.study, baseline, naive := naive_of(study, trials))
    keys = list(study.study.user_attrs["space"])
    importances, coordinates, fault = compare_settings(study.study, len(finished))
    return template("selection/study.html.jinja").render(
        name=study.study.study_name, objective=study.objective, higher=is_higher_better(study.objective),
        outcome=summary(study.study)[0], best=best, baseline=baseline, naive=naive, notes=notes,
        command=f"{command} {override_line(best.params)}" if best else "", curves=curves, undrawn=undrawn, steepest=STEEPEST,
        importances=importances, coordinates=coordinates, fault=fault, finished=len(finished), keys=keys,
        rows=table(in_order(study.study, trials), keys)).lstrip()


def naive_of(study: Study, trials: list[FrozenTrial]) -> str:
    """What the baseline of a study is the score of."""
    if study.objective != "val_loss":
        return RECORDING
    cards = (read_card(study.folder(trial)) for trial in trials)
    return next((card["naive"] for card in cards if card and "naive" in card), MEAN)


def objective_curves(study: optuna.Study, baseline: float | None, naive: str) -> tuple[list[Plot], int]:
    """The objective over each trial and over the study, with the baseline; how many val_loss are too large to be drawn."""
    objective = objective_of(study)["metric"]
    higher, trials = is_higher_better(objective), in_order(study, study.get_trials(deepcopy=False))
    steepest = math.inf if baseline is None or objective != "val_loss" else STEEPEST * baseline
    panel = Panel(f"{objective} at each validation; pruned trials end early", objective, (), "validation", True, naive=naive)
    curves: list[Curve] = []
    ends, undrawn = [], 0
    for trial in trials:
        values = sorted(trial.intermediate_values.items())
        drawn = [(step, value) for step, value in values if value <= steepest]
        undrawn += len(values) - len(drawn)
        if drawn:
            x, y = np.array(drawn, float).T
            curves.append(Curve(f"trial {trial.user_attrs['slot']}", x, y, colour_of(len(curves)), len(x) < 30))
        if trial.value is not None and trial.value <= steepest:
            ends.append((trial.user_attrs["slot"], trial.value))
    lines = [] if baseline is None else [baseline]
    plots = [draw(panel, curves, lines)] if curves else []
    if ends:
        slots, values_of = np.array(sorted(ends), float).T
        order = dataclasses.replace(panel, title=f"{objective} in the order of the trials", over="trial")
        best = np.maximum.accumulate(values_of) if higher else np.minimum.accumulate(values_of)
        plots.append(draw(order, [Curve("best so far", slots, best, colour_of(0)),
                                        Curve("of the trial", slots, values_of, colour_of(1), True)], lines))
    for plot in plots:
        plot.legend = plot.legend[:COLOURED]
    return plots, undrawn


def compare_settings(study: optuna.Study, finished: int) -> tuple[dict[str, float], str, str]:
    """The importance of each setting (Hutter et al. 2014), parallel coordinates as an image, and why there are none."""
    if finished < 2:
        return {}, "", f"it needs two finished trials, and there are {finished}"
    with matplotlib.rc_context({"backend": "agg"}):
        pyplot.switch_backend("agg")
        try:
            importances = optuna.importance.get_param_importances(study)
            plot_parallel_coordinate(study, target_name=objective_of(study)["metric"])
            figure = pyplot.gcf()
            figure.set_size_inches(10, 5)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        except (RuntimeError, ValueError, ImportError) as error:  # such as values that are all the same
            return {}, "", str(error)
        finally:
            pyplot.close("all")
    return importances, data_uri("image/png", file), ""


def in_order(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The finished trials, the best first, then those that were pruned, failed, run, wait."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    return sorted(trials, key=lambda trial: (list(WORDS).index(trial.state),
                                             math.inf if trial.value is None else sign * trial.value, trial.number))


def table(trials: list[FrozenTrial], keys: list[str]) -> list[list[str]]:
    """A row a trial, in their order; killed ones too, since they took time."""
    rows = []
    for trial in trials:
        values = [trial.params.get(key, "") for key in keys]
        rows.append([str(trial.user_attrs["slot"]), "killed" if was_killed(trial) else WORDS[trial.state],
                     f"{trial.value:.4f}" if trial.value is not None else "",
                     *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values),
                     str(len(trial.intermediate_values)), f"{trial.user_attrs.get('seconds', 0) / 60:.1f}", reason(trial)])
    return rows
