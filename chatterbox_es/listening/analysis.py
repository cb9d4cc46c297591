"""What the answers say of the systems: means and differences with intervals that count listeners and sentences as samples.

Both the listeners and the sentences are some of many, so both are random. The variance of a mean is the two-way cluster
estimate: what listeners vary, plus what sentences vary, minus what both count (A. C. Cameron, J. B. Gelbach & D. L.
Miller, "Robust inference with multiway clustering", 2011), with Student's t of as many degrees of freedom as the fewer of
the two have. Against the pigeonhole bootstrap (A. B. Owen, 2007) it covers as well and is narrower where each listener
hears few of the sounds; docs/benchmarks.md has the figures.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from chatterbox_es.listening.answers import Listener
from chatterbox_es.listening.design import Design
from chatterbox_es.listening.ratings import Rating, compared_pairs, pair_name, ratings_of
from chatterbox_es.listening.scales import SCALES
from chatterbox_es.listening.screening import Exclusion, screen

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means; ``p`` is that of it being ``null``, None where it cannot be told."""

    name: str
    mean: float
    low: float
    high: float
    ratings: int
    listeners: int
    items: int
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Preference:
    """How often each of a pair was preferred, of AB."""

    first: int
    second: int
    neither: int


@dataclass(frozen=True)
class Results:
    """Of one set of listeners. MOS and MUSHRA: a mean a condition, and all differences; AB and CMOS: a mean a pair."""

    listeners: int
    conditions: list[Estimate]
    differences: list[Estimate]
    preferences: dict[str, Preference]


@dataclass(frozen=True)
class Analysis:
    """All that is said of a test."""

    design: Design
    listeners: list[Listener]
    kept: Results
    everyone: Results
    exclusions: list[Exclusion]
    silent: int  # entered and answered nothing
    incomplete: int  # answered some of their questions; these count
    faults: list[str]  # in answer files

    @property
    def excluded(self) -> set[str]:
        return {exclusion.listener for exclusion in self.exclusions}


def analyse(design: Design, listeners: Sequence[Listener], faults: Sequence[str] = ()) -> Analysis:
    """Screen the listeners, and estimate with and without those who are left out."""
    heard = [listener for listener in listeners if listener.answers]
    exclusions = screen(design, heard)
    out = {exclusion.listener for exclusion in exclusions}
    ratings = ratings_of(design, heard)
    incomplete = sum(any(p.trial not in listener.answers for p in design.orders[listener.row]) for listener in heard)
    return Analysis(design, heard, _results(design, [rating for rating in ratings if rating.listener not in out]),
                    _results(design, ratings), exclusions, len(listeners) - len(heard), incomplete, list(faults))


def _results(design: Design, ratings: list[Rating]) -> Results:
    scale = SCALES[design.method]
    paired = design.method in ("ab", "cmos")
    names = [pair_name(*pair) for pair in compared_pairs(design)] if paired else list(design.conditions)
    table = _Table(ratings, scale.low, scale.high, scale.step, names)
    null = {"ab": 0.5, "cmos": 0.0}.get(design.method)
    conditions = [table.mean(name, null, counts=design.method == "ab") for name in names if table.has(name)]
    differences = [] if paired else [table.difference(first, second) for first, second in itertools.combinations(names, 2)
                                     if table.has(first) and table.has(second)]
    preferences = {name: Preference(*(sum(rating.value == value for rating in ratings if rating.condition == name)
                                      for value in (1, 0, 0.5))) for name in names} if design.method == "ab" else {}
    return Results(len({rating.listener for rating in ratings}), holm(conditions), holm(differences), preferences)


