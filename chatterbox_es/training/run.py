"""One run: prepared data → model → loop → final checkpoint, and how it ends."""

import contextlib
import dataclasses
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from omegaconf import OmegaConf
from optuna import TrialPruned
from torch import nn

from chatterbox_es.config import Config
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.hardware import set_up
from chatterbox_es.models.families import recipe_of
from chatterbox_es.models.recipe import Frozen, Recipe
from chatterbox_es.runs.metrics import metrics_of
from chatterbox_es.runs.plots import draw_losses
from chatterbox_es.runs.run_directory import CONFIG, FAILED, FINISHED, STOPPED, RunDirectory, commit, is_run, read_card
from chatterbox_es.training.interruption import InterruptedRun, Interruption, watching
from chatterbox_es.training.loop import train
from chatterbox_es.training.resumption import command_hash, finished_value, run_to_resume
from chatterbox_es.training.run_writer import Report, RunWriter, no_report
from chatterbox_es.training.state import clear_away, load_newest_state
from chatterbox_es.training.tracking import Tracker

if TYPE_CHECKING:
    from chatterbox_es.training.listening import Listening

log = logging.getLogger(__name__)


def run_phase(config: Config, folder: Path, report: Report = no_report) -> float:
    """One training run in ``folder``, or in that of the run it goes on with, from prepared data to the final checkpoint.

    ``report`` is told each validation. Returns the best validation loss; of a study's trial, the best of its objective.

    Raises:
        UserError: data, checkpoints, hardware or packages do not fit what the configuration asks for.
        InterruptedRun: SIGTERM or SIGINT came; the run's state is saved.
    """
    recipe = recipe_of(config)
    fabric = set_up(config.hw)
    earlier = run_to_resume(config)
    if earlier is not None and (value := finished_value(earlier)) is not None:
        objective = (read_card(earlier) or {}).get("objective") or "val_loss"
        log.info("%s has finished already, with %s %.4f; without resume= the command starts anew", earlier, objective, value)
        if fabric.is_global_zero:
            clear_away(earlier)
        return value
    listening = load_listening(config, fabric, recipe)
    # All processes read what the first one prepares; on other machines with disks of their own, one each prepares.
    for turn in range(3):
        if turn == (0 if fabric.is_global_zero else 1 if fabric.local_rank == 0 else 2):
            features = recipe.prepare(config)
        fabric.barrier()
    with watching() as caught:
        return run_prepared(config, fabric, features, folder, earlier, caught, report, listening)


def load_listening(config: Config, fabric: Fabric, recipe: Recipe) -> "Listening | None":
    """Who listens to the voice while it is trained, where the run asks for it: the first process.

    Raises:
        UserError: the packages or models to hear with are missing, or what makes the voice heard.
    """
    if not config.train.listen or not fabric.is_global_zero:
        return None
    from chatterbox_es.training.listening import Listening  # brings the evaluation along: half a second to import

    try:
        recipe.check_speaks(config)
    except UserError as error:
        wanted = f"train.listen={config.train.listen}: model={config.model.name}"
        raise UserError(f"{wanted} cannot be heard here: {error}") from error
    return Listening.load(config, fabric)


