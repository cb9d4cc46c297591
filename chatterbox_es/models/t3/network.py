"""T3, Chatterbox's text-to-token model: a Llama over conditions, text and speech that predicts the next speech token.

Module names and shapes are those of the weights that Resemble AI publishes, key for key. The sequence of an utterance is

    speaker, prompt (32 positions, where there is one), emotion | text: 255 … 0 | speech: 6561, codes

In a batch each utterance stands at the left without gaps and all padding at the right, so that causal attention alone
hides the padding, needs no mask, and an utterance's rotary positions are the same as alone.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, LlamaConfig, LlamaModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from chatterbox_es.models.t3.conditioning import ConditionEncoder, Conditions

START_TEXT, STOP_TEXT = 255, 0
CODES = 6561  # of S3Tokenizer v2, 25 a second
START_SPEECH, STOP_SPEECH = CODES, CODES + 1
# torch's attention by a name for which transformers makes no masks: there is nothing to mask, and it would look at each batch
# whether there is, for which a GPU is waited.
ATTENTION = "sdpa_causal"
AttentionInterface.register(ATTENTION, sdpa_attention_forward)
LLAMA_ROWS = 8  # the Llama's own embedding, which nothing reads; it is in the published weights
# Rotary positions as Llama 3.1 scales them; T3's sequences stay far below the lengths where that matters.
ROTARY = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
          "original_max_position_embeddings": 8192}  # fmt: skip


@dataclass(frozen=True)
class T3Size:
    """As published; tests use smaller ones."""

    text_rows: int = 2454
    speech_rows: int = 8194
    width: int = 1024
    layers: int = 30
    heads: int = 16
    feedforward: int = 4096
    text_positions: int = 2050
    speech_positions: int = 4100
    speaker: int = 256
    queries: int = 32
    perceiver_heads: int = 4
    perceiver_dropout: float = 0.2  # of attention weights, while training

    @classmethod
    def english(cls) -> "T3Size":
        return cls(text_rows=704)

    @classmethod
    def of(cls, shapes: dict[str, torch.Size]) -> "T3Size":
        """The size that weights are of; heads of 64 as everywhere in the published ones."""
        width = shapes["text_emb.weight"][1]
        layers = 1 + max(int(name.split(".")[2]) for name in shapes if name.startswith("tfmr.layers."))
        return cls(shapes["text_emb.weight"][0], shapes["speech_emb.weight"][0], width, layers, width // 64,
                   shapes["tfmr.layers.0.mlp.up_proj.weight"][0], shapes["text_pos_emb.emb.weight"][0],
                   shapes["speech_pos_emb.emb.weight"][0], shapes["cond_enc.spkr_enc.weight"][1],
                   shapes["cond_enc.perceiver.pre_attention_query"][1])


@dataclass
class States:
    """What the last layer gives, of B utterances; zeros behind each one's length."""

    text: Tensor  # (B, T, W)
    speech: Tensor  # (B, S, W)


class PositionEmbedding(nn.Module):
    """A learned vector for each place in a text or in speech."""

    def __init__(self, positions: int, width: int):
        super().__init__()
        self.emb = nn.Embedding(positions, width)
        nn.init.normal_(self.emb.weight, std=0.02)

    def forward(self, places: Tensor) -> Tensor:
        return self.emb(places)


