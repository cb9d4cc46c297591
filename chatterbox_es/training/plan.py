"""What a run will take: hours to its end, and what they cost."""

import numpy as np

from chatterbox_es.dataset.batches import Batches
from chatterbox_es.models.plan import Plan


def trial_steps(batches: Batches, count: int) -> list[list[int]]:
    """Batches of the first epoch to measure the speed with: the largest first, then ``count`` from short to long."""
    epoch = batches.first_epoch
    ordered = np.argsort(epoch.sums(batches.frames), kind="stable").tolist()
    spread = (ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count))
    return [epoch[place] for place in (ordered[-1], *spread)]


def plan_time(plan: Plan, seconds_per_step: float, seconds_per_validation: float, steps: int, validations: int,
              minutes: float | None, price: float | None) -> None:
    """Hours to the end and what they cost, into the plan; ``minutes`` is the run's own limit."""
    hours = (steps * seconds_per_step + validations * seconds_per_validation) / 3600
    plan.steps, plan.seconds_per_step, plan.seconds_per_validation = steps, seconds_per_step, seconds_per_validation
    plan.hours = hours if minutes is None else min(hours, minutes / 60)
    plan.price_per_hour, plan.cost = price, None if price is None else plan.hours * price
