"""Which utterances a training step sees, in which order, and what a batch holds."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, overload

import numpy as np

from chatterbox_es.dataset.feature_set import FeatureSet


@dataclasses.dataclass
class Step:
    """What one process computes of a batch, and what all of them do."""

    utterances: list[int]  # of all processes
    micro_batches: list[Any]  # this one's, each of which its memory holds; of the kind that `Batches.collate` makes
    tokens: int  # of all processes
    frames: int
    idle: bool = False  # whether this process has none: its micro-batch then counts nothing
    epoch: int = 1
    share: float = 0.0  # of the run that is over when it is computed
    text_targets: int | None = None  # tokens of all processes' texts that are predicted, where a model predicts them


@dataclasses.dataclass
class Budget:
    """The most that one forward and backward takes; no limit where it is None."""

    frames: int | None = None
    tokens: int | None = None  # of the padded square, B × N

    def holds(self, frames: int, tokens: int) -> bool:
        return (self.frames is None or frames <= self.frames) and (self.tokens is None or tokens <= self.tokens)


class Order(Sequence):
    """Batches in their order: utterance numbers side by side, and where each batch begins. Each one reads as a list."""

    def __init__(self, numbers: np.ndarray, starts: np.ndarray):
        """``numbers`` (utterances,) int64; ``starts`` (batches + 1,) int64, the last is the number of utterances."""
        self.numbers, self.starts = numbers, starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, place: int) -> list[int]: ...

    @overload
    def __getitem__(self, place: slice) -> "Order": ...

    def __getitem__(self, place: int | slice) -> "list[int] | Order":
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            if step != 1:
                raise ValueError("a part of an order is a stretch of it")
            starts = self.starts[first:max(first, last) + 1]
            return Order(self.numbers[starts[0]:starts[-1]], starts - starts[0])
        place = range(len(self))[place]
        return self.numbers[self.starts[place]:self.starts[place + 1]].tolist()

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Order) and np.array_equal(self.numbers, other.numbers)
                and np.array_equal(self.starts, other.starts))

    def sizes(self) -> np.ndarray:
        """(batches,) utterances of each."""
        return np.diff(self.starts)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(batches,) int64, the sum of a value of each utterance over each batch."""
        return np.add.reduceat(values[self.numbers], self.starts[:-1], dtype=np.int64) if len(self) else np.zeros(0, np.int64)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """(batches,) likewise the largest."""
        return np.maximum.reduceat(values[self.numbers], self.starts[:-1]) if len(self) else values[:0]

    def shuffled(self, random: np.random.Generator) -> "Order":
        """The same batches in a random order."""
        order, sizes = random.permutation(len(self)), self.sizes()
        starts = np.concatenate([[0], np.cumsum(sizes[order])])
        moved = np.repeat(self.starts[:-1][order] - starts[:-1], sizes[order])
        return Order(self.numbers[moved + np.arange(len(self.numbers))], starts)


