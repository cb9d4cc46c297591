"""Measures what docs/sweeps.md promises of studies, through the real command line, with a tiny model on a corpus of tones.

    python scripts/bench_sweep.py kill       30 trials whose process is killed (kill -9) five times
    python scripts/bench_sweep.py join       two processes on one study, against one
    python scripts/bench_sweep.py failures   a study where some trials diverge and others raise
    python scripts/bench_sweep.py pruning    asha against none

`--help` lists the key=value arguments.
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import optuna

from chatterbox_es import command_line

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY))
from tests.conftest import TINY, write_corpus  # noqa: E402, they are the tests'

LR = "phase.lr=tag(log,interval(1e-5,3e-2))"


@dataclasses.dataclass
class Options:
    trials: int = dataclasses.field(default=0, metadata={"help": "0: 30, or 12 in join and failures"})
    kills: int = dataclasses.field(default=5, metadata={"help": "of `kill`"})
    seed: int = dataclasses.field(default=0, metadata={"help": "of the sampler, and of the instants of the kills"})
    spread: float = dataclasses.field(default=4.0, metadata={"help": "seconds; a kill comes so long after a start at most"})
    seconds: float = dataclasses.field(default=8.0, metadata={"help": "of training a trial of `join` is given"})
    epochs: int = dataclasses.field(default=27, metadata={"help": "of a trial of `pruning`; it validates after each"})
    folder: str = dataclasses.field(default="", metadata={"help": "where runs are kept; none: they are thrown away"})


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """The command, running in ``folder``; later arguments win."""
    if not (folder / "tones").exists():
        write_corpus(folder / "tones")
    settings = {argument.partition("=")[0]: argument for argument in
                (*TINY, "train.samples=0", "sweep.heartbeat=1", "sweep.select=false", *arguments)}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "chatterbox_es.train", "-m", "sweep=4_2", "phase=4_2", "hw=cpu", "data=folder",
             f"data.path={folder / 'tones'}", *settings.values()], cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)})


def study_of(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/outputs/studies/{name}/study.db")


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()
            and (trial.state.name != "FAIL" or "reason" in trial.user_attrs)]


def repeated(study: optuna.Study) -> int:
    """Trials that fill a slot, or have settings, that another one has too."""
    trials = ended(study)
    slots, settings = (Counter(values) for values in ((trial.user_attrs["slot"] for trial in trials),
                                                      (json.dumps(trial.params, sort_keys=True) for trial in trials)))
    return 2 * len(trials) - len(slots) - len(settings)


def kill(options: Options, folder: Path) -> None:
    trials, chance, kills, began = options.trials or 30, random.Random(options.seed), 0, time.monotonic()
    arguments = (LR, f"sweep.n_trials={trials}", "sweep.study=killed", "train.epochs=4", "train.samples=1")
    while True:
        process, size = start(folder, *arguments), (folder / "log.txt").stat().st_size
        if kills < options.kills:
            while process.poll() is None and b"Launching" not in (folder / "log.txt").read_bytes()[size:]:
                time.sleep(0.1)
            time.sleep(chance.uniform(0, options.spread))
        if kills == options.kills or process.poll() is not None:
            code = process.wait()
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        states = Counter(trial.state.name for trial in study_of(folder, "killed").get_trials(deepcopy=False))
        print(f"kill {kills}, {time.monotonic() - began:.0f} s: {dict(states)}", flush=True)
    study = study_of(folder, "killed")
    states = Counter(trial.state.name for trial in ended(study))
    killed = len(study.trials) - len(ended(study))
    print(f"exit code {code} after {kills} kills, {time.monotonic() - began:.0f} s: {dict(states)} of {trials}, "
          f"{repeated(study)} repeated, {killed} killed and run again")


def join(options: Options, folder: Path) -> None:
    trials, seconds = options.trials or 12, {}
    write_corpus(folder / "tones")
    start(folder, LR, "sweep.n_trials=1", "sweep.study=warm", "train.epochs=1").wait()  # prepares the data
    for processes in (1, 2):
        began = time.monotonic()
        arguments = (LR, f"sweep.n_trials={trials}", f"sweep.study=by{processes}", "sweep.pruner=none", "train.epochs=1000000",
                     "phase.validate_every=100", f"train.max_minutes={options.seconds / 60}")
        codes = [process.wait() for process in [start(folder, *arguments) for _ in range(processes)]]
        seconds[processes] = time.monotonic() - began
        study = study_of(folder, f"by{processes}")
        by = Counter(trial.user_attrs["pid"] for trial in ended(study))
        print(f"{processes} processes, exit codes {codes}: {seconds[processes]:.1f} s, {len(ended(study))} of {trials} trials "
              f"({sorted(by.values())} by process), {repeated(study)} repeated", flush=True)
    print(f"two took {seconds[2] / seconds[1]:.2f} of the time of one; a trial trains for {options.seconds:g} s by the clock")


def failures(options: Options, folder: Path) -> None:
    trials = options.trials or 12
    code = start(folder, "phase.lr=choice(1e-3,2e-3,3e-3,5e-3,1e30)", "phase.schedule=choice(cosine,linear,stepwise)",
                 "model.dropout=interval(0,0.3)", f"sweep.n_trials={trials}", "sweep.study=failing", "train.epochs=6",
                 "train.max_skipped=2", "sweep.pruner=none", "hydra/sweeper/sampler=random",
                 f"hydra.sweeper.sampler.seed={options.seed}").wait()
    study = study_of(folder, "failing")
    states = Counter(trial.state.name for trial in ended(study))
    print(f"exit code {code}: {dict(states)} of {trials}; {states['FAIL'] / trials:.0%} failed")
    for trial in ended(study):
        if trial.state.name == "FAIL":
            print(f"  trial {trial.user_attrs['slot']} ({trial.params['phase.lr']}, {trial.params['phase.schedule']}): "
                  f"{trial.user_attrs['reason']}")


def pruning(options: Options, folder: Path) -> None:
    trials, epochs, best = options.trials or 30, {}, {}
    for pruner in ("none", "asha"):
        code = start(folder, LR, f"sweep.n_trials={trials}", f"sweep.study={pruner}", f"sweep.pruner={pruner}",
                     f"train.epochs={options.epochs}", f"hydra.sweeper.sampler.seed={options.seed}").wait()
        study = study_of(folder, pruner)
        epochs[pruner] = sum(trial.last_step or 0 for trial in study.get_trials(deepcopy=False))  # it validates every epoch
        best[pruner] = study.best_value
        states = Counter(trial.state.name for trial in ended(study))
        print(f"{pruner}: exit code {code}, {dict(states)}, {epochs[pruner]} epochs, best val_loss {best[pruner]:.4f}",
              flush=True)
    print(f"asha trained {epochs['asha'] / epochs['none']:.2f} of the epochs; its best is "
          f"{best['asha'] / best['none'] - 1:+.1%} from that of none")


def main() -> None:
    commands = {"kill": kill, "join": join, "failures": failures, "pruning": pruning}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        print(command_line.describe(Options, __doc__))
        raise SystemExit(0 if sys.argv[1:] in (["-h"], ["--help"]) else command_line.USER_ERROR_EXIT)
    options = command_line.parse(Options, sys.argv[2:], __doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        commands[sys.argv[1]](options, folder)


if __name__ == "__main__":
    command_line.run(main)
