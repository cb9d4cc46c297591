"""What a voice says worst, put together: sentences, phones, contexts."""

import dataclasses
from collections import Counter
from typing import Any

from chatterbox_es.evaluation.intervals import Proportion
from chatterbox_es.evaluation.recogniser import PhoneRecogniser
from chatterbox_es.refinement.findings import Evaluation, Part, parts
from chatterbox_es.refinement.phone_errors import Errors, drawn, phone_errors
from chatterbox_es.text.symbols import PHONES

FLOOR = 0.1  # of the overall error rate: what a phone is worth that is heard as well as in the recordings
FEWEST_PAIRS = 3  # places, below which a pair of phones is not ranked


@dataclasses.dataclass
class Standing:
    """A phone or a pair of them, how often it is misheard, and what the recogniser does to the same in the recordings."""

    phonemes: tuple[str, ...]
    voice: Proportion
    recordings: Proportion | None
    instead: list[tuple[str, int]]  # what is heard, the commonest first
    in_training: int
    excess: float  # its rate less the recordings', both drawn to the overall ones: the voice's doing, not the recogniser's


@dataclasses.dataclass
class Weaknesses:
    """All that is known, the worst first."""

    system: str
    ranked_by: str
    sentences: list[dict[str, Any]]
    phones: list[Standing]
    pairs: list[Standing]  # misheard: the first or the second
    parts: list[Part]
    errors: Errors | None
    recorded: Errors | None
    note: str = ""  # what could not be had, and why

    @classmethod
    def of(cls, evaluation: Evaluation, recogniser: PhoneRecogniser | None = None) -> "Weaknesses":
        """From an evaluation; with ``recogniser`` its sounds are listened to again."""
        worst = evaluation.worst()
        spoken = [sentence for sentence in evaluation.spoken(evaluation.rows, recogniser) if sentence.said]
        if not spoken:
            note = ("which phones are misheard is not known: the evaluation was made without a recogniser that has a phone "
                    "loop. Give one: recogniser=pocketsphinx:DIR. Sentences are then picked by rarity alone")
            return cls(evaluation.system, evaluation.ranked_by(), worst, [], [], [], None, None, note)
        errors = phone_errors(spoken)
        natural = [row for row in evaluation.recorded.values() if row["utterance"] in {s.utterance for s in spoken}]
        heard = [sentence for sentence in evaluation.spoken(natural, recogniser) if sentence.said]
        recorded = phone_errors(heard) if heard else None
        note = "" if recorded else "the recordings were not heard, so that the recogniser's own errors are the voice's here"
        return cls(evaluation.system, evaluation.ranked_by(), worst, *_standings(errors, recorded, evaluation),
                   parts(spoken, heard, evaluation), errors, recorded, note)

    def need(self) -> tuple[dict[str, float], float]:
        """What a place of each phone is worth, and of one that the evaluation has none of.

        The voice's error rate less the recordings' (what the recogniser mishears in a person is not the voice's fault), both
        drawn towards their overall rate; never less than a tenth of that. Without phones, 1 for all: rarity decides alone.
        """
        if self.errors is None:
            return {}, 1.0
        floor = FLOOR * max(self.errors.overall, 1e-3)
        base = self.recorded.overall if self.recorded else 0.0
        worth = {phone: max(self.errors.rate(phone) - (self.recorded.rate(phone) if self.recorded else 0.0), floor)
                 for phone in self.errors.places}
        return worth, max(self.errors.overall - base, floor)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "system": self.system, "ranked_by": self.ranked_by, "note": self.note,
            "sentences": [{"utterance": row["utterance"], self.ranked_by: row["metrics"][self.ranked_by], "words": row["words"],
                           "heard": row.get("heard", "")} for row in self.sentences],
            "phones": [_standing(phone) for phone in self.phones], "pairs": [_standing(pair) for pair in self.pairs],
            "places": [{"places": part.name, "misheard": _share(part.voice), "in_recordings": _share(part.recordings)}
                       for part in self.parts],
            "need": self.need()[0]}


def _standings(errors: Errors, recorded: Errors | None, evaluation: Evaluation) -> tuple[list[Standing], list[Standing]]:
    """Phones and pairs, the worst first."""
    in_training = _training_counts(evaluation)
    phones = [Standing((phone,), errors.share(phone), recorded.share(phone) if recorded else None,
                       Counter(errors.confusions.get(phone, {})).most_common(3), in_training[phone,],
                       errors.rate(phone) - (recorded.rate(phone) if recorded else 0.0)) for phone in errors.places]
    pairs = []
    for pair, (places, _) in errors.pairs.items():
        if places >= FEWEST_PAIRS:
            mine, theirs = errors.pair(pair), recorded.pair(pair) if recorded else None
            excess = drawn(mine, errors.overall_pairs) - (drawn(theirs, recorded.overall_pairs) if recorded and theirs else 0.0)
            pairs.append(Standing(pair, mine, theirs, [], in_training[pair], excess))
    for standings in (phones, pairs):
        standings.sort(key=lambda standing: (-standing.excess, standing.phonemes))
    return phones, pairs


def _standing(standing: Standing) -> dict[str, Any]:
    return {"phones": list(standing.phonemes), "misheard": _share(standing.voice),
            "in_recordings": _share(standing.recordings), "heard_instead": dict(standing.instead),
            "in_training": standing.in_training, "excess": standing.excess}


def _share(share: Proportion | None) -> dict[str, Any] | None:
    return None if share is None else {"count": share.count, "of": share.of, "interval": share.interval}


def _training_counts(evaluation: Evaluation) -> Counter[tuple[str, ...]]:
    """How often each phone, and each pair of phones, stands in the training set; marks between them are passed over."""
    features = evaluation.features
    counts: Counter[tuple[str, ...]] = Counter()
    for number in features.train:
        symbols = features.symbols.symbols_of(features.token_ids(int(number)).tolist())
        said = [symbol for symbol in symbols if symbol in PHONES]
        counts.update((symbol,) for symbol in said)
        counts.update(zip(said, said[1:], strict=False))
    return counts