class Batches:
    """The training batches of an epoch: a permutation of the utterances, deterministic in (seed, epoch).

    A batch is what one optimiser step sees, on however many processes and in however many micro-batches. Utterances of like
    length share one: within windows of ``WINDOW`` batches of a random order they are sorted, cut, and the batches
    shuffled again. The last of a window may be smaller; nothing is dropped. Batches have ``batch_size`` utterances, or, with
    ``batch_frames``, as many as those frames hold.

    With ``rates``, how often each utterance is drawn in an epoch on average (`draw_rates` of a mix), an epoch holds some
    several times and others not: one of rate 0.5 every second epoch, one of rate 2.5 two or three times.
    """

    WINDOW = 64

    def __init__(self, features: FeatureSet, utterances: np.ndarray, batch_size: int, seed: int,
                 collate: Callable[[FeatureSet, list[int], int], Any], batch_frames: int | None = None,
                 budget: Budget | None = None, rates: np.ndarray | None = None,
                 lengths: tuple[np.ndarray, np.ndarray] | None = None,
                 text_targets: Callable[[list[int], int], int] | None = None):
        """``collate`` makes a batch of the set, some utterances and the epoch's number; ``lengths`` are each utterance's frames
        and tokens, where they are others than in the set's index; ``text_targets`` counts those of a batch in an epoch."""
        self.features, self.utterances, self.seed, self.rates, self.collate = features, utterances, seed, rates, collate
        self.text_targets = text_targets
        self.frames, self.tokens = lengths or (np.ascontiguousarray(features.index[what]) for what in ("frames", "tokens"))
        self.batch_size, self.batch_frames, self.budget = batch_size, batch_frames, budget or Budget()
        # Frames alone leave 6.5 % of the tokens' square empty, tokens alone as much of the frames': both count alike.
        weight = self.frames[utterances].sum() / max(1, self.tokens[utterances].sum())
        self.length = self.frames + weight * self.tokens

    @functools.cached_property
    def _typical(self) -> int:
        """Utterances of a batch, on average."""
        if self.batch_frames is None:
            return self.batch_size
        return max(1, round(self.batch_frames / self.frames[self.utterances].mean()))

    def mean_size(self) -> tuple[int, int]:
        """Tokens and frames of a batch, on average."""
        size = min(self._typical, len(self.utterances))
        return tuple(max(1, round(counts[self.utterances].mean() * size)) for counts in (self.tokens, self.frames))

    @functools.cached_property
    def first_epoch(self) -> Order:
        """`order` of epoch 1, which a plan is made from and epochs are counted by."""
        return self.order(1)

    def order(self, epoch: int) -> Order:
        """The utterance numbers of each batch of an epoch."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = random.permutation(self.drawn(epoch))
        window = self.WINDOW * self._typical
        whole = len(shuffled) // window * window
        square = shuffled[:whole].reshape(-1, window)
        square = np.take_along_axis(square, np.argsort(self.length[square], axis=1, kind="stable"), 1)
        rest = shuffled[whole:]
        rest = rest[np.argsort(self.length[rest], kind="stable")]
        numbers = np.concatenate([square.ravel(), rest])
        begins = np.append(np.arange(0, len(numbers), window), len(numbers))  # of the windows
        if self.batch_frames is None:
            starts = np.unique(np.concatenate([np.arange(0, len(numbers), self.batch_size), begins]))
            if window % self.batch_size:
                raise AssertionError("a window holds whole batches")
        else:
            starts = self._filled(numbers, begins)
        return Order(numbers, starts.astype(np.int64)).shuffled(random)

    def drawn(self, epoch: int) -> np.ndarray:
        """The utterances of an epoch, as often as they are drawn in it; all once where nothing else is said.

        Of the draws of a rate r up to epoch e there are floor(e r + u), with u in [0, 1) a number of the utterance and the
        seed: so each gets its share in every stretch of epochs, and not on average alone.
        """
        if self.rates is None:
            return self.utterances
        rates = self.rates[self.utterances]
        offset = np.random.default_rng((self.seed, 0)).permutation(len(rates)) / len(rates)
        times = np.floor(epoch * rates + offset) - np.floor((epoch - 1) * rates + offset)
        drawn = np.repeat(self.utterances, times.astype(np.int64))
        return drawn if len(drawn) else self.utterances[:1]

    def _filled(self, numbers: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Where batches begin that hold as many utterances as ``batch_frames`` do, within windows; and the end."""
        frames = np.concatenate([[0], np.cumsum(self.frames[numbers], dtype=np.int64)])
        starts, place = [], 0
        for end in begins[1:].tolist():
            while place < end:
                starts.append(place)
                fits = int(np.searchsorted(frames, frames[place] + self.batch_frames, "right")) - 1
                place = min(max(fits, place + 1), end)
        return np.array([*starts, len(numbers)])

    def _fill(self, utterances: list[int], budget: Budget) -> list[list[int]]:
        """Utterances in as few micro-batches as the budget allows, in their order; one that is above it stands alone."""
        micro_batches: list[list[int]] = []
        frames = longest = 0
        for number in utterances:
            frames, longest = frames + int(self.frames[number]), max(longest, int(self.tokens[number]))
            if micro_batches and budget.holds(frames, longest * (len(micro_batches[-1]) + 1)):
                micro_batches[-1].append(number)
            else:
                micro_batches.append([number])
                frames, longest = int(self.frames[number]), int(self.tokens[number])
        return micro_batches

    def all_micro_batches(self, order: Order) -> Order:
        """What one process computes of each batch, micro-batch by micro-batch; batches that the budget holds stay whole."""
        budget = self.budget
        within = np.ones(len(order), bool)
        if budget.frames is not None:
            within &= order.sums(self.frames) <= budget.frames
        if budget.tokens is not None:
            within &= order.sizes() * order.largest(self.tokens) <= budget.tokens
        cuts = [order.starts]
        for batch in np.flatnonzero(~within).tolist():
            sizes = [len(micro_batch) for micro_batch in self.micro_batches(order[batch])]
            cuts.append(order.starts[batch] + np.cumsum(sizes[:-1], dtype=np.int64))
        return Order(order.numbers, np.sort(np.concatenate(cuts)))

    def micro_batches(self, batch: list[int], rank: int = 0, processes: int = 1) -> list[list[int]]:
        """What one of several processes computes of a batch, in micro-batches that fit its budget; maybe none."""
        return self._fill(batch[rank::processes], self.budget)

    def step(self, batch: list[int], rank: int = 0, processes: int = 1, pin: bool = False, epoch: int = 1) -> Step:
        """What one process computes of a batch."""
        micro_batches = self.micro_batches(batch, rank, processes)
        idle = not micro_batches  # fewer utterances than processes; the others wait for its share of the gradient
        read = [self.collate(self.features, micro_batch, epoch) for micro_batch in (micro_batches or [batch[:1]])]
        return Step(batch, [micro_batch.pin() for micro_batch in read] if pin else read, *self.size(batch), idle, epoch,
                    text_targets=self.text_targets(batch, epoch) if self.text_targets else None)

    def steps(self, epoch: int, skip: int = 0, rank: int = 0, processes: int = 1, workers: int = 0,
              pin: bool = False) -> Generator[Step, None, None]:
        """An epoch from its ``skip``-th batch on, as one of several processes computes it.

        ``workers`` threads read ahead while the batch before is computed with; with none, it is read when it is its turn.
        """
        rest = self.order(epoch)[skip:]
        if workers < 1:
            yield from (self.step(batch, rank, processes, pin, epoch) for batch in rest)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
            waiting: collections.deque[Future[Step]] = collections.deque()
            try:
                for batch in rest:
                    waiting.append(pool.submit(self.step, batch, rank, processes, pin, epoch))
                    if len(waiting) > 2 * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def size(self, batch: list[int]) -> tuple[int, int]:
        """Tokens and frames of a batch."""
        return int(self.tokens[batch].sum()), int(self.frames[batch].sum())

    def padding(self) -> dict[str, float]:
        """Share of the padded squares that holds nothing: of the tokens' (attention), the frames' (alignment), and both."""
        micro_batches = self.all_micro_batches(self.first_epoch)
        sizes = micro_batches.sizes()
        used = np.array([micro_batches.sums(what).sum() for what in (self.tokens, self.frames)], float)
        square = np.array([(micro_batches.largest(what) * sizes).sum() for what in (self.tokens, self.frames)], float)
        tokens, frames = 1 - used / square
        return {"tokens": float(tokens), "frames": float(frames), "both": float(1 - used.sum() / square.sum())}


def utterance_rates(features: FeatureSet, corpus_rates: Mapping[str, float]) -> np.ndarray | None:
    """(utterances of the set,) how often each is drawn in an epoch, from the rates of the corpora; nothing where all are 1."""
    if all(abs(rate - 1) < 1e-9 for rate in corpus_rates.values()):
        return None
    return np.array([corpus_rates.get(name, 1.0) for name in features.names("corpus")])[features.index["corpus"]]
