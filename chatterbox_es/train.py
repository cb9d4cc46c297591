"""Train a voice, one phase at a time.

    python -m chatterbox_es.train phase=4_2 data=folder data.path=DIR     the text encoder, the mel decoder frozen
    python -m chatterbox_es.train phase=4_3 data=folder data.path=DIR     the whole model, from that run's encoder
    python -m chatterbox_es.train -m phase=4_2,4_3                        both, one after the other
    python -m chatterbox_es.train phase=5 run=outputs/4_3/TIME            the same as python -m chatterbox_es.evaluate

    … resume=auto                                                         go on where the same command was ended

Runs land in outputs/<phase>/<time>/. Any key of the configuration can be set: train.max_minutes=10 phase.lr=3e-4 …
Exit codes: 0 finished, 2 something to mend (said in one sentence), 130 and 143 ended by SIGINT and SIGTERM with the
state saved, 1 a defect.
"""

import atexit
import contextlib
import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hydra
import numpy as np
import soundfile
import torch
from hydra.core.hydra_config import HydraConfig
from lightning_fabric import Fabric
from omegaconf import OmegaConf
from optuna import TrialPruned
from torch import nn

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import write_audio
from chatterbox_es.checkpoints import Checkpoint
from chatterbox_es.command_line import USER_ERROR_EXIT
from chatterbox_es.config import CONF, Config, quote_phase_names, register_schema
from chatterbox_es.errors import UserError
from chatterbox_es.families import Family, Frozen, StoredModel, family_of
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.hardware import set_up
from chatterbox_es.interruption import EXIT, InterruptedRun, Interruption, watching
from chatterbox_es.pictures import draw_losses
from chatterbox_es.resumption import command_hash, finished_value, run_to_resume
from chatterbox_es.run_directory import FAILED, FINISHED, STOPPED, RunDirectory, commit, read_card
from chatterbox_es.study import Reporter
from chatterbox_es.tracking import Tracker
from chatterbox_es.training import Validated, train
from chatterbox_es.training_state import clear_away, load_newest_state, tensor_bytes, writing_seconds

log = logging.getLogger(__name__)
LONG = 30.0  # seconds of speaking a sentence beside which what the first time takes longer does not count


def run_phase(config: Config, folder: Path) -> float:
    """One training run in ``folder``, or in that of the run it goes on with, from prepared data to the final checkpoint.

    Returns its best validation loss.

    Raises:
        UserError: data, checkpoints or hardware do not fit what the configuration asks for.
        InterruptedRun: SIGTERM or SIGINT came; the run's state is saved.
    """
    family = family_of(config)
    fabric = set_up(config.hw)
    earlier = run_to_resume(config)
    if earlier is not None and (value := finished_value(earlier)) is not None:
        log.info("%s has finished already, with val_loss %.4f; without resume= the command starts anew", earlier, value)
        if fabric.is_global_zero:
            clear_away(earlier)
        return value
    # All processes read what the first one prepares; on other machines with disks of their own, one each prepares.
    features = None
    for turn in (fabric.is_global_zero, fabric.local_rank == 0, True):
        features = family.prepare(config) if turn and features is None else features
        fabric.barrier()
    with watching() as caught:
        return run_prepared(config, fabric, features, folder, earlier, caught)


def run_prepared(config: Config, fabric: Fabric, features: FeatureSet, folder: Path, earlier: Path | None,
                 caught: Interruption) -> float:
    """A run on data that is prepared; see `run_phase`."""
    phase = config.phase
    torch.manual_seed(config.train.seed)
    state, family = None, family_of(config)
    if earlier is not None:
        run = resume_run(config, fabric, features, earlier)
        state = load_newest_state(run.checkpoints)
    if state is not None:
        lineage = run.card["lineage"]
        model = family.build(config, features, fabric)
    else:
        model, lineage = family.start(config, features, fabric)
        if earlier is None:
            run = start_run(config, fabric, features, folder, lineage)
        else:  # it ended before its first state: from the beginning, in its folder
            run.update(lineage=lineage)
    folder = run.folder
    tracker = Tracker(config.train.wandb if fabric.is_global_zero else "disabled", folder, f"{phase.name}-{folder.name}",
                      OmegaConf.to_container(config, resolve=True), continues=run.card.get("wandb", []))
    end, reason = FAILED, None
    try:
        if tracker.folder:
            run.update(wandb=[*run.card.get("wandb", []), tracker.folder])
        frozen = family.freeze(model, config)
        if state is not None:
            family.restore(model, state["model"])
        before = frozen.digest()
        if run.card.get("frozen_sha256", before) != before:
            raise UserError(f"{folder} cannot go on like this: its frozen weights were others. Go on with the precision that "
                            f"it began with (hw.precision={run.card.get('precision')}) and the weights that it was started "
                            "from")
        run.update(frozen_sha256=before)
        log.info("phase %s on %s; frozen: %s", phase.name, features.folder, ", ".join(frozen.parts) or "nothing")
        torch.manual_seed(config.train.seed + fabric.global_rank)
        keeper = Keeper(config, family, features, run, tracker, lineage, fabric)
        best = train(fabric, family, model, features, config, run, tracker, keeper, caught, state)
        if frozen.digest() != before:
            raise AssertionError("frozen weights have changed")
        if fabric.is_global_zero:
            finish_run(config, features, run, keeper, model, frozen, best)
        end = FINISHED
        return best
    except (InterruptedRun, TrialPruned) as interruption:
        end, reason = STOPPED, str(interruption)
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        if end != FINISHED:
            end_badly(run, end, reason)
        tracker.finish(failed=end != FINISHED)


