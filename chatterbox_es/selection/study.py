"""A study: runs of one phase that search for settings, in a database that any number of processes share.

A study has ``n_trials`` slots. Each is filled by one trial that finishes, is pruned, or fails for a reason of its own;
a trial whose process was killed leaves its slot open, and is run again with the same settings and in the same folder.
Sampling, pruning, heartbeats and storage are Optuna's (Akiba et al. 2019).
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import re
import shutil
import socket
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials, get_storage
from optuna.trial import FrozenTrial, Trial, TrialState

from chatterbox_es.config import with_todays_names
from chatterbox_es.config.schema import renamed
from chatterbox_es.errors import UserError
from chatterbox_es.runs.checkpoint_files import states
from chatterbox_es.runs.metrics import objective_metric
from chatterbox_es.runs.run_directory import CHECKPOINTS, CONFIG, read_card, runs_below
from chatterbox_es.selection.optuna_internals import record_heartbeat, trial_id

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats, plots: the version is pinned

GRACE = 4  # heartbeats; a trial silent for longer was killed
STORAGE_ERRORS = (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError)
MOST_KILLS = 5  # of one slot; then it is given up, since its settings may be what kills
_PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "asha": lambda least: optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=3),
    "hyperband": lambda least: optuna.pruners.HyperbandPruner(min_resource=least, reduction_factor=3),
    "median": lambda least: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=least - 1),
    "none": lambda least: optuna.pruners.NopPruner(),
}
# What does not change the meaning of a trial's value, and may differ between the machines of a study.
_FREE = re.compile(r"hw\..*|data\.(path|prepared|workers)|sweep\..*|outputs|resume|"
                   r"train\.(samples|listen|recogniser|log_every|wandb|keep_best|state_minutes|keep_states|trial_steps)")


def seconds_of(budget: str) -> float:
    """``8h``, ``90m``, ``45s``, ``1h30m`` in seconds.

    Raises:
        UserError: it is none of these, or nothing.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", budget.strip())
    try:
        total = sum(unit * float(part or 0) for unit, part in zip((3600, 60, 1), match.groups() if match else (), strict=False))
    except ValueError:  # 1.2.3h
        total = 0.0
    if not total > 0:
        raise UserError(f"sweep.budget={budget}: write hours, minutes or seconds, such as 8h, 90m or 1h30m")
    return total


def pruner_of(sweep: Mapping) -> optuna.pruners.BasePruner:
    """The pruner that ``sweep.pruner`` names."""
    return _PRUNERS[sweep["pruner"]](sweep["min_resource"])


def address(sweep: Mapping) -> sqlalchemy.URL:
    """Where the database of a study is.

    Raises:
        UserError: of a kind that is not supported, or with a password in it.
    """
    known = "use sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        url = sqlalchemy.make_url(sweep["storage"])
    except sqlalchemy.exc.ArgumentError:
        raise UserError(f"sweep.storage={sweep['storage']} is not the address of a database; {known}") from None
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise UserError(f"sweep.storage={sweep['storage']} is not a database that studies are kept in; {known}")
    if url.password:
        raise UserError("sweep.storage has a password in it, which would be written into the configuration of every run; "
                        "put it into ~/.pgpass or the environment variable PGPASSWORD")
    return url


def open_storage(sweep: Mapping) -> optuna.storages.BaseStorage:
    """The database of a study, by `address`."""
    url = address(sweep)
    options: dict[str, Any]
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        options = {"connect_args": {"timeout": 60}}  # seconds that a writer waits for the others
    else:
        options = {"pool_pre_ping": True}
    return get_storage(RDBStorage(url.render_as_string(), engine_kwargs=options, heartbeat_interval=sweep["heartbeat"],
                                  grace_period=GRACE * sweep["heartbeat"]))


