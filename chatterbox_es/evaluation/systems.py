"""Who speaks the sentences: the recordings themselves, their mel round trip, voices, and other systems' sound files.

Every system's sound is treated alike before it is measured: silent ends are cut and speech is brought to the same
loudness, as `prepare` does with recordings, at the sample rate of the prepared set. What cannot be had is a `Failure`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.audio.waveform import AudioError, normalise_loudness, read_audio, trim_silence
from chatterbox_es.command_line import named_folders
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.sounds import RECORDINGS, ROUND_TRIP, Failure, Sound
from chatterbox_es.speech.voice import Voice

EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
LOUDNESS = -23.0  # dBFS of the active speech
SHORTEST = 0.02  # seconds
SPEAKERS = 4  # of a voice that are kept ready: each has weights of its own


@dataclasses.dataclass
class Sentence:
    """What is to be said, and how a person said it."""

    utterance: str  # id
    words: str
    phonemes: tuple[str, ...] = ()  # none: the voice's own reading
    speaker: str = ""
    dialect: str = ""  # "": the voice's own
    number: int | None = None  # in the prepared set
    recording: np.ndarray | Failure | None = None  # (samples,) treated; None: nobody recorded it


class System(Protocol):
    """Whoever says sentences."""

    name: str

    def __call__(self, sentence: Sentence) -> Sound | Failure: ...


def treat(samples: np.ndarray, rate: int) -> np.ndarray | Failure:
    """A waveform (samples,) without silent ends, at the common loudness."""
    if not np.isfinite(samples).all():
        return Failure("it holds samples that are infinite or not numbers")
    if len(samples) < SHORTEST * rate or not np.any(samples):
        return Failure("it is silent, or empty")
    return normalise_loudness(trim_silence(samples, rate).samples, rate, LOUDNESS)


def held_out(features: FeatureSet, count: int | None = None) -> list[Sentence]:
    """The held-out sentences of a prepared set, or ``count`` of them, evenly over their order, with their recordings."""
    numbers = features.validation
    if count is not None and count < len(numbers):
        numbers = numbers[np.linspace(0, len(numbers) - 1, count).round().astype(int)]
    sentences = []
    for number in map(int, numbers):
        utterance = features.utterance(number)
        phonemes = features.symbols.symbols_of(features.token_ids(number).tolist())
        sentences.append(Sentence(utterance["id"], utterance["words"], phonemes, utterance.get("speaker") or "",
                                  utterance.get("dialect") or "", number,
                                  _recording(features, number)))
    return sentences


def _recording(features: FeatureSet, number: int) -> np.ndarray | Failure:
    try:
        return treat(features.recording(number), features.contract.sample_rate)
    except AudioError as error:
        return Failure(f"{error.reason}: {error.detail}")


def _read(path: str | Path, rate: int) -> np.ndarray | Failure:
    try:
        return treat(read_audio(path, rate), rate)
    except AudioError as error:
        return Failure(f"{error.reason}: {error.detail}")


@dataclasses.dataclass
class Recordings:
    """The sentences as they were recorded: what every other system is held against."""

    rate: int
    name: str = RECORDINGS

    def __call__(self, sentence: Sentence) -> Sound | Failure:
        return sound_of(self.name, sentence, sentence.recording, self.rate)


@dataclasses.dataclass
class RoundTrip:
    """The recordings' own mels through the vocoder: the best that a voice with that vocoder can sound."""

    features: FeatureSet
    vocoder: Vocoder
    name: str = ROUND_TRIP

    def __call__(self, sentence: Sentence) -> Sound | Failure:
        if sentence.number is None:
            return Failure("it is not in the prepared set")
        rate = self.features.contract.sample_rate
        mel = self.features.statistics.restore(self.features.mel(sentence.number)).numpy()
        return sound_of(self.name, sentence, treat(self.vocoder(mel), rate), rate)


@dataclasses.dataclass
class Spoken:
    """A voice, with its own durations; one of several speakers says each sentence as the speaker who recorded it."""

    name: str
    voice: Voice
    rate: int

    def __post_init__(self) -> None:
        self._voice_of = functools.lru_cache(maxsize=SPEAKERS)(self._make_voice)

    def _make_voice(self, speaker: str, dialect: str) -> Voice:
        voice = self.voice
        if speaker != voice.speaker and speaker in voice.speakers:
            voice = voice.as_speaker(speaker)
        return voice.in_dialect(dialect) if dialect else voice

    def __call__(self, sentence: Sentence) -> Sound | Failure:
        try:
            speech = self._voice_of(sentence.speaker, sentence.dialect).speak(sentence.words)
        except UserError as error:
            return Failure(str(error))
        if speech.rate != self.rate:
            return Failure(f"the voice speaks at {speech.rate} Hz, and the recordings are at {self.rate} Hz")
        sound = sound_of(self.name, sentence, treat(speech.samples, self.rate), self.rate)
        if isinstance(sound, Sound):
            sound.durations = speech.durations if len(speech.durations) else None
            sound.phonemes = sound.phonemes or speech.reading.phonemes
        return sound


@dataclasses.dataclass
class Peer:
    """Another system's sound files, named by utterance id."""

    name: str
    folder: Path
    rate: int

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError(f"peers={self.name}:{self.folder}: there is no such folder")

    def __call__(self, sentence: Sentence) -> Sound | Failure:
        names = dict.fromkeys((sentence.utterance, sentence.utterance.replace("/", "_"), Path(sentence.utterance).name))
        for path in (self.folder / f"{name}{extension}" for name in names for extension in EXTENSIONS):
            if path.exists():
                return sound_of(self.name, sentence, _read(path, self.rate), self.rate)
        return Failure(f"missing-audio: {self.folder} holds no sound file {next(iter(names))}.wav")


def sound_of(system: str, sentence: Sentence, samples: np.ndarray | Failure | None, rate: int) -> Sound | Failure:
    """What a system said as a `Sound`; its Failure where it said nothing."""
    if samples is None:
        return Failure("there is no recording")
    if isinstance(samples, Failure):
        return samples
    recording = sentence.recording if isinstance(sentence.recording, np.ndarray) else None
    return Sound(system, sentence.utterance, sentence.words, sentence.phonemes, samples, rate, recording,
                 speaker=sentence.speaker)


def parse_peers(written: str, rate: int) -> list[Peer]:
    """``name:DIR[,name:DIR]`` as systems.

    Raises:
        UserError: it is not of that form, or a folder is not there.
    """
    return [Peer(name, folder, rate) for name, folder in named_folders("peers", written).items()]


def check_names(systems: Sequence[System]) -> None:
    """Raise UserError where two systems have the same name."""
    names = [system.name for system in systems]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two systems are called {twice[0]!r}; give the peers other names, and every run once")
