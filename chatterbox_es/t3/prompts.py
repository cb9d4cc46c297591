"""Which other clip of a speaker an utterance is conditioned on.

At synthesis the voice comes from a clip that says something else. Training on an utterance's own first seconds teaches
to copy them, so the clip is always another one: drawn anew each epoch, the same for the same (seed, epoch, utterance).
"""

from collections.abc import Sequence

import numpy as np

from chatterbox_es.t3.conditioning import PROMPT_TOKENS

SHORTEST = 25  # tokens: a clip under a second says little about a voice


class Prompts:
    """Candidates for each speaker: the training clips, so that no held-out clip is heard while training."""

    def __init__(self, speakers: Sequence[str], lengths: Sequence[int], training: Sequence[int], seed: int,
                 shortest: int = SHORTEST):
        """Of each utterance its speaker and its length in speech tokens; ``training`` are the numbers of those trained on."""
        self.seed = seed
        self.speakers = list(speakers)
        self.candidates: dict[str, np.ndarray] = {}
        for speaker in set(self.speakers):
            clips = [number for number in training if self.speakers[number] == speaker]
            self.candidates[speaker] = np.array([n for n in clips if lengths[n] >= shortest], dtype=np.int64)

    def choose(self, number: int, epoch: int) -> int | None:
        """Another clip of the utterance's speaker; None where there is none: it is then trained without a prompt."""
        clips = self.candidates[self.speakers[number]]
        clips = clips[clips != number]
        if not len(clips):
            return None
        return int(clips[np.random.default_rng((self.seed, epoch, number)).integers(len(clips))])

    def without(self) -> list[int]:
        """Numbers of the utterances that have no other clip to be prompted with, to be reported."""
        return [number for number in range(len(self.speakers)) if self.choose(number, 1) is None]


def first_tokens(codes: np.ndarray) -> np.ndarray:
    """The prompt that a clip gives: its first 6 s or all of it, as Chatterbox cuts a reference recording."""
    return codes[:PROMPT_TOKENS]


def unheard(seed: int, epoch: int, number: int, share: float) -> bool:
    """Whether an utterance is trained without its text this time, for classifier-free guidance (Ho & Salimans 2022)."""
    return bool(np.random.default_rng((seed, epoch, number, 1)).random() < share)
