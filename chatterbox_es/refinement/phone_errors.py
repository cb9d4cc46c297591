"""Which phones are misheard, and as what: the phone loop's output aligned with what was to be said."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import jiwer

from chatterbox_es.evaluation.intervals import Proportion

DELETED = "∅"
PRIOR = 20.0  # places


@dataclasses.dataclass(frozen=True)
class Spoken:
    """One sentence: what was to be said, and what the phone loop heard."""

    utterance: str
    said: Sequence[tuple[str, str]]  # (phoneme, the recogniser's name of it)
    heard: Sequence[str]


@dataclasses.dataclass
class Errors:
    """How often each phoneme is misheard."""

    places: Counter[str]
    misheard: Counter[str]
    confusions: Mapping[str, Counter[str]]  # phoneme → heard instead (∅: nothing) → times
    inserted: Counter[str]  # heard where nothing was said
    pairs: Mapping[tuple[str, str], tuple[int, int]]  # (phoneme, next) → places, places with the first or the second misheard

    def share(self, phoneme: str) -> Proportion:
        return Proportion(self.misheard[phoneme], self.places[phoneme])

    @property
    def overall(self) -> float:
        places = self.places.total()
        return self.misheard.total() / places if places else 0.0

    def rate(self, phoneme: str) -> float:
        """Its rate drawn towards the overall one, the more so the fewer places there are."""
        return drawn(self.share(phoneme), self.overall)

    def pair(self, pair: tuple[str, str]) -> Proportion:
        places, wrong = self.pairs.get(pair, (0, 0))
        return Proportion(wrong, places)

    @property
    def overall_pairs(self) -> float:
        """Of all pairs together."""
        return sum(wrong for _, wrong in self.pairs.values()) / max(sum(places for places, _ in self.pairs.values()), 1)


def drawn(share: Proportion, overall: float) -> float:
    """A rate drawn towards the overall one, as if `PRIOR` more places had been seen that have it."""
    return (share.count + PRIOR * overall) / (share.of + PRIOR)


def phone_errors(spoken: Sequence[Spoken]) -> Errors:
    """Count errors by least-cost alignment (Levenshtein), sentence by sentence."""
    places: Counter[str] = Counter()
    misheard: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    confusions: dict[str, Counter[str]] = defaultdict(Counter)
    pairs: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for sentence in spoken:
        if not sentence.said:
            continue
        wrong = misheard_places(sentence, confusions, inserted)
        phonemes = [phoneme for phoneme, _ in sentence.said]
        for phoneme, is_wrong in zip(phonemes, wrong, strict=True):
            places[phoneme] += 1
            misheard[phoneme] += is_wrong
        for pair, left, right in zip(zip(phonemes, phonemes[1:], strict=False), wrong, wrong[1:], strict=False):
            pairs[pair][0] += 1
            pairs[pair][1] += left or right
    return Errors(places, misheard, confusions, inserted, {pair: (n, k) for pair, (n, k) in pairs.items()})


def misheard_places(sentence: Spoken, confusions: dict[str, Counter[str]] | None = None,
                    inserted: Counter[str] | None = None) -> list[bool]:
    """Which places are misheard; adds what was heard instead to ``confusions`` and ``inserted``."""
    wrong = [False] * len(sentence.said)
    if not sentence.said:
        return wrong
    output = jiwer.process_words(" ".join(name for _, name in sentence.said), " ".join(sentence.heard))
    for chunk in output.alignments[0]:
        if chunk.type == "insert" and inserted is not None:
            inserted.update(sentence.heard[chunk.hyp_start_idx:chunk.hyp_end_idx])
        elif chunk.type in ("substitute", "delete"):
            for step, place in enumerate(range(chunk.ref_start_idx, chunk.ref_end_idx)):
                wrong[place] = True
                if confusions is not None:
                    heard = sentence.heard[chunk.hyp_start_idx + step] if chunk.type == "substitute" else DELETED
                    confusions[sentence.said[place][0]][heard] += 1
    return wrong
