"""What is done with one utterance: decode, mono and rate, trim, loudness, mel; text to ids; figures of both."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.quality import QUALITY, measure
from chatterbox_es.audio.waveform import (
    AudioError,
    Recording,
    Source,
    Trimmed,
    mono_at,
    normalise_loudness,
    read_source,
    trim_silence,
)
from chatterbox_es.config import DataConfig
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.text import FrontEnd, Reading
from chatterbox_es.text.symbols import PHONES


@dataclasses.dataclass(frozen=True)
class Treatment:
    """How recordings and texts are treated: the part of the configuration that workers are told."""

    contract: MelContract
    dialect: str  # of utterances that name none
    lexicon: str | None
    max_seconds: float
    trim_silence: bool
    loudness: float | None
    split_seed: int
    max_channels: int = 2
    check_files: bool = True

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Treatment":
        return cls(**values | {"contract": MelContract(**values["contract"])})


class Treated(NamedTuple):
    """An utterance as it is stored."""

    utterance: Utterance
    reading: Reading
    mel: np.ndarray  # (frames, bins) float16
    quality: np.void  # `QUALITY`


@functools.lru_cache(maxsize=16)
def front_end(dialect: str, lexicon: str | None) -> FrontEnd:
    """A front end, which remembers what it has read; one a process and dialect."""
    return FrontEnd(dialect, lexicon=lexicon)


def treat(utterance: Utterance, treatment: Treatment) -> Treated | Fault:
    """All stages of one utterance, or the first reason why it cannot be used."""
    reading = front_end(utterance.dialect or treatment.dialect, treatment.lexicon).read(utterance.spoken or utterance.text)
    if not reading.is_speakable:
        return fault(utterance, "no-speakable-symbol", f"nothing in {utterance.text!r} can be spoken")
    if lost := [span.written for span in reading.unknown if span.kind == "unknown"]:
        return fault(utterance, "unreadable-text", f"{''.join(lost)!r} in {utterance.text!r} cannot be read: a sign of another "
                     "script, or bytes in a wrong encoding; write the words that are said")
    contract = treatment.contract
    try:
        source, (samples, head, tail) = read_speech(utterance.audio, contract.sample_rate, treatment)
    except AudioError as error:
        return fault(utterance, error.reason, error.detail)
    if len(samples) <= contract.margin:
        return fault(utterance, "zero-length", f"{utterance.audio} holds {1000 * len(samples) / contract.sample_rate:.1f} ms "
                     "of sound, less than a frame needs")
    mel = log_mel(samples, contract).numpy()
    if len(mel) < len(reading.ids):
        return fault(utterance, "too-short-for-phones",
                     f"{len(mel) / contract.frames_per_second:.2f} s of sound for {len(reading.ids)} tokens; each needs "
                     f"{1000 / contract.frames_per_second:.0f} ms at least: is the text another one's?")
    quality = measure(source, samples, mel, contract, (head, tail), sum(symbol in PHONES for symbol in reading.phonemes),
                      reading.words)
    return Treated(utterance, reading, mel.astype(np.float16), quality)


def read_speech(recording: Path | Recording, rate: int, how: Treatment | DataConfig) -> tuple[Source, Trimmed]:
    """A recording as it was decoded, and as models hear it: mono at a rate, without silent ends and as loud as the others where
    that is asked for. Raises AudioError."""
    source = read_source(recording, how.max_seconds, how.max_channels, how.check_files)
    speech = Trimmed(mono_at(source, rate), 0.0, 0.0)
    if how.trim_silence:
        speech = trim_silence(speech.samples, rate)
    if how.loudness is not None:
        speech = speech._replace(samples=normalise_loudness(speech.samples, rate, how.loudness))
    return source, speech


def fault(utterance: Utterance, reason: str, detail: str) -> Fault:
    """Why an utterance is left out."""
    return Fault(utterance.row, utterance.id, reason, detail, utterance.corpus)


__all__ = ["QUALITY", "Treated", "Treatment", "fault", "front_end", "read_speech", "treat"]
