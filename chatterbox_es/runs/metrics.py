"""What a model measures of held-out utterances, declared once: validation, curves, reports and choices read it from here.

A run's card carries the list (`run.json`, "metrics"), so that a report needs to know no model.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

# Of runs of 0.1, whose cards do not say what was measured: what was in the unit of the loss, and the units.
LOSSES = ("val_loss", "val_own_durations", "val_loss_other_text")
MEL_UNIT, TOKEN_UNIT = "squared error a frame and bin", "nats a speech token"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric of a validation."""

    name: str  # as it is logged: ``val_`` and what it is of
    label: str  # for people
    unit: str  # that of the loss draws it into the picture of the losses
    by_frames: bool = False  # whether an utterance weighs as much as it has frames in the mean, or all weigh alike
    higher_is_better: bool = False

    def is_better(self, value: float, other: float) -> bool:
        return value > other if self.higher_is_better else value < other


HEARD, RECORDED = "listen_", "recordings_"  # how the metrics of `LISTENED` are logged: of the voice, and of its recordings
LISTENED = (
    Metric(f"{HEARD}distillmos", "DistillMOS: quality, as predicted", "1-5", higher_is_better=True),
    Metric(f"{HEARD}similarity", "speaker similarity", "cosine of embeddings", higher_is_better=True),
    Metric(f"{HEARD}wer", "words misheard by the recogniser", "share"),
    Metric(f"{HEARD}score", "intelligibility score, by phones", "1 perfect, 0 babble", higher_is_better=True),
)
"""What a run that listens (`train.listen`) hears of its voice, where it can; all but the score are objectives of studies."""


def objective_metric(objective: str) -> Metric:
    """The metric that ``sweep.objective`` names, as it is logged."""
    heard = (metric for metric in LISTENED if metric.name == HEARD + objective)
    return next(heard, Metric(objective, objective, ""))


def recorded(metric: str) -> str:
    """The name under which the recordings' own value of a metric of `LISTENED` is logged."""
    return metric.replace(HEARD, RECORDED, 1)


def metrics_of(card: Mapping[str, Any], logged: Sequence[Mapping[str, Any]] = ()) -> list[Metric]:
    """The metrics of a run by its card; of a run of 0.1, whose card has none, what it ``logged``, by its name."""
    listed = card.get("metrics")
    if isinstance(listed, list) and all(isinstance(one, dict) and {"name", "label", "unit"} <= one.keys() for one in listed):
        return [Metric(str(one["name"]), str(one["label"]), str(one["unit"]), bool(one.get("by_frames")),
                       bool(one.get("higher_is_better"))) for one in listed]
    names = dict.fromkeys(key for row in logged for key in row if key.startswith("val_"))
    unit = TOKEN_UNIT if "val_token_error" in names else MEL_UNIT
    return [Metric(name, name, unit if name in LOSSES else "") for name in names]
