"""A trained voice: text in, sound out."""

import copy
import dataclasses
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from chatterbox_es.audio.vocoder import GriffinLim, Vocoder
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.acoustic.prosody import Controls
from chatterbox_es.models.flow.flow_decoder import STEPS, Draw
from chatterbox_es.models.mel_vocoder import NeuralVocoder
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.speech.delivery import louder, loudness, manner_of, paused
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.speech import Piece, Speech, join
from chatterbox_es.text import FrontEnd, Reading
from chatterbox_es.text.script import AUTO, Passage, Script
from chatterbox_es.text.sentences import split

LONG_TEXT = 400  # tokens, some 30 s of speech: longer than any sentence that voices are trained on
LONG_SENTENCE = 200  # tokens: a longer one is said clause by clause where a text is said in parts
FIRST_PIECE, LARGEST_PIECE = 32, 256  # frames of a sentence's first piece where it is heard while it is made; of later ones
LONG_MARKED = 8000  # characters; a longer text with marks is read in its parts alone
CLAUSE_END = re.compile(r"[,;:…)—][\"»”’)\]]*\s+")
SPACE = re.compile(r"\s+")


class Engine(Protocol):
    """What says a row of token ids: the trained model in torch, or its ONNX graph."""

    vocoder: str  # what it makes sound by; empty where it makes none

    def __call__(self, ids: Sequence[int], manner: Manner, part: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Token ids to natural-log mels (frames, bins) float32, each token's frames (tokens,) int64, and samples (frames *
        hop,) where it makes sound itself; ``part`` is the sentence's number in its text."""
        ...


class TorchModel:
    """A checkpoint's weights in torch."""

    vocoder = ""

    def __init__(self, checkpoint: Checkpoint):
        self.model, self.statistics, self.has_flow = checkpoint.build(), checkpoint.statistics, checkpoint.has_flow

    @torch.inference_mode()
    def __call__(self, ids: Sequence[int], manner: Manner, part: int = 0) -> tuple[np.ndarray, np.ndarray, None]:
        mel, durations = self.model.speak(torch.tensor(ids), **self.said(len(ids), manner, part))
        return self.statistics.restore(mel).numpy(), durations.numpy(), None

    @torch.inference_mode()
    def stream(self, ids: Sequence[int], manner: Manner, part: int = 0) -> Iterator[np.ndarray]:
        """The mels in pieces, each when it is asked for, short ones first; those of a flow, which sees far, in one."""
        tokens, said = torch.tensor(ids), self.said(len(ids), manner, part)
        if "draw" in said:
            yield self(ids, manner, part)[0]
            return
        frames, _ = self.model.spoken_frames(tokens, **said)
        lengths = (min(FIRST_PIECE << number, LARGEST_PIECE) for number in itertools.count())
        for mel in self.model.decode_in_pieces(frames, lengths):
            yield self.statistics.restore(mel).numpy()

    def said(self, tokens: int, manner: Manner, part: int = 0) -> dict[str, Any]:
        """What the model's ``speak`` takes beside the tokens."""
        speed = torch.from_numpy(manner.of_tokens("speed", tokens))  # as precise as a graph's input is
        said: dict[str, Any] = {"speed": speed}
        if self.model.prosody is not None:
            controls = manner.controls(tokens, part)
            said["controls"] = Controls(**{name: torch.from_numpy(value) for name, value in controls.items()})
        if self.has_flow and manner.noisiness:
            tau, noise = map(torch.from_numpy, manner.draw(len(self.statistics.mean), part).values())
            said["draw"] = Draw(tau, noise, manner.steps or STEPS)
        return said


