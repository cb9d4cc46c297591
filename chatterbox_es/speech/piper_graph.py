"""What stands before and behind a voice's graph so that Piper can run it: its numbers in, its scales in, its sound out.

    inputs   input         int64 (1, numbers)  of the characters that espeak-ng wrote, framed and filled as Piper does
             input_lengths int64 (1,)
             scales        float32 (3,)        noise_scale, length_scale, noise_w
             sid           int64 (1,)          who speaks; of a voice with several
    outputs  output        float32 (1, 1, samples)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.prosody import TEMPERATURE, shared_noise
from chatterbox_es.speech.manner import BOUNDS
from chatterbox_es.text import espeak
from chatterbox_es.text.dialects import Dialect
from chatterbox_es.text.symbols import END, START

INPUTS = ["input", "input_lengths", "scales"]
OUTPUT = "output"
NOISE, NOISE_W = 0.667, 0.8  # Piper's own values where nothing is said: they stand for ours
PARTS = 8  # noises to begin with; which one, the text says, so that not all sentences have one melody
NOISY = 512  # tokens after which the noise begins again


class EspeakTokens(nn.Module):
    """Piper's numbers to our tokens: `espeak.tokens_of` as lookups."""

    def __init__(self, dialect: Dialect):
        super().__init__()
        meaning = [0, 0, 0, *(espeak.SIGN[sign] for sign in espeak.MEANING.values())]
        edges = [sign in espeak.MARKS or sign == END for sign in espeak.SIGNS]
        openings = [espeak.SIGN[espeak.OPENING.get(sign, espeak.NOTHING)] for sign in espeak.SIGNS]
        tables = [torch.from_numpy(espeak.table_of(rule)).flatten().to(torch.uint8) for rule in espeak.passes(dialect)]
        self.register_buffer("meaning", torch.tensor(meaning))
        self.register_buffer("edges", torch.tensor(edges))
        self.register_buffer("openings", torch.tensor(openings))
        self.register_buffer("symbols", torch.from_numpy(espeak.SYMBOL_IDS))
        self.register_buffer("tables", torch.stack(tables))

    meaning: Tensor  # (numbers,) the sign of each of Piper's
    edges: Tensor  # (signs,) whether a clause begins behind it
    openings: Tensor  # (signs,) the mark that opens a clause which this one ends; 0 for none
    symbols: Tensor  # (signs,) our token of each
    tables: Tensor  # (passes, signs³)

    def forward(self, numbers: Tensor, length: Tensor) -> Tensor:
        """(numbers,) and () to (tokens,)."""
        told = (torch.arange(numbers.shape[0]) < length) & (numbers >= 0) & (numbers < len(self.meaning))
        inner = self.meaning[torch.where(told, numbers, 0)]
        signs = functional.pad(inner, (1, 0), value=espeak.SIGN[START])
        signs = functional.pad(signs, (0, 1), value=espeak.SIGN[END])
        for table in self.tables:
            signs = _where(signs, signs > 0)
            framed, count = functional.pad(signs, (1, 1)), len(espeak.SIGNS)
            signs = table[(framed[:-2] * count + signs) * count + framed[2:]].long()
        return self.symbols[self._opened(_where(signs, signs > 0))]

    def _opened(self, signs: Tensor) -> Tensor:
        """With the marks that open clauses, each behind the mark (or start) at which its clause begins."""
        begins = self.edges[signs]
        ends = functional.pad(_where(signs, begins)[1:], (0, 1))  # what ends each clause
        number = (begins.long().cumsum(0) - 1).clamp(min=0)
        opening = torch.where(begins, self.openings[ends[number]], 0)
        both = torch.stack([signs, opening], 1).flatten()
        return _where(both, both > 0)


def _where(values: Tensor, wanted: Tensor) -> Tensor:
    """Those that are wanted; ``values[wanted]`` in operations that ONNX has."""
    return values[wanted.nonzero()[:, 0]]


class PiperFront(nn.Module):
    """What Piper gives a voice to what ours takes (`onnx_voice`): tokens, speed and, where it has them, chance and manner."""

    def __init__(self, dialect: Dialect, wanted: dict[str, int]):
        """``wanted`` are the inputs of the voice's graph in their order, and how many dimensions each has."""
        super().__init__()
        self.tokens, self.wanted = EspeakTokens(dialect), wanted
        self.register_buffer("noises", torch.stack([torch.from_numpy(shared_noise(NOISY, (0, part))) for part in range(PARTS)]))

    noises: Tensor  # (PARTS, NOISY, 3)

    def forward(self, numbers: Tensor, lengths: Tensor, scales: Tensor) -> tuple[Tensor, ...]:
        """Piper's ``input``, ``input_lengths`` and ``scales`` to the values of `wanted`."""
        tokens = self.tokens(numbers[0], lengths[0])
        least, most, _ = BOUNDS["speed"]
        speed = (1 / scales[1].clamp(min=1e-3)).clamp(least, most)
        if not self.wanted["speed"]:
            return tokens, speed
        part = tokens.sum() % PARTS
        level = torch.zeros_like(tokens).float()
        values = {"tokens": tokens, "speed": level + speed, "pitch": level + 0, "range": level + 1, "energy": level * 1}
        melody, length = scales[0] * (TEMPERATURE / NOISE), scales[2] * (TEMPERATURE / NOISE_W)
        temperature = torch.maximum(melody, length).clamp(0.0, BOUNDS["temperature"][1])
        shares = torch.stack([length, melody, melody]) / temperature.clamp(min=1e-6)
        noise = self.noises[part][torch.arange(tokens.shape[0]) % NOISY]
        values |= {"temperature": temperature, "noise": noise * shares.clamp(0.0, 1.0)}
        return tuple(values[name] for name in self.wanted)


class PiperSound(nn.Module):
    """A voice's samples as Piper's: within full scale, and of three dimensions."""

    def forward(self, samples: Tensor) -> Tensor:
        """(samples,) to (1, 1, samples)."""
        return (samples / samples.abs().amax(0).clamp(min=1.0))[None, None]


def noise_part(tokens: Any) -> int:
    """Which noise a sentence begins with: the ``part`` for which our engines say the same."""
    return int(sum(int(token) for token in tokens) % PARTS)


