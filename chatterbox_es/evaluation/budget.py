"""How many sentences are evaluated: as many as fit into the time that one wants to wait, measured on a few of them."""

import time
from collections.abc import Sequence

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.comparison import evaluate
from chatterbox_es.evaluation.sounds import Measure
from chatterbox_es.evaluation.systems import Sentence, System, held_out

PROBED = 4  # sentences that are timed, after one that is not: its libraries are loaded and compiled by it
WHOLE_SETS = ("dialect",)  # measures that cost the same for few sentences and for many


def sentences_that_fit(features: FeatureSet, systems: Sequence[System], measures: Sequence[Measure],
                       seconds: float) -> tuple[list[Sentence], str]:
    """Held-out sentences, evenly over their order, whose evaluation takes about ``seconds`` from now; and what is to be said of
    the choice. At least as many as are timed; which ones depends on nothing but their number."""
    everything = len(features.validation)
    began = time.monotonic()
    try:
        cost = _cost(features, systems, [measure for measure in measures if measure.name not in WHOLE_SETS])
    except UserError:  # nothing could be said: the evaluation itself says why
        return held_out(features), f"sentences: all {everything} held-out ones"
    each = cost * float(features.index["frames"][features.validation].mean())
    fitting = int((seconds - (time.monotonic() - began)) / each)
    count = min(everything, max(PROBED, fitting))
    if count == everything:
        return held_out(features), f"sentences: all {everything} held-out ones ({each:.1f} s a sentence, measured on {PROBED})"
    return held_out(features, count), (
        f"sentences: {count} of {everything} held-out ones, evenly over their order, "
        f"{'as fit into the time' if fitting >= PROBED else 'the fewest that are taken, for which the time is too short'} "
        f"({each:.1f} s a sentence, measured on {PROBED}); sentences=all takes some {each * everything / 60:.0f} minutes")


def _cost(features: FeatureSet, systems: Sequence[System], measures: Sequence[Measure]) -> float:
    """Seconds that a frame of the recordings costs."""
    evaluate(systems, held_out(features, 1), measures, say=lambda text: None)
    timed = held_out(features, PROBED)
    began = time.monotonic()
    evaluate(systems, timed, measures, say=lambda text: None)
    return (time.monotonic() - began) / sum(int(features.index["frames"][sentence.number]) for sentence in timed)