class _Table:
    """Ratings in arrays, and each condition's share in a mean."""

    def __init__(self, ratings: list[Rating], low: float, high: float, step: float, names: list[str]):
        self.bounds, self.step = (low, high), step
        listeners = {name: place for place, name in enumerate(sorted({rating.listener for rating in ratings}))}
        items = {name: place for place, name in enumerate(sorted({rating.item for rating in ratings}))}
        self.value = np.array([rating.value for rating in ratings], float)
        self.listener = np.array([listeners[rating.listener] for rating in ratings], int)
        self.item = np.array([items[rating.item] for rating in ratings], int)
        self.condition = np.array([names.index(rating.condition) for rating in ratings], int)
        self.names = names

    def has(self, name: str) -> bool:
        return bool((self.condition == self.names.index(name)).any())

    def mean(self, name: str, null: float | None, counts: bool) -> Estimate:
        of = self.condition == self.names.index(name)
        values, n = self.value[of], int(of.sum())
        share = np.where(of, self.value - values.mean(), 0) / n
        # Ratings that agree by chance would give an interval of no width. A preference has the error of a share with two
        # successes and two failures more (Agresti & Coull, 1998); a scale's steps have their rounding error.
        added = (values.sum() + 2) / (n + 4)
        floor = np.sqrt(added * (1 - added) / (n + 4)) if counts else self.step / np.sqrt(12 * n)
        return self._estimate(name, float(values.mean()), share, of, floor, self.bounds, null)

    def difference(self, first: str, second: str) -> Estimate:
        of = [self.condition == self.names.index(name) for name in (first, second)]
        means = [float(self.value[which].mean()) for which in of]
        share = sum(sign * np.where(which, self.value - mean, 0) / which.sum()
                    for sign, which, mean in zip((1, -1), of, means, strict=True))
        width = self.bounds[1] - self.bounds[0]
        floor = self.step * np.sqrt(sum(1 / which.sum() for which in of) / 12)
        return self._estimate(f"{first} - {second}", means[0] - means[1], share, of[0] | of[1], floor, (-width, width), 0.0)

    def _estimate(self, name: str, mean: float, share: np.ndarray, of: np.ndarray, floor: float, bounds: tuple[float, float],
                  null: float | None) -> Estimate:
        listeners, items = (len(np.unique(which[of])) for which in (self.listener, self.item))
        freedom = min(listeners, items) - 1
        counts = (int(of.sum()), listeners, items)
        if freedom < 1:  # one listener or one sentence says nothing about others
            return Estimate(name, mean, *bounds, *counts)
        error = max(np.sqrt(two_way_variance(share[of], self.listener[of], self.item[of])), floor)
        reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
        p = None if null is None else float(2 * stdtr(freedom, -abs(mean - null) / error))
        return Estimate(name, mean, max(bounds[0], mean - reach), min(bounds[1], mean + reach), *counts, p)


def two_way_variance(share: np.ndarray, listeners: np.ndarray, items: np.ndarray) -> float:
    """Variance of an estimate whose deviation is the sum of ``share`` (ratings,), clustered by listener and by item.

    Each side is corrected for its number of clusters, k / (k - 1). Where the estimate falls below one side's own, which
    chance can do, that side's is taken.
    """
    sides = []
    for which in (listeners, items):
        groups, inverse = np.unique(which, return_inverse=True)
        sides.append(float((np.bincount(inverse, share) ** 2).sum()) * len(groups) / max(len(groups) - 1, 1))
    both = np.unique(np.stack([listeners, items]), axis=1, return_inverse=True)[1].ravel()
    return max(sides[0] + sides[1] - float((np.bincount(both, share) ** 2).sum()), *sides)


def holm(estimates: list[Estimate]) -> list[Estimate]:
    """The estimates with p values for all of them together (S. Holm, 1979)."""
    known = sorted((estimate.p, estimate.name) for estimate in estimates if estimate.p is not None)
    together, before = {}, 0.0
    for rank, (p, name) in enumerate(known):
        before = min(1.0, max(before, p * (len(known) - rank)))
        together[name] = before
    return [Estimate(**estimate.__dict__ | {"p_holm": together.get(estimate.name)}) for estimate in estimates]
