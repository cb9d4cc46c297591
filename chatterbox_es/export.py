"""A voice for other programs: as one ONNX file, checked against the voice that it was made of.

    python -m chatterbox_es.export run=outputs/4_3/TIME out=voice.onnx
    python -m chatterbox_es.synthesize text="¿Qué tal?" run=voice.onnx
    python -m chatterbox_es.export run=outputs/4_3/TIME out=voice.onnx format=piper    # or sherpa: for their programs

Of model=chatterbox: a folder that Resemble's own package reads, or the adapters of 4_2 alone, which peft reads.

    python -m chatterbox_es.export run=outputs/4_3/TIME out=DIR [adapters=true]
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint, recipe_named
from chatterbox_es.runs.checkpoint_files import vocoder_beside, voice_file
from chatterbox_es.speech.onnx_export import OPSET, export_voice
from chatterbox_es.speech.options import AUTO, VOCODER_HELP, VoiceOptions
from chatterbox_es.speech.piper_export import PIPER, TOKENS, export_piper, piper_voice
from chatterbox_es.speech.voices import newest_voice


@dataclasses.dataclass
class ExportOptions:
    format: Literal["onnx", "piper", "sherpa"] = dataclasses.field(default="onnx", metadata={
        "help": "of mels: ours, or what Piper and Home Assistant, or sherpa-onnx run"})
    run: str = command_line.path_field(
        "run directory or checkpoint, or base, which comes along; none: the selected one, the newest, or base")
    out: str = command_line.path_field("the file to write [voice.onnx]; chatterbox: the folder")
    outputs: str = command_line.path_field("where runs are looked for", default="outputs")
    speaker: str = dataclasses.field(default="", metadata={
        "help": "of a voice with several; none: the one with the most recordings; piper and sherpa: all"})
    dialect: str = dataclasses.field(default="", metadata={"help": "piper and sherpa: another one than the voice's own"})
    vocoder: str = command_line.path_field(VOCODER_HELP, default=AUTO)
    adapters: bool = dataclasses.field(default=False, metadata={"help": "chatterbox, 4_2: the adapters alone"})
    half: bool = dataclasses.field(default=False, metadata={"help": "chatterbox: in float16, half the size"})
    trim: bool = dataclasses.field(default=False, metadata={
        "help": "chatterbox: without dialect tags that Resemble's loader has no rows for"})
    weights: str = command_line.path_field("chatterbox: where the published weights are now")


def main() -> None:
    options = command_line.parse(ExportOptions, sys.argv[1:], __doc__)
    if Path(options.out).suffix not in ("", ".onnx"):
        raise UserError(f"out={options.out}: name a file that ends in .onnx (of model=chatterbox a folder)")
    checkpoint = voice_file(Path(options.run) if options.run else newest_voice(Path(options.outputs)))
    if (loaded := load_checkpoint(checkpoint)).output != "mels":
        if options.format != "onnx":
            raise UserError(f"format={options.format}: {checkpoint} is of model={loaded.family}, whose speech no single graph "
                            "makes; Piper and sherpa-onnx run voices of model=fase4 and model=flow")
        if not options.out:
            raise UserError("out=DIR: name the folder to write")
        print(recipe_named(loaded.family).publish(loaded, Path(options.out), options.adapters, options.half, options.trim,
                                                  options.weights))
        return
    out = Path(options.out or "voice.onnx")
    if out.suffix != ".onnx":
        raise UserError(f"out={out}: name a file that ends in .onnx")
    vocoder = VoiceOptions(vocoder=options.vocoder).mel_vocoder(loaded.contract, vocoder_beside(checkpoint))
    if options.format != "onnx":
        voice = piper_voice(checkpoint, vocoder, options.speaker, options.dialect)
        said = export_piper(voice, out, options.format)
        beside = f"{out}.json" if options.format == PIPER else out.with_name(TOKENS)
        print(f"{out} and {beside}: {out.stat().st_size / 1e6:.1f} MB, {voice.dialect.name}, sound by {vocoder.name}, from "
              f"{checkpoint}\n{said}")
        return
    if options.dialect:
        raise UserError("dialect=: a voice of format=onnx keeps its own; synthesize takes dialect=")
    agreement = export_voice(checkpoint, out, options.speaker, vocoder)
    sound = f"sound by {vocoder.name}" if agreement.sound is not None else f"log-mels alone, for {vocoder.name} or another"
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, opset {OPSET}, {sound}, from {checkpoint}\n{agreement}")


if __name__ == "__main__":
    command_line.run(main)
