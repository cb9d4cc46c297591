"""Train a voice, one phase at a time.

    python -m chatterbox_es.train phase=4_2 data=folder data.path=DIR     the text encoder, the mel decoder frozen
    python -m chatterbox_es.train phase=4_3 data=folder data.path=DIR     the whole model, from that run's encoder
    python -m chatterbox_es.train -m phase=4_2,4_3                        both, one after the other

Runs land in outputs/<phase>/<time>/. Any key of the configuration can be set: train.max_minutes=10 phase.lr=3e-4 …
"""

import contextlib
import hashlib
import logging
import shutil
import sys
from pathlib import Path

import hydra
import numpy as np
import soundfile
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from torch import nn

from chatterbox_es.acoustics.audio import write_audio
from chatterbox_es.acoustics.vocoder import GriffinLim
from chatterbox_es.checkpoints import Checkpoint
from chatterbox_es.command_line import USER_ERROR_EXIT
from chatterbox_es.config import CONF, Config, quote_phase_names, register_schema
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.hardware import set_up
from chatterbox_es.initialisation import model_arguments, start_model
from chatterbox_es.model.fase4 import Fase4
from chatterbox_es.pictures import draw_losses, draw_mels
from chatterbox_es.prepare import prepare
from chatterbox_es.run_directory import FAILED, FINISHED, RunDirectory
from chatterbox_es.tracking import Tracker
from chatterbox_es.training import speak, train

log = logging.getLogger(__name__)


def run_phase(config: Config, folder: Path) -> float:
    """One training run in ``folder``, from prepared data to the final checkpoint; its best validation loss.

    Raises:
        UserError: data, checkpoints or hardware do not fit what the configuration asks for.
    """
    phase = config.phase
    fabric = set_up(config.hw)
    features = prepare(config)
    torch.manual_seed(config.train.seed)
    model, lineage = start_model(config, features)
    run = RunDirectory.create(folder, phase=phase.name, data=config.data.name, corpus=features.card["corpus"],
                              synthetic=features.card["synthetic"], content=features.card["content"], hw=config.hw.name,
                              precision=str(fabric._precision.precision), seed=config.train.seed, lineage=lineage)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    tracker = Tracker(config.train.wandb, folder, f"{phase.name}-{folder.name}", OmegaConf.to_container(config, resolve=True))
    finished = False
    try:
        frozen = freeze(model, phase.trains)
        before = weights_hash(frozen)
        count = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
        log.info("phase %s on %s: %s parameters; frozen: %s", phase.name, features.folder,
                 ", ".join(f"{name} {n:,}" for name, n in count.items()), ", ".join(frozen) or "nothing")
        keeper = Keeper(config, features, run, tracker, lineage, fabric)
        best = train(fabric, model, features, config, run, tracker, keeper)
        if weights_hash(frozen) != before:
            raise AssertionError("frozen weights have changed")
        final = keeper.save_final(model)
        run.end(FINISHED, best_val_loss=best, final=str(final.relative_to(folder)), parameters=count,
                frozen={"parts": list(frozen), "sha256_before": before, "sha256_after": weights_hash(frozen)})
        draw_losses(folder / "losses.png", run.metrics(), f"phase {phase.name}, {config.data.name}")
        finished = True
        log.info("finished: best val_loss %.4f (the mean scores %.3f); %s", best, features.baseline(), final)
        return best
    finally:
        if not finished:
            run.end(FAILED)
        tracker.finish(failed=not finished)


def freeze(model: Fase4, trains: str) -> dict[str, nn.Module]:
    """Stop the gradients of what a phase does not train; those parts by name."""
    if trains not in ("text_encoder", "full_model"):
        raise UserError(f"phase.trains={trains} is not known; use text_encoder or full_model")
    frozen = {"mel_decoder": model.mel_decoder} if trains == "text_encoder" else {}
    for part in frozen.values():
        part.requires_grad_(False)
    return frozen


