"""Hydra's sweeper for studies: asks a study for settings, has runs made of them, and tells it how they ended.

``hydra-optuna-sweeper`` brings the parser of search spaces and the samplers' configurations. Its own sweeper counts trials
an invocation, knows no pruning, and repeats what a killed process had begun; so the loop is this one.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from chatterbox_es.command_line import USER_ERROR_EXIT
from chatterbox_es.config.checks import check_value, contradictions
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.ears import Ears
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.weights import weights_digest
from chatterbox_es.selection.conclusion import conclude
from chatterbox_es.selection.optuna_internals import contains, distribution_of, suggest
from chatterbox_es.selection.study import STORAGE_ERRORS, Study, flatten, storage_trouble

log = logging.getLogger(__name__)


def register_sweeper() -> None:
    """Make the sweeper known to Hydra, which builds it where ``hydra/sweeper=study`` is composed."""
    Plugins.instance().register(StudySweeper)


class StudySweeper(Sweeper):
    """Runs the trials of a study in this process, or on what ``hydra/launcher`` names."""

    config: Any  # a `Config` and what Hydra adds
    launcher: Launcher

    def __init__(self, sampler: Any, params: DictConfig):
        self.sampler, self.params = sampler, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task_function,
                                                                config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Run the study; what a user has to mend is said in a sentence, with exit code 2."""
        try:
            self.run_study(arguments)
        except UserError as error:
            log.error("%s", error)
            sys.exit(USER_ERROR_EXIT)
        except STORAGE_ERRORS as error:
            log.error("%s", storage_trouble(self.config.sweep, error))
            sys.exit(USER_ERROR_EXIT)

    def run_study(self, arguments: list[str]) -> None:
        """Run trials until the study has all of them, or its budget is spent; whoever ends the last one concludes it."""
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError("a study gives each trial one process: without torchrun, start this command once a GPU "
                            "(CUDA_VISIBLE_DEVICES=0, =1 …), and they share the trials")
        if self.config.sweep.parallel > 1 and self.config.hydra.launcher._target_.endswith("BasicLauncher"):
            raise UserError(f"sweep.parallel={self.config.sweep.parallel} needs a launcher that runs trials side by side: "
                            "hydra/launcher=joblib or submitit_slurm; or start this command more than once")
        space, fixed = search_space([f"{key!s}={value}" for key, value in self.params.items()] + arguments)
        settings: Any = OmegaConf.to_container(OmegaConf.masked_copy(
            self.config, [key for key in self.config if key != "hydra"]), resolve=True)
        sweep = settings["sweep"] | {"outputs": settings["outputs"], "threads": settings["hw"]["threads"]}
        if (wrong := next(contradictions(self.config), None)) is not None:
            raise UserError(wrong)
        if self.config.train.listen:  # or every trial would fail for want of a package
            Ears.load(self.config.data.dialect, self.config.train.recogniser)
        study = Study.join(sweep, space, flatten(settings), default_values(space, self.config), self.sampler_of)
        if "arguments" not in study.study.user_attrs:
            study.study.set_user_attr("arguments", [f"phase={settings['phase']['name']}", *(
                line for line in fixed if not line.startswith(("phase=", "sweep=", "sweep.")))])
        fixed += self.encoder_for_all(study)
        log.info("study %s in %s; its trials in %s/trials", sweep["study"], sweep["storage"], sweep["folder"])
        while self.run_next(study, space, fixed) or study.others_end():
            pass
        conclude(study)

    def encoder_for_all(self, study: Study) -> list[str]:
        """The text encoder that every trial starts from: a copy of what the first one would have taken, lest it become another.

        Raises:
            UserError: this machine has none, or not the one that the study began with.
        """
        train, kept = self.config.train, Path(study.sweep["folder"], "encoder.pt")
        if not self.config.phase.encoder_from or train.encoder or train.finetune:
            return []
        if not kept.exists():
            source = encoder_checkpoint(self.config, prepare(self.config))
            encoder = load_checkpoint(source)
            digest = weights_digest(encoder.weights)
            if study.study.user_attrs.get("encoder", digest) != digest:
                raise UserError(f"the trials of the study {study.sweep['study']} start from another text encoder than "
                                f"{source}; copy {kept} here from a machine that takes part")
            study.study.set_user_attr("encoder", digest)
            encoder.save(kept)
        return [f"train.encoder='{kept}'"]

    def sampler_of(self, slot: int) -> Any:
        """The sampler of a trial: a seed, if one is given, is each trial's own, whichever process runs it.

        Raises:
            UserError: it would read code from the database.
        """
        if self.sampler._target_.endswith("CmaEsSampler"):
            raise UserError("CmaEsSampler keeps its state as a pickle in the study's database, with which whoever can write "
                            "there could run anything: use hydra/sweeper/sampler=study (TPE), or another one of Optuna's")
        seed = {} if self.sampler.get("seed") is None else {"seed": self.sampler.seed + slot}
        return instantiate(self.sampler, **seed,
                           _execution_whitelist_=("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*"))

    def run_next(self, study: Study, space: dict[str, BaseDistribution], fixed: list[str]) -> bool:
        """Run the next trials; false when there is nothing to do."""
        study.refill()
        if study.budget_is_spent():
            return False
        trials = [trial for _ in range(max(1, study.sweep["parallel"])) if (trial := study.claim())]
        if not trials:
            return False
        told: set[int] = set()  # numbers of the trials whose end is recorded
        try:
            with study.alive(trials):
                overrides = [[*fixed, *(f"{name}={suggest(trial, name, distribution)}" for name, distribution in space.items()),
                              *study.arguments(trial)] for trial in trials]
                returned = self.launcher.launch(overrides, initial_job_idx=trials[0].number)
            for trial, job in zip(trials, returned, strict=True):
                value, failure = outcome(job)
                log.info("trial %d %s", trial.user_attrs["slot"], study.tell(trial, value, failure))
                told.add(trial.number)
        except BaseException:
            for trial in trials:
                if trial.number not in told:
                    study.give_back(trial)
            raise
        return True


