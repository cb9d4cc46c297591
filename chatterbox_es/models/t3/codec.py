"""Recordings to speech tokens and speaker embeddings, and speech tokens to sound: by Resemble AI's own networks.

The protocols are what the rest of the package knows; the classes beneath call the published package (chatterbox-tts), which
is installed beside this one, and read the weights that lie in the user's folder. Nothing here is trained.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.t3.conditioning import EMOTION, PROMPT_TOKENS, Conditions
from chatterbox_es.models.t3.weights import REPOSITORY, WeightsFolder, codec_file, read_part
from chatterbox_es.pkg_resources_shim import import_old

RATE = 16_000  # Hz, what tokeniser and speaker encoder hear
SOUND_RATE = 24_000  # Hz, what is spoken
CODE_RATE = 25  # speech tokens a second
PROMPT_SECONDS, REFERENCE_SECONDS = 6, 10  # of a reference recording, for T3 and for S3Gen
RESEMBLE = "resemble"  # ``model.codec``
CODEC = "CHATTERBOX_CODEC"  # another codec for voices, where a command has no codec=
S3Gen = Any  # ``chatterbox.models.s3gen.S3Gen``, which has no types
INSTALL = ("pip install --no-deps chatterbox-tts==0.1.7 s3tokenizer resemble-perth conformer==0.3.2 diffusers==0.29.0 && "
           "pip install einops, and torchaudio for your torch; see docs/chatterbox.md")  # fmt: skip


class SpeechTokenizer(Protocol):
    """Recordings to codes."""

    def __call__(self, recordings: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Samples at 16 kHz, each (samples,) in [-1, 1], to int16 codes (25 a second,), of 0 … 6560."""
        ...


class SpeakerEncoder(Protocol):
    """Recordings to voices."""

    def __call__(self, recordings: Sequence[np.ndarray]) -> np.ndarray:
        """Samples at 16 kHz to (B, 256) float32 of unit norm."""
        ...


class TokenVocoder(Protocol):
    """Codes to sound."""

    def to(self, device: torch.device | str) -> "TokenVocoder":
        """Itself, computing there from here on."""
        ...

    def reference(self, samples: np.ndarray) -> dict[str, Any]:
        """What is taken of a voice: of a recording of it, (samples,) at 24 kHz."""
        ...

    def __call__(self, codes: Tensor, reference: dict[str, Any]) -> np.ndarray:
        """Codes (S,) in the voice of a reference to samples in [-1, 1] at 24 kHz, 960 a code, watermarked."""
        ...


@dataclass
class Codec:
    """Recordings to tokens and voices, and tokens to sound."""

    tokenizer: SpeechTokenizer
    speakers: SpeakerEncoder
    vocoder: Callable[[], TokenVocoder]  # loads what only speaking needs
    mels: Callable[[], Vocoder] | None = None  # its vocoder of mels, where it has one


class ResembleTokenizer:
    """S3Tokenizer v2, with the weights that S3Gen's file holds; several recordings at a time, on the device of S3Gen."""

    def __init__(self, s3gen: S3Gen):
        self.tokenizer = s3gen.tokenizer

    def __call__(self, recordings: Sequence[np.ndarray]) -> list[np.ndarray]:
        padded = self.tokenizer.pad([np.asarray(samples, dtype=np.float32) for samples in recordings], RATE)
        codes, lengths = self.tokenizer(padded)
        return [row[:length].astype(np.int16) for row, length in
                zip(codes.cpu().numpy(), lengths.tolist(), strict=True)]


class ResembleSpeakerEncoder:
    """The published VoiceEncoder.

    Raises:
        UserError: the package or the weights are not there.
    """

    def __init__(self, weights: WeightsFolder, device: torch.device | str = "cpu"):
        encoder = published("voice_encoder").VoiceEncoder()
        load_strictly(encoder, needed(weights.speaker_encoder, weights, "ve.pt"))
        self.encoder = encoder.to(device).eval()

    def __call__(self, recordings: Sequence[np.ndarray]) -> np.ndarray:
        """
        Raises:
            UserError: a recording without a voice in it.
        """
        for number, samples in enumerate(recordings):
            if len(samples) < RATE // 10 or not np.abs(samples).max() > 0:
                raise UserError(f"recording {number + 1} of {len(recordings)} is silent or shorter than 0.1 s: no voice")
        return self.encoder.embeds_from_wavs([np.asarray(samples, dtype=np.float32) for samples in recordings],
                                             sample_rate=RATE).astype(np.float32)


