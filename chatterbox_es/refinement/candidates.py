"""Sentences that could be recorded, read from a text file, and how long each would take."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.files import read_utf8
from chatterbox_es.text import FrontEnd
from chatterbox_es.text.sentences import split

FEWEST_WORDS = 3
GOES_ON = re.compile(r"[^.?!…:;»”\"'—)\]]$")  # how a line ends that the next one goes on with


@dataclasses.dataclass
class Candidates:
    """Sentences that can be recorded, and those that are left out, with the reason."""

    texts: list[str]
    ids: list[np.ndarray]  # (tokens,) of each
    seconds: np.ndarray  # (sentences,) estimated
    left_out: list[tuple[str, str]]  # text, reason

    def reasons(self) -> Counter[str]:
        return Counter(reason for _, reason in self.left_out)


def read_sentences(file: Path) -> list[str]:
    """The sentences of a UTF-8 file: one a line, or prose, whose broken lines are joined.

    Raises:
        UserError: it cannot be read, or holds none.
    """
    lines = read_utf8(file, "text").splitlines()
    paragraphs = [""]
    for line in map(str.strip, lines):
        before = paragraphs[-1]
        if before and line and GOES_ON.search(before) and line[0].islower():
            paragraphs[-1] = f"{before.removesuffix('-')}{'' if before.endswith('-') else ' '}{line}"
        else:
            paragraphs.append(line)
    sentences = [sentence for paragraph in paragraphs for sentence in split(paragraph)]
    if not sentences:
        raise UserError(f"text={file} holds no sentence")
    return sentences


def candidates(sentences: list[str], features: FeatureSet, front_end: FrontEnd) -> Candidates:
    """Those that can be recorded: whole, new, speakable, and no longer than the corpus's longest."""
    longest = int(features.index["tokens"].max())
    recorded = {features.utterance(number)["words"] for number in range(len(features))}
    seen: set[str] = set()
    texts, ids, left_out = [], [], []
    for text in sentences:
        reading = front_end.read(text)
        words = len(reading.words.split())
        reason = ("nothing in it can be spoken" if not reading.is_speakable
                  else f"it holds what cannot be read, such as {reading.unknown[0].written!r}" if reading.unknown
                  else f"fewer than {FEWEST_WORDS} words" if words < FEWEST_WORDS
                  else "longer than the corpus's longest sentence" if len(reading.ids) > longest
                  else "in the corpus already" if reading.words in recorded
                  else "twice in the text" if reading.words in seen else "")
        if reason:
            left_out.append((text, reason))
            continue
        seen.add(reading.words)
        texts.append(" ".join(text.replace("|", " ").split()))
        ids.append(np.asarray(reading.ids, np.int16))
    return Candidates(texts, ids, estimated_seconds(np.array([len(some) for some in ids]), features), left_out)


def estimated_seconds(tokens: np.ndarray, features: FeatureSet) -> np.ndarray:
    """How long sentences of so many ``tokens`` (sentences,) take this speaker: a least-squares line through the corpus."""
    known, frames = features.index["tokens"].astype(float), features.index["frames"].astype(float)
    slope, start = np.polyfit(known, frames, 1) if len(np.unique(known)) > 1 else (frames.sum() / known.sum(), 0.0)
    if slope <= 0:
        slope, start = frames.sum() / known.sum(), 0.0
    return np.maximum(start + slope * tokens, frames.min()) / features.contract.frames_per_second
