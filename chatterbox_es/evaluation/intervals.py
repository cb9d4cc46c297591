"""How sure a metric is: the bootstrap over utterances (Efron & Tibshirani 1993), Wilson's interval of a proportion (1927)."""

import dataclasses

import numpy as np
from scipy.stats import binomtest

RESAMPLES = 4000
FEW = 20  # utterances; below, a bootstrap is too sure of itself


def resample(utterances: int, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """(resamples, utterances) float: how often each utterance stands in each resample.

    The same number and seed give the same resamples, so that what is computed of them is paired.
    """
    share = np.full(utterances, 1 / utterances)
    return np.random.default_rng(seed).multinomial(utterances, share, resamples).astype(float)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a metric's resampled ``values`` (resamples,)."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def rate_interval(counts: np.ndarray, units: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a rate whose parts are summed first: Σ counts / Σ units, both (utterances,). Units of 1: a mean."""
    weights = resample(len(counts), seed)
    return interval((weights @ counts) / (weights @ units))


@dataclasses.dataclass(frozen=True)
class Proportion:
    """So many of so many, with Wilson's 95 % interval."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        found = binomtest(self.count, self.of).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.of} ({self.value:.0%} [{low:.0%}, {high:.0%}])" if self.of else "none"
