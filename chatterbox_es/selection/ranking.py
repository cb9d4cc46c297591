"""Choosing among checkpoints: a declared rule on the validation set, and how sure it is.

Which of two checkpoints is better is judged on the same utterances: they are resampled together (paired bootstrap, Efron
& Tibshirani 1993), and a difference counts when its 95 % interval excludes 0.
"""

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.intervals import FEW, interval, resample
from chatterbox_es.models.families import load_checkpoint, recipe_named
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.weights import weights_digest

log = logging.getLogger(__name__)

Judging = Callable[[StoredModel, str], Mapping[str, dict[str, float]]]
"""More metrics of a checkpoint's weights: metric → utterance → value; of all that are measured."""
_TERM = re.compile(r"\s*([+-]?)\s*(?:(\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?([A-Za-z_]\w*)\s*")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a checkpoint is judged by: a weighted sum of metrics, the lower the better."""

    written: str
    terms: Mapping[str, float]

    @classmethod
    def parse(cls, written: str) -> "Rule":
        """``val_loss``, ``val_loss+0.5*val_length_error``, ``-intelligibility`` (where higher is better).

        Raises:
            UserError: it is not such a sum.
        """
        terms: dict[str, float] = {}
        position = 0
        while position < len(written):
            match = _TERM.match(written, position)
            if not match or (position and not match[1]):
                break
            terms[match[3]] = terms.get(match[3], 0) + (-1 if match[1] == "-" else 1) * float(match[2] or 1)
            position = match.end()
        if not terms or position < len(written):
            raise UserError(f"by={written}: write a metric or a weighted sum of metrics, such as val_loss+0.5*val_length_error")
        return cls(written, terms)

    def check(self, values: UtteranceValues) -> None:
        """Raise UserError where a metric is not known."""
        unknown = [name for name in self.terms if name not in values.values]
        if unknown:
            raise UserError(f"by={self.written}: there is no metric {unknown[0]}; there are {', '.join(values.values)}")

    def value(self, values: UtteranceValues) -> float:
        """The rule's value on the whole set."""
        return sum(factor * values.mean(name) for name, factor in self.terms.items())

    def resampled(self, values: UtteranceValues, counts: np.ndarray) -> np.ndarray:
        """(resamples,) its values when each utterance stands in the set as often as ``counts`` (resamples, utterances) says."""
        total = np.zeros(len(counts))
        for name, factor in self.terms.items():
            weights = values.weights(name)
            total += factor * (counts @ (weights * values.values[name])) / (counts @ weights)
        return total


@dataclasses.dataclass
class Candidate:
    """A set of weights to choose from, measured."""

    path: Path  # its file; of a mean, that of the best of its parts
    run: Path
    lineage: Mapping[str, Any]
    size: int  # parameters
    values: UtteranceValues
    mean: StoredModel | None = None  # the weights themselves where no file has them

    @property
    def name(self) -> str:
        if self.mean is not None:
            return f"the mean of {', '.join(self.lineage['mean_of'])}"
        return str(self.path)

    @property
    def step(self) -> int:
        return self.lineage.get("step", 0)

    @property
    def minutes(self) -> float:
        """Of training, until these weights."""
        return self.lineage.get("metrics", {}).get("minutes", float("inf"))

    def load(self) -> StoredModel:
        return self.mean or load_checkpoint(self.path)


@dataclasses.dataclass
class Standing:
    """A candidate's place."""

    candidate: Candidate
    value: float
    interval: tuple[float, float]  # 95 %, of the value
    behind: float  # its value less the best's
    behind_interval: tuple[float, float]  # 95 %, of that difference on the same utterances

    @property
    def is_like_best(self) -> bool:
        """Whether it cannot be told from the best."""
        return self.behind_interval[0] <= 0