class Voice:
    """A checkpoint with the front end it was trained with; how it makes sound of a reading is its subclass's."""

    checkpoint: StoredModel
    speaker: str  # who speaks; empty where that has no name
    vocoder: Vocoder  # of mels such as this voice's, for those who have them
    manner = Manner()  # how it speaks where nothing else is said

    def __init__(self, checkpoint: StoredModel, name: str, dialect: str | None = None):
        """
        Raises:
            UserError: there is no such dialect.
        """
        self.name, self.checkpoint = name, checkpoint
        self._others: dict[tuple[str, str], Voice] = {}  # that texts have named, by speaker and dialect
        self.front_end = front_end_of(checkpoint, dialect)

    @property
    def sounds_by(self) -> str:
        """What makes sound of its mels, for people; empty where it predicts none."""
        return ""

    @property
    def speakers(self) -> Sequence[str]:
        """Whom it can speak as; empty where there is one voice."""
        return self.checkpoint.model.get("speakers", ())

    def as_speaker(self, speaker: str) -> "Voice":
        """The same voice as another of its speakers.

        Raises:
            UserError: it has no such speaker.
        """
        raise NotImplementedError

    def in_dialect(self, dialect: str) -> "Voice":
        """The same voice, reading as another dialect does; the weights are shared.

        Raises:
            UserError: there is no such dialect.
        """
        if dialect == self.front_end.dialect.name:
            return self
        voice = copy.copy(self)
        voice.front_end = front_end_of(self.checkpoint, dialect)
        return voice

    def speak(self, text: str, speed: float = 1.0, manner: Manner | None = None, marks: str = AUTO) -> Speech:
        """Say a text; ``speed`` 2 takes half the time, and ``manner`` says how else, but for the speed.

        A text too long for one breath is said in the parts that `stream` gives. ``marks`` says how it is marked: ``auto`` takes
        a text that begins with ``<speak`` for SSML and ``[[phones]]`` in any other, ``ssml`` takes any for SSML, and ``none``
        says a text as it stands.

        Raises:
            UserError: nothing in the text can be spoken, the manner is out of range, or none that this voice has, or the marks
                are malformed.
        """
        chosen, script = self._manner(speed, manner), Script(text, self.front_end, marks)
        if not script.is_plain and len(script.read) > LONG_MARKED:
            return join(Reading(script.text, split(script.text), "", (), (), ()), list(self._stream(script, chosen)))
        whole = script.whole()
        if len(whole.reading.ids) <= LONG_TEXT and whole.reading.is_speakable and len(script.speakers) < 2:
            return self._deliver(whole, chosen, 0)
        return join(whole.reading, list(self._stream(script, chosen)))

    def stream(self, text: str, speed: float = 1.0, manner: Manner | None = None, marks: str = AUTO) -> Iterator[Speech]:
        """Say a text of any length sentence by sentence, very long sentences clause by clause, each as soon as it is made.

        Sentence by sentence is how voices are trained, and the pauses are their final marks' own. Parts of which nothing
        can be spoken (a row of stars, say) are passed over.

        Raises:
            UserError: at once when the manner is out of range or the marks are malformed; at the end when nothing in the text
                could be spoken.
        """
        return self._stream(Script(text, self.front_end, marks), self._manner(speed, manner))

    def sounds(self, text: str, speed: float = 1.0, manner: Manner | None = None, marks: str = AUTO) -> Iterator[Piece]:
        """The sound of `stream` in pieces, each as soon as it is certain: where the voice can, the first is there long before
        its sentence is finished.

        Raises:
            UserError: as `stream`.
        """
        script, chosen = Script(text, self.front_end, marks), self._manner(speed, manner)
        return (piece for number, part in self._speakable(script) for piece in self._sounded(part, chosen, number))

    def _manner(self, speed: float, manner: Manner | None) -> Manner:
        chosen = dataclasses.replace(manner or self.manner, speed=speed)
        chosen.check()
        return chosen

    def _stream(self, script: Script, manner: Manner) -> Iterator[Speech]:
        for number, part in self._speakable(script):
            yield self._deliver(part, manner, number)

    def _speakable(self, script: Script) -> Iterator[tuple[int, Passage]]:
        """The parts that a text is said in, numbered."""
        said = 0
        for start, end in script.sentences():
            for part in self._parts(script, start, end):
                if part.reading.is_speakable:
                    yield said, part
                    said += 1
        if not said:
            raise UserError(f"nothing in {_shortened(script.text)!r} can be spoken")

    def _parts(self, script: Script, start: int, end: int) -> Iterator[Passage]:
        """A sentence, halved at the clause's end, space or letter nearest its middle until the parts are short enough."""
        passage, text = script.passage(start, end), script.read[start:end]
        if len(passage.reading.ids) <= LONG_SENTENCE or len(text) < 2:
            yield passage
            return
        middle = len(text) // 2
        ends = ([end.end() for end in pattern.finditer(text) if 0 < end.end() < len(text)] for pattern in (CLAUSE_END, SPACE))
        cut = min(next(filter(None, ends), [middle]), key=lambda end: abs(end - middle))
        yield from self._parts(script, start, start + cut)
        yield from self._parts(script, start + cut, end)

    def _deliver(self, passage: Passage, manner: Manner, part: int) -> Speech:
        """Say a part of a text, with what its marks ask for."""
        if not passage.ways:
            return self.say(passage.reading, manner, part)
        voice = self._named(passage.speaker)
        has_prosody = bool(getattr(voice.checkpoint, "has_prosody", False))
        speech = voice.say(passage.reading, manner_of(passage, manner, has_prosody), part)
        gains = loudness(passage, has_prosody)
        if not passage.pauses and not gains.any():
            return speech
        if not len(speech.durations):
            raise UserError("pauses and loudness cannot be marked in what this voice says: its model (chatterbox) does not "
                            "tell where in the sound a word is; leave <break>, volume and <emphasis> out")
        contract = voice.checkpoint.contract
        sound = louder((speech.mel, speech.durations, speech.samples), gains, contract)
        mel, durations, samples = paused(sound, passage.pauses, contract)
        return dataclasses.replace(speech, mel=mel, durations=durations, samples=samples)

    def _sounded(self, passage: Passage, manner: Manner, part: int) -> Iterator[Piece]:
        """`_deliver` in pieces; what has marks in one, since they change the sound afterwards."""
        if passage.ways:
            yield Piece(passage.reading, self._deliver(passage, manner, part).samples)
        else:
            yield from (Piece(passage.reading, samples) for samples in self.say_in_pieces(passage.reading, manner, part))

    def _named(self, speaker: str) -> "Voice":
        """The voice as a speaker that the text names; made once.

        Raises:
            UserError: it has no such speaker.
        """
        if not speaker or speaker == self.speaker:
            return self
        if speaker not in self.speakers:
            listed = ", ".join(self.speakers) or "one without a name"
            raise UserError(f'<voice name="{_shortened(speaker)}"> is not known; this voice has {listed}')
        key = speaker, self.front_end.dialect.name
        if key not in self._others:
            self._others[key] = self.as_speaker(speaker)
        return self._others[key]

    def say(self, reading: Reading, manner: Manner, part: int = 0) -> Speech:
        """Say a reading in one breath, its tokens each in a manner of their own if that has arrays; ``part`` is its number in a
        text.

        Raises:
            UserError: the voice cannot speak in that manner, or its weights are damaged.
        """
        raise NotImplementedError

    def say_in_pieces(self, reading: Reading, manner: Manner, part: int = 0) -> Iterator[np.ndarray]:
        """The samples of `say`, in pieces where they can be made so.

        Raises:
            UserError: as `say`.
        """
        yield self.say(reading, manner, part).samples


