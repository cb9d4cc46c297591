"""Which sentences are held out from training."""

import hashlib
import re
from collections import Counter

from chatterbox_es.errors import UserError

TRAIN, VALIDATION = "train", "validation"
_LARGEST_SHARE = 0.2


def split_by_text(
    keys: list[str], share: float = 0.05, minimum: int = 20, maximum: int = 200, seed: int = 0
) -> list[str]:
    """For each utterance "train" or "validation", so that no text stands on both sides.

    `keys` are the spoken texts. Those that differ in case, spaces or punctuation alone count as one text. Texts are
    ranked by a hash of seed and text, and the first ones are held out, until they are `share` of the utterances,
    but at least `minimum` and at most `maximum` of them, and never more than a fifth (one, when there are fewer
    than five). A text repeated so often that it would go past that number is passed over. So the row order does not
    matter, and a corpus that grows keeps its sides but for the few texts at the border.

    Two texts that are each repeated cannot be divided at a fifth: then the one with fewer utterances is held out.
    Raises UserError when there is one distinct text or none: nothing would be left to train on.
    """
    texts = [_text_identity(key) for key in keys]
    repeats = Counter(texts)
    if len(repeats) < 2:
        raise UserError(
            f"the corpus has {len(repeats)} distinct text{'' if len(repeats) == 1 else 's'} in {len(keys)} usable "
            "recordings; at least two are needed, one to train on and one to validate with: add recordings"
        )
    wanted = min(max(round(share * len(keys)), minimum), maximum, int(_LARGEST_SHARE * len(keys)))
    wanted = max(wanted, 1)
    ranked = sorted(repeats, key=lambda text: _rank(text, seed))
    held_out: set[str] = set()
    for text in ranked:
        if repeats[text] <= wanted:
            held_out.add(text)
            wanted -= repeats[text]
        if not wanted:
            break
    if not held_out:
        held_out.add(min(ranked, key=repeats.__getitem__))
    return [VALIDATION if text in held_out else TRAIN for text in texts]


def _text_identity(key: str) -> str:
    """What makes two texts the same: their letters and digits, in order."""
    return " ".join(re.findall(r"\w+", key.casefold())) or key.strip()


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