def start_run(config: Config, fabric: Fabric, features: FeatureSet, folder: Path, lineage: dict) -> RunDirectory:
    """A new run directory; processes beside the first one have one of their own, which is thrown away."""
    card = {"phase": config.phase.name, "data": config.data.name, "corpus": features.card["corpus"],
            "synthetic": features.card["synthetic"], "naive": features.naive, "content": features.card["content"],
            "hw": config.hw.name,
            "precision": str(fabric._precision.precision), "seed": config.train.seed, "processes": fabric.world_size,
            "price_per_hour": config.hw.price_per_hour, "command": command_hash(config), "lineage": lineage, "commit": commit(),
            "study": config.sweep.study if config.sweep.trial is not None else None}
    run = RunDirectory.create(folder, **card)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    return run


def resume_run(config: Config, fabric: Fabric, features: FeatureSet, folder: Path) -> RunDirectory:
    """The directory of a run that goes on.

    Raises:
        UserError: its data has changed, or somebody trains in it.
    """
    card = read_card(folder) or {}
    if card.get("content") != features.card["content"]:
        raise UserError(f"{folder} was trained on other data than {features.folder} holds now (content {card.get('content')} / "
                        f"{features.card['content']}); without resume= the command starts anew")
    if not fabric.is_global_zero:
        return RunDirectory.beside(folder)
    run = RunDirectory.reopen(folder)
    move_log(folder)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    log.info("going on with %s, which was %s", folder, card.get("state") if card.get("state") != "running" else "killed")
    return run


def finish_run(config: Config, features: FeatureSet, run: RunDirectory, keeper: "Keeper", model: nn.Module,
               frozen: Frozen, best: float) -> None:
    """Final checkpoint, picture of the losses, and the end of the run's card; what it would go on with goes last."""
    final = keeper.save_final(model)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    price, hours = config.hw.price_per_hour, run.card["hours"]
    draw_losses(run.folder / "losses.png", run.metrics(), f"phase {config.phase.name}, {config.data.name}", features.unit,
                features.naive)
    run.sync_metrics()
    run.end(FINISHED, best_val_loss=best, best=[path.name for path in keeper.best],
            final=str(final.relative_to(run.folder)), parameters=count, cost=None if price is None else hours * price,
            frozen={"parts": frozen.parts, "sha256_before": run.card["frozen_sha256"], "sha256_after": frozen.digest()})
    clear_away(run.folder)
    log.info("finished: best val_loss %.4f (%s scores %.3f); %s", best, features.naive, features.baseline(), final)


def end_badly(run: RunDirectory, state: str, reason: str | None) -> None:
    """Note how a run ended, as far as the disk has room for it."""
    try:
        run.end(state, reason=reason)
    except UserError as error:
        log.error("%s", error)
        run.unlock()


def move_log(folder: Path) -> None:
    """Let what Hydra logs go on in the log of the run that goes on; take away what it wrote for a new one."""
    for handler in list(logging.getLogger().handlers):
        if not isinstance(handler, logging.FileHandler) or Path(handler.baseFilename).parent == folder.resolve():
            continue
        handler.close()
        begun = Path(handler.baseFilename)
        with (folder / begun.name).open("a", encoding="utf-8") as file:
            file.write(begun.read_text(encoding="utf-8"))
        handler.baseFilename = str((folder / begun.name).resolve())
        handler.stream = None  # it is opened again with the next line
        handler.mode = "a"
        if not (begun.parent / "run.json").exists():
            remove_unbegun(begun.parent)


