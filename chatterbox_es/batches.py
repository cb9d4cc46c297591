"""Which utterances a training step sees, in which order, and what a batch holds."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from chatterbox_es.feature_set import FeatureSet


@dataclasses.dataclass
class Batch:
    """Utterances side by side: B of them, N tokens in the longest text, T frames in the longest recording.

    Tokens are padded, since attention needs the square; frames stand one recording after the other, without padding.
    """

    utterances: list[int]  # numbers in the feature set
    tokens: Tensor  # (B, N) int64
    token_mask: Tensor  # (B, N) bool, true where there is a token
    mels: Tensor  # (frames, bins) float32, standardised
    frame_mask: Tensor  # (B, T) bool, true where there is a frame
    speakers: Tensor  # (B,) int64, places in the card's "speakers"
    dialects: Tensor  # (B,) int64, likewise

    def to(self, device: torch.device | str) -> "Batch":
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Batch":
        """In memory that a GPU copies from without waiting."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return dataclasses.replace(self, **{name: change(getattr(self, name))
                                            for name in ("tokens", "token_mask", "mels", "frame_mask", "speakers", "dialects")})


def mask_of(lengths: list[int]) -> Tensor:
    """(B, longest) bool, true for the first ``lengths[b]`` of row *b*."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def collate(features: FeatureSet, utterances: list[int]) -> Batch:
    """The batch of some utterances."""
    texts = [features.token_ids(number) for number in utterances]
    mels = [features.mel(number) for number in utterances]
    return Batch(utterances, torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), mask_of([len(t) for t in texts]),
                 torch.cat(mels), mask_of([len(m) for m in mels]), features.ids("speaker", utterances),
                 features.ids("dialect", utterances))


@dataclasses.dataclass
class Step:
    """What one process computes of a batch, and what all of them do."""

    utterances: list[int]  # of all processes
    pieces: list[Batch]  # this one's, each of which its memory holds
    tokens: int  # of all processes
    frames: int
    idle: bool = False  # whether this process has none: its piece then counts nothing


@dataclasses.dataclass
class Budget:
    """The most that one forward and backward takes; no limit where it is None."""

    frames: int | None = None
    tokens: int | None = None  # of the padded square, B × N

    def holds(self, frames: int, tokens: int) -> bool:
        return (self.frames is None or frames <= self.frames) and (self.tokens is None or tokens <= self.tokens)


class Batches:
    """The training batches of an epoch: a permutation of the utterances, deterministic in (seed, epoch).

    A batch is what one optimiser step sees, on however many processes and in however many pieces. Utterances of like
    length share one: within windows of ``WINDOW`` batches of a random order they are sorted, cut, and the batches
    shuffled again. The last of a window may be smaller; nothing is dropped. Batches have ``batch_size`` utterances, or, with
    ``batch_frames``, as many as those frames hold.
    """

    WINDOW = 64

    def __init__(self, features: FeatureSet, utterances: np.ndarray, batch_size: int, seed: int,
                 batch_frames: int | None = None, budget: Budget | None = None):
        self.features, self.utterances, self.seed = features, utterances, seed
        self.frames, self.tokens = features.index["frames"], features.index["tokens"]
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
    def first_epoch(self) -> list[list[int]]:
        """`order` of epoch 1, which a plan is made from and epochs are counted by: of a large corpus it takes a while."""
        return self.order(1)

    def order(self, epoch: int) -> list[list[int]]:
        """The utterance numbers of each batch of an epoch."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = random.permutation(self.utterances)
        window = self.WINDOW * self._typical
        batches: list[list[int]] = []
        for start in range(0, len(shuffled), window):
            part = shuffled[start:start + window]
            batches += self._cut(part[np.argsort(self.length[part], kind="stable")])
        random.shuffle(batches)
        return batches

    def _cut(self, part: np.ndarray) -> list[list[int]]:
        """Sorted utterances in batches."""
        if self.batch_frames is None:
            return [part[i:i + self.batch_size].tolist() for i in range(0, len(part), self.batch_size)]
        return self._fill(part.tolist(), Budget(frames=self.batch_frames))

    def _fill(self, utterances: list[int], budget: Budget) -> list[list[int]]:
        """Utterances in as few pieces as the budget allows, in their order; one that is above it stands alone."""
        pieces: list[list[int]] = []
        frames = longest = 0
        for number in utterances:
            frames, longest = frames + int(self.frames[number]), max(longest, int(self.tokens[number]))
            if pieces and budget.holds(frames, longest * (len(pieces[-1]) + 1)):
                pieces[-1].append(number)
            else:
                pieces.append([number])
                frames, longest = int(self.frames[number]), int(self.tokens[number])
        return pieces

    def pieces(self, batch: list[int], rank: int = 0, processes: int = 1) -> list[list[int]]:
        """What one of several processes computes of a batch, in pieces that its budget holds; none where it has nothing."""
        return self._fill(batch[rank::processes], self.budget)

    def step(self, batch: list[int], rank: int = 0, processes: int = 1, pin: bool = False) -> Step:
        """What one process computes of a batch."""
        pieces = self.pieces(batch, rank, processes)
        idle = not pieces  # fewer utterances than processes; the others wait for its share of the gradient
        read = [collate(self.features, piece) for piece in (pieces or [batch[:1]])]
        return Step(batch, [piece.pin() for piece in read] if pin else read, *self.size(batch), idle)

    def steps(self, epoch: int, skip: int = 0, rank: int = 0, processes: int = 1, workers: int = 0,
              pin: bool = False) -> Iterator[Step]:
        """An epoch from its ``skip``-th batch on, as one of several processes computes it.

        ``workers`` threads read ahead while the batch before is computed with; with none, it is read when it is its turn.
        """
        rest = self.order(epoch)[skip:]
        if workers < 1:
            yield from (self.step(batch, rank, processes, pin) for batch in rest)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
            waiting: collections.deque[Future[Step]] = collections.deque()
            try:
                for batch in rest:
                    waiting.append(pool.submit(self.step, batch, rank, processes, pin))
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
        used, square = np.zeros(2), np.zeros(2)
        for batch in self.first_epoch:
            for piece in self.pieces(batch):
                used += self.size(piece)
                square += [self.tokens[piece].max() * len(piece), self.frames[piece].max() * len(piece)]
        tokens, frames = 1 - used / square
        return {"tokens": float(tokens), "frames": float(frames), "both": float(1 - used.sum() / square.sum())}