class MelVoice(Voice):
    """A voice whose model predicts mels: with an engine for the model, and a vocoder."""

    checkpoint: Checkpoint

    def __init__(self, checkpoint: Checkpoint, name: str, dialect: str | None = None, vocoder: Vocoder | None = None,
                 acoustic: Engine | None = None, speaker: str = "", manner: Manner | None = None):
        """
        Raises:
            UserError: there is no such dialect, speaker or manner, or it was trained with other symbols.
        """
        super().__init__(checkpoint, name, dialect)
        self.unfolded = checkpoint  # with all of its speakers and dialects, of which `checkpoint` has one
        self.speaker = speaker or next(iter(self.speakers), "")
        checkpoint.check_symbols(self.front_end.table, name, "this version", exactly=acoustic is not None)  # graphs do not grow
        self.checkpoint = checkpoint.as_speaker(speaker, self.front_end.dialect.name)
        if acoustic is None:
            self.checkpoint = self.checkpoint.with_symbols(self.front_end.table)
        self.acoustic = acoustic or TorchModel(self.checkpoint)
        self.vocoder = vocoder or GriffinLim(checkpoint.contract)
        self.manner = manner or Manner()
        self.manner.check_for(checkpoint)

    @property
    def sounds_by(self) -> str:
        return self.acoustic.vocoder or self.vocoder.name

    @property
    def speakers(self) -> Sequence[str]:
        return self.unfolded.model.get("speakers", ())

    def as_speaker(self, speaker: str) -> "MelVoice":
        return MelVoice(self.unfolded, self.name, self.front_end.dialect.name, self.vocoder, speaker=speaker,
                        manner=self.manner)

    def in_dialect(self, dialect: str) -> "Voice":
        if dialect != self.front_end.dialect.name and self.unfolded.model.get("dialects"):  # other weights then
            return MelVoice(self.unfolded, self.name, dialect, self.vocoder, speaker=self.speaker, manner=self.manner)
        return super().in_dialect(dialect)

    def say(self, reading: Reading, manner: Manner, part: int = 0) -> Speech:
        manner.check_for(self.checkpoint)
        mel, durations, samples = self.acoustic(reading.ids, manner, part)
        self._check(mel)
        return Speech(reading, mel, durations, self.vocoder(mel) if samples is None else samples,
                      self.checkpoint.contract.sample_rate)

    def say_in_pieces(self, reading: Reading, manner: Manner, part: int = 0) -> Iterator[np.ndarray]:
        if isinstance(self.acoustic, TorchModel) and isinstance(self.vocoder, NeuralVocoder):
            manner.check_for(self.checkpoint)
            yield from self.vocoder.stream(map(self._check, self.acoustic.stream(reading.ids, manner, part)))
        else:
            yield from super().say_in_pieces(reading, manner, part)

    def _check(self, mel: np.ndarray) -> np.ndarray:
        if not np.isfinite(mel).all():
            raise UserError(f"{self.name} predicts mels that are infinite or not numbers: its weights are damaged, or have "
                            "diverged in training. Take another checkpoint of its run")
        return mel


def _shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def front_end_of(checkpoint: StoredModel, dialect: str | None) -> FrontEnd:
    """The front end of the checkpoint; its lexicon travels inside it."""
    dialect, lexicon = dialect or checkpoint.front_end["dialect"], checkpoint.front_end["lexicon"]
    if not lexicon:
        return FrontEnd(dialect)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lexicon.tsv")
        path.write_text(lexicon, encoding="utf-8")
        return FrontEnd(dialect, lexicon=path)