class Keeper(Validated):
    """Saves checkpoints and samples when a run has validated."""

    def __init__(self, config: Config, family: Family, features: FeatureSet, run: RunDirectory, tracker: Tracker, lineage: dict,
                 fabric: Fabric):
        self.family = family
        self.config, self.features, self.run, self.tracker, self.fabric = config, features, run, tracker, fabric
        self.lineage = lineage | {"data": config.data.name, "content": features.card["content"], "run": str(run.folder)}
        self.report = Reporter.of(config)
        self.best: list[Path] = []
        self.last: dict = {}
        self.shown = features.validation[:config.train.samples].tolist()

    def __call__(self, model: nn.Module, epoch: int, step: int, metrics: dict, is_best: bool, is_last: bool,
                 check: Callable[[], None]) -> None:
        self.last = {"epoch": epoch, "step": step, "metrics": metrics}
        if not self.fabric.is_global_zero:
            return
        if is_best:
            path = self.run.checkpoints / f"best_{self.config.phase.trains}_epoch_{epoch}.pt"
            self.checkpoint(model).save(path)
            self.best = [*(kept for kept in self.best if kept != path), path][-max(1, self.config.train.keep_best):]
        self.save_samples(model, epoch, step, check)
        self.report(epoch, step, metrics, is_last)

    def rehearse(self, model: nn.Module, state_bytes: int) -> float:
        """Speaks the samples into a folder that is deleted again, after one that is not counted: the first compiles."""
        if not self.fabric.is_global_zero:
            return 0.0
        files = 2 if self.config.train.ema else 1
        written = state_bytes + files * tensor_bytes(self.family.weights(model))
        seconds, spoken = writing_seconds(self.run.checkpoints, written), 0.0
        with tempfile.TemporaryDirectory(prefix="chatterbox_es_") as folder:
            for numbers in (self.shown[:1], self.shown):
                began = time.perf_counter()
                self.family.samples(self.fabric, model, self.config, self.features, numbers, Path(folder), "rehearsal",
                                    lambda: None)
                spoken = time.perf_counter() - began
                if spoken > LONG:
                    spoken *= len(self.shown) / len(numbers)
                    break
        return seconds + spoken

    def keep_mean(self, mean: nn.Module) -> None:
        """The running mean of the weights as a checkpoint; its figures are nobody's yet, so it carries none of the model's."""
        if self.fabric.is_global_zero:
            checkpoint = self.checkpoint(mean)
            minutes = {"minutes": self.last["metrics"]["minutes"]}
            checkpoint.lineage |= {"ema": self.config.train.ema, "metrics": minutes}
            checkpoint.save(self.run.checkpoints / f"ema_{self.config.phase.trains}.pt")

    def state(self) -> dict:
        return {"best": [path.name for path in self.best], "last": self.last}

    def saved(self) -> None:
        """Only now go former best checkpoints: a run that was killed before goes on with a state that has them."""
        if self.fabric.is_global_zero:
            for path in self.run.checkpoints.glob("best_*.pt"):
                if path not in self.best:
                    path.unlink(missing_ok=True)

    def restore(self, state: dict) -> None:
        """Also takes away checkpoints of validations that will be made again."""
        self.best, self.last = [self.run.checkpoints / name for name in state["best"]], state["last"]
        self.saved()

    def save_final(self, model: nn.Module) -> Path:
        """The final checkpoint, as ours and, where it is complete in itself, as safetensors."""
        path = self.run.checkpoints / f"final_{self.config.phase.trains}.pt"
        final = self.checkpoint(model)
        if isinstance(final, Checkpoint):
            final.export(path.with_suffix(".safetensors"))
        final.save(path)
        return path

    def checkpoint(self, model: nn.Module) -> StoredModel:
        return self.family.checkpoint(model, self.config, self.features, self.lineage | self.last)

    def save_samples(self, model: nn.Module, epoch: int, step: int, check: Callable[[], None]) -> None:
        """A few held-out sentences as sound and as pictures, beside their recordings."""
        label = "synthetic recording, " if self.features.card["synthetic"] else ""
        sounds, pictures = self.family.samples(self.fabric, model, self.config, self.features, self.shown,
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
        target.with_suffix(".txt").write_text(utterance["text"] + "\n", encoding="utf-8")


def remove_unbegun(folder: Path) -> None:
    """Take away what Hydra wrote for a run that never began; hydra.run.dir may name a folder that holds other things."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    (folder / "train.log").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other things
        folder.rmdir()


@hydra.main(config_path=str(CONF), config_name="config")
def job(config: Config) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return run_phase(config, folder)
    except UserError as error:
        if config.sweep.trial is not None:
            raise  # its study notes the reason, and goes on
        log.error("%s", error)
        sys.exit(USER_ERROR_EXIT)
    except TrialPruned as pruned:
        log.info("%s", pruned)
        return math.nan  # its study knows
    except InterruptedRun as interruption:
        log.warning("%s: the state is saved; the same command with resume=auto goes on", interruption)
        sys.exit(EXIT + interruption.number)
    except KeyboardInterrupt:
        log.warning("SIGINT received before training began: nothing to save")
        sys.exit(EXIT + signal.SIGINT)
    finally:
        if not (folder / "run.json").exists():
            remove_unbegun(folder)


def main() -> None:
    if "phase=5" in sys.argv[1:]:  # trains nothing: the evaluation, with all its arguments
        from chatterbox_es import evaluate

        command_line.run(evaluate.main)
    sys.argv[1:] = quote_phase_names(sys.argv[1:])
    if int(os.environ.get("RANK", 0)) > 0:  # the first process has the run's folder and its log
        scratch = tempfile.mkdtemp(prefix="chatterbox_es_")
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        sys.argv += [f"hydra.run.dir={scratch}", "hydra.output_subdir=null", "hydra/job_logging=stdout",
                     "hydra.job_logging.root.level=WARNING"]
    register_schema()
    job()


if __name__ == "__main__":
    main()
