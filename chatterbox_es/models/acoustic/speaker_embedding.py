"""What a model is conditioned on beside the text: who speaks, and in which dialect."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class NamedEmbedding(nn.Module):
    """A vector for each of some names, and one for all others, which is row 0.

    All vectors begin as 0: a model with the embedding says what one without it says until training separates the names, so
    that a voice without names can be fine-tuned.
    """

    def __init__(self, names: Sequence[str], width: int):
        super().__init__()
        self.names = tuple(names)
        self.embedding = nn.Embedding(1 + len(self.names), width)
        nn.init.zeros_(self.embedding.weight)
        self.register_buffer("rows", torch.arange(1 + len(self.names)), persistent=False)

    def number(self, names: Sequence[str]) -> None:
        """Let the ids that `forward` is given be places in `names`, those of a prepared set."""
        self.rows = torch.tensor([self.row(name) for name in names], device=self.embedding.weight.device)

    def row(self, name: str) -> int:
        """The row of a name; 0 for one that has none."""
        return self.names.index(name) + 1 if name in self.names else 0

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` (B,) int64, numbered as in `number`, to vectors (B, width)."""
        return functional.embedding(self.rows[ids], self.embedding.weight)
