"""Weights & Biases beside the run directory: useful when it works, never in the way when it does not."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)
PROJECT = "chatterbox-spanish-tts"
Mode = Literal["offline", "online", "disabled"]


class Tracker:
    """One Weights & Biases run. Any failure of it is said once and ends the tracking, not the training.

    An offline run cannot be gone on with: a job that goes on has a new one, in the same group, whose notes and
    configuration name the folders of those before it (``continues``).
    """

    def __init__(self, mode: Mode, folder: Path, name: str, config: dict[str, Any], continues: Sequence[str] = ()):
        self.run, self.folder = None, None
        if mode == "disabled":
            return
        try:
            import wandb

            notes = f"continues {', '.join(continues)}" if continues else None
            self.run = wandb.init(project=PROJECT, mode=mode, dir=folder, name=name, group=name, notes=notes,
                                  config=config | {"continues": list(continues)}, reinit="finish_previous",
                                  settings=wandb.Settings(silent=True, console="off"))
            self.folder = Path(self.run.dir).parent.name  # wandb/offline-run-…
            if continues:
                log.info("Weights & Biases: %s continues %s", self.folder, continues[-1])
        except Exception as error:  # whatever it is: training matters more
            self._give_up(error)

    def log(self, step: int, **metrics: Any) -> None:
        if self.run is None:
            return
        try:
            self.run.log(metrics, step=step)
        except Exception as error:
            self._give_up(error)

    def log_samples(self, step: int, sounds: dict[str, tuple[Any, int]], pictures: dict[str, Path]) -> None:
        """Sounds as name → (samples, Hz), pictures as name → PNG file."""
        if self.run is None:
            return
        try:
            import wandb

            media: dict[str, Any] = {name: wandb.Audio(samples, rate) for name, (samples, rate) in sounds.items()}
            media |= {name: wandb.Image(str(path)) for name, path in pictures.items()}
            self.run.log(media, step=step)
        except Exception as error:
            self._give_up(error)

    def finish(self, failed: bool = False) -> None:
        if self.run is None:
            return
        try:
            self.run.finish(exit_code=int(failed))
        except Exception as error:
            self._give_up(error)
        self.run = None

    def _give_up(self, error: Exception) -> None:
        log.warning("Weights & Biases does not work here (%s: %s): training goes on without it; metrics.jsonl has all "
                    "figures", type(error).__name__, error)
        self.run = None
