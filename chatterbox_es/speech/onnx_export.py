"""A checkpoint and its vocoder as one ONNX file, checked against the voice that it was made of."""

import contextlib
import dataclasses
import json
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chatterbox_es import __version__
from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.acoustic.network import AcousticModel, plain_controls
from chatterbox_es.models.acoustic.prosody import Controls
from chatterbox_es.models.acoustic.text_encoder import LONGEST_TEXT
from chatterbox_es.models.families import checkpoint_of_mels
from chatterbox_es.models.flow.flow_decoder import CYCLE, Draw
from chatterbox_es.models.mel_vocoder import NeuralVocoder, trained_for, vocoder_for
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_vocoder import LONGEST, MELS, SAMPLES, VocoderGraph, with_vocoder
from chatterbox_es.speech.onnx_voice import (
    CONTROLS,
    DRAW,
    EXPRESSIVE,
    INPUTS,
    INSTALL,
    MUTE,
    OUTPUTS,
    SOUNDING,
    OnnxModel,
    file_digest,
    inputs_of,
)
from chatterbox_es.speech.voice import MelVoice, TorchModel

OPSET = 20
TOLERANCE = 1e-3  # of the largest absolute log-mel
SOUND_TOLERANCE = 0.02  # mean difference of the log-mels of two sounds: less than a fifth of a decibel
TIE = 1e-3  # frames: a token that ends this near to the middle of a frame may be rounded either way
TEXTS = (
    "Sí.",
    "Hola, ¿qué tal estás?",
    "El 3 de mayo de 2021, a las 15:30, llegaron 21 personas; ninguna traía paraguas.",
    "¡Ay! —dijo la niña—. ¿Quién ha roto el jarrón: tú, o el perro?",
    "En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo que vivía un hidalgo de los de lanza en "
    "astillero, adarga antigua, rocín flaco y galgo corredor.",
)
SPEEDS = (1.0, 0.7, 1.6)
EXAMPLE = Manner(pitch=2.0, range=1.3, energy=-3.0, temperature=1.0, seed=1)