def run_prepared(config: Config, fabric: Fabric, features: FeatureSet, folder: Path, earlier: Path | None,
                 caught: Interruption, report: Report = no_report, listening: "Listening | None" = None) -> float:
    """A run on data that is prepared; see `run_phase`."""
    phase = config.phase
    torch.manual_seed(config.train.seed)
    state, recipe = None, recipe_of(config)
    if earlier is not None:
        run = resume_run(config, fabric, features, earlier)
        state = load_newest_state(run.checkpoints)
    if state is not None:
        lineage = run.card["lineage"]
        model = recipe.build(config, features, fabric)
    else:
        model, lineage = recipe.start(config, features, fabric)
        if earlier is None:
            run = start_run(config, fabric, features, recipe, folder, lineage)
        else:  # it ended before its first state: from the beginning, in its folder
            run.update(lineage=lineage)
    folder = run.folder
    settings: Any = OmegaConf.to_container(config, resolve=True)
    tracker = Tracker(config.train.wandb if fabric.is_global_zero else "disabled", folder, f"{phase.name}-{folder.name}",
                      settings, continues=run.card.get("wandb", []))
    end, reason = FAILED, None
    try:
        if tracker.folder:
            run.update(wandb=[*run.card.get("wandb", []), tracker.folder])
        frozen = recipe.freeze(model, config, fabric)
        if state is not None:
            recipe.restore(model, state["model"])
        before = frozen.digest()
        if run.card.get("frozen_sha256", before) != before:
            raise UserError(f"{folder} cannot go on like this: its frozen weights were others. Go on with the precision that "
                            f"it began with (hw.precision={run.card.get('precision')}) and the weights that it was started "
                            "from")
        run.update(frozen_sha256=before)
        log.info("phase %s on %s; frozen: %s", phase.name, features.folder, ", ".join(frozen.parts) or "nothing")
        torch.manual_seed(config.train.seed + fabric.global_rank)
        writer = RunWriter(config, recipe, features, run, tracker, lineage, fabric, report, listening)
        best = train(fabric, recipe, model, features, config, run, tracker, writer, caught, state)
        if frozen.digest() != before:
            raise AssertionError("frozen weights have changed")
        if fabric.is_global_zero:
            finish_run(config, features, run, writer, model, frozen, best)
        end = FINISHED
        return best if writer.reached is None else writer.reached
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


def start_run(config: Config, fabric: Fabric, features: FeatureSet, recipe: Recipe, folder: Path,
              lineage: dict) -> RunDirectory:
    """A new run directory; processes beside the first one have one of their own, which is thrown away."""
    card = {"phase": config.phase.name, "model": config.model.name, "output": recipe.output,
            "data": config.data.name, "corpus": features.card["corpus"],
            "synthetic": features.card["synthetic"], "naive": features.naive, "content": features.card["content"],
            "metrics": [dataclasses.asdict(metric) for metric in recipe.validation_metrics], "hw": config.hw.name,
            "precision": str(fabric._precision.precision), "seed": config.train.seed, "processes": fabric.world_size,
            "price_per_hour": config.hw.price_per_hour, "command": command_hash(config), "lineage": lineage, "commit": commit(),
            "study": config.sweep.study if config.sweep.trial is not None else None,
            "objective": config.sweep.objective if config.sweep.trial is not None else None}
    run = RunDirectory.create(folder, **card)
    save_config(config, folder)
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
    save_config(config, folder)
    log.info("going on with %s, which was %s", folder, card.get("state") if card.get("state") != "running" else "killed")
    return run


def save_config(config: Config, folder: Path) -> None:
    write_whole(folder / CONFIG, OmegaConf.to_yaml(config, resolve=True).encode())


def finish_run(config: Config, features: FeatureSet, run: RunDirectory, writer: RunWriter, model: nn.Module,
               frozen: Frozen, best: float) -> None:
    """Final checkpoint, picture of the losses, and the end of the run's card; what it would go on with goes last."""
    final = writer.save_final(model)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    price, hours = config.hw.price_per_hour, run.card["hours"]
    draw_losses(run.folder / "losses.png", run.metrics(), f"phase {config.phase.name}, {config.data.name}", features.unit,
                features.naive, metrics_of(run.card))
    run.sync_metrics()
    run.end(FINISHED, best_val_loss=best, best_objective=writer.reached, best=[path.name for path in writer.best],
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
        if not is_run(begun.parent):
            remove_unbegun(begun.parent)


def remove_unbegun(folder: Path) -> None:
    """Take away what Hydra wrote for a run that never began; hydra.run.dir may name a folder that holds other things."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    (folder / "train.log").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other things
        folder.rmdir()
