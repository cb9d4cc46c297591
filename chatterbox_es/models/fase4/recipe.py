"""``model=fase4`` as the commands know it: mels from phonemes, by `Fase4`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.config import Fase4Run
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.feature_set import CARD, FeatureSet, read_card
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models.fase4.batches import Batch, collate
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.fase4.initialisation import build_model, model_arguments, start_model
from chatterbox_es.models.fase4.loss import Losses, losses_of
from chatterbox_es.models.fase4.memory import plan_memory
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.models.fase4.validation import METRICS, speak, utterance_values
from chatterbox_es.models.mel_vocoder import vocoder_for
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.weights import front_end_facts, weights_digest
from chatterbox_es.runs.plots import draw_mels

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without


class Fase4Recipe:
    """See `models.recipe.Recipe`."""

    name, output = Checkpoint.family, Checkpoint.output
    ends_with: Literal["best", "last"] = "best"
    validation_metrics = METRICS

    @classmethod
    def of(cls, config: Fase4Run, load: Callable[[Path], Any]) -> "Fase4Recipe":
        """That of a run."""
        return cls()

    def prepare(self, config: Fase4Run) -> FeatureSet:
        return prepare(config)

    def prepare_again(self, config: Fase4Run, codec: str, named_by: str) -> FeatureSet:
        return prepare(config)

    def find(self, folder: Path, content: str) -> FeatureSet | None:
        for card in sorted(folder.glob(f"*/{CARD}")):
            known = read_card(card)
            shards = known.get("shards", [{"file": ""}])  # without any, an earlier version has prepared it
            if known.get("content") == content and all((card.parent / shard["file"]).is_file() for shard in shards):
                return FeatureSet(card.parent)
        return None

    def start(self, config: Fase4Run, features: FeatureSet, fabric: "Fabric") -> tuple[Fase4, dict]:
        return start_model(config, features)

    def build(self, config: Fase4Run, features: FeatureSet, fabric: "Fabric") -> Fase4:
        return build_model(config, features)

    def freeze(self, model: Fase4, config: Fase4Run, fabric: "Fabric | None" = None) -> Frozen:
        """
        Raises:
            UserError: no such phase.
        """
        trains = config.phase.trains
        if trains not in ("text_encoder", "full_model"):
            raise UserError(f"phase.trains={trains} is not known; use text_encoder or full_model")
        frozen = {"mel_decoder": model.mel_decoder} if trains == "text_encoder" else {}
        for part in frozen.values():
            part.requires_grad_(False)
        return Frozen(list(frozen), lambda: weights_hash(frozen))

    def batches(self, config: Fase4Run, features: FeatureSet, budget: Budget, rates: np.ndarray | None) -> Batches:
        phase = config.phase
        return Batches(features, features.train, phase.batch_size, config.train.seed, collate,
                       phase.batch_frames, budget, rates)

    def compile(self, model: Fase4) -> None:
        for layer in model.text_encoder.layers:
            layer.compile(dynamic=True)

    def weights(self, model: Fase4) -> dict[str, Tensor]:
        return model.state_dict()

    def restore(self, model: Fase4, weights: dict[str, Tensor]) -> None:
        model.load_state_dict(weights)

    def parameter_groups(self, model: Fase4) -> list[dict[str, Any]]:
        return [{"params": [weight for weight in model.parameters() if weight.requires_grad]}]

    def losses(self, fabric: "Fabric", model: nn.Module, micro_batch: Batch, step: Step) -> Losses:
        prediction = model(*micro_batch.inputs())
        return losses_of(prediction, micro_batch.mels, step.tokens, step.frames)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        frame, token, duration = parts
        return {"train_loss": frame, "train_token_loss": token, "train_duration_loss": duration,
                "grad_norm_text": norms["text_encoder"], "grad_norm_vocoder": norms["mel_decoder"]}

    def flops(self, model: Fase4, step: Step) -> float:
        return model.training_flops(step.tokens, step.frames)

    def products(self, model: Fase4, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        return list(model.products(tokens, frames))

    def plan(self, fabric: "Fabric", model: Fase4, batches: Batches, config: Fase4Run) -> Plan:
        return plan_memory(fabric, model, batches, config.hw)

    def values(self, fabric: "Fabric", model: Fase4, features: FeatureSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        return utterance_values(fabric, model, features, numbers, check)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return f"with its own durations {metrics['val_own_durations']:.4f} (the mean scores {metrics['baseline']:.3f})"

    def checkpoint(self, model: Fase4, config: Fase4Run, features: FeatureSet, lineage: dict) -> Checkpoint:
        return Checkpoint({name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()},
                          model_arguments(config, features), config.phase.name, features.contract, features.symbols,
                          features.statistics, front_end_facts(config.data), lineage)

    def check_speaks(self, config: Fase4Run) -> None:
        """Griffin-Lim is always there."""

    def samples(self, fabric: "Fabric", model: Fase4, config: Fase4Run, features: FeatureSet, numbers: Sequence[int],
                folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
        """Pictures are of mel and alignment, beside the recording's."""
        vocoder, rate = vocoder_for(features.contract), features.contract.sample_rate
        sounds, pictures = {}, {}
        for number in numbers:
            check()
            utterance, tokens = features.utterance(number), features.token_ids(number)
            mels, durations = speak(fabric, model, features, number)
            samples = vocoder(features.statistics.restore(mels).numpy())
            name = utterance["id"].replace("/", "_")
            sounds[name] = samples, rate
            if folder is None:
                continue
            write_audio(folder / f"{name}.wav", samples, rate)
            aligned = recorded_durations(fabric, model, features, number)
            draw_mels(folder / f"{name}.png", mels.numpy(), features.mel(number).numpy(),
                      features.symbols.symbols_of(tokens.tolist()), durations.numpy(), aligned.numpy(),
                      features.contract.frames_per_second, f"{title}: {utterance['text']}")
            pictures[name] = folder / f"{name}.png"
        return sounds, pictures

    def publish(self, checkpoint: Checkpoint, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
                weights: str = "") -> str:
        raise UserError(f"out={out}: model={self.name} is exported as ONNX; name a file that ends in .onnx")


@torch.no_grad()
def recorded_durations(fabric: "Fabric", model: Fase4, features: FeatureSet, number: int) -> Tensor:
    """(tokens,) frames of each token in an utterance's recording, by the model's alignment."""
    batch = collate(features, [number]).to(fabric.device)
    with fabric.autocast():
        prediction = model(*batch.inputs())
    return prediction.durations.cpu()


def weights_hash(parts: Mapping[str, nn.Module]) -> str:
    """SHA-256 of all weights of some modules."""
    return weights_digest({f"{name}.{key}": weight for name, part in parts.items()
                           for key, weight in part.state_dict().items()})
