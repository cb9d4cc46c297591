"""One recorded sentence, and what is said of a row that cannot be one."""

from dataclasses import dataclass
from pathlib import Path

from chatterbox_es.audio.waveform import Recording


@dataclass(frozen=True, slots=True)
class EmbeddedRecording:
    """A sound file that came along with its row, as a streamed data set gives it."""

    name: str
    content: bytes

    def read_bytes(self) -> bytes:
        return self.content

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording and the text that is spoken in it.

    `text` is as written; `spoken` is the normalised column where the file has one. `id` is the audio file's name
    inside the corpus without extension and without `wavs/`, `audio/` or `clips/`; in a mix with the corpus's name and a
    `/` before it. No two utterances share one.
    """

    id: str
    text: str
    audio: Path | Recording
    spoken: str = ""
    speaker: str = ""
    """As the corpus names it; in a mix with the corpus's name and a `/` before it. Empty where nothing says who."""
    dialect: str = ""
    """One of `text.dialects.DIALECTS`; empty: the run's `data.dialect`."""
    row: int = 0
    """Line number in the metadata file, counted from 1, for messages."""
    corpus: str = ""
    """The name of its source in a mix."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row of the metadata is not used: `reason` is a short stable code, `detail` a sentence for people."""

    row: int
    id: str
    reason: str
    detail: str
    corpus: str = ""
    """The name of its source in a mix."""
    excluded: bool = False
    """A filter left the row out (`data.min_up_votes` …): it is counted and listed, and no sign of a damaged corpus, so
    it counts neither as a fault nor as a row for `data.max_fault_share`."""
