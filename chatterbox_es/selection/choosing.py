"""The best checkpoint of some runs, kept as ``outputs/best``."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from omegaconf import OmegaConf

from chatterbox_es.config import HwConfig
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.judge import Judge, Records
from chatterbox_es.evaluation.measures import MeasureOptions, direction_of, measure_of
from chatterbox_es.hardware import set_up
from chatterbox_es.models.families import features_of, load_checkpoint, recipe_named
from chatterbox_es.runs.checkpoint_files import BEST, PATTERNS, checkpoints_of, run_of
from chatterbox_es.runs.metrics import HEARD
from chatterbox_es.runs.run_directory import finished_runs, read_card, runs_below
from chatterbox_es.selection.best import keep
from chatterbox_es.selection.ranking import Ranking, Rule, check_comparable, load_candidates, rank, try_average
from chatterbox_es.speech.voices import VOICES, chosen_from, is_voice

log = logging.getLogger(__name__)
Accelerator = Literal["cpu", "cuda"]


def choose(paths: Mapping[Path, Sequence[Path]], by: str, average: int, outputs: Path,
           accelerator: Accelerator | None = None, threads: int | None = None,
           measures: MeasureOptions | None = None, heard: bool = True) -> tuple[Ranking, list[str]]:
    """Rank the checkpoints of some runs, try the mean of the best, and write ``outputs/best``; what is to be said of it.
    Vocoders are ranked alone: they are no voice.

    Where the rule names a metric of an evaluation, every checkpoint says the held-out sentences; ``measures`` says by which
    recogniser, predictor or speaker embedding they are judged. With ``heard``, what was heard of all of them while they were
    trained (`train.listen`) is taken instead, where it was.

    Raises:
        UserError: nothing to choose from, checkpoints of different data, an unknown metric.
    """
    files = [path for some in paths.values() for path in some]
    if not files:
        raise UserError(f"there is no checkpoint ({', '.join(PATTERNS)}) in {', '.join(map(str, paths)) or outputs}")
    recipe = recipe_named(load_checkpoint(files[0], mmap=True).family)
    measured = recipe.validation_metrics
    rule = rule_of(by, [metric.name for metric in measured if metric.higher_is_better])
    content = check_comparable(files)
    features = features_of(next(iter(paths)), content)
    device: Accelerator = accelerator or ("cuda" if torch.cuda.is_available() else "cpu")
    fabric = set_up(OmegaConf.structured(HwConfig(name=device, accelerator=device, threads=threads)))
    judge = judge_of(rule, features, measures or MeasureOptions(), files if heard else [])
    numbers = judge.numbers if isinstance(judge, Records) else None
    ranking = rank(load_candidates(paths, rule, features, fabric, judge, numbers), rule)
    tried = ""
    if recipe.output not in VOICES:
        return ranking, [*ranking.verdict(), f"it is no voice, and {outputs / BEST} stays what it was; hear it: python -m "
                         f"chatterbox_es.synthesize vocoder={ranking.best.candidate.path}"]
    if numbers is not None:
        tried = (f"by what was heard of {len(numbers)} held-out sentences while they were trained, so that no mean was tried; "
                 "heard=false lets each say all of them")
    elif average > 1:
        ranking, tried = try_average(ranking, average, features, fabric, judge)
    notes = [*ranking.verdict(), *filter(None, [tried])]
    before = chosen_from(outputs / BEST)
    best = keep(ranking, notes, features, outputs)
    replaced = f", in place of the one{before}" if before else ""
    return ranking, [*notes, f"{best}: the voice that synthesize uses from now on{replaced}"]


def rule_of(by: str, higher: Collection[str] = ()) -> Rule:
    """The rule that ``by`` writes. A metric by itself knows its direction: ``distillmos`` is ``-distillmos``; ``higher`` are
    those of a validation of which more is better.

    Raises:
        UserError: it is no rule, a sum that asks for less of what should be high, or names a metric that should be neither.
    """
    by = re.sub(rf"\b{HEARD}", "", by)  # as training logs what it has heard
    rule = Rule.parse(by)
    neither = [name for name in rule.terms if direction_of(name) in ("one", "recordings")]
    if neither:
        raise UserError(f"by={by}: {neither[0]} is best at the recordings', neither low nor high, and ranks no checkpoints")
    wrong = [name for name, factor in rule.terms.items() if factor > 0 and (name in higher or direction_of(name) == "higher")]
    if wrong and len(rule.terms) == 1:
        log.info("by=%s: more of it is better, so the rule is -%s", by, by.lstrip())
        return Rule.parse(f"-{by.strip()}")
    if wrong:
        raise UserError(f"by={by}: more {wrong[0]} is better, and the rule's lowest value is taken: write -{wrong[0]}")
    return rule


def judge_of(rule: Rule, features: FeatureSet, options: MeasureOptions, heard: Sequence[Path]) -> Records | Judge | None:
    """Who makes the metrics of a rule that the validation does not make; None where it makes them all.

    Checkpoints of which some may have been ``heard`` in training: where all were, nothing is said again.
    """
    metrics = [name for name in rule.terms if measure_of(name)]
    if not metrics:
        return None
    return (Records.of(metrics, features, options, heard) if heard else None) or Judge.of(metrics, features, options)


def find(given: Sequence[str], outputs: Path) -> dict[Path, list[Path]]:
    """The checkpoints by run, of what was named: runs, folders of runs, files; nothing: the newest finished run's data.

    Raises:
        UserError: something named is not there, or holds no run.
    """
    if not given:
        runs = [run for run in finished_runs(outputs) if is_voice(run)]
        if not runs:
            raise UserError(f"there is no finished run in {outputs}/; name runs, or folders that hold some")
        content = (read_card(runs[-1]) or {})["content"]
        found = [run for run in runs_below(outputs) if is_voice(run)]
        fitting = [run for run in found if (read_card(run) or {}).get("content") == content]
        print(f"{len(fitting)} of {len(found)} runs in {outputs}/ are on the data of the newest finished one, {runs[-1]}")
        return {run: checkpoints_of(run) for run in fitting}
    paths: dict[Path, list[Path]] = {}
    for path in map(Path, given):
        if path.is_file():
            paths.setdefault(run_of(path), []).append(path)
            continue
        runs = runs_below(path)
        if not runs:
            raise UserError(f"{path} {'holds no run' if path.is_dir() else 'does not exist'}; name a run, a folder of runs, or "
                            "a checkpoint")
        voices = [run for run in runs if is_voice(run)]
        if voices and len(voices) < len(runs):
            print(f"{len(runs) - len(voices)} of {len(runs)} runs in {path} train no voice, and are passed by")
        paths |= {run: checkpoints_of(run) for run in voices or runs}
    return paths


def table(ranking: Ranking) -> str:
    """The ranking in columns."""
    names = list(ranking.best.candidate.values.values)
    rows = [(f"{ranking.rule.written} [95 %]", "behind the best [95 %]", *names, "checkpoint")]
    for standing in ranking.standings:
        means = standing.candidate.values.means()
        rows.append((f"{standing.value:.4f} [{standing.interval[0]:.4f}, {standing.interval[1]:.4f}]",
                     f"{standing.behind:.4f} [{standing.behind_interval[0]:.4f}, {standing.behind_interval[1]:.4f}]",
                     *(f"{means[name]:.4f}" for name in names), standing.candidate.name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
