"""How natural a predictor holds speech to be. A predictor's ranking, not a mean opinion score: nobody has listened.

It is shown beside the score of the natural recordings, since what a predictor gives a person's own voice differs by
microphone and room. DNSMOS P.835 (Reddy et al. 2022) was trained on telephone speech with noise, at 16 kHz: it hears buzz
and noise, and not whether the melody fits the sentence.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.sounds import RECORDINGS, ROUND_TRIP, Failure, Figure, Sound, on_all_cores
from chatterbox_es.run_directory import write_whole

log = logging.getLogger(__name__)

RATE = 16_000  # Hz, of DNSMOS
WINDOW = 144_160  # samples: 9.01 s
FRAMES = 900  # of a window's log spectrum, every 10 ms
HOP = RATE  # samples between windows
FRAME = 160  # samples from one frame to the next
EDGE = 4  # frames at an edge that feel the padding of the first four convolutions, a frame each
POOL = 2  # frames, and bins, of which the first pooling keeps the greatest
GROUP = 12  # windows taken together at most, which bounds the memory


class Dnsmos:
    """DNSMOS P.835 and P.808 with the weights of the package speechmos, and its values.

    speechmos repeats a sound until it fills 9.01 s, scores windows of that length a second apart, and averages. Those
    windows overlap by eight ninths, and nearly all of the time goes into the four convolutions at full resolution that come
    first. Here these run once over all windows of a sound; only the frames at the windows' edges, which feel the padding,
    are computed window by window. A sound that is repeated is cut to whole frames first (less than 10 ms go, of the silence
    after the speech): then its frames repeat too, and are computed once. The values are speechmos's but for rounding; of a
    sound that was cut, those of the cut one.

    Scores of recordings and of their round trip are kept in the file ``kept``, by the sound's hash, since every evaluation
    on the same data needs them again.
    """

    name = "naturalness"
    figures: Mapping[str, Figure] = {
        "dnsmos_ovrl": Figure("1-5", "higher", "DNSMOS P.835, overall: a predictor's ranking, not MOS"),
        "dnsmos_sig": Figure("1-5", "higher", "DNSMOS P.835, the speech itself: a predictor's ranking, not MOS"),
        "dnsmos_bak": Figure("1-5", "higher", "DNSMOS P.835, the background: a predictor's ranking, not MOS"),
        "dnsmos_p808": Figure("1-5", "higher", "DNSMOS P.808: a predictor's ranking, not MOS"),
    }

    def __init__(self, kept: Path | None = None) -> None:
        try:
            import onnx
            from speechmos import dnsmos
        except ImportError as error:
            raise UserError(f"DNSMOS needs speechmos and onnx ({error}): pip install 'chatterbox-es[evaluate]', or leave "
                            "naturalness out with measures=") from None
        folder = Path(dnsmos.__file__).parent / "dnsmos_models"
        self.spectrum, self.early, self.late = _cut(onnx, folder / "sig_bak_ovr.onnx")
        self.p808 = _session(folder / "model_v8.onnx")
        # Its features and its mapping of raw outputs to opinions are methods without state; its sessions are not needed.
        self.theirs = dnsmos.DNSMOS.__new__(dnsmos.DNSMOS)
        self.kept, self._scores = kept, _read_scores(kept)

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        before = len(self._scores)
        found = on_all_cores(self._one, sounds)
        if self.kept is not None and len(self._scores) > before:
            try:
                write_whole(self.kept, lambda file: file.write(json.dumps(self._scores).encode()))
            except (OSError, UserError) as error:
                log.warning("%s could not be written (%s): these scores will be computed again", self.kept, error)
        return found

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        samples = _in_whole_frames(resample(sound.samples, sound.rate, RATE))
        if not len(samples) or not np.any(samples):
            return Failure("it is silent, or empty")
        if sound.system not in (RECORDINGS, ROUND_TRIP):
            return self.score(samples)
        key = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
        if key not in self._scores:
            self._scores[key] = self.score(samples)
        return self._scores[key]

    def score(self, samples: np.ndarray) -> dict[str, float]:
        """The four figures of a waveform (samples,) in [-1, 1] at 16 kHz."""
        samples = _in_whole_frames(np.asarray(samples, np.float32))
        period = len(samples) // FRAME if len(samples) < WINDOW and len(samples) % FRAME == 0 else None
        while len(samples) < WINDOW:
            samples = np.append(samples, samples)
        kept = _windows(len(samples))
        windows = [samples[start * HOP:start * HOP + WINDOW] for start in range(kept[-1] + 1)]
        raw = np.concatenate([self._raw(windows[start:start + GROUP], period) for start in range(0, len(windows), GROUP)])[kept]
        opinions = np.array([self.theirs.get_polyfit_val(*values, is_personalized_MOS=False) for values in raw])
        features = [np.asarray(self.theirs.audio_melspec(audio=windows[place][:-160]), np.float32) for place in kept]
        p808 = [float(_run(self.p808, feature[None])[0, 0]) for feature in features]
        signal, background, overall = opinions.mean(0)
        return {"dnsmos_ovrl": float(overall), "dnsmos_sig": float(signal), "dnsmos_bak": float(background),
                "dnsmos_p808": float(np.mean(p808))}

    def _raw(self, windows: Sequence[np.ndarray], period: int | None) -> np.ndarray:
        """(windows, 3) the network's own outputs for windows that follow each other a second apart; their frames repeat after
        ``period``, if any."""
        spectra = [_run(self.spectrum, window[None]) for window in windows]  # (1, 1, FRAMES, 161) each
        new = HOP // FRAME  # frames that a window adds to the one before
        whole = self._early(np.concatenate([spectra[0], *(spectrum[:, :, -new:] for spectrum in spectra[1:])], 2), period)
        heads = _pooled(_run(self.early, np.concatenate([spectrum[:, :, :2 * EDGE] for spectrum in spectra])))
        tails = _pooled(_run(self.early, np.concatenate([spectrum[:, :, -2 * EDGE:] for spectrum in spectra])))
        edge, outputs = EDGE // POOL, []
        for place in range(len(windows)):
            begin = place * new // POOL
            maps = whole[:, :, begin:begin + FRAMES // POOL].copy()
            maps[:, :, :edge], maps[:, :, -edge:] = heads[place, :, :edge], tails[place, :, -edge:]
            outputs.append(_run(self.late, maps))
        return np.concatenate(outputs)

    def _early(self, spectrum: np.ndarray, period: int | None) -> np.ndarray:
        """(1, 32, frames / 2, 80) what the first four convolutions and the pooling after them make of a spectrum
        (1, 1, frames, 161), edges aside."""
        frames = spectrum.shape[2]
        if period is None or period + 2 * EDGE >= frames:
            return _pooled(_run(self.early, spectrum))
        once = _greatest_bins(_run(self.early, spectrum[:, :, :period + 2 * EDGE])[:, :, EDGE:-EDGE])
        places = (np.arange(frames) - EDGE) % period
        return np.maximum(once[:, :, places[::POOL]], once[:, :, places[1::POOL]])


def _pooled(maps: np.ndarray) -> np.ndarray:
    """(n, 32, frames, 161) → (n, 32, frames / 2, 80) the greatest of two frames and two bins each."""
    bins = _greatest_bins(maps)
    return np.maximum(bins[:, :, ::POOL], bins[:, :, 1::POOL])


def _greatest_bins(maps: np.ndarray) -> np.ndarray:
    return np.maximum(maps[..., :-1:POOL], maps[..., 1::POOL])  # the last of an odd number is left out


def _read_scores(path: Path | None) -> dict[str, dict[str, float]]:
    """What an earlier evaluation has kept; nothing where there is nothing that can be read."""
    try:
        scores = json.loads(path.read_bytes()) if path is not None else {}
    except (OSError, ValueError):
        return {}
    names = set(Dnsmos.figures)
    return {key: score for key, score in scores.items() if isinstance(score, dict) and set(score) == names}


def _in_whole_frames(samples: np.ndarray) -> np.ndarray:
    """What DNSMOS repeats, without the part of a frame at its end."""
    return samples[:len(samples) // FRAME * FRAME] if FRAME <= len(samples) < WINDOW else samples


def _windows(samples: int) -> list[int]:
    """The windows that speechmos scores, by the second they begin at.

    It reckons their ends in floating point, where some of them come out a sample short; it leaves those out, and so do we.
    """
    seconds = WINDOW / RATE
    count = int(np.floor(samples / RATE) - seconds) + 1
    return [start for start in range(count) if int((start + seconds) * RATE) - start * HOP >= WINDOW]


def _cut(onnx: Any, path: Path) -> tuple[Any, Any, Any]:
    """DNSMOS P.835's network in three: log spectrum, the convolutions before the first pooling, what follows it."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    flat = [node for node in model.graph.node if node.op_type == "Conv" and len(node.attribute) and any(
        attribute.name == "kernel_shape" and len(attribute.ints) == 2 for attribute in node.attribute)]
    pooling = next((node for node in model.graph.node if node.op_type == "MaxPool"), None)
    if len(flat) < 4 or pooling is None:
        raise UserError(f"{path} is not the network that this version knows (speechmos 0.0.1.1)")
    sound, opinions = model.graph.input[0].name, model.graph.output[0].name
    parts = []
    for begin, end in ((sound, flat[0].input[0]), (flat[0].input[0], pooling.input[0]), (pooling.output[0], opinions)):
        part = onnx.utils.Extractor(model).extract_model([begin], [end])
        if begin != sound:
            for value in (*part.graph.input, *part.graph.output):
                for axis, size in enumerate(value.type.tensor_type.shape.dim):
                    if axis in (0, 2):  # how many, and how long
                        size.dim_param = f"axis_{axis}"
            del part.graph.value_info[:]
        content = io.BytesIO()
        onnx.save(part, content)
        parts.append(_session(content.getvalue()))
    return tuple(parts)


