"""A prepared corpus as T3 is trained on it: speech tokens, text ids and speaker embeddings beside the mels' set.

The folder ``tokens-KEY`` in that of the mels' set (`feature_set`) holds

    codes.npy      int16 (codes,): speech tokens, 25 a second, one utterance after the other
    text.npy       int16 (ids,): text ids with start and stop, likewise
    index.npy      one `TOKENS` record an utterance, in the order of the mels' set
    speakers.npy   float32 (utterances, 256): who speaks, of unit norm
    vocabulary.json  the vocabulary, with the dialect tags where there are some
    lint.jsonl     the utterances that have no tokens, and why; characters that the vocabulary lacks
    card.json      what they were made of, counts, and a hash of the content

An hour of speech takes 180 KB of codes; 482,000 utterances of 5 s about 120 MB.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from chatterbox_es.dataset.feature_set import CARD, FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.network import CODES, STOP_SPEECH
from chatterbox_es.models.t3.prompts import Prompts
from chatterbox_es.models.t3.references import references

TOKENS = np.dtype([("code", "<i8"), ("codes", "<i4"), ("id", "<i8"), ("ids", "<i4")])
"""``code`` and ``id`` are where an utterance begins; one without tokens has 0 ``codes``."""


class TokenSet(FeatureSet):
    """An opened set of mels with its tokens. Utterances without tokens are neither trained on nor held out."""

    unit, naive = "nats a speech token", "guessing by frequency"

    def __init__(self, features: FeatureSet, folder: Path):
        """
        Raises:
            UserError: there are no tokens in the folder.
        """
        super().__init__(features.folder, features.source)
        self.token_folder = Path(folder)
        try:
            card = json.loads((self.token_folder / CARD).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{folder} holds no speech tokens: python -m chatterbox_es.prepare model=chatterbox makes them"
                            ) from error
        self.token_card = card
        self.card = self.card | {"content": card["content"], "mels": self.card["content"],
                                 "left_out": self.card["left_out"] | card["left_out"]}
        self.places = np.load(self.token_folder / "index.npy", mmap_mode="r")
        self._codes, self._text, self._speakers = (np.load(self.token_folder / f"{name}.npy", mmap_mode="r")
                                                   for name in ("codes", "text", "speakers"))
        there = self.places["codes"] > 0
        self.train, self.validation = self.train[there[self.train]], self.validation[there[self.validation]]

    def codes(self, number: int) -> np.ndarray:
        """Speech tokens of one utterance, (S,) int16 of 0 … 6560."""
        row = self.places[number]
        return self._codes[row["code"]:row["code"] + row["codes"]]

    def text_ids(self, number: int) -> np.ndarray:
        """Text ids of one utterance with start and stop, (T,) int16."""
        row = self.places[number]
        return self._text[row["id"]:row["id"] + row["ids"]]

    def speaker(self, number: int) -> np.ndarray:
        """Who speaks in one utterance, (256,) float32."""
        return self._speakers[number]

    def lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """(utterances,) speech tokens and text ids of each."""
        return np.ascontiguousarray(self.places["codes"]), np.ascontiguousarray(self.places["ids"])

    def vocabulary(self) -> dict:
        """The content of the vocabulary's file."""
        return json.loads((self.token_folder / "vocabulary.json").read_text(encoding="utf-8"))

    def prompts(self, seed: int) -> Prompts:
        """Which other clip each utterance is conditioned on."""
        names = self.names("speaker")
        # Whom nobody names among others who are named may be several people.
        named = len(names) < 2 or "" not in names
        trained = self.train if named else self.train[self.index["speaker"][self.train] != names.index("")]
        return Prompts(self.index["speaker"], self.places["codes"], trained, seed)

    @cached_property
    def _baseline(self) -> float:
        others = np.setdiff1d(np.arange(len(self.places)), self.train)
        counts = np.bincount(self._codes, minlength=STOP_SPEECH + 1) + 1.0
        for number in others.tolist():
            counts -= np.bincount(self.codes(number), minlength=STOP_SPEECH + 1)
        counts[CODES] = 0  # the start is never predicted
        counts[STOP_SPEECH] += len(self.train)
        with np.errstate(divide="ignore"):
            surprise = -np.log(counts / counts.sum())
        total = sum(float(surprise[self.codes(number)].sum()) + surprise[STOP_SPEECH] for number in self.validation.tolist())
        return float(total) / (int(self.places["codes"][self.validation].sum()) + len(self.validation))

    @cached_property
    def references(self) -> dict[str, Tensor]:
        """`references.references`: recordings of the voices, read once."""
        return references(self, self.places["codes"])

    def baseline(self) -> float:
        """Cross-entropy, nats a token, of the held-out speech tokens under the training tokens' frequencies."""
        return self._baseline


def content_of(mels: str, arrays: dict[str, np.ndarray], vocabulary: dict) -> str:
    """SHA-256 of all that T3 reads of a set, and of the mels' content beside it."""
    digest = hashlib.sha256(mels.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    digest.update(json.dumps(vocabulary, sort_keys=True).encode())
    return digest.hexdigest()
