"""Voices from Python: ``from chatterbox_es import Voice``."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, TypedDict, Unpack

import numpy as np

from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voice import Voice as Speaking
from chatterbox_es.speech.voices import load_voice, newest_voice
from chatterbox_es.text.script import AUTO


class HowToSay(TypedDict, total=False):
    """How a text is said, beside its speed: what `chatterbox_es.speech.manner.Manner` has, for whole texts."""

    pitch: float  # semitones higher, of a voice with prosody
    range: float  # likewise how lively: 0 is a monotone
    energy: float  # likewise with more effort, in dB
    temperature: float | None  # how much chance there is; 0 says the likeliest
    seed: int  # another one says the same text otherwise
    tau: float | None  # how much noise a flow begins with
    steps: int | None  # of the flow


class Voice:
    """A trained voice that says texts.

        voice = Voice.load("outputs/best")
        voice.say("¿Qué tal estás?").save("hola.wav")

    In a notebook, what `say` returns is a player.
    """

    def __init__(self, voice: Speaking):
        self.voice = voice  # readings, engines, mels: all that there is to say with

    @classmethod
    def load(cls, run: str | os.PathLike[str] | None = None, *, outputs: str | os.PathLike[str] = "outputs",
             dialect: str | None = None, speaker: str = "", engine: str = "torch", vocoder: str = "auto") -> Self:
        """The voice of a run, of ``outputs/best``, of a checkpoint's file, an exported .onnx, or ``base``, which comes along.

        Without ``run`` it is the one that ``synthesize`` takes: the selected voice of ``outputs``, the newest, or the base. The
        others are arguments of ``synthesize``, too: docs/speaking.md.

        Raises:
            UserError: there is no such voice, dialect, speaker, engine or vocoder, or a package is missing.
        """
        path = newest_voice(Path(outputs)) if run is None else Path(run).expanduser()
        return cls(load_voice(path, dialect, engine, speaker, VoiceOptions(vocoder=vocoder)))

    def say(self, text: str, speed: float = 1.0, marks: str = AUTO, **how: Unpack[HowToSay]) -> Speech:
        """Say a text of any length; ``speed`` 2 takes half the time, and ``how`` is pitch, range, seed …: see `HowToSay`.

        ``marks`` says how the text is marked, as in `chatterbox_es.speech.voice.Voice.speak`: ``none`` says it as it stands.

        Raises:
            UserError: nothing in the text can be spoken, marks are malformed, a value is out of its range, or none that this
                voice has.
        """
        return self.voice.speak(text, speed, dataclasses.replace(self.voice.manner, **how), marks)

    def stream(self, text: str, speed: float = 1.0, marks: str = AUTO, **how: Unpack[HowToSay]) -> Iterator[Speech]:
        """Say a text in parts, each as soon as it is made.

        Raises:
            UserError: as `say`.
        """
        return self.voice.stream(text, speed, dataclasses.replace(self.voice.manner, **how), marks)

    def sounds(self, text: str, speed: float = 1.0, marks: str = AUTO, **how: Unpack[HowToSay]) -> Iterator[np.ndarray]:
        """Say a text in pieces of sound, (samples,) float32 in [-1, 1] at `rate`, each as soon as it is certain: the first long
        before its sentence is finished.

        Raises:
            UserError: as `say`.
        """
        said = self.voice.sounds(text, speed, dataclasses.replace(self.voice.manner, **how), marks)
        return (piece.samples for piece in said)

    @property
    def rate(self) -> int:
        """Samples a second, Hz."""
        return self.voice.checkpoint.contract.sample_rate

    @property
    def dialect(self) -> str:
        """As which it reads."""
        return self.voice.front_end.dialect.name

    @property
    def speaker(self) -> str:
        """Who speaks; empty where that has no name."""
        return self.voice.speaker

    @property
    def speakers(self) -> Sequence[str]:
        """Whom it can speak as; empty where there is one voice."""
        return self.voice.speakers

    def __repr__(self) -> str:
        said = ", ".join(filter(None, (self.voice.name, self.dialect, self.speaker)))
        return f"<Voice {said}>"
