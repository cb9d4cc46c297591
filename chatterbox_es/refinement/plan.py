"""A script for the studio: the sentences that are chosen, and what they cover beside as many minutes of chance."""

import dataclasses
from typing import Any

import numpy as np

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.refinement.candidates import Candidates
from chatterbox_es.refinement.choice import Choice, choose, random_choice, worth_of
from chatterbox_es.refinement.contexts import PAIR, POSITION, TRIPLE, Contexts, contexts_of, decode, weights
from chatterbox_es.refinement.weaknesses import Weaknesses
from chatterbox_es.text import SymbolTable

ENOUGH = 10  # sightings, from which a context counts as covered
DRAWS = 20  # random choices beside the greedy one


@dataclasses.dataclass
class Coverage:
    """Of the text's different contexts, how many stand in the corpus."""

    seen: dict[str, int]  # kind → at least once
    enough: dict[str, int]  # kind → at least `ENOUGH` times
    of: dict[str, int]  # kind → in the text at all


@dataclasses.dataclass
class Plan:
    """The chosen sentences of a text, in the order of their usefulness."""

    candidates: Candidates
    choice: Choice
    budget: float  # seconds
    before: Coverage
    after: Coverage
    by_chance: list[Coverage]
    worth_by_chance: list[float]
    new: list[tuple[str, tuple[str, ...], int]]  # kind, symbols, times in the text: the commonest that the corpus lacked

    def texts(self) -> list[str]:
        return [self.candidates.texts[number] for number in self.choice.sentences]

    @property
    def ratio(self) -> float:
        """Its worth beside the mean of chance."""
        return self.choice.worth / max(float(np.mean(self.worth_by_chance)), 1e-12)

    def verdict(self) -> str:
        """In a sentence or two."""
        taken, left_out = len(self.choice.sentences), len(self.candidates.left_out)
        chance = np.mean([some.enough[TRIPLE] for some in self.by_chance])
        least = self.choice.worth / max(self.choice.bound, 1e-12)
        return (f"{taken} of {len(self.candidates.texts)} sentences, {self.choice.seconds / 60:.1f} of {self.budget / 60:g} "
                f"minutes ({left_out} left out): triples of phones that stand {ENOUGH} times or more rise from "
                f"{self.before.enough[TRIPLE]:,} to {self.after.enough[TRIPLE]:,}, by chance to {chance:,.0f}; worth "
                f"{self.ratio:.2f} times that of chance, at least {least:.0%} of what is possible")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"sentences": len(self.choice.sentences), "seconds": self.choice.seconds, "budget": self.budget,
                "worth": self.choice.worth, "worth_bound": self.choice.bound, "worth_by_chance": self.worth_by_chance,
                "before": dataclasses.asdict(self.before), "after": dataclasses.asdict(self.after),
                "by_chance": [dataclasses.asdict(some) for some in self.by_chance],
                "left_out": self.candidates.reasons(), "candidates": len(self.candidates.texts),
                "covered_anew": [{"kind": kind, "symbols": symbols, "in_text": times} for kind, symbols, times in self.new]}


def make_plan(found: Candidates, features: FeatureSet, weaknesses: Weaknesses, budget: float, seed: int = 0) -> Plan:
    """Choose sentences of ``budget`` seconds, and as much by chance, ``DRAWS`` times."""
    corpus = contexts_of([features.token_ids(int(number)).numpy() for number in features.train], features.symbols)
    text = contexts_of(found.ids, features.symbols)
    have = corpus.of(text.codes)
    need = weights(text.codes, features.symbols, *weaknesses.need())
    choice = choose(text.counts, have, need, found.seconds, budget)
    random = np.random.default_rng(seed)
    kinds = _kinds(text.codes)
    draws = [random_choice(found.seconds, budget, random) for _ in range(DRAWS)]
    chosen = np.array(choice.sentences, dtype=np.int64)
    after = have + _added(text, chosen)
    return Plan(found, choice, budget, _coverage(kinds, have), _coverage(kinds, after),
                [_coverage(kinds, have + _added(text, draw)) for draw in draws],
                [worth_of(text.counts, have, need, draw) for draw in draws], _new(text, have, after, features.symbols))


def _added(text: Contexts, sentences: np.ndarray) -> np.ndarray:
    return np.asarray(text.counts[sentences].sum(0)).ravel()


def _kinds(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Kind → which codes are of it."""
    return {PAIR: (codes >= 0) & (codes >> 48 == 0), TRIPLE: codes >> 48 > 0, POSITION: codes < 0}


def _coverage(kinds: dict[str, np.ndarray], counts: np.ndarray) -> Coverage:
    return Coverage({kind: int((counts[of] > 0).sum()) for kind, of in kinds.items()},
                    {kind: int((counts[of] >= ENOUGH).sum()) for kind, of in kinds.items()},
                    {kind: int(of.sum()) for kind, of in kinds.items()})


def _new(text: Contexts, before: np.ndarray, after: np.ndarray, symbols: SymbolTable,
         most: int = 20) -> list[tuple[str, tuple[str, ...], int]]:
    """The pairs that the corpus lacked and the choice has, the commonest in the text first; then triples."""
    totals = text.totals()
    won = np.flatnonzero((before == 0) & (after > 0))
    order = won[np.lexsort((-totals[won], text.codes[won] >> 48 > 0))]
    return [(*decode(int(text.codes[number]), symbols), int(totals[number])) for number in order[:most]]
