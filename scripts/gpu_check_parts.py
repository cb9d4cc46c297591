"""What `gpu_check.py` measures: each part runs in a process of its own and tells its figures one by one, as it finds them.

Training is the package's own loop on a set that `gpu_check_data` has written, so that what is measured is what users run.
"""

import copy
import dataclasses
import gc
import json
import math
import multiprocessing
import os
import platform
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_check_data import write_features, write_tokens, write_weights
from lightning_fabric import Fabric
from torch import nn

from chatterbox_es.config import Config, HwConfig, compose
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.hardware import TF32_SINCE, installed_driver, matmul_peak, require_gpu, set_up
from chatterbox_es.models.families import load_checkpoint, recipe_of
from chatterbox_es.models.recipe import Recipe
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.speech.voices import voice_of
from chatterbox_es.training.interruption import watching
from chatterbox_es.training.loop import train
from chatterbox_es.training.run import run_prepared
from chatterbox_es.training.tracking import Tracker
from chatterbox_es.training.validation import ValidationCallback

Tell = Callable[[str, Any], None]
SHORT = {"32-true": "fp32", "16-mixed": "fp16", "bf16-mixed": "bf16"}
SMALL = ("model.width=32", "model.heads=2", "model.layers=1", "model.feedforward=64", "model.duration_hidden=16",
         "model.decoder_hidden=[32]")  # fmt: skip
SMALL_T3 = {"text_rows": 300, "speech_rows": 6600, "width": 64, "layers": 2, "heads": 1, "feedforward": 96,
            "text_positions": 80, "speech_positions": 200, "queries": 8}  # fmt: skip
LEARNING_T3 = {"text_rows": 300, "width": 256, "layers": 4, "heads": 4, "feedforward": 1024}  # for its losses
TEXT = "Esta voz no dice nada todavía: se mide cuánto tarda en decirlo, y después se tira."


@dataclasses.dataclass
class Check:
    """Where and how large."""

    folder: Path
    device: str  # cuda | cpu
    small: bool

    def features(self, utterances: int | None = None) -> FeatureSet:
        """The prepared set, with so many of its utterances to train on."""
        return cut(FeatureSet(self.folder / "prepared"), utterances)

    def write(self) -> None:
        """The prepared set: as long as Common Voice's recordings, or very short."""
        write_features(self.folder / "prepared", *((48, 4, (0.6, 1.0)) if self.small else (1024, 16, (2.0, 6.0))))

    def profile(self) -> str:
        """The machine's, of ``conf/hw/``.

        Raises:
            UserError: there is no GPU.
        """
        if self.device == "cpu":
            return "cpu"
        require_gpu(HwConfig(name="t4"))
        return "ampere" if torch.cuda.get_device_capability() >= TF32_SINCE else "t4"

    def precisions(self) -> list[str]:
        """Those that the device computes itself; on a CPU fp16 is none of them."""
        if self.device == "cpu":
            return ["32-true", "bf16-mixed"]
        return ["32-true", "16-mixed", *["bf16-mixed"] * torch.cuda.is_bf16_supported(including_emulation=False)]

    def config(self, phase: str, *settings: str, model: str = "fase4") -> Config:
        common = [f"model={model}", f"phase={phase}", f"hw={self.profile()}", "data=folder", "train.samples=0",
                  "train.wandb=disabled", "train.trial_steps=0", "phase.encoder_from=null", "phase.validate_every=1000000",
                  f"outputs={self.folder}/outputs", *["hw.threads=1"] * self.small]
        if model == "fase4":
            common += ["model.decoder_start=random", *SMALL * self.small]
        return compose([*common, *settings])


def cut(features: FeatureSet, utterances: int | None) -> FeatureSet:
    features = copy.copy(features)
    features.train = features.train[:utterances]
    return features


