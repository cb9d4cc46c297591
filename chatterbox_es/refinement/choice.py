"""Which sentences to record, so that the time in the studio goes where contexts are rare and phones misheard.

The worth of a set of sentences is Σ over contexts of need × log((1 + count before + count in the set) / (1 + count before)):
the first sighting of a context that the corpus lacks is worth most, and each doubling of what there is as much as the one
before. It is monotone and submodular. Sentences are taken greedily by worth a second, lazily (Minoux 1978). With equal
lengths that comes within 1 - 1/e of the best possible set (Nemhauser, Wolsey & Fisher 1978); with unequal ones there is no
such constant for this rule alone, so a bound for the case at hand is computed (Leskovec et al. 2007, CELF, section 3.2).
"""

import dataclasses
import heapq

import numpy as np
from scipy import sparse


@dataclasses.dataclass
class Choice:
    """Sentences in the order of being taken."""

    sentences: list[int]
    seconds: float
    worth: float
    bound: float  # no set of that length is worth more than this


def choose(counts: sparse.csr_matrix, before: np.ndarray, need: np.ndarray, seconds: np.ndarray, budget: float) -> Choice:
    """Greedy choice.

    Args:
        counts: (sentences, contexts), how often each context stands in each sentence.
        before: (contexts,), in the corpus that there is.
        need: (contexts,), what one is worth.
        seconds: (sentences,), above 0, how long each takes.
        budget: seconds in all.
    """
    indptr, indices, values = counts.indptr, counts.indices, counts.data.astype(float)
    have = before.astype(float).copy()

    def gain(sentence: int) -> float:
        row = slice(indptr[sentence], indptr[sentence + 1])
        return float(need[indices[row]] @ np.log1p(values[row] / (1 + have[indices[row]])))

    rates = gains(counts, before, need) / seconds
    heap = [(-rate, number, 0) for number, rate in enumerate(rates.tolist()) if rate > 0]
    heapq.heapify(heap)
    taken: list[int] = []
    spent = worth = 0.0
    while heap:
        rate, number, when = heapq.heappop(heap)
        if spent + seconds[number] > budget:
            continue  # too long for what is left; another may fit
        if when < len(taken):
            heapq.heappush(heap, (-gain(number) / seconds[number], number, len(taken)))
            continue
        taken.append(number)
        spent, worth = spent + float(seconds[number]), worth - rate * float(seconds[number])
        row = slice(indptr[number], indptr[number + 1])
        have[indices[row]] += values[row]
    return Choice(taken, spent, worth, worth_bound(counts, have, need, seconds, budget, worth, taken))


def gains(counts: sparse.csr_matrix, have: np.ndarray, need: np.ndarray) -> np.ndarray:
    """(sentences,) what each adds to a corpus with ``have`` (contexts,)."""
    added = counts.astype(float)
    added.data = np.log1p(added.data / (1 + have[added.indices])) * need[added.indices]
    return np.asarray(added.sum(1)).ravel()


def worth_of(counts: sparse.csr_matrix, before: np.ndarray, need: np.ndarray, sentences: np.ndarray) -> float:
    """The worth of a set of sentences."""
    added = np.asarray(counts[sentences].sum(0)).ravel()
    return float(need @ np.log1p(added / (1 + before)))


def worth_bound(counts: sparse.csr_matrix, have: np.ndarray, need: np.ndarray, seconds: np.ndarray, budget: float,
                worth: float, taken: list[int]) -> float:
    """An upper bound of what any set within the budget is worth: the chosen one's worth, and the budget filled once more
    with what the others still add, the densest first, the last in part."""
    left = gains(counts, have, need)
    left[taken] = 0
    order = np.argsort(-left / seconds)
    total = np.cumsum(seconds[order])
    whole = int(np.searchsorted(total, budget, side="right"))
    more = float(left[order[:whole]].sum())
    if whole < len(order):
        room = budget - (float(total[whole - 1]) if whole else 0.0)
        more += float(left[order[whole]]) * room / float(seconds[order[whole]])
    return worth + more


def random_choice(seconds: np.ndarray, budget: float, random: np.random.Generator) -> np.ndarray:
    """Sentences in chance order until the budget is full, those that do not fit any more passed over."""
    taken, spent = [], 0.0
    for number in random.permutation(len(seconds)):
        if spent + seconds[number] <= budget:
            taken.append(int(number))
            spent += float(seconds[number])
    return np.array(taken, dtype=np.int64)