@dataclasses.dataclass
class Ranking:
    """Candidates from the best to the worst, by one rule on one validation set."""

    rule: Rule
    standings: list[Standing]

    @property
    def best(self) -> Standing:
        return self.standings[0]

    @property
    def like_best(self) -> list[Standing]:
        """The others that cannot be told from the best."""
        return [standing for standing in self.standings[1:] if standing.is_like_best]

    def verdict(self) -> list[str]:
        """What the metrics allow to say, in sentences."""
        best, alike, utterances = self.best.candidate, self.like_best, len(self.best.candidate.values.utterances)
        said = [f"best by {self.rule.written}: {best.name}, {self.best.value:.4f}"]
        if not alike:
            said.append("it is better than every other one: no 95 % interval of a difference reaches 0" if self.standings[1:]
                        else "it is the only one")
        else:
            said.append(f"NOT DISTINGUISHABLE from {len(alike)} other{'s' * (len(alike) > 1)} on {utterances} utterances: "
                        "which of them has the lowest value is chance")
            cheapest = min([self.best, *alike], key=_cost).candidate
            if cheapest is not best:
                said.append(f"the cheapest of them: {cheapest.name} ({cheapest.size:,} parameters, "
                            f"{_minutes(cheapest)}, step {cheapest.step})")
            else:
                said.append("none of them is cheaper (smaller, or trained for less time)")
        if utterances < FEW:
            said.append(f"{utterances} utterances are few: intervals from fewer than {FEW} are narrower than they should be")
        return said


def _cost(standing: Standing) -> tuple[int, float, int]:
    return standing.candidate.size, standing.candidate.minutes, standing.candidate.step


def _minutes(candidate: Candidate) -> str:
    return f"{candidate.minutes:.1f} min" if np.isfinite(candidate.minutes) else "minutes unknown"


def rank(candidates: Sequence[Candidate], rule: Rule, seed: int = 0) -> Ranking:
    """Order candidates by a rule, each compared with the best on the same resampled utterances.

    Raises:
        UserError: a metric of the rule is not known, or is no number for some candidate.
    """
    for candidate in candidates:
        rule.check(candidate.values)
    values = [rule.value(candidate.values) for candidate in candidates]
    lost = [candidate.name for candidate, value in zip(candidates, values, strict=True) if not np.isfinite(value)]
    if lost:
        raise UserError(f"{rule.written} is no number for {', '.join(lost)}: those weights have diverged; leave them out")
    utterances = len(candidates[0].values.utterances)
    counts = resample(utterances, seed)
    best = int(np.argmin(values))
    reference = rule.resampled(candidates[best].values, counts)
    standings = []
    for candidate, value in zip(candidates, values, strict=True):
        resampled = rule.resampled(candidate.values, counts)
        standings.append(Standing(candidate, value, interval(resampled), value - values[best],
                                  interval(resampled - reference)))
    first = standings.pop(best)
    return Ranking(rule, [first, *sorted(standings, key=lambda standing: standing.value)])


def load_candidates(paths: Mapping[Path, Sequence[Path]], rule: Rule, features: FeatureSet, fabric: Fabric,
                    judge: Judging | None = None, numbers: Sequence[int] | None = None) -> list[Candidate]:
    """The checkpoints of some runs with their metrics; the same weights twice (best and final) are taken once.

    ``judge`` adds metrics to those of the validation. ``numbers`` are the held-out utterances that are measured; None: all.

    Raises:
        UserError: a file is damaged, or does not fit the prepared set; a metric of the rule is not known.
    """
    candidates, seen = [], set()
    for run, path in ((run, path) for run, files in paths.items() for path in files):
        checkpoint = load_checkpoint(path)
        digest = weights_digest(checkpoint.weights)
        if digest in seen:
            log.info("%s holds the same weights as another one", path)
            continue
        seen.add(digest)
        checkpoint.check_fits(features, str(path))
        candidates.append(_measured(checkpoint, path, run, features, fabric, judge, numbers))
        rule.check(candidates[-1].values)
        log.info("%s: %s", path, ", ".join(f"{name} {value:.4f}" for name, value in candidates[-1].values.means().items()))
    return candidates


