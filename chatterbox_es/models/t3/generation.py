"""Text and conditions to speech tokens, one after the other, as Resemble's package samples them (chatterbox-tts 0.1.7).

Guidance: two rows run side by side, one with the text and one with zeros in its place, and the prediction is moved away
from the second (Ho & Salimans 2022). Then repetition penalty, temperature, min-p, top-p, and a draw. What the package
does beside for its multilingual weights is not done here: it watches three attention heads, holds the stop token back
until the text is read, and stops at two equal tokens in a row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.conditioning import Conditions
from chatterbox_es.models.t3.network import CODES, START_SPEECH, STOP_SPEECH, T3


@dataclass(frozen=True)
class Sampling:
    """The multilingual package's own values; the English one's repetition penalty is 1.2."""

    guidance: float = 0.5  # 0: none, and half of the work
    temperature: float = 0.8  # 0: the likeliest token each time
    min_p: float = 0.05  # tokens less likely than this share of the likeliest are left out
    top_p: float = 1.0
    repetition_penalty: float = 2.0
    max_tokens: int = 1000  # 40 s

    def check(self) -> None:
        """
        Raises:
            UserError: a value out of its range.
        """
        for name, low, high in (("guidance", 0, 10), ("temperature", 0, 5), ("min_p", 0, 1), ("top_p", 1e-6, 1),
                                ("repetition_penalty", 1e-3, 100), ("max_tokens", 1, 4098)):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}={getattr(self, name):g}: must be {low:g} … {high:g}")


@dataclass
class Generated:
    """What T3 said."""

    codes: Tensor  # (S,) int64 of 0 … 6560, stop token and anything that is no code left out
    ended: bool  # with a stop token; without one it ran into max_tokens, and the end of the speech is a cut
    dropped: int = 0  # tokens that are no codes


@torch.inference_mode()
def generate(model: T3, text: Tensor, conditions: Conditions, sampling: Sampling = Sampling(),  # noqa: B008, it is frozen
             seed: int | None = None, start_tokens: int = 2, check: Callable[[], None] = lambda: None) -> Generated:
    """Speech tokens of one text, (T,) ids with start and stop, under the conditions of one utterance.

    The same for the same ``seed``, on the same device; without one the global random numbers are used. ``check`` is
    called before each token.
    """
    sampling.check()
    model.eval()
    guided = sampling.guidance > 0
    random = None if seed is None else torch.Generator(model.device).manual_seed(seed)
    rows = 2 if guided else 1
    has_prompt = bool(conditions.prompt_lengths[0])
    both = Conditions(*(value.to(model.device).expand(rows, *value.shape[1:]) for value in vars(conditions).values()))
    process = _processors(sampling)
    hidden, cache = _read_prefix(model, both, text.to(model.device).expand(rows, -1), start_tokens, has_prompt)
    said = torch.full((1, 1), START_SPEECH, device=model.device)
    ended = False
    for number in range(min(sampling.max_tokens, model.size.speech_positions - 1)):
        check()
        logits = model.speech_head(hidden[:, -1]).float()
        if guided:
            logits = logits[:1] + sampling.guidance * (logits[:1] - logits[1:])
        logits = process(said, logits)  # type: ignore[arg-type]  # declared LongTensor, which no Tensor is to a checker
        token = draw(logits.softmax(-1), random) if sampling.temperature else logits.argmax(-1, keepdim=True)
        said = torch.cat([said, token], 1)
        ended = token.item() == STOP_SPEECH
        if ended:
            break
        step = model.tfmr(inputs_embeds=model.embed_speech(token.expand(rows, 1), first=number + 1), cache=cache,
                          use_cache=True)
        hidden, cache = step.last_hidden_state, step.cache
    tokens = (said[0, 1:-1] if ended else said[0, 1:]).cpu()
    codes = tokens[tokens < CODES]
    return Generated(codes, ended, len(tokens) - len(codes))


def draw(probabilities: Tensor, random: torch.Generator | None = None) -> Tensor:
    """(B, 1) a token of each row (B, tokens), as likely as it is said: what `torch.multinomial` draws, which waits for a GPU
    twice to look at the probabilities."""
    return (probabilities / torch.empty_like(probabilities).exponential_(1, generator=random)).argmax(-1, keepdim=True)


def _read_prefix(model: T3, conditions: Conditions, text: Tensor, start_tokens: int, has_prompt: bool) -> tuple[Tensor, object]:
    """Conditions, text and start tokens; the second row, if there is one, without the text."""
    text_dropped = torch.arange(len(text), device=text.device) > 0
    start = torch.full((len(text), start_tokens), START_SPEECH, device=text.device)
    conditioned = model.condition(conditions)
    if not has_prompt:
        conditioned = torch.cat([conditioned[:, :1], conditioned[:, -1:]], 1)
    prefix = torch.cat([conditioned, model.embed_text(text, text_dropped),
                        model.embed_speech(start, start_tokens=start_tokens)], 1)
    read = model.tfmr(inputs_embeds=prefix, use_cache=True)
    return read.last_hidden_state, read.cache


def _processors(sampling: Sampling) -> LogitsProcessorList:
    """In the order of the published package."""
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty))])
    if sampling.temperature:
        steps.append(TemperatureLogitsWarper(float(sampling.temperature)))
        steps += [MinPLogitsWarper(sampling.min_p), TopPLogitsWarper(sampling.top_p)]
    return steps