def search_space(arguments: list[str]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """Optuna's distributions by key, and the arguments that are the same for all trials; later arguments win.

    Raises:
        UserError: nothing is searched, or a range is none.
    """
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(arguments):
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = _distribution(override)
        else:
            fixed[key] = override.input_line or ""
    if not space:
        raise UserError("the study searches nothing: give a range, such as 'phase.lr=tag(log,interval(1e-5,1e-3))', or choose "
                        "sweep=4_2 or sweep=4_3")
    return space, list(fixed.values())


def _distribution(override: Override) -> BaseDistribution:
    """The distribution of one range, whose ends are checked as the key's values are.

    Raises:
        UserError: it is no range, or leaves that of its key.
    """
    try:
        distribution = distribution_of(override)
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"{override.input_line}: {error}") from error
    ends = (distribution.low, distribution.high) if isinstance(distribution, FloatDistribution | IntDistribution) else (
        getattr(distribution, "choices", ()))
    for value in ends:
        check_value(override.get_key_element(), value)
    return distribution


def default_values(space: dict[str, BaseDistribution], config: DictConfig) -> dict[str, Any]:
    """What the configuration itself has for the searched keys, where it lies within their ranges."""
    values = {}
    for key, distribution in space.items():
        value = OmegaConf.select(config, key)
        if value is not None and contains(distribution, value):
            values[key] = value
        else:
            log.warning("%s=%s, the default, is outside its range %s: it is not tried", key, value, distribution)
    return values


def outcome(job: Any) -> tuple[float | None, str | None]:
    """The value that a job returned, or why it failed."""
    try:
        return float(job.return_value), None
    except Exception as error:
        log.debug("a trial failed", exc_info=error)
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return None, f"{kind}{error}".strip().splitlines()[0][:500]