class ResembleVocoder:
    """S3Gen (codes to mels by flow matching, 10 steps) and its HiFT vocoder; what it says carries Resemble's watermark."""

    def __init__(self, s3gen: S3Gen):
        self.s3gen = s3gen
        watermarker = getattr(import_old("perth"), "PerthImplicitWatermarker", None)
        if watermarker is None:  # perth sets it to None where one of its own imports failed
            raise UserError("the watermark of resemble-perth cannot be loaded, and nothing is spoken without it: "
                            "make chatterbox, and start Python anew")
        self.watermarker = watermarker()

    def to(self, device: torch.device | str) -> "ResembleVocoder":
        self.s3gen.to(device)
        return self

    def reference(self, samples: np.ndarray) -> dict[str, Any]:
        """What S3Gen takes of a voice: of its first 10 s, (samples,) at 24 kHz."""
        return self.s3gen.embed_ref(np.asarray(samples[:REFERENCE_SECONDS * SOUND_RATE], np.float32), SOUND_RATE)

    def __call__(self, codes: Tensor, reference: dict[str, Any]) -> np.ndarray:
        if not len(codes):
            return np.zeros(0, np.float32)
        sound, _ = self.s3gen.inference(speech_tokens=codes.to(self.s3gen.device)[None], ref_dict=dict(reference))
        return self.watermarker.apply_watermark(sound[0].float().cpu().numpy(), sample_rate=SOUND_RATE).astype(np.float32)


class HiFT:
    """S3Gen's vocoder alone, an `audio.vocoder.Vocoder`: it fits any mels of the same contract, `model=fase4`'s too."""

    name = "HiFT"

    def __init__(self, s3gen: S3Gen):
        self.contract = MelContract()
        self.vocoder = s3gen.mel2wav

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        device = next(self.vocoder.parameters()).device
        sound, _ = self.vocoder.inference(speech_feat=torch.from_numpy(np.asarray(mel, np.float32).T).to(device)[None])
        return sound[0].cpu().numpy()


def load_s3gen(weights: WeightsFolder, device: torch.device | str = "cpu") -> S3Gen:
    """Speech tokeniser, S3Gen and vocoder, in one file of weights.

    Raises:
        UserError: the package or the weights are not there.
    """
    s3gen = published("s3gen").S3Gen()
    return _with_weights(s3gen, needed(weights.codec, weights, "s3gen.pt"), device)


def _with_weights(s3gen: S3Gen, file: Path, device: torch.device | str) -> S3Gen:
    load_strictly(s3gen, file, getattr(s3gen, "ignore_state_dict_missing", ()))
    return s3gen.to(device).eval()


def load_codec(weights: WeightsFolder, device: torch.device | str = "cpu") -> Codec:
    """Resemble's own networks with the weights of a folder.

    Raises:
        UserError: the package or the weights are not there.
    """
    s3gen = load_s3gen(weights, device)
    return Codec(ResembleTokenizer(s3gen), ResembleSpeakerEncoder(weights, device), lambda: ResembleVocoder(s3gen),
                 lambda: HiFT(s3gen))


def trusted_codec(stored: str, given: str, name: str) -> str:
    """The codec of a voice: of those that a file names (``stored``) the known one alone, since any other is code that would be
    run; another one whoever starts the command names (``given``, or `CODEC` in the environment).

    Raises:
        UserError: the file ``name`` names code, and nobody who may has.
    """
    given = given or os.environ.get(CODEC, "")
    if given or stored == RESEMBLE:
        return given or stored
    raise UserError(f"{name} was made with the codec {stored}, which is code, and code is not taken from a file. If you know "
                    f"it and trust it, name it yourself: codec={stored} where the command knows that, or {CODEC}={stored} in "
                    "the environment")