def _measured(checkpoint: StoredModel, path: Path, run: Path, features: FeatureSet, fabric: Fabric,
              judge: Judging | None = None, numbers: Sequence[int] | None = None) -> Candidate:
    values = recipe_named(checkpoint.family).values(fabric, fabric.to_device(checkpoint.build(features)), features, numbers)
    for name, by_utterance in (judge(checkpoint, str(path)) if judge else {}).items():
        values.add(name, by_utterance)
    size = sum(weight.numel() for weight in checkpoint.weights.values())
    return Candidate(path, run, checkpoint.lineage, size, values)


def check_comparable(paths: Sequence[Path]) -> str:
    """The content hash of the prepared data that all these checkpoints are of.

    Raises:
        UserError: two are of different data, with the names of both.
    """
    (first, checkpoint), *others = ((path, load_checkpoint(path, mmap=True)) for path in paths)
    reference = checkpoint.lineage
    for path, other in others:
        if other.family != checkpoint.family:
            raise UserError(f"{first} and {path} cannot be compared: they are of model={checkpoint.family} and "
                            f"model={other.family}. Name runs of one of them")
        lineage = other.lineage
        theirs, mine = (str(known.get("content", "unknown")) for known in (reference, lineage))
        if theirs != mine:
            raise UserError(f"{first} and {path} cannot be compared: they were trained and validated on different "
                            f"prepared data ({reference.get('data')}, content {theirs[:12]}; {lineage.get('data')}, content "
                            f"{mine[:12]}). Name runs of one of them")
    return str(reference.get("content", "unknown"))


def average(candidates: Sequence[Candidate], features: FeatureSet, fabric: Fabric, judge: Judging | None = None) -> Candidate:
    """The mean of the weights of some checkpoints of one run, measured."""
    # Mapped, and one weight after the other: large models are not held several times.
    parts = [load_checkpoint(candidate.path, mmap=True) for candidate in candidates]
    first = parts[0]
    weights = {name: torch.stack([part.weights[name].double() for part in parts]).mean(0).to(weight.dtype)
               for name, weight in first.weights.items()}
    mean = dataclasses.replace(first, weights=weights,
                               lineage=first.lineage | {"mean_of": [str(candidate.path) for candidate in candidates]})
    measured = _measured(mean, candidates[0].path, candidates[0].run, features, fabric, judge)
    return dataclasses.replace(measured, mean=mean)


def try_average(ranking: Ranking, k: int, features: FeatureSet, fabric: Fabric,
                judge: Judging | None = None) -> tuple[Ranking, str]:
    """The ranking with the mean of the ``k`` best checkpoints of the winner's run, if that mean wins; what came of it.

    It wins when it is better than the best by more than chance: the 95 % interval of their difference lies below 0.
    Only one run's weights are averaged (Vaswani et al. 2017): those of two runs that began apart have no common middle.
    """
    parts = [s.candidate for s in ranking.standings if s.candidate.run == ranking.best.candidate.run][:k]
    if len(parts) < 2:
        return ranking, f"no mean was tried: {ranking.best.candidate.run} has one checkpoint (train.keep_best=3 keeps more)"
    mean = average(parts, features, fabric, judge)
    together = rank([ranking.best.candidate, mean], ranking.rule)
    other = together.standings[1]
    names = ", ".join(part.path.name for part in parts)
    if together.best.candidate is mean and not other.is_like_best:
        widened = rank([s.candidate for s in ranking.standings] + [mean], ranking.rule)
        return widened, f"the mean of {names} is better by {other.behind:.4f}: it is kept"
    mine = ranking.rule.value(mean.values)
    return ranking, (f"the mean of {names} scores {mine:.4f} against {ranking.best.value:.4f}: not better by more than chance, "
                     "so it is not kept")
