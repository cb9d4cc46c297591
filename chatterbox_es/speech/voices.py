"""Which voice: of a run, of ``outputs/best``, of a checkpoint's file or an exported one."""

import json
from pathlib import Path
from typing import Any

from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.runs.checkpoint_files import BASE, BEST, VOICE, holds_full_model, is_base, vocoder_beside, voice_file
from chatterbox_es.runs.run_directory import finished_runs, read_card
from chatterbox_es.speech.onnx_export import exported_beside
from chatterbox_es.speech.onnx_voice import OnnxModel
from chatterbox_es.speech.options import AUTO, NEURAL, VoiceOptions
from chatterbox_es.speech.voice import MelVoice, Voice

ENGINES = ("torch", "onnx")


def load_voice(run: Path, dialect: str | None = None, engine: str = "torch", speaker: str = "",
               options: VoiceOptions | None = None) -> Voice:
    """The voice of a run (its final checkpoint), of ``outputs/best``, of a checkpoint's file, or of an exported one.

    With ``engine="onnx"`` the voice is exported first, unless that was done before; a file that ends in .onnx is
    spoken with ONNX in any case. Of a voice with several speakers ``speaker`` names one; without, it is the one with the
    most recordings.

    Raises:
        UserError: there is no such voice or speaker, it is damaged, or a package that the engine needs is missing.
    """
    if engine not in ENGINES:
        raise UserError(f"engine={engine} is not known; use one of {', '.join(ENGINES)}")
    path, options = voice_file(run), options or VoiceOptions()
    if path.suffix == ".onnx" or engine == "onnx":
        if speaker:
            raise UserError(f"speaker={speaker}: an exported voice has one speaker. Export that one (python -m "
                            f"chatterbox_es.export run={run} speaker={speaker} out=FILE.onnx) and speak with run=FILE.onnx")
        model = OnnxModel(path) if path.suffix == ".onnx" else exported_beside(path, vocoder_beside(path))
        vocoder = None
        if not model.vocoder or options.vocoder not in (AUTO, NEURAL):
            model.without_sound()
            vocoder = options.mel_vocoder(model.checkpoint.contract, vocoder_beside(path))
        return MelVoice(model.checkpoint, str(path), dialect, vocoder, model, manner=options.manner)
    return voice_of(load_checkpoint(path), str(path), dialect, speaker, options, vocoder_beside(path))


def voice_of(checkpoint: StoredModel, name: str, dialect: str | None = None, speaker: str = "",
             options: VoiceOptions | None = None, vocoder: Path | None = None) -> Voice:
    """The voice of a checkpoint of any model; ``vocoder`` is where one of its own would lie.

    Raises:
        UserError: as `load_voice`.
    """
    if checkpoint.output not in VOICES:
        raise UserError(f"{name} is of model={checkpoint.family}, which predicts {checkpoint.output} and is no voice")
    return VOICES[checkpoint.output](checkpoint, name, dialect, speaker, options or VoiceOptions(), vocoder)


def _of_mels(checkpoint: Checkpoint, name: str, dialect: str | None, speaker: str, options: VoiceOptions,
             vocoder: Path | None) -> Voice:
    return MelVoice(checkpoint, name, dialect, options.mel_vocoder(checkpoint.contract, vocoder), speaker=speaker,
                    manner=options.manner)


def _of_speech_tokens(checkpoint: Any, name: str, dialect: str | None, speaker: str, options: VoiceOptions,
                      vocoder: Path | None) -> Voice:
    from chatterbox_es.speech.t3_voice import T3Voice  # whose packages are optional

    return T3Voice(checkpoint, name, dialect, speaker, options)


VOICES = {"mels": _of_mels, "speech_tokens": _of_speech_tokens}  # by what a model predicts


def is_voice(run: Path) -> bool:
    """Whether a run trains something that speaks, and not a vocoder."""
    return (read_card(run) or {}).get("output", "mels") in VOICES  # 0.1 says none


def newest_voice(outputs: Path, or_base: bool = True) -> Path:
    """The voice that was selected (``outputs/best``); or the newest finished run of the whole model, or else of any phase; or
    the base voice, which comes along.

    Raises:
        UserError: there is none.
    """
    if (outputs / BEST / VOICE).is_file():
        return outputs / BEST
    runs = [run for run in finished_runs(outputs) if is_voice(run)]
    whole = [run for run in runs if holds_full_model(run)]
    if not runs and or_base and is_base(Path(BASE)):
        return Path(BASE)
    if not runs:
        raise UserError(f"there is no finished run in {outputs}/ to speak with; train one "
                        "(python -m chatterbox_es.train), or name a run or a checkpoint: run=PATH")
    return (whole or runs)[-1]


def chosen_from(run: Path) -> str:
    """For ``outputs/best``, which checkpoint was selected; what the base voice is; nothing for a run."""
    if is_base(run):
        return ", which comes along"
    try:
        selection = json.loads((run / "selection.json").read_text(encoding="utf-8"))
        return f" (selected by {selection['by']}: {selection['ranking'][0]['checkpoint']})"
    except (OSError, ValueError, LookupError, TypeError):  # the voice itself says what it is
        return ""
