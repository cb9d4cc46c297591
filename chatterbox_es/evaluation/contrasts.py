"""Which contrasts of a dialect a system makes: seseo or distinción, yeísmo, /s/ kept or not; measured, not assumed.

Spelling says where a contrast would be (the Castilian reading keeps them all). Forced alignment cuts those places out of
the sound, the members of a contrast under one name, so that what is expected moves no border. The middle half of a place
gives its mean log-mel spectrum, less the sentence's own mean. A linear discriminant with shrinkage (Ledoit & Wolf 2004)
learns the two members from the natural recordings of the same corpus, and is asked about every system. No sentence is
judged by a classifier that has heard its recording.

How well it does on the recordings, cross-validated, is the ceiling and is always given. Where it cannot tell the members
apart there, either the speaker does not make the contrast or the measure is too weak for this sound: then nothing is said
of any system. Places differ in their neighbours too, which alone tells some of them apart (balanced accuracy 0.69 on a
voice with seseo, docs/intelligibility.md), hence the high bar.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GroupKFold

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.intervals import Proportion
from chatterbox_es.evaluation.minimal_pairs import PAIR, Voice, minimal_pairs, say_pairs
from chatterbox_es.evaluation.places import Aligner, Place, cut
from chatterbox_es.evaluation.recogniser import Recogniser, in_processes
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Metric, Sound
from chatterbox_es.text import DIALECTS, FrontEnd

FEWEST_PLACES = 10  # of a member in the recordings
FEWEST_SENTENCES = 5
TOLD_APART = 0.85  # balanced accuracy on the recordings
CLEAR = 0.8  # share of places that makes a verdict


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two sorts of sounds that are learnt apart, and the places in which one of them is looked for."""

    name: str
    first: str  # kinds of places that are learnt from
    second: str
    tested: tuple[str, ...]  # kinds of places that are judged


CONTRASTS = (
    Contrast("c z / s", "θ", "s", ("θ", "s")),
    Contrast("ll / y", "ʎ", "ʝ", ("ʎ", "ʝ")),
    Contrast("final s", "s", "f x", ("final s",)),
    Contrast("ll y as ʃ", "s", "sonorants", ("ʎ", "ʝ")),
)


def expected(contrast: Contrast, kind: str, dialect: str) -> str | None:
    """Which member a dialect says in a kind of place; None: any, since it does not make the contrast."""
    if contrast.name == "c z / s":
        return kind if DIALECTS[dialect].has_theta else "s"
    if contrast.name == "ll / y":
        return kind if DIALECTS[dialect].has_lateral else None
    if contrast.name == "final s":
        return "f x" if DIALECTS[dialect].aspirates else "s"
    return "s" if DIALECTS[dialect].say("ʎ") == "ʃ" else "sonorants"


@dataclasses.dataclass
class Finding:
    """What a system does with a contrast."""

    system: str
    contrast: Contrast
    heard_first: Mapping[str, Proportion]  # kind of place → how many of them sound like the contrast's first member
    ceiling: float  # balanced accuracy on the recordings, cross-validated; 0: nothing could be learnt
    verdict: str
    pairs: Proportion | None = None  # minimal pairs whose both words sound as they should

    @property
    def is_usable(self) -> bool:
        return self.ceiling >= TOLD_APART

    def __str__(self) -> str:
        """In a sentence."""
        if not self.is_usable:
            return f"{self.system}, {self.contrast.name}: {self.verdict}"
        heard = "; ".join(f"{kind}: like {self.contrast.first} in {share}" for kind, share in self.heard_first.items())
        pairs = f"; minimal pairs kept apart: {self.pairs}" if self.pairs else ""
        return (f"{self.system}, {self.contrast.name}: {self.verdict} ({heard}{pairs}; recordings told apart with a balanced "
                f"accuracy of {self.ceiling:.2f})")


