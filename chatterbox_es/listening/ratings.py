"""Answers as ratings: who gave which value to what."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatterbox_es.listening.answers import Answer, Listener
from chatterbox_es.listening.design import Design


@dataclass(frozen=True)
class Rating:
    """One value of one listener. Of AB and CMOS ``condition`` is a `pair_name`, and the value speaks for its first system."""

    listener: str
    item: str
    condition: str
    value: float  # AB: 1, 0.5 (no difference) or 0
    trial: str
    milliseconds: int
    plays: int


def pair_name(first: str, second: str) -> str:
    return f"{first} / {second}"


def compared_pairs(design: Design) -> list[tuple[str, str]]:
    """The pairs that an AB or CMOS test judges, in the order of its conditions."""
    places = {condition: place for place, condition in enumerate(design.conditions)}
    pairs = set()
    for trial in design.trials.values():
        if trial.expected is None:
            first, second = sorted(map(design.condition_of, trial.stimuli), key=places.__getitem__)
            pairs.add((first, second))
    return sorted(pairs, key=lambda pair: [places[system] for system in pair])


def ratings_of(design: Design, listeners: Sequence[Listener]) -> list[Rating]:
    """Every rating of the listeners; attention checks are none."""
    return [rating for listener in listeners for answer in listener.answers.values()
            if design.trials[answer.trial].expected is None for rating in _ratings(design, listener.token, answer)]


def _ratings(design: Design, listener: str, answer: Answer) -> list[Rating]:
    shown = [design.stimuli[stimulus] for stimulus in design.trials[answer.trial].stimuli]
    rest = (answer.trial, answer.milliseconds, answer.plays)
    if design.method == "mushra":
        return [Rating(listener, design.stimuli[name].item, design.stimuli[name].system, float(score), *rest)
                for name, score in answer.value.items()]
    if design.method == "mos":
        return [Rating(listener, shown[0].item, shown[0].system, float(answer.value), *rest)]
    places = [design.conditions.index(stimulus.system) for stimulus in shown]
    for_second = answer.value if places[1] < places[0] else -answer.value  # the answer speaks for the second sound
    first, second = (design.conditions[place] for place in sorted(places))
    value = (for_second + 1) / 2 if design.method == "ab" else float(for_second)
    return [Rating(listener, shown[0].item, pair_name(first, second), value, *rest)]
