"""What studies need of Optuna 5.0 and of Hydra's sweeper 1.4 that these do not publish: the one file to look at when either
moves to another version."""

from typing import Any

from hydra.core.override_parser.types import Override
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat  # the type of storages that record heartbeats, which no public one says
from optuna.trial import FrozenTrial, Trial


def trial_id(trial: Trial | FrozenTrial) -> int:
    """The key of a trial in its database, by which another process opens it; `number` counts within the study."""
    return trial._trial_id  # `Trial(study, id)` and all of a storage's methods take it, and nothing public gives it


def record_heartbeat(storage: BaseStorage, trial: Trial | FrozenTrial) -> None:
    """Say that a trial runs, as `Study.optimize` does, which has a loop of its own and could not be used."""
    assert isinstance(storage, BaseHeartbeat)  # as all databases are
    storage.record_heartbeat(trial._trial_id)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """The sampler's value for one key."""
    return trial._suggest(name, distribution)  # of any distribution; `suggest_float`, `_int` … take its parts again


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value lies in a range."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))  # a public check draws a value and warns
    except ValueError:
        return False


def distribution_of(override: Override) -> CategoricalDistribution | FloatDistribution | IntDistribution:
    """The range that ``key=interval(…)``, ``range(…)`` or ``choice(…)`` writes."""
    # Its sweeper's parser, which keeps Hydra's grammar and Optuna's ranges together; the published sweeper has no part of it.
    from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override

    return create_optuna_distribution_from_override(override)
