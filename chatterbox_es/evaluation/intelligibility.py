"""How well a recogniser understands what is said: word, character and phone error rates.

Edits are those of the least-cost alignment (Levenshtein) by jiwer. Both sides pass the shared normaliser, so that a
recogniser that writes "21" is not blamed for it; case and punctuation count for nothing. Rates of several sentences are
edits over units of all of them together, not means of the sentences' rates; rows carry both, so that an interval can
resample sentences.

The phone error rate (where the recogniser has a phone loop) has no words to lean on. It is given beside a control: the
same heard phones against the texts of up to 20 other sentences, which is what speech-like babble would score. ``score`` is
1 - per / control: 1 is perfect; 0 is babble, silence, or another sentence than the one asked for.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

import jiwer
import numpy as np

from chatterbox_es.evaluation.recogniser import PhoneRecogniser, Recogniser, in_processes
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound
from chatterbox_es.text import DIALECTS
from chatterbox_es.text.normaliser import Normaliser

WORD = re.compile(r"[a-záéíóúüñ]+")
RATES = {"wer": ("wer_edits", "wer_words"), "cer": ("cer_edits", "cer_characters"), "per": ("per_edits", "per_phones"),
         "per_control": ("per_control_edits", "per_control_phones")}
"""Rate of a set of sentences → the metrics of its rows whose sums it divides."""
METRICS = {
    "wer": Metric("", "lower", "words misheard, of those to be said; above 1 when more is heard than was said"),
    "cer": Metric("", "lower", "characters misheard"),
    "per": Metric("", "lower", "phones misheard, without words to lean on"),
    "per_control": Metric("", "higher", "the same against other sentences: what babble would score"),
}
CONTROLS = 20  # other sentences that a sound is held against


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a recogniser made of a sound."""

    words: str  # normalised, without punctuation
    phones: tuple[str, ...] = ()  # by the recogniser's names; none where it has no phone loop
    said: tuple[str, ...] = ()  # what was to be said, by the same names


class Intelligibility:
    """`Measure`: wer, cer and, where the recogniser has a phone loop, per, with the counts that they are made of.

    Silence is heard as nothing, and counts in full: a system is not spared the sentences that it does not say. What was
    heard stands in ``heard`` after a call, by (system, utterance).
    """

    name = "intelligibility"
    metrics: Mapping[str, Metric] = METRICS
    rates: Mapping[str, tuple[str, str]] = RATES  # what is summed before it is divided, where sentences are summarised

    def __init__(self, recogniser: Recogniser, dialect: str = "castilian", processes: int | None = None):
        self.recogniser = recogniser
        self.words = functools.partial(words_of, normaliser=Normaliser(DIALECTS[dialect].locale))
        self.processes = processes
        self.heard: dict[tuple[str, str], Heard] = {}

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        self.recogniser.expect(sorted({self.words(sound.words) for sound in sounds} - {""}))
        controls = self._controls(sounds)
        listened = in_processes(_hear, self.recogniser, [(sound.samples, sound.rate) for sound in sounds], self.processes)
        rows: list[dict[str, float] | Failure] = []
        for sound, heard, control in zip(sounds, listened, controls, strict=True):
            if isinstance(heard, Failure):
                rows.append(heard)
                continue
            heard = dataclasses.replace(heard, words=self.words(heard.words), said=self._said(sound))
            self.heard[sound.system, sound.utterance] = heard
            rows.append(self._metrics(sound, heard, control))
        return rows

    def _metrics(self, sound: Sound, heard: Heard, control: Sequence[Sound]) -> dict[str, float] | Failure:
        said = self.words(sound.words)
        if not said:
            return Failure(f"nothing in {sound.words!r} is a word")
        metrics = _rate("wer", "wer_words", jiwer.process_words(said, heard.words))
        metrics |= _rate("cer", "cer_characters", jiwer.process_characters(said, heard.words))
        if isinstance(self.recogniser, PhoneRecogniser):
            metrics |= self._phone_rate("per", sound, heard)
            rates = [self._phone_rate("per_control", other, heard) for other in control]
            metrics |= {name: sum(rate[name] for rate in rates) / len(rates) for name in (rates[0] if rates else ())}
        return metrics

    def _phone_rate(self, name: str, sound: Sound, heard: Heard) -> dict[str, float]:
        said = self._said(sound)
        if not said:
            return {}
        return _rate(name, f"{name}_phones", jiwer.process_words(" ".join(said), " ".join(heard.phones)))

    def _said(self, sound: Sound) -> tuple[str, ...]:
        if not isinstance(self.recogniser, PhoneRecogniser):
            return ()
        return tuple(phone for _, phone in self.recogniser.names_of(sound.phonemes))

    def _controls(self, sounds: Sequence[Sound]) -> list[list[Sound]]:
        """For each sound, other sentences: the next ones of its system that say something else."""
        systems: dict[str, list[int]] = {}
        for place, sound in enumerate(sounds):
            systems.setdefault(sound.system, []).append(place)
        controls: list[list[Sound]] = [[] for _ in sounds]
        for places in systems.values():
            for turn, place in enumerate(places):
                circle = [sounds[other] for other in (*places[turn + 1:], *places[:turn])]
                said = {sounds[place].phonemes, ()}
                controls[place] = [other for other in circle if other.phonemes not in said][:CONTROLS]
        return controls


def words_of(text: str, normaliser: Normaliser) -> str:
    """The words of a text as they are compared: numbers and signs read out, lower case, no punctuation."""
    words, _ = normaliser.normalise(normaliser.compose(text))
    return " ".join(WORD.findall(words.lower()))


def corpus_rates(rows: Sequence[Mapping[str, float]], weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Rates of many rows together, and ``score``: edits over units, both summed.

    ``weights`` (resamples, rows) says how often a row stands in each resample; the rates are then (resamples,) each.
    A rate that some row lacks is left out.
    """
    weights = np.ones((1, len(rows))) if weights is None else weights
    rates: dict[str, np.ndarray] = {}
    for name, metrics in RATES.items():
        if rows and all(metric in row for row in rows for metric in metrics):
            edits, units = (weights @ np.array([row[metric] for row in rows]) for metric in metrics)
            rates[name] = edits / units
    if "per_control" in rates:
        rates["score"] = 1 - rates["per"] / rates["per_control"]
    return rates


def _rate(name: str, units: str, output: jiwer.WordOutput | jiwer.CharacterOutput) -> dict[str, float]:
    edits = output.substitutions + output.deletions + output.insertions
    length = output.hits + output.substitutions + output.deletions
    return {name: edits / length, f"{name}_edits": float(edits), units: float(length)}


def _hear(recogniser: Recogniser, samples: np.ndarray, rate: int) -> Heard | Failure:
    samples = np.asarray(samples)
    if not np.isfinite(samples).all():
        return Failure("samples that are infinite or not numbers")
    try:
        words = recogniser.transcribe(samples, rate)
        phones = tuple(recogniser.phones(samples, rate)) if isinstance(recogniser, PhoneRecogniser) else ()
    except (RuntimeError, ValueError) as error:  # a recogniser that gives up on one sound has the others left
        return Failure(f"{recogniser.name} gave up: {error}")
    return Heard(words, phones)
