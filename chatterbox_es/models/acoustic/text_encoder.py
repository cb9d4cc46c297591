"""A transformer over tokens: one state each, with the whole sentence in view."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.dropout import Dropout
from chatterbox_es.models.acoustic.packing import Packing

LONGEST_TEXT = 4096  # tokens; the position table is a constant, not a parameter


def sinusoids(positions: int, width: int, longest_wave: float) -> Tensor:
    """Sines and cosines of a position (Vaswani et al. 2017), (positions, width), wave lengths 2π … ``longest_wave``."""
    rates = torch.exp(-math.log(longest_wave / (2 * math.pi)) * torch.linspace(0, 1, width // 2))
    angles = torch.arange(positions)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention, (B, heads, N, depth), to the tokens of ``mask`` (B, N), or to all."""
    mask = None if mask is None else mask[:, None, None, :]
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # For the short squares of sentences torch's fused CPU kernel took six times as long as these lines.
    likeness = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).float()
    if mask is not None:
        likeness = likeness.masked_fill(~mask, -torch.inf)
    return likeness.softmax(3).to(value.dtype) @ value


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each normalised first (pre-norm), over packed tokens.

    Tokens of all sentences stand in one row after the other, so that no matrix product is spent on padding; only
    attention, a small share of the work, sees the padded square.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, text: Packing) -> Tensor:
        """(tokens, width) → (tokens, width)."""
        x = x + self.dropout(self.attention_output(self.attend(self.attention_norm(x), text)))
        return x + self.dropout(self.contract(self.dropout(functional.gelu(self.expand(self.feedforward_norm(x))))))

    def attend(self, x: Tensor, text: Packing) -> Tensor:
        padded = text.pad(self.query_key_value(x))
        query, key, value = padded.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, N, width/heads)
        attended = attention(query, key, value, text.mask)
        return text.pack(attended.transpose(1, 2).flatten(2))


class TextEncoder(nn.Module):
    """Tokens to one state each, with the whole sentence in view."""

    positions: Tensor  # (tokens, width)

    def __init__(self, symbols: int, width: int, layers: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward, dropout) for _ in range(layers))
        self.output = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        self.register_buffer("positions", sinusoids(LONGEST_TEXT, width, 10_000), persistent=False)

    def forward(self, tokens: Tensor, text: Packing, conditioning: Tensor | None = None) -> Tensor:
        """Packed ``tokens`` (tokens,) int64 to states (tokens, width).

        ``conditioning`` (B, width) is added to each token of its sentence, so that all that follows can depend on it.

        Raises:
            ValueError: a text longer than the position table.
        """
        if max(text.lengths) > LONGEST_TEXT:
            raise ValueError(f"a text of {max(text.lengths)} tokens; the encoder takes {LONGEST_TEXT}: split it into sentences")
        x = self.embedding(tokens) + self.positions[text.positions()]
        if conditioning is not None:
            x = x + functional.embedding(text.rows(), conditioning)  # the gradient adds up in a fixed order
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, text)
        return self.output(x)
