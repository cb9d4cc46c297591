"""Written Spanish to ids of Chatterbox's vocabulary, and dialect tags that the vocabulary did not have.

Our normaliser reads numbers, dates and signs first, since the vocabulary's own rules expand nothing; then the text goes
the way of Resemble's multilingual tokeniser (chatterbox-tts 0.1.7): its punctuation, lower case, NFKD, ``[es]`` in front,
``[SPACE]`` for spaces, byte-pair merges from the JSON file beside the weights.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.network import START_TEXT, STOP_TEXT
from chatterbox_es.text import DIALECTS, FrontEnd

LANGUAGE = "es"
TAGS = {name: dialect.tag for name, dialect in DIALECTS.items()}
UNKNOWN = "[UNK]"
# What Resemble's package makes of marks before it tokenises, in its order.
MARKS = (("...", ", "), ("…", ", "), (":", ","), (" - ", ", "), (";", ", "), ("—", "-"), ("–", "-"), (" ,", ","),
         ("“", '"'), ("”", '"'), ("‘", "'"), ("’", "'"))  # fmt: skip
ENDS = (".", "!", "?", "-", ",")


@dataclass(frozen=True)
class TextIds:
    """A text in ids, start and stop included, and the characters that the vocabulary has no id for."""

    ids: tuple[int, ...]
    words: str
    unknown: tuple[str, ...] = ()


def punctuated(words: str) -> str:
    """Marks as the model knows them, one space between words, and a mark at the end.

    Raises:
        UserError: nothing is left to be said.
    """
    text = " ".join(words.split())
    for mark, instead in MARKS:
        text = text.replace(mark, instead)
    text = text.rstrip(" ")
    if not any(character.isalnum() for character in text):
        raise UserError("the text has nothing that can be said")
    return text if text.endswith(ENDS) else text + "."


def known_tokens(vocabulary: dict) -> dict[str, int]:
    """Token → id of a vocabulary file's content."""
    return vocabulary["model"]["vocab"] | {token["content"]: token["id"] for token in vocabulary["added_tokens"]}


def tag_of(dialect: str, tags: dict[str, str], vocabulary: dict) -> str | None:
    """What a text of a dialect begins with: its own tag, or ``es``; nothing where the vocabulary is the English one."""
    return tags.get(dialect) or (LANGUAGE if f"[{LANGUAGE}]" in known_tokens(vocabulary) else None)


class TextTokens:
    """A vocabulary file, ``grapheme_mtl_merged_expanded_v1.json`` or the English ``tokenizer.json``, or its content.

    With ``tag`` (a language or dialect of the file) every text begins with it; the English file has none.

    Raises:
        UserError: the file cannot be read, or has no such tag.
    """

    def __init__(self, file: Path | str | dict, front_end: FrontEnd | None = None, tag: str | None = LANGUAGE):
        self.front_end, self.tag = front_end or FrontEnd(), tag and tag.lower()
        is_content = isinstance(file, dict)
        name = "the voice's vocabulary" if is_content else file
        try:
            self.tokenizer = Tokenizer.from_str(json.dumps(file)) if is_content else Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises Exception itself, for a missing file as for a broken one
            raise UserError(f"{name} is no vocabulary of the tokenizers library ({error}); Chatterbox's are "
                            "grapheme_mtl_merged_expanded_v1.json and tokenizer.json, beside its weights") from None
        vocabulary = self.tokenizer.get_vocab()
        wanted = ["[START]", "[STOP]", "[SPACE]", *([f"[{self.tag}]"] if self.tag else [])]
        missing = [token for token in wanted if token not in vocabulary]
        if missing:
            tags = sorted(t for t in vocabulary if re.fullmatch(r"\[[a-z]{2}(-[a-z0-9-]+)?\]", t))
            raise UserError(f"{name} has no {', '.join(missing)}; its language tags: {', '.join(tags) or 'none'}. Dialect tags "
                            "are added by model.dialect_tags=true; the English vocabulary takes none")
        self.rows = 1 + max(vocabulary.values())  # an embedding needs at least these
        self._unknown = vocabulary.get(UNKNOWN)

    def read(self, text: str) -> TextIds:
        """Any written Spanish.

        Raises:
            UserError: nothing in it can be said.
        """
        return self.encode(self.front_end.read(text).words)

    def encode(self, words: str) -> TextIds:
        """What is already in words."""
        text = unicodedata.normalize("NFKD", punctuated(words).lower()) if self.tag else punctuated(words)
        prefix = f"[{self.tag}]" if self.tag else ""
        written = (prefix + text).replace(" ", "[SPACE]")
        encoding = self.tokenizer.encode(written)
        unknown = [written[start:end] for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
                   if number == self._unknown]
        return TextIds((START_TEXT, *encoding.ids, STOP_TEXT), words, tuple(unknown))


def tagged_vocabulary(vocabulary: dict, tags: list[str], rows: int) -> tuple[dict, dict[str, int]]:
    """A vocabulary (the content of its JSON file) with further tags, and the id of each.

    Ids below ``rows`` that the vocabulary leaves free are taken first, since Resemble's loader accepts tables of exactly
    that many rows; when none is left, ids from ``rows`` on.

    Raises:
        UserError: a tag is no tag, or there already.
    """
    taken = known_tokens(vocabulary)
    used = set(taken.values())
    spare = [number for number in range(rows) if number not in used]
    spare += range(max([rows, *(number + 1 for number in used)]), rows + len(used) + len(tags) + 1)
    found: dict[str, int] = {}
    for tag, number in zip(tags, spare, strict=False):
        written = f"[{tag.strip('[]').lower()}]"
        if not re.fullmatch(r"\[[a-z]{2,3}(-[a-z0-9]+)*\]", written):
            raise UserError(f"{tag} is no tag of a language or dialect; write one such as es-MX")
        if written in taken or written in found:
            raise UserError(f"the vocabulary has {written} already")
        found[written] = number
    new = json.loads(json.dumps(vocabulary))
    new["model"]["vocab"] |= found  # in the model too: ids of tokens that are only added are renumbered on reading
    new["added_tokens"] += [{"id": number, "content": written, "single_word": False, "lstrip": False, "rstrip": False,
                             "normalized": False, "special": True} for written, number in found.items()]
    return new, found