class Contrasts:
    """`Measure`: of the places of each contrast, how many a sentence has and how many are said as the dialect says them.

    Needs the recordings among the sounds (system "recordings"). ``voices`` also say the minimal pairs (`minimal_pairs`), each
    word in a carrier sentence. `findings` has the whole answer after a call.

    Raises:
        UserError: no such dialect, or a recogniser that cannot align.
    """

    name = "dialect"
    metrics: Mapping[str, Metric] = {
        "contrasts": Metric("", "higher", "places of dialect contrasts that are said as the dialect says them")}
    rates: Mapping[str, tuple[str, str]] = {"contrasts": ("contrasts_kept", "contrasts_places")}

    def __init__(self, aligner: Aligner | Recogniser, dialect: str = "castilian", voices: Mapping[str, Voice] | None = None,
                 processes: int | None = None):
        if dialect not in DIALECTS:
            raise UserError(f"dialect={dialect} is not known; use one of {', '.join(DIALECTS)}")
        if not isinstance(aligner, Aligner):
            raise UserError(f"{getattr(aligner, 'name', 'this recogniser')} cannot align sounds with phonemes, which dialect "
                            "contrasts need; use recogniser=pocketsphinx:DIR")
        self.aligner, self.dialect, self.processes, self.voices = aligner, dialect, processes, voices or {}
        self.front_end = FrontEnd("castilian")
        self.findings: list[Finding] = []

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        given = len(sounds)
        sounds = [*sounds, *(pair for name, voice in self.voices.items() for pair in say_pairs(name, voice))]
        readings = [self.front_end.read(sound.words).phonemes for sound in sounds]
        tasks = [(sound.samples, sound.rate, reading) for sound, reading in zip(sounds, readings, strict=True)]
        found_places = in_processes(cut, self.aligner, tasks, self.processes)
        places = [Place(number, kind, spectrum) for number, found in enumerate(found_places) if not isinstance(found, Failure)
                  for kind, spectrum in found]
        self.findings, kept = [], np.zeros((len(sounds), 2))
        for contrast in CONTRASTS:
            self._judge(contrast, sounds, places, kept)
        return [found if isinstance(found, Failure) else _row(*kept[number])
                for number, found in enumerate(found_places[:given])]

    def _judge(self, contrast: Contrast, sounds: Sequence[Sound], places: Sequence[Place], kept: np.ndarray) -> None:
        """Findings of one contrast for every system; adds to ``kept`` (sounds, 2), places said as expected and all."""
        learnt = [place for place in places if sounds[place.sound].system == RECORDINGS
                  and place.kind in (contrast.first, contrast.second)]
        hearing = Hearing.learn(contrast, learnt, [sounds[place.sound].utterance for place in learnt])
        tested = [place for place in places if place.kind in contrast.tested]
        is_first = hearing.is_first(tested, [sounds[place.sound].utterance for place in tested])
        systems = dict.fromkeys(sound.system for sound in sounds)
        for system in systems:
            of = [(place, bool(first)) for place, first in zip(tested, is_first, strict=True)
                  if sounds[place.sound].system == system]
            running = [(place, first) for place, first in of if not sounds[place.sound].utterance.startswith(PAIR)]
            proportions = {kind: Proportion(sum(first for place, first in running if place.kind == kind),
                                  sum(place.kind == kind for place, _ in running)) for kind in contrast.tested}
            paired = {sounds[place.sound].utterance: first for place, first in of
                      if sounds[place.sound].utterance.startswith(PAIR)}
            pairs = pairs_realised(contrast, paired) if hearing.ceiling >= TOLD_APART else None
            finding = Finding(system, contrast, proportions, hearing.ceiling, "", pairs)
            finding.verdict = verdict(finding)
            self.findings.append(finding)
            for place, first in running if finding.is_usable else ():
                wanted = expected(contrast, place.kind, self.dialect)
                if wanted is not None:
                    kept[place.sound] += ((contrast.first if first else contrast.second) == wanted, 1)


