"""What a run leaves behind: its state, configuration, metrics, checkpoints and samples, and how other runs find it."""

import datetime
import fcntl
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO

from chatterbox_es.errors import UserError
from chatterbox_es.files import errors_are_said, remove_partials, write_whole

# as run.json says; one that is "running" and holds no lock was killed
RUNNING, FINISHED, FAILED, STOPPED, KILLED = "running", "finished", "failed", "stopped", "killed"
DAMAGED = "damaged"  # what it says cannot be read
RUN_CARD, CONFIG, METRICS, PLAN, LOCK = "run.json", "config.yaml", "metrics.jsonl", "plan.json", "run.lock"
CHECKPOINTS, SAMPLES = "checkpoints", "samples"


class RunDirectory:
    """``outputs/<phase>/<time>/``: run.json, config.yaml, plan.json, train.log, metrics.jsonl, checkpoints/, samples/, wandb/.

    Who trains in it holds a lock, so that nobody else does and others see whether it lives.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.checkpoints = self.folder / CHECKPOINTS
        self.samples = self.folder / SAMPLES
        self.card: dict[str, Any] = {}
        self.is_read_only = False
        self._lock: BinaryIO | None = None

    @classmethod
    def create(cls, folder: Path, **card: Any) -> "RunDirectory":
        """A new run.

        Raises:
            UserError: there is one already.
        """
        run = cls(folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        if is_run(run.folder):
            raise UserError(f"{folder} holds a run already: go on with it (resume={folder}), or name another folder")
        run.lock()
        run.update(state=RUNNING, started=_now(), **card)
        return run

    @classmethod
    def reopen(cls, folder: Path) -> "RunDirectory":
        """A run that is to go on.

        Raises:
            UserError: there is none, or somebody trains in it.
        """
        run = cls(folder)
        run.lock()
        card = read_card(folder)
        if card is None:
            raise UserError(f"{folder}/run.json is missing or damaged: that run cannot go on")
        remove_partials(run.folder)
        run.card = card
        run.update(state=RUNNING, resumed=[*card.get("resumed", []), _now()])
        return run

    @classmethod
    def beside(cls, folder: Path) -> "RunDirectory":
        """A run as another process than its first one sees it: to read, not to change."""
        run = cls(folder)
        run.card, run.is_read_only = read_card(folder) or {}, True
        return run

    def lock(self) -> None:
        """Hold the folder until this process ends.

        Raises:
            UserError: another process holds it.
        """
        file = (self.folder / LOCK).open("a+b")
        for attempt in range(10, -1, -1):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if attempt:  # who asks whether a run lives holds the lock for an instant
                    time.sleep(0.05)
                    continue
                file.seek(0)
                holder = file.read().decode(errors="replace").strip() or "another process"
                file.close()
                raise UserError(f"{self.folder} is being trained by {holder}; wait for it, or end it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        self._lock = file

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def update(self, **values: Any) -> None:
        """Merge values into run.json, which is replaced as a whole."""
        self.card.update(values)
        if self.is_read_only:
            return
        text = json.dumps(self.card, ensure_ascii=False, indent=1)
        write_whole(self.folder / RUN_CARD, text.encode())

    def write_plan(self, plan: dict[str, Any]) -> None:
        """plan.json: see `chatterbox_es.models.plan.Plan`."""
        write_whole(self.folder / PLAN, json.dumps(plan, indent=1).encode())

    def end(self, state: str, **values: Any) -> None:
        self.update(state=state, ended=_now(), **values)
        self.unlock()

    def log(self, **metrics: Any) -> None:
        """Append one line to metrics.jsonl."""
        with errors_are_said(self.folder), (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, ensure_ascii=False) + "\n")

    def metrics(self) -> list[dict]:
        with (self.folder / METRICS).open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def metrics_bytes(self) -> int:
        """How long metrics.jsonl is."""
        file = self.folder / METRICS
        return file.stat().st_size if file.exists() else 0

    def sync_metrics(self) -> None:
        """Have metrics.jsonl on the disk before anything that counts on its lines: a state, or a card that says finished."""
        file = self.folder / "metrics.jsonl"
        if file.exists():
            with errors_are_said(file), file.open("rb+") as opened:
                os.fsync(opened.fileno())

    def cut_metrics(self, size: int) -> None:
        """Take back the lines that were written after metrics.jsonl had ``size`` bytes: their steps are made again."""
        if self.metrics_bytes() > size:
            os.truncate(self.folder / METRICS, size)


def read_card(folder: Path) -> dict | None:
    """A run's run.json, or None where there is none that can be read."""
    try:
        card = json.loads((folder / RUN_CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def is_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (folder / RUN_CARD).exists()


def runs_below(folder: Path) -> list[Path]:
    """The run directories in and below a folder, in the order of their names."""
    if folder.is_dir():
        os.listdir(folder)  # what may not be read is not empty
    return sorted(file.parent for file in folder.glob(f"**/{RUN_CARD}"))


def state_of(folder: Path) -> str:
    """running, finished, failed, stopped or killed; "damaged" where run.json cannot be read."""
    card = read_card(folder)
    state = card.get("state") if card else None
    if state not in (RUNNING, FINISHED, FAILED, STOPPED):
        return DAMAGED
    return KILLED if state == RUNNING and not is_held(folder) else state


def is_held(folder: Path) -> bool:
    """Whether a process trains in a run directory."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def finished_runs(outputs: Path) -> list[Path]:
    """Finished runs anywhere below ``outputs``, the newest last; trials of studies, few of which are any good, first."""
    found = [(not card.get("study"), card["ended"], folder) for folder in runs_below(outputs)
             if (card := read_card(folder)) and card.get("state") == FINISHED]
    return [folder for *_, folder in sorted(found)]


def newest_run(outputs: Path, phase: str, content: str, model: str = "") -> Path | None:
    """The newest finished run of a phase on the prepared set with that content hash; of that model, where one is named. Runs of
    before 0.2 name none: their sets tell them apart."""
    fitting = [folder for folder in finished_runs(outputs)
               if (card := read_card(folder)) and card.get("phase") == phase and card.get("content") == content
               and (not model or card.get("model", model) == model)]
    return fitting[-1] if fitting else None


def run_of_command(outputs: Path, command: str) -> Path | None:
    """The newest run of the same command (see `chatterbox_es.training.resumption.command_hash`), in whatever state."""
    found = [(card.get("started", ""), folder) for folder in runs_below(outputs)
             if (card := read_card(folder)) and card.get("command") == command]
    return max(found)[1] if found else None


def commit() -> str:
    """The commit of this package's clone, or why there is none."""
    try:
        git = ["git", "-C", str(Path(__file__).parent)]
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)  # not somebody else's
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not run from a clone)"
    return head + (", with changes" if changed.strip() else "")


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")
