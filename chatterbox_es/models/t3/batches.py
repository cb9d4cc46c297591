"""Utterances side by side, as T3 is trained on them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from chatterbox_es.models.t3.conditioning import EMOTION, PROMPT_TOKENS, Conditions
from chatterbox_es.models.t3.network import CODES, START_SPEECH, STOP_SPEECH

IGNORED = -100  # a target that is none; never an input


@dataclasses.dataclass
class Spoken:
    """One utterance."""

    text: Sequence[int]  # ids with start and stop, `tokens.TextIds.ids`
    codes: np.ndarray  # (S,) speech tokens of 0 … 6560, without start and stop
    speaker: np.ndarray  # (256,) float32 of the clip that the prompt is from
    prompt: np.ndarray  # (P,) speech tokens of another clip; (0,) where there is none
    text_dropped: bool = False  # trained without its text, for guidance
    emotion: float = EMOTION


@dataclasses.dataclass
class T3Batch:
    """B utterances; T text tokens and S speech tokens, start tokens included, in the longest.

    Which places predict something, and how long each row is, are known here, on the host: asked of a GPU later, each would
    be a wait for it.
    """

    conditions: Conditions
    text: Tensor  # (B, T) int64
    text_lengths: Tensor  # (B,)
    text_targets: Tensor  # (B, T) the token after each; IGNORED behind the end and where the text was dropped
    speech: Tensor  # (B, S) int64: start tokens and codes
    speech_lengths: Tensor  # (B,)
    speech_targets: Tensor  # (B, S) the code after each, at last the stop token; IGNORED elsewhere
    speech_places: Tensor  # (N,) int64 where in speech_targets, row after row, a target is
    text_places: Tensor  # (M,) likewise in text_targets
    text_dropped: Tensor  # (B,) bool
    sizes: np.ndarray  # (B, 3) prompt, text and speech tokens of each; stays on the host
    start_tokens: int
    utterances: list[int] = dataclasses.field(default_factory=list)  # numbers in the token set

    @property
    def frames(self) -> int:
        """Speech tokens, without start tokens."""
        return int((self.sizes[:, 2] - self.start_tokens).sum())

    def longest(self, positions: int) -> int:
        """Positions of the longest row, conditions included: ``positions`` of them, or two where there is no prompt."""
        prompts, texts, speech = self.sizes.T
        return int((np.where(prompts > 0, positions, 2) + texts + speech).max())

    def to(self, device: torch.device | str) -> "T3Batch":
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "T3Batch":
        """In memory that a GPU copies from without waiting."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "T3Batch":
        def changed(value: T3Batch | Conditions) -> dict[str, Any]:
            return {field.name: change(getattr(value, field.name)) for field in dataclasses.fields(value)
                    if isinstance(getattr(value, field.name), Tensor)}

        return dataclasses.replace(self, **changed(self),
                                   conditions=dataclasses.replace(self.conditions, **changed(self.conditions)))

    def counts(self) -> tuple[int, int]:
        """Speech and text tokens that are predicted: what the losses of a batch are means over."""
        return len(self.speech_places), len(self.text_places)


def collate(spoken: Sequence[Spoken], start_tokens: int = 2) -> T3Batch:
    """The batch of some utterances.

    Raises:
        ValueError: a code that is none, a text without start and stop, a prompt that is too long.
    """
    for utterance in spoken:
        every = np.concatenate([utterance.codes, utterance.prompt])
        if len(every) and (every.min() < 0 or every.max() >= CODES):
            raise ValueError(f"speech tokens are 0 … {CODES - 1}, got {every.min()} … {every.max()}")
        if len(utterance.text) < 2 or len(utterance.prompt) > PROMPT_TOKENS:
            raise ValueError(f"text of {len(utterance.text)} ids, prompt of {len(utterance.prompt)} tokens")
    text = [torch.as_tensor(utterance.text, dtype=torch.int64) for utterance in spoken]
    codes = [torch.from_numpy(np.asarray(utterance.codes, dtype=np.int64)) for utterance in spoken]
    prompts = [torch.from_numpy(np.asarray(utterance.prompt, dtype=np.int64)) for utterance in spoken]
    start, stop = torch.full((start_tokens,), START_SPEECH), torch.tensor([STOP_SPEECH])
    none = torch.full((start_tokens - 1,), IGNORED)
    text_dropped = torch.tensor([utterance.text_dropped for utterance in spoken])
    text_targets = pad_sequence([torch.full_like(ids, IGNORED) if utterance.text_dropped
                                 else torch.cat([ids[1:], torch.tensor([IGNORED])])
                                 for ids, utterance in zip(text, spoken, strict=True)], batch_first=True, padding_value=IGNORED)
    prompt = pad_sequence(prompts, batch_first=True)
    conditions = Conditions(torch.from_numpy(np.stack([u.speaker for u in spoken]).astype(np.float32)),
                            prompt if prompt.shape[1] else prompt.new_zeros(len(spoken), 1),
                            torch.tensor([len(tokens) for tokens in prompts]),
                            torch.tensor([utterance.emotion for utterance in spoken]))
    speech_targets = pad_sequence([torch.cat([none, c, stop]) for c in codes], batch_first=True, padding_value=IGNORED)
    sizes = np.array([(len(tokens), len(ids), start_tokens + len(c))
                      for tokens, ids, c in zip(prompts, text, codes, strict=True)])
    speech_places, text_places = ((targets.flatten() != IGNORED).nonzero()[:, 0] for targets in (speech_targets, text_targets))
    return T3Batch(conditions, pad_sequence(text, batch_first=True), torch.from_numpy(sizes[:, 1].copy()), text_targets,
                   pad_sequence([torch.cat([start, c]) for c in codes], batch_first=True), torch.from_numpy(sizes[:, 2].copy()),
                   speech_targets, speech_places, text_places, text_dropped, sizes, start_tokens)
