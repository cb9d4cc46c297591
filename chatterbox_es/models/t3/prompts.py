"""Which other clip of a speaker an utterance is conditioned on.

At synthesis the voice comes from a clip that says something else. Training on an utterance's own first seconds teaches
to copy them, so the clip is always another one: drawn anew each epoch, the same for the same (seed, epoch, utterance).
"""

import numpy as np

from chatterbox_es.models.t3.conditioning import PROMPT_TOKENS

SHORTEST = 25  # tokens: a clip under a second says little about a voice


class Prompts:
    """Candidates for each speaker: the training clips, so that training never uses a held-out clip."""

    def __init__(self, speakers: np.ndarray, lengths: np.ndarray, training: np.ndarray, seed: int, shortest: int = SHORTEST):
        """Of each utterance its speaker's number and its length in speech tokens; ``training`` are the numbers, in rising
        order, of those trained on."""
        self.seed, self.speakers = seed, np.asarray(speakers)
        training = np.asarray(training, dtype=np.int64)
        fit = training[np.asarray(lengths)[training] >= shortest]
        self._clips = fit[np.argsort(self.speakers[fit], kind="stable")]
        self._first = np.searchsorted(self.speakers[self._clips], np.arange(self.speakers.max(initial=0) + 2))

    def choose(self, number: int, epoch: int) -> int | None:
        """Another clip of the utterance's speaker; None where there is none: it is then trained without a prompt."""
        speaker = self.speakers[number]
        clips = self._clips[self._first[speaker]:self._first[speaker + 1]]
        place = int(np.searchsorted(clips, number))
        is_one = place < len(clips) and clips[place] == number
        if len(clips) - is_one < 1:
            return None
        drawn = int(np.random.default_rng((self.seed, epoch, number)).integers(len(clips) - is_one))
        return int(clips[drawn + (is_one and drawn >= place)])

    def without(self, numbers: np.ndarray) -> np.ndarray:
        """Those of some utterances that have no other clip to be prompted with, to be reported."""
        counts = np.diff(self._first)[self.speakers[numbers]] - np.isin(numbers, self._clips)
        return np.asarray(numbers)[counts < 1]


def first_tokens(codes: np.ndarray) -> np.ndarray:
    """The prompt that a clip gives: its first 6 s or all of it, as Chatterbox cuts a reference recording."""
    return codes[:PROMPT_TOKENS]


def drops_text(seed: int, epoch: int, number: int, share: float) -> bool:
    """Whether an utterance is trained without its text in an epoch, for classifier-free guidance (Ho & Salimans 2022)."""
    return bool(np.random.default_rng((seed, epoch, number, 1)).random() < share)
