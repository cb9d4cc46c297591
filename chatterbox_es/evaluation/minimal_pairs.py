"""Words that differ in one sound, for a voice to say; minimal_pairs.tsv lists them."""

import functools
from pathlib import Path
from typing import Any, Protocol

from chatterbox_es.evaluation.sounds import Sound

PAIRS = Path(__file__).with_name("minimal_pairs.tsv")
CARRIER = "Ahora digo {} de nuevo."  # holds no place of any contrast
PAIR = "pair:"  # how ids of carrier sentences begin


class Voice(Protocol):
    """Who can say a sentence, such as `speech.voice.Voice`; what it gives has samples (samples,) and their rate in Hz."""

    def speak(self, text: str) -> Any: ...


@functools.cache
def minimal_pairs() -> tuple[tuple[str, str, str], ...]:
    """(contrast, word with its first member, word with its second)."""
    rows = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return tuple((contrast, first, second) for contrast, first, second in rows)


def pair_sentences() -> list[tuple[str, str]]:
    """(id, sentence) of each word of the minimal pairs in a carrier: for a system to say beside the held-out sentences."""
    return [(f"{PAIR}{contrast}:{word}", CARRIER.format(word)) for contrast, *words in minimal_pairs() for word in words]


def say_pairs(name: str, voice: Voice) -> list[Sound]:
    """The minimal pairs as a voice says them."""
    said = [(utterance, text, voice.speak(text)) for utterance, text in pair_sentences()]
    return [Sound(name, utterance, text, (), speech.samples, speech.rate) for utterance, text, speech in said]
