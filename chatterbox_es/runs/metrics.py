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


def metrics_of(card: Mapping[str, Any], logged: Sequence[Mapping[str, Any]] = ()) -> list[Metric]:
    """The metrics of a run by its card; of a run of 0.1, whose card has none, what it ``logged``, by its name."""
    listed = card.get("metrics")
    if isinstance(listed, list) and all(isinstance(one, dict) and {"name", "label", "unit"} <= one.keys() for one in listed):
        return [Metric(str(one["name"]), str(one["label"]), str(one["unit"]), bool(one.get("by_frames")),
                       bool(one.get("higher_is_better"))) for one in listed]
    names = dict.fromkeys(key for row in logged for key in row if key.startswith("val_"))
    unit = TOKEN_UNIT if "val_token_error" in names else MEL_UNIT
    return [Metric(name, name, unit if name in LOSSES else "") for name in names]
