"""The parts that a run trains with, put together, and all that they need to go on elsewhere."""

import dataclasses
import logging
import time
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from chatterbox_es.config import Config, DataConfig
from chatterbox_es.corpus import draw_rates
from chatterbox_es.dataset.batches import Batches, Budget, utterance_rates
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.training.ema import running_mean
from chatterbox_es.training.optimisation import loss_scaler, optimizer_of
from chatterbox_es.training.processes import gathered
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.state import save_state

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Training:
    """The parts that a run trains with, put together; `state` and `restore` are all that it needs to go on elsewhere."""

    fabric: Fabric
    recipe: Recipe
    model: nn.Module
    wrapped: _FabricModule  # the model as Fabric computes with it
    optimizer: _FabricOptimizer
    batches: Batches
    progress: Progress
    config: Config
    run: RunDirectory
    mean: AveragedModel | None = None  # of the weights, with train.ema
    saved: float = dataclasses.field(default_factory=time.monotonic)  # when the last state was written
    saved_at: tuple[int, int] | None = None  # its epoch, and the steps made in that
    ending: float = 0.0  # `Progress.ending` by this process's clock

    @classmethod
    def set_up(cls, fabric: Fabric, recipe: Recipe, model: nn.Module, features: FeatureSet, config: Config,
               run: RunDirectory) -> "Training":
        hw = config.hw
        budget = Budget(hw.micro_batch_frames, hw.micro_batch_tokens)
        batches = recipe.batches(config, features, budget, drawn_rates(features, config.data))
        inner = optimizer_of(recipe.parameter_groups(model), config)
        if hw.compile:
            recipe.compile(model)
        wrapped, optimizer = fabric.setup(model, inner)
        progress = Progress.of(config, len(batches.first_epoch))
        return cls(fabric, recipe, model, wrapped, optimizer, batches, progress, config, run,
                   running_mean(model, config.train.ema))

    def state(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Weights, optimiser, scaler, random numbers of each process, place in the epoch, and where the metrics end."""
        scaler = loss_scaler(self.fabric)
        return {"model": self.recipe.weights(self.model), "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler else {}, "random": gathered(self.fabric, random_state(self.fabric)),
                "progress": self.progress.state(), "metrics_bytes": self.run.metrics_bytes(),
                "mean": self.mean.state_dict() if self.mean else {}, **extra}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken."""
        self.recipe.restore(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.mean and state.get("mean"):
            self.mean.load_state_dict(state["mean"])
        if state["scaler"] and (scaler := loss_scaler(self.fabric)):
            scaler.load_state_dict(state["scaler"])
        self.progress.restore(state["progress"])
        if len(state["random"]) == self.fabric.world_size:
            restore_random_state(self.fabric, state["random"][self.fabric.global_rank])
        else:
            log.warning("this run was trained by %d processes and goes on with %d: its dropout will differ",
                        len(state["random"]), self.fabric.world_size)
        if self.fabric.is_global_zero:
            self.run.cut_metrics(state["metrics_bytes"])

    def save(self, extra: dict[str, Any]) -> None:
        """Write the state; every process takes part, the first one writes."""
        state = self.state(extra)
        if self.fabric.is_global_zero:
            self.run.sync_metrics()
            save_state(self.run.checkpoints, self.progress.step, state, self.config.train.keep_states)
        self.saved, self.saved_at = time.monotonic(), (self.progress.epoch, self.progress.batch)

    def state_is_due(self) -> bool:
        return time.monotonic() - self.saved >= self.config.train.state_minutes * 60


def drawn_rates(features: FeatureSet, data: DataConfig) -> np.ndarray | None:
    """How often an epoch draws each utterance of a mix; nothing where it draws each once."""
    if data.kind != "mix":
        return None
    counts = np.bincount(features.index["corpus"][features.train], minlength=len(features.names("corpus")))
    return utterance_rates(features, draw_rates(data, dict(zip(features.names("corpus"), counts.tolist(), strict=True))))


def random_state(fabric: Fabric) -> Tensor:
    """The generators of this process, as bytes: the CPU's, and its GPU's behind it."""
    states = [torch.get_rng_state()]
    if fabric.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(fabric.device))
    return torch.cat(states)


def restore_random_state(fabric: Fabric, state: Tensor) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].contiguous())
    if fabric.device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:].contiguous(), fabric.device)