class Predictor:
    """Any predictor of naturalness in an ONNX file.

    Contract: one input, float32 waveforms (1, samples) in [-1, 1] at the rate that the file's metadata give as ``rate``
    (Hz; 16000 where they say nothing); one output, whose first number is the score, the higher the better.
    """

    name = "predictor"

    def __init__(self, path: Path, rate: int | None = None):
        self.session, self.rate = load_waveform_model(path, "predictor", rate)
        self.figure = f"predictor_{path.stem}"
        self.figures: Mapping[str, Figure] = {
            self.figure: Figure("", "higher", f"{path.name}: a predictor's ranking, not MOS")}

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        return on_all_cores(self._one, sounds)

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        try:
            value = float(np.ravel(_run(self.session, resample(sound.samples, sound.rate, self.rate)[None]))[0])
        except Exception as error:  # whatever a foreign graph makes of a sound
            return Failure(f"the predictor gave up: {str(error).splitlines()[0]}")
        return {self.figure: value} if np.isfinite(value) else Failure("the predictor's score is not a number")


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


def _session(model: Path | bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("predictors need onnxruntime: pip install 'chatterbox-es[evaluate]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sounds are what is done at once
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model), options,
                                        providers=["CPUExecutionProvider"])


def _run(session: Any, given: np.ndarray) -> np.ndarray:
    return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(given, np.float32)})[0]
