"""The learning rate over a run."""

import math

from chatterbox_es.config import Config
from chatterbox_es.training.progress import Progress


def learning_rate(config: Config, progress: Progress) -> float:
    """Linear warm-up, then the phase's schedule down to 0 at the end of the run."""
    phase = config.phase
    peak = phase.lr
    # A short run warms up over its first tenth at most, or it would end before it began.
    warm = min(1.0, max((progress.step + 1) / max(1, phase.warmup_steps), progress.share() / 0.1))
    if phase.schedule == "cosine":
        return peak * warm * 0.5 * (1 + math.cos(math.pi * progress.share()))
    return peak * warm * (1 - progress.share())