def weights_hash(parts: dict[str, nn.Module]) -> str:
    """SHA-256 of all weights of some modules."""
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        for key, weight in part.state_dict().items():
            digest.update(f"{name}.{key}".encode())
            digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class Keeper:
    """Saves checkpoints and samples when a run has validated."""

    def __init__(self, config: Config, features: FeatureSet, run: RunDirectory, tracker: Tracker, lineage: dict, fabric):
        self.config, self.features, self.run, self.tracker, self.fabric = config, features, run, tracker, fabric
        self.lineage = lineage | {"data": config.data.name, "content": features.card["content"], "run": str(run.folder)}
        self.vocoder = GriffinLim(features.contract)
        self.best: list[Path] = []
        self.last: dict = {}
        self.shown = features.validation[:config.train.samples].tolist()

    def __call__(self, model: Fase4, epoch: int, step: int, metrics: dict, is_best: bool) -> None:
        self.last = {"epoch": epoch, "step": step, "metrics": metrics}
        if is_best:
            path = self.run.checkpoints / f"best_{self.config.phase.trains}_epoch_{epoch}.pt"
            self.checkpoint(model).save(path)
            self.best = [*(kept for kept in self.best if kept != path), path]
            while len(self.best) > max(1, self.config.train.keep_best):
                self.best.pop(0).unlink(missing_ok=True)
        self.save_samples(model, epoch, step)

    def save_final(self, model: Fase4) -> Path:
        path = self.run.checkpoints / f"final_{self.config.phase.trains}.pt"
        self.checkpoint(model).save(path)
        return path

    def checkpoint(self, model: Fase4) -> Checkpoint:
        data = self.config.data
        front_end = {"dialect": data.dialect,
                     "lexicon": Path(data.lexicon).read_text(encoding="utf-8") if data.lexicon else ""}
        return Checkpoint({name: w.detach().cpu().clone() for name, w in model.state_dict().items()},
                          model_arguments(self.config, self.features), self.config.phase.name,
                          self.features.contract, self.features.symbols, self.features.statistics, front_end,
                          self.lineage | self.last)

    def save_samples(self, model: Fase4, epoch: int, step: int) -> None:
        """A few held-out sentences as sound and as mel + alignment pictures, beside their recordings."""
        features, sounds, pictures = self.features, {}, {}
        folder = self.run.samples / f"epoch_{epoch:04d}"
        for number in self.shown:
            utterance, tokens = features.utterance(number), features.token_ids(number)
            mels, durations = speak(self.fabric, model, tokens)
            samples = self.vocoder(features.statistics.restore(mels).numpy())
            name = utterance["id"].replace("/", "_")
            write_audio(folder / f"{name}.wav", samples, features.contract.sample_rate)
            self.save_recording(utterance, name)
            recorded = features.mel(number)
            aligned = recorded_durations(self.fabric, model, tokens, recorded)
            label = "synthetic recording, " if features.card["synthetic"] else ""
            draw_mels(folder / f"{name}.png", mels.numpy(), recorded.numpy(), features.symbols.symbols_of(tokens.tolist()),
                      durations.numpy(), aligned.numpy(), features.contract.frames_per_second,
                      f"{label}epoch {epoch}: {utterance['text']}")
            sounds[f"spoken/{name}"] = (samples, features.contract.sample_rate)
            pictures[f"alignment/{name}"] = folder / f"{name}.png"
        self.tracker.log_samples(step, sounds, pictures)

    def save_recording(self, utterance: dict, name: str) -> None:
        """The natural recording and its text, once, to compare with."""
        target = self.run.samples / "recordings" / f"{name}.wav"
        if target.exists() or not Path(utterance["audio"]).exists():
            return
        samples, rate = soundfile.read(utterance["audio"], dtype="float32", always_2d=True)
        write_audio(target, np.ascontiguousarray(samples.mean(1)), rate)
        target.with_suffix(".txt").write_text(utterance["text"] + "\n", encoding="utf-8")


@torch.no_grad()
def recorded_durations(fabric, model: Fase4, tokens: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """(tokens,) frames of each token in a recording (frames, bins), by the model's alignment."""
    masks = [torch.ones(1, len(x), dtype=torch.bool, device=fabric.device) for x in (tokens, recorded)]
    with fabric.autocast():
        prediction = model(tokens[None].to(fabric.device), masks[0], recorded.to(fabric.device), masks[1])
    return prediction.durations.cpu()


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
        log.error("%s", error)
        if not (folder / "run.json").exists():
            remove_unbegun(folder)
        sys.exit(USER_ERROR_EXIT)


def main() -> None:
    sys.argv[1:] = quote_phase_names(sys.argv[1:])
    register_schema()
    job()


if __name__ == "__main__":
    main()
