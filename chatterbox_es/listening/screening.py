"""Which listeners are left out, by the rules that stood in the design before anyone answered."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chatterbox_es.listening.answers import Listener
from chatterbox_es.listening.design import ANCHOR, REFERENCE, Design
from chatterbox_es.listening.ratings import Rating, ratings_of

PERFECT_ANCHOR = 90  # BS.1534-3, 4.1.2: an anchor above this was not told from the reference


@dataclass(frozen=True)
class Exclusion:
    """Why a listener is left out: the rule, what was found and what it allows, in the rule's own unit."""

    listener: str
    rule: str
    found: float
    allowed: float


def screen(design: Design, listeners: Sequence[Listener]) -> list[Exclusion]:
    """Every rule that every listener breaks. A listener who has answered nothing breaks none.

    ``checks``: the share of attention checks answered wrong. ``reference``, ``anchor`` (MUSHRA): the share of sentences
    with a hidden reference below 90, an anchor above (BS.1534-3, 4.1.2). ``order``: the reference's mean is below the
    anchor's. ``constant``: one answer throughout. ``fast``: the share of answers in less time than the sounds last.
    ``correlation``: Pearson's, with the mean of the others on the same sounds; the others are those who break no other
    rule, and it counts only where they agree, since nobody can agree on systems that sound alike.
    """
    ratings: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings_of(design, listeners):
        ratings[rating.listener].append(rating)
    found = [exclusion for listener in listeners for exclusion in _alone(design, listener, ratings[listener.token])]
    found += _among_others(design, ratings, {exclusion.listener for exclusion in found})
    places = {listener.token: place for place, listener in enumerate(listeners)}
    return sorted(found, key=lambda exclusion: places[exclusion.listener])


def _alone(design: Design, listener: Listener, ratings: list[Rating]) -> list[Exclusion]:
    rules, token, found = design.rules, listener.token, []
    checks = [(design.trials[trial], answer) for trial, answer in listener.answers.items()
              if design.trials[trial].expected is not None]
    wrong = _share([(answer.value * trial.expected <= 0) if trial.by_sign else answer.value != trial.expected
                    for trial, answer in checks])
    if wrong > rules.failed_checks:
        found.append(Exclusion(token, "checks", wrong, rules.failed_checks))
    if design.method in ("mos", "mushra"):
        found += _by_anchors(design, token, ratings)
    values = {str(answer.value if design.method != "mushra" else sorted(set(answer.value.values())))
              for trial, answer in listener.answers.items() if design.trials[trial].expected is None}
    if len({rating.value for rating in ratings} if design.method == "mushra" else values) == 1:
        count = len({rating.trial for rating in ratings}) if design.method != "mushra" else len(ratings)
        if count >= rules.constant_trials:
            found.append(Exclusion(token, "constant", count, rules.constant_trials - 1))
    fast = _share([answer.milliseconds < 950 * sum(design.seconds.get(stimulus, 0) for stimulus in
                                                   set(design.trials[trial].stimuli))
                   for trial, answer in listener.answers.items()])
    if fast > rules.too_fast_share:
        found.append(Exclusion(token, "fast", fast, rules.too_fast_share))
    return found


def _by_anchors(design: Design, token: str, ratings: list[Rating]) -> list[Exclusion]:
    rules, found = design.rules, []
    of = {name: [rating.value for rating in ratings if rating.condition == name] for name in (REFERENCE, ANCHOR)}
    if design.method == "mushra":
        for rule, share in (("reference", _share([value < rules.reference_below for value in of[REFERENCE]])),
                            ("anchor", _share([value > PERFECT_ANCHOR for value in of[ANCHOR]]))):
            if share > rules.reference_share:
                found.append(Exclusion(token, rule, share, rules.reference_share))
    if of[REFERENCE] and of[ANCHOR] and np.mean(of[REFERENCE]) < np.mean(of[ANCHOR]):
        found.append(Exclusion(token, "order", float(np.mean(of[REFERENCE]) - np.mean(of[ANCHOR])), 0))
    return found


def _among_others(design: Design, ratings: dict[str, list[Rating]], out: set[str]) -> list[Exclusion]:
    rules = design.rules
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for token, given in ratings.items():
        if token not in out:
            for rating in given:
                cell = sums[rating.item, rating.condition]
                cell[0] += rating.value
                cell[1] += 1
    agreement = {}
    for token, given in ratings.items():
        mine, theirs = [], []
        for rating in given:
            total, count = sums.get((rating.item, rating.condition), (0.0, 0.0))
            if token not in out:
                total, count = total - rating.value, count - 1
            if count > 0:
                mine.append(rating.value)
                theirs.append(total / count)
        if len(mine) >= rules.correlation_trials and np.std(theirs) > 0:
            agreement[token] = float(np.corrcoef(mine, theirs)[0, 1]) if np.std(mine) > 0 else 0.0
    careful = [value for token, value in agreement.items() if token not in out]
    if len(careful) < 3 or np.median(careful) < rules.agreement:
        return []
    return [Exclusion(token, "correlation", value, rules.correlation) for token, value in agreement.items()
            if value < rules.correlation]


def _share(flags: Sequence[bool]) -> float:
    return sum(map(bool, flags)) / len(flags) if flags else 0.0