def codec_named(name: str, weights: WeightsFolder, device: str) -> Codec:
    """Resemble's codec, or what MODULE:FUNCTION makes of a weights folder and a device.

    Raises:
        UserError: there is no such function, or the codec cannot be loaded.
    """
    if name == RESEMBLE:
        return load_codec(weights, device)
    module, colon, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)(weights, device)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"model.codec={name}: write resemble, or MODULE:FUNCTION of a module that Python finds ({error})"
                        ) from error


def load_hift(folder: Path, device: torch.device | str = "cpu") -> HiFT:
    """The vocoder of mels alone, from a folder with ``s3gen.pt``.

    Raises:
        UserError: the package or the weights are not there.
    """
    file = codec_file(folder)
    if file is None:
        raise UserError(f"{folder} has no s3gen.pt; fetch it: hf download {REPOSITORY} s3gen.pt --local-dir {folder}")
    return HiFT(_with_weights(published("s3gen").S3Gen(), file, device))


def voice_of(samples: np.ndarray, slower: np.ndarray, tokenizer: SpeechTokenizer, speakers: SpeakerEncoder,
             vocoder: TokenVocoder, emotion: float = EMOTION) -> tuple[Conditions, dict[str, Any]]:
    """What T3 and S3Gen take of a reference recording, at 24 kHz and ``slower`` at 16 kHz, as the published package does."""
    prompt = tokenizer([slower[:PROMPT_SECONDS * RATE]])[0][:PROMPT_TOKENS].astype(np.int64)
    conditions = Conditions(torch.from_numpy(speakers([slower])), torch.from_numpy(prompt)[None], torch.tensor([len(prompt)]),
                            torch.tensor([emotion]))
    return conditions, vocoder.reference(samples)


def read_voice(file: Path) -> tuple[Conditions, dict[str, Any]]:
    """A voice as it is published, ``conds.pt``.

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        t3, prompt = content["t3"], content["t3"]["cond_prompt_speech_tokens"]
        prompt = torch.zeros(1, 0, dtype=torch.int64) if prompt is None else prompt.reshape(1, -1).long()
        emotion = torch.as_tensor(t3["emotion_adv"], dtype=torch.float32).reshape(-1)
        conditions = Conditions(t3["speaker_emb"].reshape(1, -1).float(), prompt if prompt.shape[1] else prompt.new_zeros(1, 1),
                                torch.tensor([prompt.shape[1]]), emotion)
        return conditions, content["gen"]
    except Exception as error:  # torch.load and what is inside fail in many ways, all of which mean this
        raise UserError(f"{file} holds no voice of Chatterbox ({type(error).__name__}: {error}); fetch it again: hf download "
                        f"{REPOSITORY} conds.pt --local-dir {file.parent}, or give a reference recording") from error


def published(part: str) -> ModuleType:
    """A module of ``chatterbox.models``.

    Raises:
        UserError: the package, or one that it needs, is not installed.
    """
    try:
        return import_old(f"chatterbox.models.{part}")
    except (ImportError, OSError) as error:  # OSError: torchaudio of another torch
        raise UserError(f"Chatterbox's own package is needed and cannot be imported ({error}): {INSTALL}") from error


def needed(file: Path | None, weights: WeightsFolder, name: str) -> Path:
    """A file of the weights folder.

    Raises:
        UserError: it is not there.
    """
    if file is None:
        raise UserError(f"{weights.folder} has no {name}; fetch it: hf download {REPOSITORY} {name} --local-dir "
                        f"{weights.folder}")
    return file


def load_strictly(module: nn.Module, file: Path, may_miss: Sequence[str] = ()) -> None:
    """The weights of a file; all but those that are computed (``may_miss``) must be there, and no others.

    Raises:
        UserError: the file cannot be read or does not fit.
    """
    state = read_part(file)
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise UserError(f"{file} does not fit chatterbox-tts 0.1.7: {' '.join(str(error).split())}") from error
    wrong = [*(name for name in missing if name not in may_miss), *unexpected]
    if wrong:
        raise UserError(f"{file} does not fit chatterbox-tts 0.1.7: {wrong[0]} is "
                        f"{'missing' if wrong[0] in missing else 'not of it'} ({len(wrong)} in all)")
