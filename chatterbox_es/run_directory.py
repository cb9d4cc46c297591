"""What a run leaves behind: its state, configuration, metrics, checkpoints and samples, and how other runs find it."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

from chatterbox_es.errors import UserError

RUNNING, FINISHED, FAILED = "running", "finished", "failed"


class RunDirectory:
    """``outputs/<phase>/<time>/``: run.json, config.yaml, train.log, metrics.jsonl, checkpoints/, samples/, wandb/."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.samples = self.folder / "samples"
        self.card: dict[str, Any] = {}

    @classmethod
    def create(cls, folder: Path, **card: Any) -> "RunDirectory":
        run = cls(folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        run.update(state=RUNNING, started=_now(), **card)
        return run

    def update(self, **values: Any) -> None:
        """Merge values into run.json, which is replaced as a whole."""
        self.card.update(values)
        partial = self.folder / ".run.json.partial"
        partial.write_text(json.dumps(self.card, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(partial, self.folder / "run.json")

    def end(self, state: str, **values: Any) -> None:
        self.update(state=state, ended=_now(), **values)

    def log(self, **metrics: Any) -> None:
        """Append one line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, ensure_ascii=False) + "\n")

    def metrics(self) -> list[dict]:
        with (self.folder / "metrics.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def read_card(folder: Path) -> dict | None:
    """A run's run.json, or None where there is none that can be read."""
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def finished_runs(outputs: Path) -> list[Path]:
    """Finished runs anywhere below ``outputs``, the newest last."""
    found = [(card["ended"], file.parent) for file in outputs.glob("**/run.json")
             if (card := read_card(file.parent)) and card.get("state") == FINISHED]
    return [folder for _, folder in sorted(found)]


def newest_run(outputs: Path, phase: str, content: str) -> Path | None:
    """The newest finished run of a phase on the prepared set with that content hash."""
    fitting = [folder for folder in finished_runs(outputs)
               if (card := read_card(folder)) and card.get("phase") == phase and card.get("content") == content]
    return fitting[-1] if fitting else None


def final_checkpoint(run: Path) -> Path:
    """The final checkpoint of a run, or ``run`` itself when it is a checkpoint's file.

    Raises:
        UserError: no such run, or it has none.
    """
    if run.is_file():
        return run
    if not run.is_dir():
        raise UserError(f"there is no run {run}")
    found = sorted((run / "checkpoints").glob("final_*.pt"))
    if not found:
        state = (read_card(run) or {}).get("state", "unknown")
        raise UserError(f"{run} has no final checkpoint in checkpoints/ (its state is {state}); name one of its files")
    return found[0]


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")