@dataclasses.dataclass
class Trained:
    """A run of the training loop, without checkpoints."""

    recipe: Recipe
    fabric: Fabric
    model: nn.Module
    run: RunDirectory

    def losses(self, last: int) -> dict[str, float]:
        """Of the last steps, of the first one, so that it is seen whether there was something to learn, and held out."""
        rows = self.run.metrics()
        steps = [row["train_loss"] for row in rows if "train_loss" in row]
        return {"train_loss": round(float(np.mean(steps[-last:])), 5), "first": round(steps[0], 5),
                "val_loss": round(rows[-1]["val_loss"], 5)}

    def mean(self, key: str) -> float:
        """Of a figure over all epochs but the first, in which kernels are chosen and memory is found."""
        rows = [row for row in self.run.metrics() if key in row][1:]
        return float(np.average([row[key] for row in rows], weights=[row["epoch_time"] for row in rows]))


def train_once(check: Check, name: str, features: FeatureSet, config: Config) -> Trained:
    """The package's loop from a fresh start that is the same each time."""
    recipe, fabric = recipe_of(config), set_up(config.hw)
    torch.manual_seed(config.train.seed)
    model, _ = recipe.start(config, features, fabric)
    recipe.freeze(model, config)
    torch.manual_seed(config.train.seed)
    run = RunDirectory.create(check.folder / "runs" / name)
    try:
        train(fabric, recipe, model, features, config, run, Tracker("disabled", run.folder, name, {}), ValidationCallback())
    finally:
        run.unlock()
    return Trained(recipe, fabric, model, run)


def clear() -> None:
    """Let go what the run before held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def machine(check: Check, tell: Tell) -> None:
    """What it is, and what large matrix products reach on it."""
    tell("torch", torch.__version__)
    tell("python", platform.python_version())
    tell("processor", {"name": platform.processor() or platform.machine(), "cores": os.cpu_count()})
    if check.device == "cuda":
        told = torch.cuda.get_device_properties(0)
        tell("gpu", told.name)
        tell("memory_gb", round(told.total_memory / 1e9, 2))
        tell("capability", f"{told.major}.{told.minor}")
        tell("cuda", torch.version.cuda)
        tell("driver", installed_driver())
    size = 512 if check.small else 8192
    for precision in check.precisions():
        fabric = set_up(check.config("4_3", f"hw.precision={precision}", "hw.tf32=false").hw)
        peak = matmul_peak(fabric, [(nn.Linear(size, size, device="meta"), size)])
        tell(f"products_tflops_{SHORT[precision]}", round(peak / 1e12, 3))


def losses(check: Check, tell: Tell) -> None:
    """300 steps of the whole model from one start in each precision."""
    steps, features = (30, check.features()) if check.small else (300, check.features(480))
    for precision in check.precisions():
        config = check.config("4_3", f"hw.precision={precision}", "model.dropout=0", "hw.tf32=false", "phase.lr=5e-4",
                              "phase.batch_size=8", "phase.warmup_steps=50", f"train.max_steps={steps}", "train.epochs=1000",
                              "train.log_every=1")
        run = train_once(check, f"losses_{SHORT[precision]}", features, config)
        tell(SHORT[precision], run.losses(max(1, steps // 6)) | {"steps": steps, "skipped": run.run.card["skipped_steps"]})
        del run
        clear()


def share(check: Check, tell: Tell) -> None:
    """What share of the machine's matrix products training is, the most important first."""
    batches = {8: 32, 4: 32} if check.small else {256: 1024, 64: 1024, 8: 256}
    precisions = [precision for precision in check.precisions() if precision != "32-true"]
    for batch, utterances in batches.items():
        for phase in ("4_3", "4_2"):
            for precision in precisions:
                name = f"{phase}_{batch}_{SHORT[precision]}"
                config = check.config(phase, f"hw.precision={precision}", f"phase.batch_size={batch}", "train.epochs=4")
                try:
                    tell(name, share_of(check, f"share_{name}", check.features(utterances), config))
                except Exception as error:  # too little memory for one batch says nothing about the others
                    tell(name, {"error": f"{type(error).__name__}: {error}"})
                clear()


