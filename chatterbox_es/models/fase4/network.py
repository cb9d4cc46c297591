"""The model of "Fase 4": a transformer over tokens, a mel decoder over frames, and the durations between them.

    tokens → text encoder → one state a token → repeated over its frames → mel decoder → standardised log-mels

The sizes are the write-up's: text encoder 23,272,960 parameters, mel decoder 607,312 (4_2) or 4,804,688 (4_3). It
never said how text meets frames; here monotonic alignment search does while training, and a duration predictor,
whose parameters are counted apart, when speaking. So are those of the speaker's and the dialect's embedding, which it
did not have and which are there on request.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.fase4.alignment import best_path, frame_positions, likeness, whole_frames
from chatterbox_es.models.fase4.dropout import Dropout
from chatterbox_es.models.fase4.packing import Packing
from chatterbox_es.models.fase4.speaker_embedding import NamedEmbedding

LONGEST_TEXT = 4096  # tokens; the position table is a constant, not a parameter
LONGEST_TOKEN = 1024  # frames


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


class MelDecoder(nn.Sequential):
    """A perceptron from a frame's state to its standardised log-mel bins: width → hidden … → bins."""

    def __init__(self, width: int, hidden: Sequence[int], bins: int):
        layers: list[nn.Module] = []
        for inner in hidden:
            layers += [nn.Linear(width, inner), nn.GELU()]
            width = inner
        super().__init__(*layers, nn.Linear(width, bins))


