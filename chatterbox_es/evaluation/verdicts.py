"""Which of two systems is better, where the measures allow to say so.

Every system says the same sentences, each as the speaker who recorded it, so that a difference is one within a speaker: it is
taken sentence by sentence, with a paired bootstrap interval. One predictor of quality alone decides nothing, since each is
misled by something (see `predictors`): a system is called better when at least two prefer it (the 95 % interval of the
difference excludes 0) and none prefers the other. At their floor predictors put noise above flat speech: what a recogniser
understands nothing of is not called better. Other systems' sounds (peers) may be of another speaker: they are not compared.
"""

import dataclasses
from collections.abc import Sequence

from chatterbox_es.evaluation.measures import PREDICTORS
from chatterbox_es.evaluation.results import Difference, Results, shown_value

AGREEING = 2  # predictors that make a verdict
UNDERSTOOD = ("per", "wer")  # the first that both have
NOTHING = 0.9  # of an error rate, from which on nothing is understood


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What may be said of two systems."""

    first: str
    second: str
    quality: str
    intelligibility: str

    def __str__(self) -> str:
        return f"{self.first} / {self.second}: quality {self.quality}; intelligibility {self.intelligibility}"


def verdicts(results: Results, systems: Sequence[str]) -> list[Verdict]:
    """Of each pair of ``systems``, by what was measured on the sentences that both say."""
    pairs = [(first, second) for place, first in enumerate(systems) for second in systems[place + 1:]]
    return [Verdict(first, second, _quality(results, first, second), _intelligibility(results, first, second))
            for first, second in pairs]


def _quality(results: Results, first: str, second: str) -> str:
    names = [name for name in results.shown() if name.startswith(PREDICTORS)]
    found = {name: difference for name in names if (difference := results.difference(name, first, second)) is not None}
    prefer_first = [name for name, difference in found.items() if difference.low > 0]
    prefer_second = [name for name, difference in found.items() if difference.high < 0]
    shown = "; ".join(f"{name} {_shown(difference)}" for name, difference in found.items())
    if not found:
        return "not measured"
    if prefer_first and prefer_second:
        return f"the predictors disagree ({shown})"
    for winner, names in ((first, prefer_first), (second, prefer_second)):
        if len(names) >= AGREEING and _says_nothing(results, winner):
            return f"not decided: the predictors prefer {winner}, of which nothing is understood ({shown})"
        if len(names) >= AGREEING:
            return f"{winner} is better ({shown})"
        if names:
            return f"not decided: {names[0]} alone prefers {winner} ({shown})"
    return f"not told apart ({shown})"


def _says_nothing(results: Results, system: str) -> bool:
    return any(rate >= NOTHING for name in UNDERSTOOD if (rate := results.mean(name, system)) is not None)


def _intelligibility(results: Results, first: str, second: str) -> str:
    for name in UNDERSTOOD:
        difference = results.difference(name, first, second)
        if difference is not None:
            winner = first if difference.high < 0 else second if difference.low > 0 else ""
            return f"{f'{winner} is understood better' if winner else 'not told apart'} ({name} {_shown(difference)})"
    return "not measured"


def _shown(difference: Difference) -> str:
    size = max(abs(difference.low), abs(difference.high))
    mean, low, high = (shown_value(value, size, sign=True) for value in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]"
