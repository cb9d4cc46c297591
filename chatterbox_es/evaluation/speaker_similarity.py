"""Whether it is the same voice: embeddings of speakers, compared.

``similarity`` is the cosine between the embedding of a sound and that of its own recording; ``similarity_to_speaker``
that to the mean embedding of the speaker's recordings, which does not ask whether the sentence is the same. Both mean
something only beside the recordings' own ``similarity_to_speaker`` and beside other speakers'.

The embedding is whatever ONNX file is given (``speaker=FILE.onnx``): one input, float32 waveforms (1, samples) in
[-1, 1] at the rate that its metadata give as ``rate`` (Hz; 16000 where they say nothing); one output, (1, dimensions). No
embedding comes with this package.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from chatterbox_es.evaluation.naturalness import load_waveform_model, resample
from chatterbox_es.evaluation.sounds import Failure, Figure, Sound, on_all_cores

OF_RECORDING, OF_SPEAKER = "similarity", "similarity_to_speaker"


class SpeakerSimilarity:
    """Cosines of embeddings. Recordings are embedded once, for all systems."""

    name = "speaker_similarity"
    figures: Mapping[str, Figure] = {
        OF_RECORDING: Figure("", "higher", "cosine of the speaker embeddings of sound and recording"),
        OF_SPEAKER: Figure("", "higher", "cosine of the sound's embedding and the mean of the speaker's other recordings"),
    }

    def __init__(self, path: Path, rate: int | None = None):
        self.session, self.rate = load_waveform_model(path, "speaker", rate)
        self._recordings: dict[str, dict[str, np.ndarray]] = {}  # speaker → utterance → embedding

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        unknown = {sound.utterance: sound for sound in sounds
                   if sound.recording is not None and sound.utterance not in self._recordings.get(sound.speaker, {})}
        for sound, embedding in zip(unknown.values(), on_all_cores(self._recorded, list(unknown.values())), strict=True):
            if isinstance(embedding, np.ndarray):
                self._recordings.setdefault(sound.speaker, {})[sound.utterance] = embedding
        return on_all_cores(self._one, sounds)

    def _one(self, sound: Sound) -> dict[str, float] | Failure:
        mine = self.embed(sound.samples, sound.rate)
        if isinstance(mine, Failure):
            return mine
        known = self._recordings.get(sound.speaker, {})
        figures = {}
        if sound.utterance in known:
            figures[OF_RECORDING] = float(mine @ known[sound.utterance])
        others = [embedding for utterance, embedding in known.items() if utterance != sound.utterance]
        if others:
            mean = np.mean(others, axis=0)
            figures[OF_SPEAKER] = float(mine @ mean / max(float(np.linalg.norm(mean)), 1e-12))
        return figures or Failure("there is no recording of this speaker to compare with")

    def _recorded(self, sound: Sound) -> np.ndarray | Failure:
        return self.embed(sound.recording, sound.rate)

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray | Failure:
        """The embedding (dimensions,) of a waveform, of length 1."""
        try:
            given = resample(samples, rate, self.rate)[None]
            vector = np.ravel(self.session.run(None, {self.session.get_inputs()[0].name: given})[0]).astype(np.float64)
        except Exception as error:  # whatever a foreign graph makes of a sound
            return Failure(f"the speaker embedding gave up: {str(error).splitlines()[0]}")
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            return Failure("the speaker embedding is no direction (zeros, or not numbers)")
        return vector / length
