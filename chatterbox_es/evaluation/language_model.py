"""Trigram models in ARPA format, for recognisers that take one."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

ORDER = 3
BEGIN, END = "<s>", "</s>"


def write_trigram(sentences: Iterable[Sequence[str]], path: Path) -> None:
    """Write the trigram model of ``sentences`` (each its tokens) to ``path``.

    Interpolated Witten-Bell smoothing: after a history that was followed by T different tokens in n places, T / (n + T) of
    the probability goes to the shorter history (Witten & Bell 1991, "The zero-frequency problem").

    Raises:
        ValueError: there is no token at all.
    """
    counts = _counts(sentences)
    if not counts[1]:
        raise ValueError("a language model needs a sentence")
    places: Counter[tuple[str, ...]] = Counter()
    kinds: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for order in range(1, ORDER + 1):
        for gram, count in counts[order].items():
            if gram != (BEGIN,):  # is never predicted
                places[gram[:-1]] += count
                kinds[gram[:-1]] += 1
    uniform = 1 / (len(counts[1]) - 1)  # all tokens but <s>
    probability: dict[tuple[str, ...], float] = {}

    def likelihood(gram: tuple[str, ...]) -> float:
        if not gram:
            return uniform
        history = gram[:-1]
        if gram not in probability:
            shorter = likelihood(gram[1:])
            probability[gram] = (counts[len(gram)][gram] + kinds[history] * shorter) / (places[history] + kinds[history])
        return probability[gram]

    with path.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n" + "".join(f"ngram {order}={len(counts[order])}\n" for order in range(1, ORDER + 1)))
        for order in range(1, ORDER + 1):
            file.write(f"\n\\{order}-grams:\n")
            for gram in sorted(counts[order]):
                chance = -99.0 if gram == (BEGIN,) else math.log10(likelihood(gram))
                left = kinds[gram] / (places[gram] + kinds[gram]) if gram in places else 1.0
                file.write(f"{chance:.5f} {' '.join(gram)}{f' {math.log10(left):.5f}' if order < ORDER else ''}\n")
        file.write("\n\\end\\\n")


def _counts(sentences: Iterable[Sequence[str]]) -> list[Counter[tuple[str, ...]]]:
    """How often each run of 1 … ORDER tokens stands in the sentences, their ends marked; index 0 is empty."""
    counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(ORDER + 1)]
    for sentence in sentences:
        if not sentence:
            continue
        tokens = (BEGIN, *sentence, END)
        for order in range(1, ORDER + 1):
            counts[order].update(tokens[start:start + order] for start in range(len(tokens) - order + 1))
    return counts
