"""What a voice has said: its sound, and what was read and how long each token took."""

import base64
import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.speech.times import Times, times_of
from chatterbox_es.text import Reading
from chatterbox_es.text.alignment import SpokenWord, shifted
from chatterbox_es.text.written import Span


@dataclasses.dataclass
class Speech:
    """One spoken text."""

    reading: Reading
    mel: np.ndarray  # (frames, bins), natural logarithm
    durations: np.ndarray  # (tokens,) frames; empty where the model knows none
    samples: np.ndarray  # (samples,) float32 in [-1, 1]
    rate: int  # Hz

    @property
    def times(self) -> Times:
        """When its words and phones are heard.

        Raises:
            UserError: the model knows no durations.
        """
        return times_of(self.reading, self.durations.tolist(), len(self.samples) / self.rate)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sound as a 16-bit WAV file, which appears whole or not at all.

        Raises:
            UserError: the name ends in another way than .wav, or the file cannot be written.
        """
        if Path(path).suffix.lower() != ".wav":
            raise UserError(f"{path}: sound is written as WAV; name a file that ends in .wav")
        write_audio(Path(path), self.samples, self.rate)

    def _repr_html_(self) -> str:
        """A player, for notebooks."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate, format="WAV", subtype="PCM_16")
        return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"></audio>'


@dataclasses.dataclass
class Piece:
    """Some of the sound of a text, as it is made."""

    reading: Reading  # of the part of the text that it belongs to: the same object in all of that part's pieces
    samples: np.ndarray  # (samples,) float32 in [-1, 1]


def join(whole: Reading, parts: Sequence[Speech]) -> Speech:
    """The parts of a text as one; ``whole`` is its reading, or holds its text alone."""
    phonemes: list[str] = []
    ids: list[int] = []
    words: list[SpokenWord] = []
    spans: list[Span] = []
    place = 0
    for part in parts:
        reading = part.reading
        place = max(place, whole.text.find(reading.text, place))
        words.extend(shifted(reading.spoken, place, len(ids)))
        spans.extend(dataclasses.replace(span, start=span.start + place, end=span.end + place) for span in reading.spans)
        phonemes.extend(reading.phonemes)
        ids.extend(reading.ids)
        place += len(reading.text)
    if not whole.words:
        whole = dataclasses.replace(whole, words=" ".join(part.reading.words for part in parts), spans=tuple(spans),
                                    notes=parts[0].reading.notes)
    reading = dataclasses.replace(whole, phonemes=tuple(phonemes), ids=tuple(ids), codes="", aligned=tuple(words))
    mel, durations, samples = (np.concatenate([getattr(part, name) for part in parts])
                               for name in ("mel", "durations", "samples"))
    return Speech(reading, mel, durations, samples, parts[0].rate)
