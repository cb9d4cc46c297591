"""Whether it is the same voice: embeddings of speakers, compared.

``similarity`` is the cosine between the embedding of a sound and that of its own recording; ``similarity_to_speaker``
that to the mean embedding of the speaker's other recordings, which does not ask whether the sentence is the same. Both mean
something only beside the recordings' own ``similarity_to_speaker``.

The embedding is Resemblyzer's, or that of any ONNX file (``speaker=FILE.onnx``).
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.predictors import MISSING, load_waveform_model, resample, run_model
from chatterbox_es.evaluation.processes import on_all_cores
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound

OF_RECORDING, OF_SPEAKER = "similarity", "similarity_to_speaker"


class Embedding(Protocol):
    """A speaker as a vector."""

    trained_on: str

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """(dimensions,) of a waveform (samples,) in [-1, 1] at ``rate`` Hz. Raises ValueError where there is no speech."""
        ...


class Resemblyzer:
    """The encoder of Wan et al. 2018 ("Generalized end-to-end loss for speaker verification") with the weights in the package
    resemblyzer, which first leaves out pauses by a voice activity detector: (256,).

    Raises:
        UserError: the package is not installed.
    """

    trained_on = "Resemblyzer: English speakers (LibriSpeech, VoxCeleb 1 and 2) of the project Real-Time Voice Cloning"

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it asks scipy for an old name
                import resemblyzer
        except ImportError as error:
            raise UserError(MISSING.format("resemblyzer", error)) from None
        self.encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
        self.prepare = resemblyzer.preprocess_wav

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        speech = self.prepare(np.asarray(samples, np.float32), rate) if np.any(samples) else samples[:0]
        if not len(speech):
            raise ValueError("no speech is heard in it")
        return self.encoder.embed_utterance(speech)


class OnnxEmbedding:
    """An ONNX file: one input, float32 waveforms (1, samples) in [-1, 1] at the rate that its metadata give as ``rate`` (Hz;
    16000 where they say nothing); one output, (1, dimensions).

    Raises:
        UserError: it is missing, damaged, or takes something else.
    """

    def __init__(self, path: Path, rate: int | None = None):
        self.session, self.rate = load_waveform_model(path, "speaker", rate)
        self.trained_on = f"{path.name}: whoever made the file knows"

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        try:
            return np.ravel(run_model(self.session, resample(samples, rate, self.rate))).astype(np.float64)
        except Exception as error:  # whatever a foreign graph makes of a sound
            raise ValueError(f"the speaker embedding gave up: {str(error).splitlines()[0]}") from None


class SpeakerSimilarity:
    """Cosines of embeddings. Recordings are embedded once, for all systems."""

    name = "speaker_similarity"
    metrics: Mapping[str, Metric] = {
        OF_RECORDING: Metric("", "higher", "cosine of the speaker embeddings of sound and recording"),
        OF_SPEAKER: Metric("", "higher", "cosine of the sound's embedding and the mean of the speaker's other recordings"),
    }

    def __init__(self, embedding: Embedding):
        self.embedding, self.trained_on = embedding, embedding.trained_on
        self._recordings: dict[str, dict[str, np.ndarray]] = {}  # speaker → utterance → embedding

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        unknown = {sound.utterance: (sound, sound.recording) for sound in sounds
                   if sound.recording is not None and sound.utterance not in self._recordings.get(sound.speaker, {})}
        embeddings = on_all_cores(lambda one: self.embed(one[1], one[0].rate), list(unknown.values()))
        for (sound, _), embedding in zip(unknown.values(), embeddings, strict=True):
            if isinstance(embedding, np.ndarray):
                self._recordings.setdefault(sound.speaker, {})[sound.utterance] = embedding
        return on_all_cores(self._one, sounds)

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        known = self._recordings.get(sound.speaker, {})
        if sound.samples is sound.recording and sound.utterance in known:
            mine: np.ndarray | Failure = known[sound.utterance]
        else:
            mine = self.embed(sound.samples, sound.rate)
        if isinstance(mine, Failure):
            return mine
        metrics = {}
        if sound.utterance in known:
            metrics[OF_RECORDING] = float(mine @ known[sound.utterance])
        others = [embedding for utterance, embedding in known.items() if utterance != sound.utterance]
        if others:
            mean = np.mean(others, axis=0)
            metrics[OF_SPEAKER] = float(mine @ mean / max(float(np.linalg.norm(mean)), 1e-12))
        return metrics or Failure("there is no recording of this speaker to compare with")

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray | Failure:
        """The embedding (dimensions,) of a waveform (samples,), of length 1."""
        try:
            vector = self.embedding(samples, rate).astype(np.float64)
        except ValueError as error:
            return Failure(str(error))
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            return Failure("the speaker embedding is no direction (zeros, or not numbers)")
        return vector / length