class SpeakingGraph(nn.Module):
    """A model's ``speak``, in log-mels instead of standardised, as torch exports it."""

    def __init__(self, model: AcousticModel, statistics: Statistics):
        super().__init__()
        self.model, self.statistics = model, statistics

    def forward(self, tokens: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens`` (tokens,) int64 and ``speed`` () float32 to log-mels (frames, bins) and durations (tokens,)."""
        mels, durations = self.model.speak(tokens, speed)
        return self.statistics.restore(mels), durations


class ExpressiveGraph(SpeakingGraph):
    """Likewise of a model that has prosody, a flow, or several speakers."""

    def forward(self, tokens: Tensor, speed: Tensor, *said: Tensor) -> tuple[Tensor, Tensor]:
        """``said`` are the values of `Controls` if it has prosody, then of `Draw` if it has a flow, and the place of who
        speaks among its speakers, (1,), if it has some."""
        count = len(CONTROLS) if self.model.prosody is not None else 0
        more: dict[str, Any] = {"controls": Controls(*said[:count])} if count else {}
        if (speakers := self.model.named("speaker")) is not None:
            said, place = said[:-1], said[-1]
            more["speaker"] = place.clamp(0, len(speakers.names) - 1) + 1  # row 0 is of all others
            more["conditioning"] = self.model.conditioning(more["speaker"], None)
        if said[count:]:
            tau, noise = said[count:]
            more["draw"] = Draw(tau, noise)
        mels, durations = self.model.speak(tokens, speed, **more)
        return self.statistics.restore(mels), durations


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near two engines come to each other, over some texts and speeds."""

    difference: float  # the largest of a log-mel, as a share of the largest absolute log-mel of its text
    compared: int
    ties: int  # sayings whose durations differ where a token ends in the very middle of a frame; their mels are not compared
    sound: float | None = None  # the largest mean absolute difference of the log-mels of two sounds of the same mels

    def __str__(self) -> str:
        ties = f"; in {self.ties} more a tie was rounded the other way" if self.ties else ""
        sound = "" if self.sound is None else f"; sounds {self.sound:.1e} (allowed: {SOUND_TOLERANCE:g})"
        return (f"onnxruntime against torch, {self.compared} sayings: durations equal, log-mels at most {self.difference:.1e} "
                f"apart (allowed: {TOLERANCE:g}){sound}{ties}")


def export_voice(checkpoint: Path, out: Path, speaker: str = "", vocoder: Vocoder | None = None) -> Agreement:
    """Write a checkpoint's file as ONNX, whole or not at all, and only if it says the same as the checkpoint does.

    Of a checkpoint with several speakers the graph has the one that is named, and its own dialect. With a trained ``vocoder``
    it makes sound as well; of any other it ends at the mels.

    Raises:
        UserError: a package is missing, the checkpoint cannot be read, the graph says something else, or it cannot be written.
    """
    onnx = require_onnx()
    loaded, _ = checkpoint_of_mels(checkpoint)
    loaded = loaded.as_speaker(speaker, loaded.front_end["dialect"])
    facts = {key: json.dumps(value, ensure_ascii=False) for key, value in loaded.describe().items()}
    proto = voice_graph(loaded)
    if isinstance(vocoder, NeuralVocoder):
        proto = with_vocoder(proto, vocoder_graph(vocoder))
        facts |= {"vocoder": vocoder.name, "vocoder_source": file_digest(vocoder.path)}
    facts["format"] = EXPRESSIVE if is_expressive(loaded) else SOUNDING if "vocoder" in facts else MUTE
    onnx.helper.set_model_props(proto, facts | {"source": file_digest(checkpoint)})
    proto.producer_name, proto.producer_version = "chatterbox_es", __version__
    onnx.checker.check_model(proto)
    content = proto.SerializeToString()
    trial = out.with_name(f".{out.stem}.{os.getpid()}.onnx")
    try:
        write_whole(trial, lambda file: file.write(content))
        agreement = compare(MelVoice(loaded, str(checkpoint), vocoder=vocoder), OnnxModel(trial))
        trial.replace(out)
    except UserError as error:
        raise UserError(str(error).replace(str(trial), str(out))) from error  # the name that somebody knows
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return agreement


def require_onnx() -> Any:
    """The package onnx.

    Raises:
        UserError: it is missing, or what torch writes ONNX with.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"exporting needs packages that are not here ({error}): {INSTALL}") from None
    return onnx


def voice_graph(checkpoint: Checkpoint, flows: bool = True) -> Any:
    """Tokens to log-mels, as an ``onnx.ModelProto``, weights inside; of one with several speakers their ``sid`` is the last
    input. Without ``flows`` a flow is left out, and with it its inputs."""
    model, tokens = checkpoint.build(), torch.arange(7)
    length = {0: torch.export.Dim("tokens", min=1, max=LONGEST_TEXT)}
    speakers = ["sid"] if checkpoint.model.get("speakers") else []
    if not is_expressive(checkpoint) and not speakers:
        return to_onnx(SpeakingGraph(model, checkpoint.statistics), (tokens, torch.tensor(1.0)), (length, None), list(INPUTS),
                        list(OUTPUTS))
    example = {"speed": torch.ones(7), **vars(plain_controls(tokens)), "tau": torch.tensor(1.0),
               "flow_noise": torch.zeros(CYCLE, checkpoint.contract.bins), "sid": torch.zeros(1, dtype=torch.int64)}
    lengths = {name: length if value.ndim and name not in ("flow_noise", "sid") else None for name, value in example.items()}
    names = [name for name in (*inputs_of(checkpoint), *speakers) if name in example and (flows or name not in DRAW)]
    return to_onnx(ExpressiveGraph(model, checkpoint.statistics), (tokens, *(example[name] for name in names)),
                    (length, lengths["speed"], tuple(lengths[name] for name in names[1:])), ["tokens", *names], list(OUTPUTS))


def is_expressive(checkpoint: Checkpoint) -> bool:
    """Whether a voice can be told more than its speed."""
    return checkpoint.has_prosody or checkpoint.has_flow


def vocoder_graph(vocoder: NeuralVocoder) -> Any:
    """Log-mels to samples, likewise."""
    mels = torch.zeros(7, vocoder.contract.bins)
    return to_onnx(VocoderGraph(vocoder.network), (mels,), ({0: torch.export.Dim("frames", min=1, max=LONGEST)},), [MELS],
                    [SAMPLES])


def to_onnx(graph: nn.Module, example: tuple[Tensor, ...], lengths: tuple, inputs: list[str], outputs: list[str]) -> Any:
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.level
    registration.setLevel(logging.ERROR)  # it warns that torchvision, which nothing here uses, is not installed
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(graph.eval(), example, dynamo=True, dynamic_shapes=lengths, input_names=inputs,
                                        output_names=outputs, opset_version=OPSET, external_data=False, verbose=False)
    finally:
        registration.setLevel(before)
    assert program is not None  # as with every call that names no file
    return program.model_proto


def compare(voice: MelVoice, graph: OnnxModel, texts: Sequence[str] = TEXTS, speeds: Sequence[float] = SPEEDS) -> Agreement:
    """Say some texts with both engines.

    Raises:
        UserError: durations differ, log-mels by more than `TOLERANCE`, or the sound's by more than `SOUND_TOLERANCE`.
    """
    largest, sound, compared, ties = 0.0, 0.0, 0, 0
    for text in texts:
        ids = voice.front_end.read(text).ids
        for speed in speeds:
            manner = dataclasses.replace(EXAMPLE if is_expressive(voice.checkpoint) else Manner(), speed=speed)
            mel, durations, _ = voice.acoustic(ids, manner)
            graph_mel, graph_durations, samples = graph(ids, manner)
            if not np.array_equal(durations, graph_durations):
                if not is_tie(voice, ids, manner):
                    raise UserError(f"the exported graph has other durations than the voice at speed {speed:g} for {text!r}; "
                                    f"{graph.path} was not kept")
                ties += 1
                continue
            largest = max(largest, float(np.abs(graph_mel - mel).max() / np.abs(mel).max()))
            if samples is not None:  # of the graph's own mels, since phases are sums over all frames before
                sound = max(sound, sounds_apart(voice.vocoder(graph_mel), samples, voice.checkpoint.contract))
            compared += 1
    if not largest <= TOLERANCE or not compared:
        raise UserError(f"the exported graph's log-mels differ from the voice's by {largest:.2g} of their largest value "
                        f"(allowed: {TOLERANCE:g}, {compared} sayings compared); it was not kept")
    if not sound <= SOUND_TOLERANCE:
        raise UserError(f"the exported graph sounds otherwise than the vocoder: the sounds' log-mels differ by {sound:.2g}"
                        f" on average (allowed: {SOUND_TOLERANCE:g}); it was not kept")
    return Agreement(largest, compared, ties, sound if graph.vocoder else None)


def sounds_apart(one: np.ndarray, other: np.ndarray, contract: MelContract) -> float:
    """How far two sounds (samples,) are apart: the mean absolute difference of their log-mels."""
    if len(one) != len(other):
        return float("inf")
    rest = max(0, contract.margin + 1 - len(one))
    mels = [log_mel(np.pad(samples, (0, rest)), contract) for samples in (one, other)]
    return float((mels[0] - mels[1]).abs().mean())


def is_tie(voice: MelVoice, ids: Sequence[int], manner: Manner, part: int = 0) -> bool:
    """Whether a token's predicted end lies so near to the middle of a frame that rounding it either way is right."""
    assert isinstance(voice.acoustic, TorchModel)
    with torch.inference_mode():
        said = voice.acoustic.said(len(ids), manner, part)
        durations = voice.acoustic.model.spoken_tokens(torch.tensor(ids), controls=said.get("controls")).durations
    ends = torch.cumsum(durations.double() / said["speed"], 0)
    return bool(((ends % 1 - 0.5).abs() < TIE).any())


def exported_beside(checkpoint: Path, own: Path | None = None) -> OnnxModel:
    """The ONNX file of a checkpoint, in its folder and of its name; made now unless it is there and of these very weights, and
    of those of its vocoder, which is the file ``own`` if that is there.

    Raises:
        UserError: it cannot be exported, or not be written there.
    """
    path, source = checkpoint.with_suffix(".onnx"), file_digest(checkpoint)
    if path.is_file():
        try:
            model = OnnxModel(path)
            vocoder = trained_for(model.checkpoint.contract, own)
            if (model.source, model.vocoder_source) == (source, file_digest(vocoder.path) if vocoder else ""):
                return model
        except UserError:
            pass  # an older version's or a damaged one: it is made anew, and whole
    export_voice(checkpoint, path, vocoder=vocoder_for(checkpoint_of_mels(checkpoint)[0].contract, own))
    return OnnxModel(path)