def share_of(check: Check, name: str, features: FeatureSet, config: Config) -> dict[str, float]:
    """Of the products of these layers' shapes, and the operations themselves."""
    run = train_once(check, name, features, config)
    batches = run.recipe.batches(config, features, None, None)
    flops = [run.recipe.flops(run.model, step) for step in batches.steps(1)]
    return {"share_of_peak": round(run.mean("share_of_peak"), 4), "steps_per_second": round(run.mean("steps_per_second"), 3),
            "tflops": round(run.mean("steps_per_second") * float(np.mean(flops)) / 1e12, 3),
            "memory_gb": round(run.run.card["memory_peak_gb"], 3), "planned_gb": run.run.card["memory_planned_gb"]}


def t3(check: Check, tell: Tell, phase: str) -> None:
    """Steps, memory beside the plan, and speech tokens."""
    from chatterbox_es.models.t3.network import T3Size  # optional packages

    size = T3Size(**SMALL_T3) if check.small else T3Size()
    weights = write_weights(check.folder / "weights", size, check.device)
    features = cut(write_tokens(check.features(), size), 16 if check.small else 32)
    precision = "bf16-mixed" if check.device == "cpu" else "16-mixed"
    config = check.config(phase, f"model.weights={weights}", f"hw.precision={precision}", "train.trial_steps=3",
                          "train.epochs=4", model="chatterbox")
    tell("precision", precision)
    run = train_once(check, f"t3_{phase}", features, config)
    plan = json.loads((run.run.folder / "plan.json").read_text())
    tell("steps_per_second", round(run.mean("steps_per_second"), 4))
    tell("share_of_peak", round(run.mean("share_of_peak"), 4))
    tell("memory_gb", round(run.run.card["memory_peak_gb"], 3))
    tell("planned_gb", plan["memory_needed_gb"])
    tell("planned_steps_per_second", round(1 / plan["seconds_per_step"], 4))
    tell("batch", {"utterances": config.phase.batch_size, **plan["largest_micro_batch"]})
    if phase == "4_2":
        tell("speech_tokens", speech_tokens(run, features, 20 if check.small else 150))


def speech_tokens(run: Trained, features: FeatureSet, count: int) -> dict[str, float]:
    """Seconds of speech a second that T3 gives, without S3Gen and vocoder, whose weights are published and not here."""
    from chatterbox_es.models.t3.batches import collate
    from chatterbox_es.models.t3.generation import Sampling, generate
    from chatterbox_es.models.t3.validation import spoken_of

    batch = collate([spoken_of(features, int(features.validation[0]), None)])
    rates = []
    for _ in range(2):  # the first one chooses kernels
        began = time.perf_counter()
        with run.fabric.autocast():
            said = generate(run.model, batch.text[0], batch.conditions, Sampling(max_tokens=count), 0)
        rates.append((len(said.codes) + said.dropped) / (time.perf_counter() - began))
    return {"tokens_per_second": round(rates[-1], 2), "seconds_per_second": round(rates[-1] / 25, 3)}


def t3_4_2(check: Check, tell: Tell) -> None:
    t3(check, tell, "4_2")


def t3_4_3(check: Check, tell: Tell) -> None:
    t3(check, tell, "4_3")


