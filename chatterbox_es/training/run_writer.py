"""What a run writes when it has validated: checkpoints, samples, recordings to compare with."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from lightning_fabric import Fabric
from torch import nn

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.config import Config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.files import write_whole
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.recipe import Recipe, StoredModel
from chatterbox_es.runs.checkpoint_files import best_checkpoints, best_name, ema_name, final_name
from chatterbox_es.runs.metrics import LISTENED, objective_metric
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.state import tensor_bytes, writing_seconds
from chatterbox_es.training.tracking import Tracker
from chatterbox_es.training.validation import ValidationCallback

if TYPE_CHECKING:
    from chatterbox_es.training.listening import Listening  # which brings the evaluation along: half a second to import

LONG = 30.0  # seconds of speaking a sentence beside which what the first time takes longer does not count
Report = Callable[..., None]  # of a validation: epoch, step, metrics


def no_report(*validation: Any) -> None:
    """For a run that belongs to no study."""


class RunWriter(ValidationCallback):
    """Saves checkpoints and samples when a run has validated."""

    def __init__(self, config: Config, recipe: Recipe, features: FeatureSet, run: RunDirectory, tracker: Tracker, lineage: dict,
                 fabric: Fabric, report: Report = no_report, listening: "Listening | None" = None):
        """``report`` is told each validation's epoch, step and metrics; what it raises ends the run. ``listening`` is the first
        process's, where the run listens.

        Raises:
            UserError: a recording that it listens to cannot be read.
        """
        self.recipe, self.report, self.listening = recipe, report, listening
        self.config, self.features, self.run, self.tracker, self.fabric = config, features, run, tracker, fabric
        self.lineage = lineage | {"data": config.data.name, "content": features.card["content"], "run": str(run.folder)}
        self.best: list[Path] = []
        self.last: dict = {}
        self.shown = features.validation[:config.train.samples].tolist()
        self.objective = objective_metric(config.sweep.objective if config.sweep.trial is not None else "val_loss")
        self.reached: float | None = None  # the best of the objective so far
        self.heard: dict[str, Any] = {}  # at the last validation: sentences' metrics, and by which recogniser; {}: it was not
        if listening is not None:
            listening.begin(features)
            declared = [*recipe.validation_metrics, *(one for one in LISTENED if one.name in listening.metrics())]
            run.update(metrics=[dataclasses.asdict(metric) for metric in declared], listening=listening.card())

    def __call__(self, model: nn.Module, epoch: int, step: int, metrics: dict, is_best: bool, is_last: bool,
                 check: Callable[[], None]) -> None:
        self.last = {"epoch": epoch, "step": step, "metrics": metrics, "heard": self.heard}
        if not self.fabric.is_global_zero:
            return
        if self.is_kept(metrics, is_best):
            path = self.run.checkpoints / best_name(self.config.phase.trains, epoch)
            self.checkpoint(model).save(path)
            self.best = [*(kept for kept in self.best if kept != path), path][-max(1, self.config.train.keep_best):]
        self.save_samples(model, epoch, step, check)
        self.report(epoch, step, metrics, is_last)

    def is_kept(self, metrics: dict, is_best: bool) -> bool:
        """Whether these weights are the best so far, by what the study asks for; notes how far the run has come by that."""
        if self.objective.name == "val_loss":
            return is_best
        value = metrics.get(self.objective.name)
        if value is None or self.reached is not None and not self.objective.is_better(value, self.reached):
            return False
        self.reached = value
        return True

    def listen(self, model: nn.Module, progress: Progress, is_last: bool, check: Callable[[], None]) -> dict[str, float]:
        self.heard = {}
        if self.listening is None or not self.listening.is_due(progress, is_last):
            return {}
        metrics, heard = self.listening(lambda numbers: self.speak(model, numbers, check), progress, is_last)
        self.heard = {"recogniser": self.config.train.recogniser, "sentences": heard.sentences}
        return metrics

    def unheard(self) -> float:
        return 0.0 if self.listening is None or self.heard else self.listening.cost

    def speak(self, model: nn.Module, numbers: list[int], check: Callable[[], None]) -> dict[str, tuple[np.ndarray, int]]:
        """Held-out sentences with the model's own durations: utterance → (samples, Hz)."""
        sounds, _ = self.recipe.samples(self.fabric, model, self.config, self.features, numbers, None, "", check)
        ids = (self.features.utterance(number)["id"] for number in numbers)
        return {name: sound for name in ids if (sound := sounds.get(name.replace("/", "_"))) is not None}

    def rehearse(self, model: nn.Module, state_bytes: int) -> float:
        """Speaks the samples into a folder that is deleted again, after one that is not counted: the first compiles."""
        if not self.fabric.is_global_zero:
            return 0.0
        files = 2 if self.config.train.ema else 1
        written = state_bytes + files * tensor_bytes(self.recipe.weights(model))
        seconds, spoken = writing_seconds(self.run.checkpoints, written), 0.0
        with tempfile.TemporaryDirectory(prefix="chatterbox_es_") as folder:
            for numbers in (self.shown[:1], self.shown):
                began = time.perf_counter()
                self.recipe.samples(self.fabric, model, self.config, self.features, numbers, Path(folder), "rehearsal",
                                    lambda: None)
                spoken = time.perf_counter() - began
                if spoken > LONG:
                    spoken *= len(self.shown) / len(numbers)
                    break
        heard = self.listening.rehearse(lambda numbers: self.speak(model, numbers, lambda: None)) if self.listening else 0.0
        return seconds + spoken + heard

    def keep_mean(self, mean: nn.Module, loss: float) -> None:
        """The running mean of the weights as a checkpoint, with its own loss and none of the model's other metrics."""
        if self.fabric.is_global_zero:
            checkpoint = self.checkpoint(mean)
            own = {"minutes": self.last["metrics"]["minutes"], "val_loss": loss}
            checkpoint.lineage |= {"ema": self.config.train.ema, "metrics": own, "heard": {}}
            checkpoint.save(self.run.checkpoints / ema_name(self.config.phase.trains))

    def state(self) -> dict:
        return {"best": [path.name for path in self.best], "last": self.last, "reached": self.reached,
                "listened": self.listening.spent if self.listening else 0.0}

    def saved(self) -> None:
        """Only now go former best checkpoints: a run that was killed before goes on with a state that has them."""
        if self.fabric.is_global_zero:
            for path in best_checkpoints(self.run.checkpoints):
                if path not in self.best:
                    path.unlink(missing_ok=True)

    def restore(self, state: dict) -> None:
        """Also takes away checkpoints of validations that will be made again."""
        self.best, self.last = [self.run.checkpoints / name for name in state["best"]], state["last"]
        self.reached = state.get("reached")
        if self.listening:
            self.listening.spent = state.get("listened", 0.0)
        self.saved()

    def save_final(self, model: nn.Module) -> Path:
        """The final checkpoint, as ours and, where it is complete in itself, as safetensors: the weights of the best
        validation, which on little speech are not the last ones (early stopping); docs/experiments.md has the figures."""
        path = self.run.checkpoints / final_name(self.config.phase.trains)
        mean = self.run.checkpoints / ema_name(self.config.phase.trains)
        if self.best and self.recipe.ends_with == "best":
            final = load_checkpoint(self.best[-1])
        elif self.config.train.ema and self.recipe.ends_with == "mean" and mean.is_file():
            final = load_checkpoint(mean)
        else:
            final = self.checkpoint(model)
        final.save_final(path)
        return path

    def checkpoint(self, model: nn.Module) -> StoredModel:
        return self.recipe.checkpoint(model, self.config, self.features, self.lineage | self.last)

    def save_samples(self, model: nn.Module, epoch: int, step: int, check: Callable[[], None]) -> None:
        """A few held-out sentences as sound and as pictures, beside their recordings."""
        label = "synthetic recording, " if self.features.card["synthetic"] else ""
        sounds, pictures = self.recipe.samples(self.fabric, model, self.config, self.features, self.shown,
                                               self.run.samples / f"epoch_{epoch:04d}", f"{label}epoch {epoch}", check)
        for number in self.shown:
            utterance = self.features.utterance(number)
            self.save_recording(utterance, utterance["id"].replace("/", "_"))
        self.tracker.log_samples(step, {f"spoken/{name}": sound for name, sound in sounds.items()},
                                 {f"alignment/{name}": picture for name, picture in pictures.items()})

    def save_recording(self, utterance: dict, name: str) -> None:
        """The natural recording and its text, once, to compare with."""
        target = self.run.samples / "recordings" / f"{name}.wav"
        if target.exists() or not Path(utterance["audio"]).exists():
            return
        samples, rate = soundfile.read(utterance["audio"], dtype="float32", always_2d=True)
        write_audio(target, np.ascontiguousarray(samples.mean(1)), rate)
        write_whole(target.with_suffix(".txt"), f"{utterance['text']}\n".encode(), durable=False)
