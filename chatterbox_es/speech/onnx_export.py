"""A checkpoint as one ONNX file, checked against the voice that it was made of."""

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
from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.fase4.network import LONGEST_TEXT, Fase4
from chatterbox_es.models.fase4.packing import Packing
from chatterbox_es.speech.onnx_voice import FORMAT, INPUTS, INSTALL, OUTPUTS, OnnxModel, file_digest
from chatterbox_es.speech.voice import MelVoice, TorchModel

OPSET = 20
TOLERANCE = 1e-3  # of the largest absolute log-mel
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


class SpeakingGraph(nn.Module):
    """`Fase4.speak`, in log-mels instead of standardised, as torch exports it."""

    def __init__(self, model: Fase4, statistics: Statistics):
        super().__init__()
        self.model, self.statistics = model, statistics

    def forward(self, tokens: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens`` (tokens,) int64 and ``speed`` () float32 to log-mels (frames, bins) and durations (tokens,)."""
        mels, durations = self.model.speak(tokens, speed)
        return self.statistics.restore(mels), durations


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near two engines come to each other, over some texts and speeds."""

    difference: float  # the largest of a log-mel, as a share of the largest absolute log-mel of its text
    compared: int
    ties: int  # sayings whose durations differ where a token ends in the very middle of a frame; their mels are not compared

    def __str__(self) -> str:
        ties = f"; in {self.ties} more a tie was rounded the other way" if self.ties else ""
        return (f"onnxruntime against torch, {self.compared} sayings: durations equal, log-mels at most {self.difference:.1e} "
                f"apart (allowed: {TOLERANCE:g}){ties}")


def export_voice(checkpoint: Path, out: Path, speaker: str = "") -> Agreement:
    """Write a checkpoint's file as ONNX, whole or not at all, and only if it says the same as the checkpoint does.

    Of a checkpoint with several speakers the graph has the one that is named, and its own dialect.

    Raises:
        UserError: a package is missing, the checkpoint cannot be read, the graph says something else, or it cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  what torch writes ONNX with
    except ImportError as error:
        raise UserError(f"exporting needs packages that are not here ({error}): {INSTALL}") from None
    loaded = Checkpoint.load(checkpoint)
    loaded = loaded.as_speaker(speaker, loaded.front_end["dialect"])
    proto = _to_onnx(loaded)
    facts = {key: json.dumps(value, ensure_ascii=False) for key, value in loaded.describe().items()}
    onnx.helper.set_model_props(proto, facts | {"format": FORMAT, "source": file_digest(checkpoint)})
    proto.producer_name, proto.producer_version = "chatterbox_es", __version__
    onnx.checker.check_model(proto)
    content = proto.SerializeToString()
    trial = out.with_name(f".{out.stem}.{os.getpid()}.onnx")
    try:
        write_whole(trial, lambda file: file.write(content))
        agreement = compare(MelVoice(loaded, str(checkpoint)), OnnxModel(trial))
        trial.replace(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}); name another place: "
                        f"python -m chatterbox_es.export run={checkpoint} out=FILE.onnx") from error
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return agreement


def _to_onnx(checkpoint: Checkpoint) -> Any:
    """The graph as an ``onnx.ModelProto``, weights inside."""
    graph = SpeakingGraph(checkpoint.build(), checkpoint.statistics).eval()
    example = (torch.arange(7), torch.tensor(1.0))
    lengths = ({0: torch.export.Dim("tokens", min=1, max=LONGEST_TEXT)}, None)
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.level
    registration.setLevel(logging.ERROR)  # it warns that torchvision, which nothing here uses, is not installed
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(graph, example, dynamo=True, dynamic_shapes=lengths, input_names=list(INPUTS),
                                        output_names=list(OUTPUTS), opset_version=OPSET, external_data=False, verbose=False)
    finally:
        registration.setLevel(before)
    assert program is not None  # as with every call that names no file
    return program.model_proto


def compare(voice: MelVoice, graph: OnnxModel, texts: Sequence[str] = TEXTS, speeds: Sequence[float] = SPEEDS) -> Agreement:
    """Say some texts with both engines.

    Raises:
        UserError: durations differ, or log-mels by more than `TOLERANCE`.
    """
    largest, compared, ties = 0.0, 0, 0
    for text in texts:
        ids = voice.front_end.read(text).ids
        for speed in speeds:
            mel, durations = voice.acoustic(ids, speed)
            graph_mel, graph_durations = graph(ids, speed)
            if not np.array_equal(durations, graph_durations):
                if not _is_tie(voice, ids, speed):
                    raise UserError(f"the exported graph has other durations than the voice at speed {speed:g} for {text!r}; "
                                    f"{graph.path} was not kept")
                ties += 1
                continue
            largest = max(largest, float(np.abs(graph_mel - mel).max() / np.abs(mel).max()))
            compared += 1
    if not largest <= TOLERANCE or not compared:
        raise UserError(f"the exported graph's log-mels differ from the voice's by {largest:.2g} of their largest value "
                        f"(allowed: {TOLERANCE:g}, {compared} sayings compared); it was not kept")
    return Agreement(largest, compared, ties)


def _is_tie(voice: MelVoice, ids: Sequence[int], speed: float) -> bool:
    """Whether a token's predicted end lies so near to the middle of a frame that rounding it either way is right."""
    assert isinstance(voice.acoustic, TorchModel)
    with torch.inference_mode():
        model, text = voice.acoustic.model, Packing.alone(len(ids))
        durations = model.duration_predictor(model.text_encoder(torch.tensor(ids), text), text).exp()
    ends = torch.cumsum(durations.double() / float(np.float32(speed)), 0)
    return bool(((ends % 1 - 0.5).abs() < TIE).any())


def exported_beside(checkpoint: Path) -> OnnxModel:
    """The ONNX file of a checkpoint, in its folder and of its name; made now unless it is there and of these very weights.

    Raises:
        UserError: it cannot be exported, or not be written there.
    """
    path, source = checkpoint.with_suffix(".onnx"), file_digest(checkpoint)
    if path.is_file():
        try:
            model = OnnxModel(path)
            if model.source == source:
                return model
        except UserError:
            pass  # an older version's or a damaged one: it is made anew, and whole

    export_voice(checkpoint, path)
    return OnnxModel(path)
