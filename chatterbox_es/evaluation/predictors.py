"""How good a model that was trained on people's ratings holds speech to be. Predictions, not opinions: nobody has listened.

What a predictor gives a person's own voice differs by microphone and room, so a score is read beside the recordings' of the
same sentences, by the same speaker. It knows what it was trained on (``trained_on``) and can be misled: DistillMOS gives an
HMM voice that sounds like a robot 4.3. So nothing is called better that one predictor alone prefers (see `verdicts`).
"""

import contextlib
import io
import json
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.processes import on_all_cores
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound

RATE = 16_000  # Hz, of DistillMOS and DNSMOS
MISSING = ("{} cannot be imported ({}): make ears, or pip install 'chatterbox-es[evaluate]' and pip install --no-deps "
           "distillmos xls-r-sqa resemblyzer; or leave it out: evaluate measures=…, train train.listen=0")


class DistillMos:
    """DistillMOS (Stahl & Gamper 2025, "Distillation and pruning for scalable self-supervised representation-based speech
    quality assessment"), with the weights in the package distillmos: 1 to 5."""

    name = "distillmos"
    metrics: Mapping[str, Metric] = {
        "distillmos": Metric("1-5", "higher", "DistillMOS: what people would rate the quality, as predicted")}
    trained_on = ("DistillMOS: English speech with noise, codecs, packet loss and enhancement, the output of text-to-speech "
                  "models; rated by a larger network and, in VoiceMOS 2022, NISQA and others, by people")

    def __init__(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it says where its weights lie
            self.model = _distillmos().ConvTransformerSQAModel().eval()

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        return on_all_cores(lambda sound: self.score(sound.samples, sound.rate), sounds)

    @torch.inference_mode()
    def score(self, samples: np.ndarray, rate: int) -> dict[str, float] | Failure:
        """The metric of a waveform (samples,) in [-1, 1] at ``rate`` Hz."""
        if not np.any(samples):
            return SILENT
        return {"distillmos": float(self.model(torch.from_numpy(resample(samples, rate, RATE))[None]))}


def _distillmos() -> types.ModuleType:
    """The package. It imports torchaudio to read files on its command line, and of that there is no build for every torch:
    while it is imported, an empty module stands in.

    Raises:
        UserError: it is not installed.
    """
    lent = "torchaudio" not in sys.modules
    if lent:
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        import distillmos
    except ImportError as error:
        raise UserError(MISSING.format("distillmos", error)) from None
    finally:
        if lent:
            sys.modules.pop("torchaudio", None)
    return distillmos


class Dnsmos:
    """DNSMOS P.835 (Reddy et al. 2022) and P.808 (Reddy et al. 2021) by the package speechmos: 1 to 5 each."""

    name = "dnsmos"
    metrics: Mapping[str, Metric] = {
        "dnsmos_ovrl": Metric("1-5", "higher", "DNSMOS P.835, overall, as predicted"),
        "dnsmos_sig": Metric("1-5", "higher", "DNSMOS P.835, the speech itself, as predicted"),
        "dnsmos_bak": Metric("1-5", "higher", "DNSMOS P.835, the background, as predicted"),
        "dnsmos_p808": Metric("1-5", "higher", "DNSMOS P.808, as predicted"),
    }
    trained_on = ("DNSMOS: English telephone speech with noise, before and after noise suppression; it hears noise and buzz, "
                  "and not whether the melody fits the sentence")

    def __init__(self) -> None:
        try:
            from speechmos import dnsmos
        except ImportError as error:
            raise UserError(MISSING.format("speechmos", error)) from None
        self.run = dnsmos.run

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        return [self.score(sound.samples, sound.rate) for sound in sounds]  # it takes all cores for one

    def score(self, samples: np.ndarray, rate: int) -> dict[str, float] | Failure:
        """The four metrics of a waveform (samples,) in [-1, 1] at ``rate`` Hz."""
        if not np.any(samples):
            return SILENT
        found = self.run(resample(samples, rate, RATE), RATE)
        return {name: float(found[f"{name.removeprefix('dnsmos_')}_mos"]) for name in self.metrics}


SILENT = Failure("it is silent, or empty")


class Predictor:
    """Any predictor of quality in an ONNX file.

    Contract: one input, float32 waveforms (1, samples) in [-1, 1] at the rate that the file's metadata give as ``rate``
    (Hz; 16000 where they say nothing); one output, whose first number is the score, the higher the better.
    """

    name = "predictor"

    def __init__(self, path: Path, rate: int | None = None):
        self.session, self.rate = load_waveform_model(path, "predictor", rate)
        self.metric = f"predictor_{path.stem}"
        self.metrics: Mapping[str, Metric] = {
            self.metric: Metric("", "higher", f"{path.name}, as predicted")}
        self.trained_on = f"{path.name}: whoever made the file knows"

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        return on_all_cores(lambda sound: self.score(sound.samples, sound.rate), sounds)

    def score(self, samples: np.ndarray, rate: int) -> dict[str, float] | Failure:
        """The metric of a waveform (samples,) in [-1, 1] at ``rate`` Hz."""
        try:
            value = float(np.ravel(run_model(self.session, resample(samples, rate, self.rate)))[0])
        except Exception as error:  # whatever a foreign graph makes of a sound
            return Failure(f"the predictor gave up: {str(error).splitlines()[0]}")
        return {self.metric: value} if np.isfinite(value) else Failure("the predictor's score is not a number")


def load_waveform_model(path: Path, key: str, rate: int | None) -> tuple[Any, int]:
    """An ONNX session of a model that takes waveforms, and the rate that it takes them at.

    Raises:
        UserError: it is missing, damaged, or takes something else.
    """
    if not path.is_file():
        raise UserError(f"{key}={path}: there is no such file")
    try:
        session = _session(path)
    except UserError:
        raise
    except Exception as error:  # whatever the bytes of a foreign file lead onnxruntime to
        raise UserError(f"{key}={path} cannot be loaded by onnxruntime: {str(error).splitlines()[0]}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        described = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise UserError(f"{key}={path} must take one input, float32 waveforms (1, samples); it takes {described}")
    said = session.get_modelmeta().custom_metadata_map.get("rate")
    try:
        return session, rate or int(json.loads(said) if said else RATE)
    except (ValueError, TypeError):
        raise UserError(f"{key}={path}: its metadata say rate={said!r}, which is no number of Hz") from None


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """A waveform (samples,) at another rate, float32 in [-1, 1]."""
    if rate != target:
        samples = soxr.resample(samples, rate, target, quality="HQ")
    return np.clip(samples, -1, 1).astype(np.float32)


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("models in ONNX files need onnxruntime: pip install 'chatterbox-es[evaluate]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sounds are what is done at once
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_model(session: Any, samples: np.ndarray) -> np.ndarray:
    """What a session of `load_waveform_model` makes of a waveform (samples,) float32."""
    return np.asarray(session.run(None, {session.get_inputs()[0].name: samples[None]})[0])
