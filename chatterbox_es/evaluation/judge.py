"""Metrics of an evaluation for the selection of checkpoints: ``by=distillmos``, ``by=-distillmos+2*wer``."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.comparison import evaluate
from chatterbox_es.evaluation.measures import MeasureOptions, build_measures, measure_of
from chatterbox_es.evaluation.recognisers import recogniser_of
from chatterbox_es.evaluation.results import SOUND
from chatterbox_es.evaluation.sounds import Measure
from chatterbox_es.evaluation.systems import Recordings, Sentence, Spoken, held_out
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.speech.voices import voice_of


class Records:
    """What training has heard of the checkpoints that are chosen among, as a judge: nothing is said again."""

    def __init__(self, metrics: Sequence[str], numbers: list[int]):
        self.metrics, self.numbers = metrics, numbers  # of the utterances that were heard

    @classmethod
    def of(cls, metrics: Sequence[str], features: FeatureSet, options: MeasureOptions,
           paths: Sequence[Path]) -> "Records | None":
        """None where some checkpoint was not heard, or saying other sentences, or not by the ears that ``options`` name."""
        heard = [load_checkpoint(path, mmap=True).lineage.get("heard") or {} for path in paths]
        sentences = [one.get("sentences", {}) for one in heard]
        if not all(metric in row for rows in sentences for row in (rows or {"": {}}).values() for metric in metrics):
            return None
        recognisers = {one["recogniser"] for one in heard} | ({options.recogniser} if options.recogniser else set())
        if len({frozenset(rows) for rows in sentences}) > 1 or "wer" in metrics and len(recognisers) > 1 or options.speaker:
            return None
        numbers = [number for number in features.validation.tolist() if features.utterance(number)["id"] in sentences[0]]
        return cls(metrics, numbers) if len(numbers) == len(sentences[0]) else None

    def __call__(self, checkpoint: StoredModel, name: str) -> dict[str, dict[str, float]]:
        heard = checkpoint.lineage["heard"]["sentences"]
        return {metric: {utterance: row[metric] for utterance, row in heard.items()} for metric in self.metrics}


class Judge:
    """Has checkpoints say the held-out sentences, all of them, and gives metrics by utterance."""

    def __init__(self, metrics: Sequence[str], measures: Sequence[Measure], sentences: Sequence[Sentence], rate: int):
        self.metrics, self.measures, self.sentences, self.rate = metrics, measures, sentences, rate

    @classmethod
    def of(cls, metrics: Sequence[str], features: FeatureSet, options: MeasureOptions) -> "Judge":
        """A judge that makes the named metrics.

        Raises:
            UserError: a package or a model that a metric needs is missing.
        """
        options = dataclasses.replace(options, recogniser=recogniser_of(options.recogniser))
        asked = [measure for metric in metrics if (measure := measure_of(metric))]
        measures = build_measures(options, features.card["dialect"], asked)
        return cls(metrics, measures, held_out(features), features.contract.sample_rate)

    def __call__(self, checkpoint: StoredModel, name: str) -> dict[str, dict[str, float]]:
        """Metric → utterance → value, of one set of weights.

        Raises:
            UserError: some sentence has none, with the reason.
        """
        voice = Spoken(name, voice_of(checkpoint, name), self.rate)
        # Some measures learn from the recordings, so these are heard too.
        results = evaluate([Recordings(self.rate), voice], self.sentences, self.measures, say=lambda text: None)
        rows = results.of(name)
        found = {metric: {row.utterance: row.metrics[metric] for row in rows if metric in row.metrics}
                 for metric in self.metrics}
        for metric, values in found.items():
            lacking = [row for row in rows if row.utterance not in values]
            if lacking:
                failures = lacking[0].failures
                reason = failures.get(SOUND) or failures.get(measure_of(metric) or "") or "it is undefined there"
                raise UserError(f"by=: {len(lacking)} of {len(rows)} sentences of {name} have no {metric}, such as "
                                f"{lacking[0].utterance} ({reason})")
        return found
