"""A voice for other programs: as one ONNX file, checked against the voice that it was made of.

    python -m chatterbox_es.export run=outputs/4_3/TIME out=voice.onnx
    python -m chatterbox_es.synthesize text="¿Qué tal?" run=voice.onnx

Of model=chatterbox: a folder that Resemble's own package reads, or the adapters of 4_2 alone, which peft reads.

    python -m chatterbox_es.export run=outputs/4_3/TIME out=DIR [adapters=true]
"""

import contextlib
import dataclasses
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es import __version__, command_line
from chatterbox_es.checkpoints import Checkpoint, load_checkpoint, load_mel_checkpoint
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import Statistics
from chatterbox_es.model.fase4 import LONGEST_TEXT, LONGEST_TOKEN, DurationPredictor, Fase4, TextEncoder
from chatterbox_es.onnx_voice import FORMAT, INPUTS, INSTALL, OUTPUTS, OnnxModel, file_digest
from chatterbox_es.run_directory import write_whole
from chatterbox_es.speech import Voice, newest_voice, voice_file

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


@dataclasses.dataclass
class ExportOptions:
    run: str = dataclasses.field(default="", metadata={"help": "run directory or checkpoint; none: the selected or newest one"})
    out: str = dataclasses.field(default="", metadata={"help": "the file to write [voice.onnx]; chatterbox: the folder"})
    outputs: str = dataclasses.field(default="outputs", metadata={"help": "where runs are looked for"})
    speaker: str = dataclasses.field(default="", metadata={
        "help": "of a voice with several; none: the one with the most recordings"})
    adapters: bool = dataclasses.field(default=False, metadata={"help": "chatterbox, 4_2: the adapters alone"})
    half: bool = dataclasses.field(default=False, metadata={"help": "chatterbox: in float16, half the size"})
    trim: bool = dataclasses.field(default=False, metadata={
        "help": "chatterbox: without dialect tags that Resemble's loader has no rows for"})
    weights: str = dataclasses.field(default="", metadata={"help": "chatterbox: where the published weights are now"})


def main() -> None:
    options = command_line.parse(ExportOptions, sys.argv[1:], __doc__)
    if Path(options.out).suffix not in ("", ".onnx"):
        raise UserError(f"out={options.out}: name a file that ends in .onnx (of model=chatterbox a folder)")
    checkpoint = voice_file(Path(options.run) if options.run else newest_voice(Path(options.outputs)))
    if checkpoint.suffix != ".onnx" and (loaded := load_checkpoint(checkpoint)).family == "chatterbox":
        from chatterbox_es.t3.published import publish

        if not options.out:
            raise UserError("out=DIR: name the folder to write")
        print(publish(loaded, Path(options.out), options.adapters, options.half, options.trim, options.weights))
        return
    out = Path(options.out or "voice.onnx")
    if out.suffix != ".onnx":
        raise UserError(f"out={out}: name a file that ends in .onnx")
    agreement = export_voice(checkpoint, out, options.speaker)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {FORMAT}, opset {OPSET}, from {checkpoint}\n{agreement}")


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


class SpeakingGraph(nn.Module):
    """What `Fase4.speak` does for one sentence, written without masks and packing, and in log-mels instead of standardised.

    The modules are the model's own; that nothing was lost on the way is measured, not assumed (`compare`).
    """

    def __init__(self, model: Fase4, statistics: Statistics):
        super().__init__()
        self.model = model
        self.register_buffer("mean", statistics.mean)
        self.register_buffer("deviation", statistics.deviation)

    def forward(self, tokens: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens`` (tokens,) int64 and ``speed`` () float32 to log-mels (frames, bins) and durations (tokens,)."""
        states = encode(self.model.text_encoder, tokens)
        durations = self.whole_frames(predict_durations(self.model.duration_predictor, states), speed)
        return self.model.mel_decoder(self.frame_states(states, durations)) * self.deviation + self.mean, durations

    def whole_frames(self, durations: Tensor, speed: Tensor) -> Tensor:
        """As `alignment.whole_frames`, with ``speed`` a tensor."""
        ends = torch.round(torch.cumsum(durations.double() / speed.double(), 0)).long()
        return torch.diff(ends, prepend=ends.new_zeros(1)).clamp(min=1)

    def frame_states(self, states: Tensor, durations: Tensor) -> Tensor:
        """As `Fase4.frame_states`: the token of a frame is the number of tokens that have ended by then."""
        ends = durations.cumsum(0)
        total = ends[-1].item()
        torch._check(total > 0)
        frame = torch.arange(total)
        token = (frame[:, None] >= ends[None, :]).sum(1)
        left = ends[token] - 1 - frame
        since = durations[token] - 1 - left
        waves = self.model.frame_sinusoids
        return states[token] + torch.cat([waves[position.clamp(max=LONGEST_TOKEN - 1)] for position in (since, left)], dim=1)


def encode(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """`TextEncoder.forward` of one sentence: (tokens,) → (tokens, width)."""
    x = encoder.embedding(tokens) + encoder.positions[:tokens.shape[0]]
    for layer in encoder.layers:
        packed = layer.query_key_value(layer.attention_norm(x))
        query, key, value = packed.unflatten(1, (3, layer.heads, -1)).permute(1, 2, 0, 3)  # (heads, tokens, depth)
        weights = (query @ key.transpose(1, 2) * query.shape[-1] ** -0.5).softmax(2)
        x = x + layer.attention_output((weights @ value).transpose(0, 1).flatten(1))
        x = x + layer.contract(functional.gelu(layer.expand(layer.feedforward_norm(x))))
    return encoder.output(x)


def predict_durations(predictor: DurationPredictor, states: Tensor) -> Tensor:
    """`DurationPredictor.forward` of one sentence: (tokens, width) → (tokens,) frames."""
    x = predictor.first_norm(functional.relu(predictor.first(states.T[None])).transpose(1, 2))
    x = predictor.second_norm(functional.relu(predictor.second(x.transpose(1, 2))).transpose(1, 2))
    return predictor.output(x)[0, :, 0].exp()


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
    loaded = load_mel_checkpoint(checkpoint)
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
        agreement = compare(Voice(loaded, str(checkpoint)), OnnxModel(trial))
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
    return program.model_proto


def compare(voice: Voice, graph: OnnxModel, texts: Sequence[str] = TEXTS, speeds: Sequence[float] = SPEEDS) -> Agreement:
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


def _is_tie(voice: Voice, ids: Sequence[int], speed: float) -> bool:
    """Whether a token's predicted end lies so near to the middle of a frame that rounding it either way is right."""
    with torch.inference_mode():
        model = voice.acoustic.model
        durations = predict_durations(model.duration_predictor, encode(model.text_encoder, torch.tensor(ids)))
    ends = torch.cumsum(durations.double() / float(np.float32(speed)), 0)
    return bool(((ends % 1 - 0.5).abs() < TIE).any())


if __name__ == "__main__":
    command_line.run(main)