def check_database(sweep: Mapping) -> None:
    """
    Raises:
        UserError: the study's file is damaged, or of another program.
    """
    url = address(sweep)
    file = Path(url.database or "")
    if url.get_backend_name() != "sqlite" or not file.is_file():
        return
    file.open("rb").close()  # of a file without rights SQLite says that it is unable to open it
    try:
        with contextlib.closing(sqlite3.connect(file)) as database:
            found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = {name for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError:  # locked, or without rights: who opens it to write says so
        return
    except sqlite3.Error as error:
        found, tables = str(error), set()
    if found == "ok" and tables and "studies" not in tables:
        found = "it holds tables of another program"
    if found != "ok":
        raise UserError(f"the study's database {file} is damaged ({found.splitlines()[0]}): restore a copy of it; or move "
                        f"{sweep['folder']} away, and the same command begins anew")


def storage_trouble(sweep: Mapping, error: Exception) -> str:
    """What an error of the study's database says to whoever runs the study."""
    cause: BaseException = error
    while not getattr(cause, "orig", None) and cause.__cause__ is not None:
        cause = cause.__cause__
    reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
    if address(sweep).get_backend_name() != "sqlite":
        return f"sweep.storage={sweep['storage']} cannot be reached: {reason}"
    folder = Path(address(sweep).database or "").absolute().parent
    if not os.access(folder, os.W_OK):
        reason = f"this user may not write in the folder {folder}"
    full = " (is the disk full?)" if "I/O" in reason else ""
    return f"sweep.storage={sweep['storage']} cannot be used: {reason}{full}"


@contextlib.contextmanager
def locked(sweep: Mapping) -> Iterator[None]:
    """One process at a time; the lock of a process that dies is free at once.

    A file's for SQLite, whose processes share a machine, an advisory lock of the server for PostgreSQL.
    """
    url = address(sweep)
    if url.get_backend_name() == "postgresql":
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": sweep["study"]})
                yield
        finally:
            engine.dispose()
    else:
        file = Path(sweep["folder"], "study.lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Study:
    """A study that this process has joined, or begun."""

    def __init__(self, sweep: Mapping, study: optuna.Study, storage: optuna.storages.BaseStorage,
                 sampler: Callable[[int], optuna.samplers.BaseSampler]):
        self.sweep, self.study, self.storage, self.sampler = sweep, study, storage, sampler

    @classmethod
    def join(cls, sweep: Mapping, space: Mapping[str, BaseDistribution], configuration: Mapping[str, Any],
             defaults: Mapping[str, Any], sampler: Callable[[int], optuna.samplers.BaseSampler]) -> "Study":
        """The study of that name, begun if there is none; its first trial has the ``defaults``.

        ``sampler`` gives that of a slot.

        Raises:
            UserError: the study of that name has other settings or other ranges, so that values cannot be compared; its
                storage is out of reach, or a setting of the study makes no sense.
        """
        if sweep["budget"] is not None:
            seconds_of(sweep["budget"])
        pruner = pruner_of(sweep)
        fixed = {key: value for key, value in sorted(configuration.items()) if key not in space and not _FREE.fullmatch(key)}
        objective = {"metric": sweep["objective"]}
        if sweep["objective"] != "val_loss":  # of which sentences, by whom
            objective |= {key: configuration.get(key) for key in ("train.listen", "train.recogniser")}
        meaning = {"objective": objective, "configuration": fixed, "defaults": dict(defaults),
                   "space": {key: json.loads(distribution_to_json(ranged)) for key, ranged in space.items()}}
        try:
            with locked(sweep):
                check_database(sweep)
                storage = open_storage(sweep)
                study = optuna.create_study(storage=storage, study_name=sweep["study"], pruner=pruner,
                                            direction="maximize" if is_higher_better(sweep["objective"]) else "minimize",
                                            load_if_exists=True)
                if "space" in study.user_attrs:
                    _compare_objectives(sweep["study"], objective_of(study), objective)
                    _compare(sweep["study"], study.user_attrs, meaning)
                else:
                    if runs_below(Path(sweep["folder"], "trials")) and not study.user_attrs:
                        optuna.delete_study(study_name=sweep["study"], storage=storage)
                        raise UserError(f"{sweep['folder']}/trials holds runs of another study, whose database is not "
                                        f"{sweep['storage']}; move them away, or begin one of another name: sweep.study=NAME")
                    for key, value in meaning.items():  # "space" is the last
                        study.set_user_attr(key, value)
        except ImportError as error:
            raise UserError(f"sweep.storage={sweep['storage']} needs a driver: pip install 'psycopg[binary]'") from error
        except STORAGE_ERRORS as error:
            raise UserError(storage_trouble(sweep, error)) from error
        return cls(sweep, study, storage, sampler)

    @property
    def objective(self) -> str:
        """What its trials are compared by, as ``sweep.objective`` writes it."""
        return objective_of(self.study)["metric"]

    def slots(self) -> dict[int, list[FrozenTrial]]:
        """The trials of each slot, in the order in which they were made."""
        slots: dict[int, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            slots.setdefault(trial.user_attrs["slot"], []).append(trial)
        return slots

    def refill(self) -> None:
        """Queue a trial for each slot that has none: slots of a new or extended study, and those whose trial was killed."""
        with locked(self.sweep):
            fail_stale_trials(self.study)
            slots = self.slots()
            for slot in range(self.sweep["n_trials"]):
                trials = slots.get(slot, [])
                if not trials:
                    first = self.study.user_attrs["defaults"] if slot == 0 else {}
                    self.study.enqueue_trial(first, user_attrs={"slot": slot})
                elif was_killed(trials[-1]) and len(trials) <= MOST_KILLS:
                    log.info("trial %d was killed; it is run again", slot)
                    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(self.study, trials[-1])

    def claim(self) -> Trial | None:
        """A queued trial, now this process's; None where there is none."""
        mine = self.take()
        if mine is None:
            return None
        self.study.sampler = self.sampler(mine.user_attrs["slot"])
        trial = Trial(self.study, trial_id(mine))
        for key, value in (("seconds", 0.0), ("pruned", None), ("host", socket.gethostname()), ("pid", os.getpid())):
            trial.set_user_attr(key, value)
        return trial

    def take(self) -> FrozenTrial | None:
        """One of the queued trials, which no other process can take: SQLite alone lets two of them read it as waiting."""
        with locked(self.sweep):
            for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                # The heartbeat first: a trial that runs and has never had one would not be missed.
                record_heartbeat(self.storage, waiting)
                if self.storage.set_trial_state_values(trial_id(waiting), state=TrialState.RUNNING):
                    return waiting
        return None

    def folder(self, trial: Trial | FrozenTrial) -> Path:
        return Path(self.sweep["folder"], "trials", str(trial.user_attrs["slot"]))

    def arguments(self, trial: Trial) -> list[str]:
        """What a run is told of its trial; one that was killed goes on in its folder."""
        folder = self.folder(trial)
        begun = read_card(folder) is not None and (folder / CONFIG).exists()
        if not begun:
            shutil.rmtree(folder, ignore_errors=True)  # of a trial that was killed before there was anything to go on with
        return [f"sweep.trial={trial_id(trial)}", f"sweep.slot={trial.user_attrs['slot']}",
                *(["resume=${sweep.folder}/trials/${sweep.slot}"] if begun else [])]

    @contextlib.contextmanager
    def alive(self, trials: list[Trial]) -> Iterator[None]:
        """Tell the storage every few seconds that these trials run, and how long they have."""
        began, over = time.monotonic(), threading.Event()

        def beat() -> None:
            for trial in trials:
                record_heartbeat(self.storage, trial)
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                    self.storage.set_trial_user_attr(trial_id(trial), "seconds", time.monotonic() - began)

        def keep_beating() -> None:
            while not over.wait(self.sweep["heartbeat"]):
                try:
                    beat()
                except Exception as error:  # the next beat may get through; if none does, the trial is run again elsewhere
                    log.warning("the study's storage did not take a heartbeat: %s", error)

        thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            beat()

    def tell(self, trial: Trial, value: float | None, failure: str | None = None) -> str:
        """Record how a trial ended: with a value, pruned by its run, or with the reason of its failure; the result in words."""
        now = self.storage.get_trial(trial_id(trial))
        if now.state != TrialState.RUNNING:
            return "ended, but it had been taken for killed and was given to another process"
        pruned = now.user_attrs.get("pruned")
        if failure is None and pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            self.forget_states(trial)
            return f"pruned: {pruned}"
        if failure is None and not (value is not None and math.isfinite(value)):
            failure = f"its best {self.objective} is {value}"
        if failure is not None:
            trial.set_user_attr("reason", failure)
            self.study.tell(trial, state=TrialState.FAIL)
            self.forget_states(trial)
            return f"failed: {failure}"
        self.study.tell(trial, value)
        return f"{self.objective} {value:.4f}"

    def forget_states(self, trial: Trial) -> None:
        """A trial that will not go on needs not what it could go on from: three times its weights."""
        for state in states(self.folder(trial) / CHECKPOINTS):
            state.unlink(missing_ok=True)

    def give_back(self, trial: Trial) -> None:
        """An interrupted trial: its slot is open again."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
            self.study.tell(trial, state=TrialState.FAIL)

    def running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def others_end(self) -> bool:
        """Wait a while for trials that run elsewhere; true when one of them was killed and waits to be run again."""
        give_up = time.monotonic() + (GRACE + 2) * self.sweep["heartbeat"]
        while self.running() and time.monotonic() < give_up:
            time.sleep(min(2, self.sweep["heartbeat"]))
            self.refill()
            if not self.budget_is_spent() and self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                return True
        return False

    def budget_is_spent(self) -> bool:
        return self.sweep["budget"] is not None and spent(self.study) >= seconds_of(self.sweep["budget"])


def was_killed(trial: FrozenTrial) -> bool:
    """Whether its process ended without a word; a trial that failed by itself has a reason."""
    return trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def spent(study: optuna.Study) -> float:
    """Seconds that all trials of a study have run, killed ones included."""
    return sum(trial.user_attrs.get("seconds", 0.0) for trial in study.get_trials(deepcopy=False)
               if trial.state != TrialState.WAITING)


def objective_of(study: optuna.Study) -> Mapping[str, Any]:
    """What a study searches for: its ``metric``, and what else decides about its value. Earlier ones all had val_loss."""
    return study.user_attrs.get("objective", {"metric": "val_loss"})


def is_higher_better(metric: str) -> bool:
    """Of an objective."""
    return objective_metric(metric).higher_is_better


def _compare_objectives(name: str, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    keys = [key for key in dict.fromkeys((*theirs, *mine)) if theirs.get(key) != mine.get(key)]
    if keys:
        shown = "; ".join(f"{'sweep.objective' if key == 'metric' else key}: {theirs.get(key)} there, {mine.get(key)} here"
                          for key in keys)
        raise UserError(f"the study {name} was begun with another objective ({shown}), so that its values cannot be compared "
                        "with these; run the same command, or begin another: sweep.study=NAME")


def _compare(name: str, theirs: Mapping, mine: Mapping) -> None:
    mine = json.loads(json.dumps(mine))
    if old := [key for key in sorted(theirs["space"]) if renamed(key)]:
        raise UserError(f"the study {name} was begun by an earlier version and searches "
                        f"{'; '.join(f'{key}, which is now {renamed(key)}' for key in old)}; it can be read and not gone on "
                        "with: begin another, sweep.study=NAME")
    theirs = {**theirs, "configuration": _todays_names(theirs["configuration"])}
    for kind in ("configuration", "space"):
        keys = [key for key in sorted(set(theirs[kind]) | set(mine[kind])) if theirs[kind].get(key) != mine[kind].get(key)]
        if keys:
            shown = "; ".join(f"{key}: {theirs[kind].get(key)} there, {mine[kind].get(key)} here" for key in keys)
            what = "other settings" if kind == "configuration" else "other ranges"
            raise UserError(f"the study {name} was begun with {what} ({shown}), so that its values cannot be compared with "
                            "these; run the same command, or begin another: sweep.study=NAME")


def _todays_names(fixed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings as a study has kept them, by the keys of today where an earlier version wrote them."""
    if not any(map(renamed, fixed)) and fixed.get("data.kind") != "demo":
        return fixed
    nested = OmegaConf.create()
    for key, value in fixed.items():
        OmegaConf.update(nested, key, value)
    return flatten(OmegaConf.to_container(with_todays_names(nested)))


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``{"phase.lr": 1e-4, …}``."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    return {key: value for name, inner in settings.items()
            for key, value in flatten(inner, f"{prefix}.{name}" if prefix else name).items()}
