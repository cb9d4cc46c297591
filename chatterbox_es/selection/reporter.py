"""What a run tells the study that it is a trial of."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import Trial

from chatterbox_es.errors import UserError
from chatterbox_es.runs.metrics import objective_metric, recorded
from chatterbox_es.selection.study import open_storage, pruner_of, seconds_of, spent


@dataclasses.dataclass
class Reporter:
    """What a run tells its study at each validation; nothing where the run belongs to none."""

    config: Any
    trial: Trial | None = None

    @classmethod
    def of(cls, config: Any) -> "Reporter":
        """For a run's configuration.

        Raises:
            UserError: its study has no such trial.
        """
        reporter = cls(config)
        if config.sweep.trial is not None:
            storage = open_storage(config.sweep)
            try:
                study = optuna.load_study(study_name=config.sweep.study, storage=storage, pruner=pruner_of(config.sweep),
                                          sampler=optuna.samplers.RandomSampler())  # it suggests nothing here
                reporter.trial = Trial(study, config.sweep.trial)
            except (KeyError, OverflowError) as error:
                raise UserError(f"sweep.trial={config.sweep.trial}: the study sweep.study={config.sweep.study} has no such "
                                "trial; leave the key out, a sweep sets it itself") from error
        return reporter

    def __call__(self, epoch: int, step: int, metrics: Mapping[str, float], is_last: bool) -> None:
        """Report a validation; the last one of a run ends nothing that would not end anyway.

        A validation that was not listened to has no value where the study's objective is heard, and reports none.

        Raises:
            UserError: its val_loss is no number.
            optuna.TrialPruned: the trial has no prospects, or the study's budget is spent.
        """
        if self.trial is None:
            return
        if not math.isfinite(loss := metrics["val_loss"]):
            raise UserError(f"val_loss is {loss} after epoch {epoch}: the run has diverged; try a smaller phase.lr")
        objective = self.config.sweep.objective
        metric = objective_metric(objective).name
        value, baseline = metrics.get(metric), metrics.get("baseline" if objective == "val_loss" else recorded(metric))
        place, budget = math.ceil(epoch / self.config.phase.validate_every), self.config.sweep.budget
        if baseline is not None:
            self.trial.set_user_attr("baseline", baseline)  # for the study's page
        if value is not None:
            self.trial.report(value, place)  # Optuna leaves a second report of a place out: a run that goes on may repeat one
        if is_last:
            return
        why = None
        if value is not None and self.trial.should_prune():
            why = f"{objective} {value:.4f} at validation {place} (epoch {epoch}) is behind that of others"
        elif budget is not None and spent(self.trial.study) >= seconds_of(budget):
            why = f"the budget of {budget} was spent at validation {place} (epoch {epoch})"
        if why:
            self.trial.set_user_attr("pruned", why)
            raise optuna.TrialPruned(why)