class DurationPredictor(nn.Module):
    """Expected frames of each token from its state and its neighbours' (two convolutions, as FastSpeech has)."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.first = nn.Conv1d(width, hidden, 3, padding=1)
        self.first_norm = nn.LayerNorm(hidden)
        self.second = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.second_norm = nn.LayerNorm(hidden)
        self.output = nn.Linear(hidden, 1)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, text: Packing) -> Tensor:
        """Packed states (tokens, width) to the logarithm of their expected durations in frames, (tokens,)."""
        padded = text.pad(states)
        x = self.first_norm(functional.relu(self.first(padded.transpose(1, 2))).transpose(1, 2))
        x = self.dropout(x)
        if text.mask is not None:  # the next convolution sees no padding
            x = x * text.mask[:, :, None]
        x = self.second_norm(functional.relu(self.second(x.transpose(1, 2))).transpose(1, 2))
        return self.output(text.pack(self.dropout(x))).squeeze(1)


@dataclasses.dataclass
class Prediction:
    """What the model says of a batch; tokens and frames are packed."""

    token_mels: Tensor  # (tokens, bins), from the token's state alone: what the alignment is searched with
    mels: Tensor  # (frames, bins), under that alignment
    durations: Tensor  # (tokens,) int64, frames of each token in the alignment
    log_durations: Tensor  # (tokens,), the duration predictor's


class Fase4(nn.Module):
    """Text encoder, mel decoder and duration predictor."""

    frame_sinusoids: Tensor  # (frames, width / 2)

    def __init__(self, symbols: int = 8000, width: int = 512, layers: int = 6, heads: int = 8, feedforward: int = 2048,
                 dropout: float = 0.1, decoder_hidden: Sequence[int] = (1024, 2048, 1024), bins: int = 80,
                 duration_hidden: int = 256, speakers: Sequence[str] = (), dialects: Sequence[str] = ()):
        super().__init__()
        self.text_encoder = TextEncoder(symbols, width, layers, heads, feedforward, dropout)
        self.mel_decoder = MelDecoder(width, decoder_hidden, bins)
        self.duration_predictor = DurationPredictor(width, duration_hidden, dropout)
        since = sinusoids(LONGEST_TOKEN, width // 2, 200)
        self.register_buffer("frame_sinusoids", since, persistent=False)
        self.alignment_seconds = 0.0  # spent searching so far, which training reports as a share
        # Last, so that the other parts begin with the same weights with and without them.
        if speakers:
            self.speaker_embedding = NamedEmbedding(speakers, width)
        if dialects:
            self.dialect_embedding = NamedEmbedding(dialects, width)

    def named(self, what: str) -> NamedEmbedding | None:
        """The embedding of "speaker" or "dialect"; None where the model has none."""
        return getattr(self, f"{what}_embedding", None)

    def number(self, names: Callable[[str], Sequence[str]]) -> None:
        """Let ids of speakers and dialects be places in ``names("speaker")`` and ``names("dialect")``."""
        for what in ("speaker", "dialect"):
            if embedding := self.named(what):
                embedding.number(names(what))

    def conditioning(self, speakers: Tensor | None, dialects: Tensor | None) -> Tensor | None:
        """What is added to each sentence's tokens, (B, width), from ids (B,); None where the model is not conditioned.

        Raises:
            ValueError: ids are missing that the model is conditioned on.
        """
        parts = []
        for what, ids in (("speaker", speakers), ("dialect", dialects)):
            if embedding := self.named(what):
                if ids is None:
                    raise ValueError(f"the model is conditioned on the {what}, and no {what}s are given")
                parts.append(embedding(ids))
        return torch.stack(parts).sum(0) if parts else None

    def frame_states(self, states: Tensor, durations: Tensor, frames: int | None = None) -> Tensor:
        """Each token's state repeated over its frames, plus sinusoids of the frame's distance from both its ends.

        (tokens, width) and (tokens,) → (frames, width), with ``frames`` where the durations' sum is known.
        """
        token, since, left = frame_positions(durations, frames)
        since, left = since.clamp(max=LONGEST_TOKEN - 1), left.clamp(max=LONGEST_TOKEN - 1)
        # not states[token]: the gradient of an embedding adds up in a fixed order, so that a run can be repeated bit by bit
        spread = functional.embedding(token, states)
        return spread + torch.cat([self.frame_sinusoids[since], self.frame_sinusoids[left]], dim=1)

    def forward(self, tokens: Tensor, text: Packing, mels: Tensor, speech: Packing, speakers: Tensor | None = None,
                dialects: Tensor | None = None) -> Prediction:
        """Predict the recorded ``mels`` (frames, bins; standardised, packed) under their best alignment to the tokens.

        ``tokens`` are (tokens,), packed as ``text`` says, and frames as ``speech`` does. ``speakers`` and ``dialects``, (B,)
        ids of the prepared set, are read where the model is conditioned on them. The duration predictor reads the states but
        does not train them.
        """
        states = self.text_encoder(tokens, text, self.conditioning(speakers, dialects))
        token_mels = self.mel_decoder(states)
        with torch.no_grad():
            fit = likeness(token_mels.detach(), mels, text, speech)
        log_durations = self.duration_predictor(states.detach(), text)  # a GPU computes it while the CPU searches
        durations = self.search(fit, text, speech, tokens.device)
        frames = self.mel_decoder(self.frame_states(states, durations, len(mels)))
        return Prediction(token_mels, frames, durations, log_durations)

    def search(self, fit: Tensor, text: Packing, speech: Packing, device: torch.device) -> Tensor:
        """`best_path`, on the model's device; what it takes is counted, and waiting for a GPU is not."""
        began = time.perf_counter()
        durations = best_path(fit, text, speech)
        self.alignment_seconds += time.perf_counter() - began
        return durations if device.type == "cpu" else durations.pin_memory().to(device, non_blocking=True)

    def products(self, tokens: int, frames: int) -> Iterator[tuple[nn.Linear, int]]:
        """The linear layers of a training step of so many tokens and frames, each with its rows.

        The attention's own products and the duration predictor, some 3 % together, are left out.
        """
        for part, rows in ((self.text_encoder, tokens), (self.mel_decoder, tokens), (self.mel_decoder, frames)):
            yield from ((layer, rows) for layer in part.modules() if isinstance(layer, nn.Linear))

    def training_flops(self, tokens: int, frames: int) -> int:
        """Floating-point operations of those products: two a weight and row forwards, and backwards two for the rows and
        two for the weight unless it is frozen."""
        return sum((6 if layer.weight.requires_grad else 4) * layer.weight.numel() * rows
                   for layer, rows in self.products(tokens, frames))

    def speak(self, tokens: Tensor, speed: float | Tensor = 1.0,
              conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standardised log-mels (frames, bins) of one text, ``tokens`` (tokens,), and its durations (tokens,).

        ``conditioning`` (1, width) is what `conditioning` gives. A graph of this is what is exported: nothing in it may depend
        on values.
        """
        text = Packing.alone(tokens.shape[0], tokens.device)
        states = self.text_encoder(tokens, text, conditioning)
        durations = whole_frames(self.duration_predictor(states, text).float().exp(), speed)
        return self.mel_decoder(self.frame_states(states, durations)).float(), durations
