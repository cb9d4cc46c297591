"""Chatterbox as a voice: text → speech tokens (T3) → sound (S3Gen, HiFT, watermark), in the voice of a reference recording."""

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.vocoder import GriffinLim, Vocoder
from chatterbox_es.audio.waveform import AudioError, mono_at, read_source
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import set_up_attention
from chatterbox_es.models.t3.checkpoint import T3Checkpoint
from chatterbox_es.models.t3.codec import RATE, SOUND_RATE, Codec, codec_named, trusted_codec, voice_of
from chatterbox_es.models.t3.generation import Sampling, generate
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.t3.tokens import TextTokens, tag_of
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voice import Voice, front_end_of
from chatterbox_es.text import Reading

log = logging.getLogger(__name__)


class T3Voice(Voice):
    """A voice of model=chatterbox: it chooses its own pace, and draws its tokens from a seed."""

    checkpoint: T3Checkpoint

    def __init__(self, checkpoint: T3Checkpoint, name: str, dialect: str | None = None, speaker: str = "",
                 options: VoiceOptions | None = None):
        """
        Raises:
            UserError: weights or packages are missing, there is no such speaker, or the reference cannot be read.
        """
        options = options or VoiceOptions()
        if options.weights:
            checkpoint.base.folder = options.weights
        super().__init__(checkpoint, name, dialect)
        self.options = options
        self.manner = Manner(pitch=options.pitch, range=options.range, energy=options.energy)
        self.sampling = sampling_of(options)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        set_up_attention()
        weights = checkpoint.base.open()
        self.codec: Codec = codec_named(trusted_codec(checkpoint.base.codec, options.codec, name), weights, self.device)
        self.model: T3 = checkpoint.build().to(self.device)
        self.tokens_to_sound = self.codec.vocoder()
        self.vocoder: Vocoder = self.codec.mels() if self.codec.mels else GriffinLim(checkpoint.contract)
        self._take_voice(speaker)
        self._texts = text_tokens(checkpoint, self.front_end.dialect.name)

    def _take_voice(self, speaker: str) -> None:
        if self.options.reference:
            if speaker:
                raise UserError("speaker= names a voice of the corpus and reference= a recording of any: give one of them")
            samples, self.speaker = read_reference(Path(self.options.reference)), ""
        else:
            samples, self.speaker = kept_reference(self.checkpoint, speaker)
        self.conditions, self.reference = voice_of(samples, soxr.resample(samples, SOUND_RATE, RATE), self.codec.tokenizer,
                                                   self.codec.speakers, self.tokens_to_sound)

    def as_speaker(self, speaker: str) -> "T3Voice":
        voice = copy.copy(self)
        voice._take_voice(speaker)
        return voice

    def in_dialect(self, dialect: str) -> "T3Voice":
        if dialect == self.front_end.dialect.name:
            return self
        voice = copy.copy(self)
        voice.front_end = front_end_of(self.checkpoint, dialect)
        voice._texts = text_tokens(self.checkpoint, dialect)
        return voice

    def say(self, reading: Reading, manner: Manner, part: int = 0) -> Speech:
        """
        Raises:
            UserError: a speed other than 1 or a melody is chosen, or the model said nothing.
        """
        for name in manner.chosen("temperature", "seed"):
            raise UserError(f"{name}={getattr(manner, name):g}: a voice of model=chatterbox chooses its own pace and melody; "
                            f"leave {name}= out")
        ids = torch.tensor(self._texts.encode(reading.words).ids)
        said = generate(self.model, ids, self.conditions, self.sampling, self.options.seed, self.checkpoint.start_tokens)
        if not said.ended:
            log.warning("%r was cut after %d tokens: the voice did not end it", reading.words, self.sampling.max_tokens)
        if not len(said.codes):
            raise UserError(f"the voice says nothing for {reading.words!r}: it was trained too little, or ends too early")
        samples = self.tokens_to_sound(said.codes, self.reference)
        mel = log_mel(samples, self.checkpoint.contract).numpy()
        return Speech(reading, mel, np.zeros(0, np.int64), samples, SOUND_RATE)


def text_tokens(checkpoint: T3Checkpoint, dialect: str) -> TextTokens:
    """The vocabulary as a checkpoint was trained with it, with the tag of a dialect where it has one."""
    return TextTokens(checkpoint.vocabulary, front_end_of(checkpoint, dialect),
                      tag_of(dialect, checkpoint.tags, checkpoint.vocabulary))


def sampling_of(options: VoiceOptions) -> Sampling:
    """The published values, but for those that are given.

    Raises:
        UserError: a value out of its range.
    """
    given: dict[str, Any] = {name: value for name in ("guidance", "temperature", "min_p", "top_p", "repetition_penalty")
                             if (value := getattr(options, name)) is not None}
    sampling = Sampling(**given)
    sampling.check()
    return sampling


def read_reference(file: Path) -> np.ndarray:
    """A recording of the voice to speak with, (samples,) at 24 kHz.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return mono_at(read_source(file, 600), SOUND_RATE)
    except AudioError as error:
        raise UserError(f"reference={file} cannot be used: {error}") from error


def kept_reference(checkpoint: T3Checkpoint, speaker: str) -> tuple[np.ndarray, str]:
    """The recording that a checkpoint holds of a speaker, or of the one with most recordings; and the name.

    Raises:
        UserError: it holds none of that speaker, or none at all.
    """
    if not checkpoint.reference:
        raise UserError("this voice holds no recording to speak like (its corpus kept none): give one, reference=FILE")
    name = speaker or next(iter(checkpoint.reference))
    if name not in checkpoint.reference:
        listed = ", ".join(filter(None, checkpoint.reference)) or "one without a name"
        raise UserError(f"speaker={speaker} is not known to this voice; it has {listed}; or give a recording, reference=FILE")
    return checkpoint.reference[name].numpy().astype(np.float32) / 32767, name
