"""One recorded sentence, and what is said of a row that cannot be one."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording and the text that is spoken in it.

    `text` is as written; `spoken` is the normalised column where the file has one. `id` is the audio file's name
    inside the corpus without extension and without `wavs/`, `audio/` or `clips/`; no two utterances share one.
    """

    id: str
    text: str
    audio: Path
    spoken: str = ""
    speaker: str = ""
    dialect: str = ""
    row: int = 0
    """Line number in the metadata file, counted from 1, for messages."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row of the metadata is not used: `reason` is a short stable code, `detail` a sentence for people."""

    row: int
    id: str
    reason: str
    detail: str
