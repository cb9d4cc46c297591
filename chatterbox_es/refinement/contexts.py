"""Contexts of phones, counted over token ids: pairs, triples, and where in the sentence a stressed vowel stands.

Stress is part of a vowel's symbol and punctuation is a symbol, so that pairs and triples hold stress, the beginnings and
ends of sentences, pauses and questions too. A context is one int64 code; sentences become a sparse matrix of them.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from chatterbox_es.text import SymbolTable
from chatterbox_es.text.symbols import PHONES

BASE = 1 << 16  # more symbols than any table has rows
POSITIONS = ("beginning", "middle", "end")
PAIR, TRIPLE, POSITION = "pair", "triple", "stress position"
_POSITION = -1  # codes below 0: -(1 + id * 3 + position)


@dataclasses.dataclass
class Contexts:
    """How often each context stands in each of some sentences."""

    codes: np.ndarray  # (contexts,) int64, sorted
    counts: sparse.csr_matrix  # (sentences, contexts) int32

    def totals(self) -> np.ndarray:
        """(contexts,) in all sentences together."""
        return np.asarray(self.counts.sum(0)).ravel()

    def of(self, codes: np.ndarray) -> np.ndarray:
        """How often each of other ``codes`` stands in all sentences; 0 where it does not."""
        if not len(self.codes):
            return np.zeros(len(codes), np.int64)
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return np.where(self.codes[places] == codes, self.totals()[places], 0)


def contexts_of(sentences: Sequence[np.ndarray], symbols: SymbolTable) -> Contexts:
    """The contexts of sentences, each (tokens,) ids with both ends' marks."""
    lengths = np.array([len(ids) for ids in sentences], dtype=np.int64)
    tokens = np.concatenate([np.asarray(ids, np.int64) for ids in sentences]) if len(sentences) else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(sentences)), lengths)
    codes, owners = [], []
    for reach in (1, 2):  # pairs, triples
        inside = np.flatnonzero(owner[:-reach] == owner[reach:]) if len(tokens) > reach else np.zeros(0, np.int64)
        code = tokens[inside]
        for step in range(1, reach + 1):
            code = code * BASE + tokens[inside + step]
        codes.append(code if reach == 1 else code + (np.int64(1) << 48))
        owners.append(owner[inside])
    stressed = np.array([number for symbol, number in symbols.number.items() if symbol.startswith("ˈ")])
    found = np.flatnonzero(np.isin(tokens, stressed))
    begins = np.cumsum(lengths) - lengths
    third = 3 * (found - begins[owner[found]]) // lengths[owner[found]] if len(found) else found
    codes.append(_POSITION - (tokens[found] * 3 + third))
    owners.append(owner[found])
    distinct, column = np.unique(np.concatenate(codes), return_inverse=True)
    rows = np.concatenate(owners)
    ones = np.ones(len(rows), np.int32)
    return Contexts(distinct, sparse.csr_matrix((ones, (rows, column)), (len(sentences), len(distinct)), dtype=np.int32))


def decode(code: int, symbols: SymbolTable) -> tuple[str, tuple[str, ...]]:
    """What a code means: its kind, and its symbols (of a stress position the vowel and the third of the sentence)."""
    if code < 0:
        number, third = divmod(-code + _POSITION, 3)
        return POSITION, (symbols.in_use[number], POSITIONS[third])
    kind, reach = (TRIPLE, 3) if code >> 48 else (PAIR, 2)
    code &= (1 << 48) - 1
    return kind, tuple(symbols.in_use[(code >> 16 * step) & (BASE - 1)] for step in range(reach - 1, -1, -1))


def weights(codes: np.ndarray, symbols: SymbolTable, error: Mapping[str, float], otherwise: float) -> np.ndarray:
    """(contexts,) how badly each is needed by its sounds alone: the mean error rate of the phones in it."""
    of_symbol = np.array([error.get(symbol, otherwise) if symbol in PHONES else np.nan for symbol in symbols.in_use])
    is_position = codes < 0
    plain = np.where(is_position, 0, codes & ((1 << 48) - 1))
    reach = np.where(codes >> 48 > 0, 3, 2)
    total, phones = np.zeros(len(codes)), np.zeros(len(codes))
    for step in range(3):
        value = of_symbol[np.minimum((plain >> 16 * step) & (BASE - 1), len(of_symbol) - 1)]
        counts = (step < reach) & ~is_position & ~np.isnan(value)
        total += np.where(counts, value, 0)
        phones += counts
    vowels = of_symbol[np.where(is_position, (-codes + _POSITION) // 3, 0).clip(0, len(of_symbol) - 1)]
    return np.where(is_position, vowels, np.where(phones > 0, total / np.maximum(phones, 1), otherwise))
