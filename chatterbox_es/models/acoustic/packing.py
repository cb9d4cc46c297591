"""Sequences of unequal lengths in one tensor: packed, one after the other, or in a padded square."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Packing:
    """Where the packed rows of B sequences stand in the padded square (B, longest).

    It is made on the CPU, where the lengths are known: to count the true places of a mask on a GPU, the host would have to
    wait for all that is queued there.
    """

    def __init__(self, lengths: list[int], places: Tensor, mask: Tensor | None):
        self.lengths = lengths  # of the sequences
        self.places = places  # (rows,) int64, where each packed row stands in the flattened square
        self.mask = mask  # (B, longest) bool, true where a row stands; None where nothing is padded

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Packing":
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        return cls(list(lengths), mask.flatten().nonzero()[:, 0], mask)

    @classmethod
    def alone(cls, length: int, device: torch.device | str = "cpu") -> "Packing":
        """That of one sequence, of a length that an exported graph does not know yet."""
        return cls([length], torch.arange(length, device=device), None)

    def to(self, device: torch.device | str) -> "Packing":
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Packing":
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Packing":
        return Packing(self.lengths, change(self.places), None if self.mask is None else change(self.mask))

    def first(self, count: int) -> "Packing":
        """That of the first ``count`` sequences alone."""
        if count >= len(self.lengths):
            return self
        lengths, places = self.lengths[:count], self.places[:sum(self.lengths[:count])]
        longest, own = max(self.lengths), max(lengths)
        mask = None if self.mask is None else self.mask[:count, :own]
        return Packing(lengths, places // longest * own + places % longest, mask)

    def rows(self) -> Tensor:
        """(rows,) the sequence that each packed row belongs to."""
        return self.places // max(self.lengths)

    def positions(self) -> Tensor:
        """(rows,) how many rows of its sequence stand before each."""
        return self.places if self.mask is None else self.places % max(self.lengths)

    def pad(self, packed: Tensor) -> Tensor:
        """(rows, width) → (B, longest, width), with zeros between."""
        if self.mask is None:
            return packed[None]
        square = packed.new_zeros(self.mask.numel(), packed.shape[1])
        return square.index_copy_(0, self.places, packed).unflatten(0, self.mask.shape)

    def pack(self, padded: Tensor) -> Tensor:
        """(B, longest, …) → (rows, …)."""
        return padded[0] if self.mask is None else padded.flatten(0, 1).index_select(0, self.places)
