"""Who speaks, and how: a speaker embedding, a prompt of speech tokens and an emotion as the first positions of T3's input.

The names of the modules are those of the published weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PROMPT_TOKENS = 150  # at most: 6 s
EMOTION = 0.5  # what Chatterbox calls neutral


@dataclass
class Conditions:
    """Of B utterances. A prompt of length 0 is none: its positions are then left out, as Chatterbox does."""

    speaker: Tensor  # (B, 256) float32, of unit norm
    prompt: Tensor  # (B, P) int64 speech tokens; what stands behind a row's length is not read
    prompt_lengths: Tensor  # (B,) int64
    emotion: Tensor  # (B,) float32, 0 … 1


class Attention(nn.Module):
    """Multi-head attention of one sequence over another, with one LayerNorm for both and a residual."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.to_q, self.to_k, self.to_v, self.proj_out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, Q, W) over (B, K, W), of which ``mask`` (B, K) bool may be read, to (B, Q, W)."""
        read = self.norm(keys)
        q, k, v = (self._split(tensor) for tensor in (self.to_q(self.norm(queries)), self.to_k(read), self.to_v(read)))
        allowed = None if mask is None else mask[:, None, None]
        attended = functional.scaled_dot_product_attention(q, k, v, allowed, self.dropout if self.training else 0.0)
        return queries + self.proj_out(attended.transpose(1, 2).flatten(2))

    def _split(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Perceiver(nn.Module):
    """A prompt of any length to a fixed number of positions (Jaegle et al. 2021): learned queries read it, then each other."""

    def __init__(self, width: int, queries: int, heads: int, dropout: float):
        super().__init__()
        bound = math.sqrt(3 / queries)
        self.pre_attention_query = nn.Parameter(torch.empty(1, queries, width).uniform_(-bound, bound))
        self.attn = Attention(width, heads, dropout)

    def forward(self, prompt: Tensor, mask: Tensor) -> Tensor:
        """(B, P, W) embeddings and (B, P) bool to (B, queries, W).

        A short prompt in a batch gives what it gives alone: only the keys are masked.
        """
        queries = self.attn(self.pre_attention_query.expand(len(prompt), -1, -1), prompt, mask)
        return self.attn(queries, queries)


class ConditionEncoder(nn.Module):
    """Speaker, prompt and emotion, in this order."""

    def __init__(self, width: int, speaker: int, queries: int, heads: int, dropout: float):
        super().__init__()
        self.spkr_enc = nn.Linear(speaker, width)
        self.emotion_adv_fc = nn.Linear(1, width, bias=False)
        self.perceiver = Perceiver(width, queries, heads, dropout)

    @property
    def positions(self) -> int:
        """Of an utterance that has a prompt."""
        return 2 + self.perceiver.pre_attention_query.shape[1]

    def forward(self, conditions: Conditions, prompt: Tensor) -> Tensor:
        """(B, positions, W), with ``prompt`` (B, P, W) embedded; the middle of a row without a prompt means nothing."""
        lengths = conditions.prompt_lengths
        mask = torch.arange(prompt.shape[1], device=prompt.device) < lengths[:, None].clamp(min=1)  # no row all masked: NaN
        speaker = self.spkr_enc(conditions.speaker.to(self.spkr_enc.weight.dtype))
        emotion = self.emotion_adv_fc(conditions.emotion[:, None].to(self.emotion_adv_fc.weight.dtype))
        return torch.cat([speaker[:, None], self.perceiver(prompt, mask), emotion[:, None]], 1)