def t3_losses(check: Check, tell: Tell) -> None:
    """`losses` of a small T3."""
    from chatterbox_es.models.t3.network import T3Size  # optional packages

    size, steps = (T3Size(**SMALL_T3), 20) if check.small else (T3Size(**LEARNING_T3), 300)
    weights = write_weights(check.folder / "weights_learning", size, check.device)
    features = cut(write_tokens(check.features(), size), 48)
    for precision in check.precisions():
        config = check.config("4_3", f"model.weights={weights}", f"hw.precision={precision}", "model.lora_dropout=0",
                              "model.perceiver_dropout=0", "hw.tf32=false", "phase.lr=1e-3", "phase.warmup_steps=50",
                              "model.checkpointing=false", "train.log_every=1",
                              f"train.max_steps={steps}", "train.epochs=1000", model="chatterbox")
        run = train_once(check, f"t3_losses_{SHORT[precision]}", features, config)
        tell(SHORT[precision], run.losses(max(1, steps // 6)) | {"steps": steps, "skipped": run.run.card["skipped_steps"]})
        del run
        clear()


def resume(check: Check, tell: Tell) -> None:
    """A run of 4_2 killed with SIGKILL and gone on with, beside one that was never killed."""
    context = multiprocessing.get_context("spawn" if multiprocessing.get_start_method(True) == "spawn" else "fork")
    runs = {name: check.folder / "outputs" / name for name in ("never", "killed", "again")}

    def start(name: str, goes_on: bool = False) -> multiprocessing.Process:
        process = context.Process(target=whole_run, args=(check, runs[name], goes_on))
        process.start()
        return process

    def end(process: multiprocessing.Process) -> None:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a run ended with exit code {process.exitcode}")

    end(start("never"))
    process = start("killed")
    while process.is_alive() and not is_past_its_state(runs["killed"]):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"the run ended with exit code {process.exitcode} before it was killed")
    tell("killed_at", len(losses_of(runs["killed"])))
    end(start("killed", goes_on=True))
    difference = largest_difference(runs["never"], runs["killed"])
    tell("largest_difference", difference)
    tell("verdict", "bit-identical" if difference == 0 else "close" if difference < 1e-2 else "different")
    if difference:  # what two runs that nobody killed differ by
        end(start("again"))
        tell("largest_difference_of_two_that_were_not_killed", largest_difference(runs["never"], runs["again"]))


def whole_run(check: Check, folder: Path, goes_on: bool) -> None:
    """A run as the command makes it, with states, checkpoints and card."""
    epochs, utterances = (4, 48) if check.small else (3, 256)
    config = check.config("4_2", "phase.validate_every=1", "train.log_every=1", f"train.epochs={epochs}")
    config.resume = str(folder) if goes_on else None
    with watching() as caught:
        run_prepared(config, set_up(config.hw), check.features(utterances), folder, folder if goes_on else None, caught)


def is_past_its_state(folder: Path) -> bool:
    """Whether a state has been written and steps were made since."""
    saved = [int(path.name.split("_")[1].split("-")[0]) for path in folder.glob("checkpoints/state_*.pt")]
    return bool(saved) and max(losses_of(folder), default=0) > max(saved)


def losses_of(folder: Path) -> dict[int, float]:
    """Training loss by step, as far as it has been written."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {row["step"]: row["train_loss"] for row in rows if "train_loss" in row}


def largest_difference(one: Path, other: Path) -> float:
    """Of the training losses, relative to themselves, and of the final weights, relative to the largest of each; 0: the same
    bits."""
    first, second = losses_of(one), losses_of(other)
    if first.keys() != second.keys():
        return math.inf
    found = [abs(first[step] - second[step]) / abs(first[step]) for step in first]
    mine, theirs = (load_checkpoint(final_checkpoint(folder)).weights for folder in (one, other))
    found += [float((mine[name] - theirs[name]).abs().max() / mine[name].abs().max().clamp(min=1e-12)) for name in mine]
    return max(found)


def synthesis(check: Check, tell: Tell) -> None:
    """Seconds of sound a second: fase4's voice says sentences as `chatterbox_es.synthesize` does, on the CPU."""
    config, features = check.config("4_3"), check.features()
    recipe = recipe_of(config)
    model, _ = recipe.start(config, features, set_up(config.hw))
    with torch.no_grad():
        model.duration_predictor.output.bias.fill_(math.log(3.5))  # an untrained one would make every sound 20 ms long
    voice = voice_of(recipe.checkpoint(model, config, features, {}), "gpu_check")
    voice.speak(TEXT)
    began, spoken = time.perf_counter(), 0.0
    while time.perf_counter() - began < (1 if check.small else 5):
        speech = voice.speak(TEXT)
        spoken += len(speech.samples) / speech.rate
    tell("seconds_per_second", round(spoken / (time.perf_counter() - began), 2))


# By importance: name, what it does, seconds it takes on a T4.
PARTS: tuple[tuple[str, Callable[[Check, Tell], None], int], ...] = (
    ("machine", machine, 15), ("losses", losses, 75), ("t3_4_2", t3_4_2, 55), ("share", share, 90), ("resume", resume, 40),
    ("t3_4_3", t3_4_3, 45), ("synthesis", synthesis, 15), ("t3_losses", t3_losses, 45))  # fmt: skip
