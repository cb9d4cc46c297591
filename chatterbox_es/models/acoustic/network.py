"""What is between phonemes and any decoder of mels: conditioning, encoder, alignment, durations, prosody.

    tokens → text encoder → one state a token → repeated over its frames, with prosody → a decoder → standardised log-mels

Monotonic alignment search says which frame belongs to which token while training, a duration predictor when speaking.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.alignment import best_path, frame_positions, likeness, whole_frames
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.prosody import DRAWN, Controls, Prosody, TokenProsody
from chatterbox_es.models.acoustic.speaker_embedding import NamedEmbedding
from chatterbox_es.models.acoustic.text_encoder import TextEncoder, sinusoids
from chatterbox_es.models.acoustic.token_predictor import DurationPredictor

LONGEST_TOKEN = 1024  # frames


@dataclasses.dataclass
class Prediction:
    """What a model says of a batch; tokens and frames are packed."""

    token_mels: Tensor  # (tokens, bins), from the token's state alone: what the alignment is searched with
    mels: Tensor  # (frames, bins), under that alignment
    durations: Tensor  # (tokens,) int64, frames of each token in the alignment
    log_durations: Tensor  # (tokens,), the duration predictor's
    prosody: Tensor | None = None  # (tokens,), negative log-likelihood of the recorded prosody; of a model that has one
    flow: Tensor | None = None  # (frames,), squared error of the flow; likewise
    states: Tensor | None = None  # (frames, width), what a flow is told beside the mels
    contest: tuple[Tensor, ...] | None = None  # of a model that is trained against a discriminator, what comes of it


@dataclasses.dataclass
class Aligned:
    """A batch before its frames are decoded: `AcousticModel.align`."""

    token_mels: Tensor
    durations: Tensor
    log_durations: Tensor
    frames: Tensor  # (frames, width), their states
    prosody: Tensor | None


@dataclasses.dataclass
class SpokenTokens:
    """What a model says of the tokens of one text."""

    states: Tensor  # (tokens, width)
    durations: Tensor  # (tokens,) frames, not whole yet
    prosody: TokenProsody | None = None


class AcousticModel(nn.Module):
    """A text encoder, a duration predictor, and what tells them of speaker, dialect and prosody, around a decoder.

    A subclass makes ``text_encoder`` and ``duration_predictor``, calls `condition` last, and gives `token_mels`, `products`,
    `forward`, `decode` and its `reach`.
    """

    text_encoder: TextEncoder
    duration_predictor: DurationPredictor
    frame_sinusoids: Tensor  # (frames, width / 2)
    prosody: Prosody | None

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.alignment_seconds = 0.0  # spent searching so far, which training reports as a share
        self.register_buffer("frame_sinusoids", sinusoids(LONGEST_TOKEN, width // 2, 200), persistent=False)

    def condition(self, speakers: Sequence[str], dialects: Sequence[str], prosody: bool, hidden: int, dropout: float,
                  bins: int) -> None:
        """Add what a model may be told. Last, so that the other parts begin with the same weights with and without."""
        if speakers:
            self.speaker_embedding = NamedEmbedding(speakers, self.width)
        if dialects:
            self.dialect_embedding = NamedEmbedding(dialects, self.width)
        self.prosody = Prosody(self.width, hidden, dropout, bins, len(speakers)) if prosody else None

    def token_mels(self, states: Tensor) -> Tensor:
        """What tokens say by themselves, which the alignment is searched with: (tokens, width) → (tokens, bins)."""
        raise NotImplementedError

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

    def prosody_statistics(self, speakers: Tensor | None, sentences: int = 1) -> Tensor:
        """(B, 4), those of each sentence's speaker: ``speakers`` (B,) are ids as `conditioning` takes them."""
        assert self.prosody is not None
        embedding = self.named("speaker")
        if embedding is None or speakers is None:
            return self.prosody.statistics[torch.zeros(sentences, dtype=torch.int64, device=self.prosody.statistics.device)]
        return self.prosody.statistics[embedding.rows[speakers]]

    def frame_states(self, states: Tensor, durations: Tensor, frames: int | None = None) -> Tensor:
        """Each token's state repeated over its frames, plus sinusoids of the frame's distance from both its ends.

        (tokens, width) and (tokens,) → (frames, width), with ``frames`` where the durations' sum is known.
        """
        token, since, left = frame_positions(durations, frames)
        since, left = since.clamp(max=LONGEST_TOKEN - 1), left.clamp(max=LONGEST_TOKEN - 1)
        # not states[token]: the gradient of an embedding adds up in a fixed order, so that a run can be repeated bit by bit
        spread = functional.embedding(token, states)
        return spread + torch.cat([self.frame_sinusoids[since], self.frame_sinusoids[left]], dim=1)

    def align(self, tokens: Tensor, text: Packing, mels: Tensor, speech: Packing, speakers: Tensor | None = None,
              dialects: Tensor | None = None, recorded: Tensor | None = None) -> Aligned:
        """The states of the frames of recorded ``mels`` (frames, bins; standardised, packed) under their best alignment.

        ``tokens`` are (tokens,), packed as ``text`` says, and frames as ``speech`` does. ``speakers`` and ``dialects``, (B,)
        ids of the prepared set, are read where the model is conditioned on them; ``recorded`` (frames, 2), the recordings'
        pitch and energy (`Prosody.measure`), where it has prosody. The duration predictor reads the states but does not train
        them.

        Raises:
            ValueError: something is missing that the model needs.
        """
        states = self.text_encoder(tokens, text, self.conditioning(speakers, dialects))
        token_mels = self.token_mels(states)
        with torch.no_grad():
            fit = likeness(token_mels.detach(), mels, text, speech)
        log_durations = self.duration_predictor(states.detach(), text)  # a GPU computes it while the CPU searches
        durations = self.search(fit, text, speech, tokens.device)
        frames, loss = self.frame_states(states, durations, len(mels)), None
        if self.prosody is not None:
            if recorded is None:
                raise ValueError("the model is told the recordings' prosody, and none is given")
            statistics = self.prosody_statistics(speakers, len(text.lengths))[text.rows()]
            measured = self.prosody.measure(recorded, durations, statistics)
            loss = self.prosody.loss(states, text, measured, log_durations, durations)
            frames = frames + self.prosody(measured, text, durations, len(mels), recorded)
        return Aligned(token_mels, durations, log_durations, frames, loss)

    def search(self, fit: Tensor, text: Packing, speech: Packing, device: torch.device) -> Tensor:
        """`best_path`, on the model's device; what it takes is counted, and waiting for a GPU is not."""
        began = time.perf_counter()
        durations = best_path(fit, text, speech)
        self.alignment_seconds += time.perf_counter() - began
        return durations if device.type == "cpu" else durations.pin_memory().to(device, non_blocking=True)

    def spoken_frames(self, tokens: Tensor, speed: float | Tensor = 1.0, conditioning: Tensor | None = None,
                      controls: Controls | None = None, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states of the frames of one text, (frames, width), and its durations (tokens,).

        ``conditioning`` (1, width) is what `conditioning` gives, and ``speaker`` (1,) the id that it is of, for the prosody's
        statistics. Without ``controls`` a model with prosody says the likeliest. Graphs of this are exported: nothing in it may
        depend on values.
        """
        said = self.spoken_tokens(tokens, conditioning, controls, speaker)
        durations = whole_frames(said.durations, speed)
        frames = self.frame_states(said.states, durations)
        if self.prosody is not None and said.prosody is not None:
            frames = frames + self.prosody(said.prosody, Packing.alone(tokens.shape[0], tokens.device), durations)
        return frames, durations

    def spoken_tokens(self, tokens: Tensor, conditioning: Tensor | None = None, controls: Controls | None = None,
                      speaker: Tensor | None = None) -> "SpokenTokens":
        """What comes before durations are whole frames."""
        text = Packing.alone(tokens.shape[0], tokens.device)
        states = self.text_encoder(tokens, text, conditioning)
        durations = self.duration_predictor(states, text).float().exp()
        if self.prosody is None:
            return SpokenTokens(states, durations)
        with torch.autocast(tokens.device.type, enabled=False):
            longer, prosody = self.prosody.draw(states.float(), text, self.prosody_statistics(speaker)[0],
                                                controls or plain_controls(tokens))
        return SpokenTokens(states, durations * longer, prosody)

    def speak(self, tokens: Tensor, speed: float | Tensor = 1.0, conditioning: Tensor | None = None,
              controls: Controls | None = None, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standardised log-mels (frames, bins) of one text, ``tokens`` (tokens,), and its durations (tokens,); the rest as
        `spoken_frames` says."""
        frames, durations = self.spoken_frames(tokens, speed, conditioning, controls, speaker)
        return self.decode(frames), durations

    def decode(self, frames: Tensor) -> Tensor:
        """The states of one text's frames (frames, width) → standardised log-mels (frames, bins) float32."""
        raise NotImplementedError

    @property
    def reach(self) -> int:
        """Frames on either side of one that its `decode` depends on."""
        raise NotImplementedError

    def decode_in_pieces(self, frames: Tensor, lengths: Iterable[int]) -> Iterator[Tensor]:
        """`decode`, in pieces of as many frames as ``lengths`` says, each when it is asked for."""
        first = 0
        for length in lengths:
            start, end = max(0, first - self.reach), first + length
            yield self.decode(frames[start:end + self.reach])[first - start:end - start]
            first = end
            if first >= len(frames):
                return

    def layers_of(self, *parts: tuple[nn.Module, int]) -> Iterator[tuple[nn.Linear, int]]:
        """The linear layers of some parts, each with its rows."""
        for part, rows in parts:
            yield from ((layer, rows) for layer in part.modules() if isinstance(layer, nn.Linear))

    def products(self, tokens: int, frames: int) -> Iterator[tuple[nn.Linear, int]]:
        """The linear layers of a training step of so many tokens and frames, each with its rows.

        The attention's own products and the predictors of durations and prosody, some 3 % together, are left out.
        """
        raise NotImplementedError

    def training_flops(self, tokens: int, frames: int) -> int:
        """Floating-point operations of those products: two a weight and row forwards, and backwards two for the rows and
        two for the weight unless it is frozen."""
        return sum((6 if layer.weight.requires_grad else 4) * layer.weight.numel() * rows
                   for layer, rows in self.products(tokens, frames))


def plain_controls(tokens: Tensor) -> Controls:
    """Of a text as the model would say it, likeliest. Each a tensor of its own: an exported graph takes two that are one for
    one."""
    count, where = len(tokens), tokens.device
    return Controls(torch.zeros((), device=where), torch.zeros(count, DRAWN, device=where), torch.zeros(count, device=where),
                    torch.ones(count, device=where), torch.zeros(count, device=where))