class T3(nn.Module):
    """Text and conditions to speech tokens.

    Published models are run with the start token twice, both at place 0 (`start_tokens=2`): that is what Resemble's inference
    gives the model, so training does the same. ``start_tokens=1`` is the plain sequence.
    """

    start_tokens: int = 2

    def __init__(self, size: T3Size = T3Size()):  # noqa: B008, it is frozen
        super().__init__()
        self.size = size
        width = size.width
        config = LlamaConfig(  # type: ignore[call-arg]  # attn_implementation, which its base takes and does not declare
            vocab_size=LLAMA_ROWS, hidden_size=width, intermediate_size=size.feedforward, num_hidden_layers=size.layers,
            num_attention_heads=size.heads, num_key_value_heads=size.heads, head_dim=width // size.heads,
            max_position_embeddings=131_072, rms_norm_eps=1e-5, rope_parameters=dict(ROTARY), attn_implementation=ATTENTION,
            tie_word_embeddings=False)
        self.tfmr = LlamaModel(config)
        self.cond_enc = ConditionEncoder(width, size.speaker, size.queries, size.perceiver_heads, size.perceiver_dropout)
        self.text_emb, self.speech_emb = nn.Embedding(size.text_rows, width), nn.Embedding(size.speech_rows, width)
        self.text_pos_emb = PositionEmbedding(size.text_positions, width)
        self.speech_pos_emb = PositionEmbedding(size.speech_positions, width)
        self.text_head = nn.Linear(width, size.text_rows, bias=False)
        self.speech_head = nn.Linear(width, size.speech_rows, bias=False)

    @property
    def device(self) -> torch.device:
        return self.text_emb.weight.device

    def save_memory(self) -> None:
        """Keep a layer's input alone for the backward pass and compute the rest again there (Chen et al. 2016)."""
        self.tfmr.activation_checkpointing_enable({"use_reentrant": False})

    def embed_text(self, text: Tensor, text_dropped: Tensor | None = None) -> Tensor:
        """(B, T) ids to (B, T, W). Where ``text_dropped`` (B,) the tokens are zeros in their places: no text to follow."""
        tokens = self.text_emb(text)
        if text_dropped is not None:
            tokens = tokens.masked_fill(text_dropped[:, None, None], 0.0)
        return tokens + self.text_pos_emb(torch.arange(text.shape[1], device=text.device))

    def embed_speech(self, speech: Tensor, first: int = 0, start_tokens: int = 1) -> Tensor:
        """(B, S) tokens, the first of them at place ``first``, to (B, S, W); all ``start_tokens`` of them at place 0."""
        places = (torch.arange(speech.shape[1], device=speech.device) + first - (start_tokens - 1)).clamp(min=0)
        return self.speech_emb(speech) + self.speech_pos_emb(places)

    def condition(self, conditions: Conditions) -> Tensor:
        """(B, positions, W)."""
        return self.cond_enc(conditions, self.embed_speech(conditions.prompt))

    def forward(self, conditions: Conditions, text: Tensor, text_lengths: Tensor, speech: Tensor, speech_lengths: Tensor,
                text_dropped: Tensor | None = None, start_tokens: int = 1, longest: int | None = None) -> States:
        """States at each text and speech token: those from which the token after it is predicted.

        Text (B, T) with its start and stop, speech (B, S) with its start tokens; lengths (B,) count them. ``longest`` is
        that of all three together (`T3Batch.longest`); without it the lengths are asked, which waits for a GPU.
        """
        parts = [self.condition(conditions), self.embed_text(text, text_dropped),
                 self.embed_speech(speech, start_tokens=start_tokens)]
        with_prompt = conditions.prompt_lengths > 0
        packing = Packing.of(self.cond_enc.positions, with_prompt, text.shape[1], text_lengths, speech_lengths,
                             longest)
        hidden = self.tfmr(inputs_embeds=packing.pack(torch.cat(parts, 1)), use_cache=False).last_hidden_state
        return States(packing.unpack(hidden, packing.text_start, text.shape[1], text_lengths),
                      packing.unpack(hidden, packing.text_start + text_lengths, speech.shape[1], speech_lengths))

    def parameter_count(self) -> int:
        return sum(weight.numel() for weight in self.parameters())

    def sizes(self) -> dict:
        return dataclasses.asdict(self.size)


@dataclass
class Packing:
    """From (B, conditions | text | speech), each padded, to rows without gaps, and back; without a loop over rows."""

    source: Tensor  # (B, L) where each position of a packed row comes from
    text_start: Tensor  # (B,) where the text begins in it

    @classmethod
    def of(cls, positions: int, with_prompt: Tensor, text_width: int, text: Tensor, speech: Tensor,
           longest: int | None = None) -> "Packing":
        """``positions`` of conditions, of which rows without a prompt have the first and the last; lengths (B,)."""
        text_start = torch.where(with_prompt, positions, 2)
        speech_start = text_start + text
        longest = int((speech_start + speech).max()) if longest is None else longest
        place = torch.arange(longest, device=text.device).expand(len(text), -1)
        in_text, in_speech = place >= text_start[:, None], place >= speech_start[:, None]
        source = torch.where(place == (text_start - 1)[:, None], positions - 1, place)  # emotion, after or without a prompt
        source = torch.where(in_text, place - text_start[:, None] + positions, source)
        source = torch.where(in_speech, place - speech_start[:, None] + positions + text_width, source)
        last = positions + text_width + speech.max() - 1
        return cls(source.minimum(last), text_start)  # behind the end: any position, nobody reads it

    def pack(self, embedded: Tensor) -> Tensor:
        return embedded.gather(1, self.source[..., None].expand(-1, -1, embedded.shape[2]))

    @staticmethod
    def unpack(hidden: Tensor, start: Tensor, width: int, lengths: Tensor) -> Tensor:
        """(B, width, W): ``lengths`` states of each row from ``start`` on, then zeros."""
        steps = torch.arange(width, device=hidden.device)
        place = (start[:, None] + steps).clamp(max=hidden.shape[1] - 1)
        states = hidden.gather(1, place[..., None].expand(-1, -1, hidden.shape[2]))
        return states.masked_fill((steps >= lengths[:, None])[..., None], 0.0)
