"""Ears for a voice that is being trained: what a few held-out sentences sound like, beside their recordings.

Quality by DistillMOS, speaker similarity by Resemblyzer and, with a recogniser, word error rate (and, where it has a phone
loop, the intelligibility score): the metrics of an evaluation, on sounds that are treated alike. A sentence that is not said,
or in silence, counts as the worst that there is, so that no voice gains by falling silent.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.comparison import one_thread_each
from chatterbox_es.evaluation.measures import MeasureOptions, build_measures
from chatterbox_es.evaluation.predictors import resample
from chatterbox_es.evaluation.results import Row, collect
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Measure, Sound
from chatterbox_es.evaluation.speaker_similarity import OF_RECORDING, OF_SPEAKER
from chatterbox_es.evaluation.systems import Sentence, held_out, sound_of, treat
from chatterbox_es.runs.metrics import HEARD, LISTENED

ASKED = ("distillmos", "speaker_similarity")
FIGURES = tuple(metric.name.removeprefix(HEARD) for metric in LISTENED)
WORST = {"distillmos": 1.0, OF_RECORDING: 0.0, "wer": 1.0}  # of a sentence that says nothing
VOICE = "voice"


@dataclasses.dataclass
class Heard:
    """What was made of a voice's sentences."""

    figures: dict[str, float]  # of `FIGURES`, over all sentences; those of the recordings: of the speaker's other recordings
    sentences: dict[str, dict[str, float]]  # utterance → metric → value, of those that an average is made of
    failures: dict[str, str]  # utterance → why some figure of it is the worst there is


class Ears:
    """Predictors, and the sentences that they hear."""

    def __init__(self, measures: Sequence[Measure]):
        self.measures = measures
        self.sentences: list[Sentence] = []
        self.rate = 0

    @classmethod
    def load(cls, dialect: str, recogniser: str | None = None) -> "Ears":
        """
        Raises:
            UserError: a package is missing, or the recogniser; says how to get it.
        """
        asked = [*ASKED, *(["intelligibility"] if recogniser else [])]
        try:
            return cls(build_measures(MeasureOptions(recogniser=recogniser or ""), dialect, asked))
        except UserError as error:
            said = str(error)
            raise UserError(f"train.{said}" if said.startswith("recogniser=") else said) from None

    def choose(self, features: FeatureSet, count: int) -> None:
        """Take so many held-out sentences, evenly over their order.

        Raises:
            UserError: a recording to compare with cannot be read.
        """
        self.sentences, self.rate = held_out(features, count), features.contract.sample_rate
        for sentence in self.sentences:
            if not isinstance(sentence.recording, np.ndarray):
                reason = sentence.recording.reason if sentence.recording else "there is none"
                raise UserError(f"train.listen={count}: a voice is heard beside its recordings, and that of "
                                f"{sentence.utterance} cannot be had: {reason}")

    @property
    def numbers(self) -> list[int]:
        """The sentences' places in the prepared set."""
        return [sentence.number for sentence in self.sentences if sentence.number is not None]

    def hear_recordings(self, count: int | None = None) -> Heard:
        """What the recordings themselves score; their similarity is that to the speaker's other ones among the sentences.

        Of the first ``count`` alone, the others in silence: to load and compile what the first time does.
        """
        return self._hear(RECORDINGS, {sentence.utterance: sentence.recording for sentence in self.sentences[:count]
                                       if isinstance(sentence.recording, np.ndarray)})

    def hear(self, said: Mapping[str, tuple[np.ndarray, int]]) -> Heard:
        """Sounds by utterance, as samples (samples,) in [-1, 1] and Hz; what is missing was not said."""
        treated = {name: treat(resample(samples, rate, self.rate), self.rate) for name, (samples, rate) in said.items()}
        return self._hear(VOICE, {name: sound for name, sound in treated.items() if not isinstance(sound, Failure)})

    def _hear(self, system: str, sounds: Mapping[str, np.ndarray]) -> Heard:
        silence = np.zeros(self.rate // 2, np.float32)
        pairs: list[tuple[Row, Sound | None]] = []
        for sentence in self.sentences:
            sound = sound_of(system, sentence, sounds.get(sentence.utterance, silence), self.rate)
            assert isinstance(sound, Sound)  # of samples
            pairs.append((Row(system, sentence.utterance, sentence.words), sound))
        with one_thread_each():
            results = collect({system: pairs}, self.measures)
        failures = {row.utterance: "; ".join(row.failures.values()) for row in results.rows if row.failures}
        worst = {name: value for name, value in WORST.items() if name in results.metrics}
        for row in results.rows:
            row.metrics = worst | row.metrics
        means = {name: estimate.mean for name, estimate in results.estimates()[system].items()}
        if system == RECORDINGS:  # which are themselves: each beside the others
            means.pop(OF_RECORDING)
            means |= {OF_RECORDING: means[OF_SPEAKER]} if OF_SPEAKER in means else {}
        if system in (scores := results.scores()):
            means["score"] = scores[system].mean
        return Heard({name: means[name] for name in FIGURES if name in means},
                     {row.utterance: {name: row.metrics[name] for name in worst} for row in results.rows}, failures)
