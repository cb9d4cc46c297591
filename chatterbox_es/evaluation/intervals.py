"""How sure a figure is: the bootstrap over utterances (Efron & Tibshirani 1993)."""

import numpy as np

RESAMPLES = 4000
FEW = 20  # utterances; below, a bootstrap is too sure of itself


def resample(utterances: int, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """(resamples, utterances) float: how often each utterance stands in each resample.

    The same number and seed give the same resamples, so that what is computed of them is paired.
    """
    share = np.full(utterances, 1 / utterances)
    return np.random.default_rng(seed).multinomial(utterances, share, resamples).astype(float)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a figure's resampled ``values`` (resamples,)."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def rate_interval(counts: np.ndarray, units: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a rate whose parts are summed first: Σ counts / Σ units, both (utterances,). Units of 1: a mean."""
    weights = resample(len(counts), seed)
    return interval((weights @ counts) / (weights @ units))