@dataclasses.dataclass
class Hearing:
    """A classifier of a contrast's two members, one for each fold of the recordings and one of all of them."""

    folds: Mapping[str, int]  # utterance → the classifier that has not heard it
    classifiers: Sequence[LinearDiscriminantAnalysis]  # the last has heard all
    ceiling: float

    @classmethod
    def learn(cls, contrast: Contrast, places: Sequence[Place], utterances: Sequence[str]) -> "Hearing":
        """From places in recordings and the sentences they stand in; with too few of them it is deaf (ceiling 0)."""
        first = np.array([place.kind == contrast.first for place in places], dtype=bool)
        groups = np.array(utterances)
        if min(first.sum(), (~first).sum()) < FEWEST_PLACES or len(set(utterances)) < FEWEST_SENTENCES:
            return cls({}, [], 0.0)
        spectra = np.stack([place.spectrum for place in places])
        folds: dict[str, int] = {}
        classifiers: list[LinearDiscriminantAnalysis] = []
        right = np.zeros(len(places), dtype=bool)
        for train, test in GroupKFold(FEWEST_SENTENCES).split(spectra, first, groups):
            if len(set(first[train])) < 2:
                return cls({}, [], 0.0)
            classifier = _discriminant().fit(spectra[train], first[train])
            right[test] = classifier.predict(spectra[test]) == first[test]
            folds |= dict.fromkeys(groups[test].tolist(), len(classifiers))
            classifiers.append(classifier)
        classifiers.append(_discriminant().fit(spectra, first))
        return cls(folds, classifiers, float((right[first].mean() + right[~first].mean()) / 2))

    def is_first(self, places: Sequence[Place], utterances: Sequence[str]) -> np.ndarray:
        """(places,) whether each sounds like the first member, by the classifier that has not heard its sentence."""
        if not self.classifiers:
            return np.zeros(len(places), dtype=bool)
        return np.array([self.classifiers[self.folds.get(utterance, -1)].predict(place.spectrum[None])[0]
                         for place, utterance in zip(places, utterances, strict=True)], dtype=bool)


def _discriminant() -> LinearDiscriminantAnalysis:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])


def verdict(finding: Finding) -> str:
    """What may be said of a system, in words."""
    if not finding.ceiling:
        return (f"not measurable: fewer than {FEWEST_PLACES} places of each kind in the recordings, or in fewer than "
                f"{FEWEST_SENTENCES} sentences")
    if not finding.is_usable:
        return (f"not measurable: in the recordings the two are told apart with a balanced accuracy of {finding.ceiling:.2f}, "
                f"below {TOLD_APART}; this speaker does not make the contrast, or the sound is too poor to hear it")
    proportions = [finding.heard_first[kind].value for kind in finding.contrast.tested]
    if any(np.isnan(share) for share in proportions):
        return "no such place in these sentences"
    high, low = [share >= CLEAR for share in proportions], [share <= 1 - CLEAR for share in proportions]
    if finding.contrast.name == "c z / s":
        if low[1]:
            return "distinción" if high[0] else "seseo" if low[0] else "between distinción and seseo"
        return "ceceo" if high[0] and high[1] else "neither distinción nor seseo"
    if finding.contrast.name == "ll / y":
        return "ll and y kept apart" if high[0] and low[1] else "yeísmo" if all(high) or all(low) else "between both"
    if finding.contrast.name == "final s":
        return "final s kept" if high[0] else "final s aspirated or lost" if low[0] else "final s now kept, now not"
    return "ll and y as ʃ" if all(high) else "ll and y not as ʃ" if all(low) else "ll and y now as ʃ, now not"


def pairs_realised(contrast: Contrast, is_first: Mapping[str, bool]) -> Proportion | None:
    """Of the pairs both of whose sentences were judged (id → heard as the first member), how many keep their words apart."""
    names = [[f"{PAIR}{name}:{word}" for word in words] for name, *words in minimal_pairs() if name == contrast.name]
    whole = [(first, second) for first, second in names if first in is_first and second in is_first]
    return Proportion(sum(is_first[first] and not is_first[second] for first, second in whole), len(whole)) if whole else None


def _row(kept: float, places: float) -> dict[str, float]:
    counts = {"contrasts_kept": float(kept), "contrasts_places": float(places)}
    return counts | ({"contrasts": float(kept / places)} if places else {})
