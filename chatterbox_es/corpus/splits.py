"""Which sentences, or which speakers, are held out from training."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from chatterbox_es.errors import UserError

TRAIN, VALIDATION = "train", "validation"
_LARGEST_SHARE = 0.2


def split_by_text(
    keys: Sequence[str], share: float = 0.05, minimum: int = 20, maximum: int = 200, seed: int = 0
) -> list[str]:
    """For each utterance "train" or "validation", so that no text stands on both sides.

    `keys` are the spoken texts. Those that differ in case, spaces or punctuation alone count as one text: see `rank`
    and `held_out`, which do it for a corpus whose texts nobody holds.
    """
    sides = held_out(np.array([rank(key, seed) for key in keys], np.uint64), share, minimum, maximum)
    return [VALIDATION if side else TRAIN for side in sides]


def held_out(ranks: np.ndarray, share: float = 0.05, minimum: int = 20, maximum: int = 200, what: str = "text") -> np.ndarray:
    """(utterances,) bool, true for those held out; `ranks` (utterances,) uint64 are equal where texts (or speakers) are.

    The lowest ranks are held out, until they are `share` of the utterances, but at least `minimum` and at most
    `maximum` of them, and never more than a fifth (one, when there are fewer than five). A text repeated so often that
    it would go past that number is passed over. So the row order does not matter, and a corpus that grows keeps its
    sides but for the few texts at the border.

    Two texts that are each repeated cannot be divided at a fifth: then the one with fewer utterances is held out.
    Raises UserError when there is one distinct text or none: nothing would be left to train on.
    """
    distinct, place, repeats = np.unique(ranks, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise UserError(
            f"the corpus has {len(distinct)} distinct {what}{'' if len(distinct) == 1 else 's'} in {len(ranks)} usable "
            "recordings; at least two are needed, one to train on and one to validate with: add recordings"
        )
    wanted = max(min(max(round(share * len(ranks)), minimum), maximum, int(_LARGEST_SHARE * len(ranks))), 1)
    chosen = np.zeros(len(distinct), bool)
    for number, count in enumerate(repeats.tolist()):
        if count <= wanted:
            chosen[number] = True
            wanted -= count
        if not wanted:
            break
    if not chosen.any():
        chosen[np.argmin(repeats)] = True
    return chosen[place]


def held_out_speakers(speakers: np.ndarray, names: Sequence[str], share: float = 0.05, minimum: int = 20,
                      maximum: int = 200, seed: int = 0) -> np.ndarray:
    """`held_out` by speaker, for `speakers` (utterances,), places in `names`: nobody is heard on both sides.

    Whoever has no name ("") may be anybody, and stays in training. Raises UserError with fewer than two named speakers.
    """
    named = np.array([bool(name) for name in names])[speakers]
    known = len(np.unique(speakers[named]))
    if known < 2:
        raise UserError(
            f"data.split=speaker needs two speakers at least, and the usable recordings name {known}: "
            "give the metadata a column with the speaker, or leave data.split=text"
        )
    ranks = np.array([_rank(f"speaker\0{name}", seed) for name in names], np.uint64)[speakers]
    sides = np.zeros(len(speakers), bool)
    sides[named] = held_out(ranks[named], share, minimum, maximum, "speaker")
    return sides


def rank(key: str, seed: int = 0) -> int:
    """64 bits of a hash of seed and text (SHA-256): equal for texts that differ in case, spaces or punctuation alone."""
    return _rank(_text_identity(key), seed)


def _text_identity(key: str) -> str:
    """What makes two texts the same: their letters and digits, in order."""
    return " ".join(re.findall(r"\w+", key.casefold())) or key.strip()


def _rank(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{text}".encode()).digest()[:8], "big")
