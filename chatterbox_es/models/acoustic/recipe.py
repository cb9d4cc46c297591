"""A model of mels as the commands know it; its own subclass says how it is started, frozen and trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.config import AcousticRun
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.f0 import F0
from chatterbox_es.dataset.feature_set import CARD, FeatureSet, read_card
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.models import recipe
from chatterbox_es.models.acoustic.batches import Batch, PitchedSet, collate
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.acoustic.loss import losses_of
from chatterbox_es.models.acoustic.memory import plan_memory
from chatterbox_es.models.acoustic.network import AcousticModel, plain_controls
from chatterbox_es.models.acoustic.prosody import TEMPERATURE, shared_noise
from chatterbox_es.models.acoustic.validation import METRICS, PROSODY, speak, utterance_values
from chatterbox_es.models.mel_vocoder import vocoder_for
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.weights import front_end_facts, weights_digest
from chatterbox_es.runs.plots import draw_mels

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without


class AcousticRecipe:
    """See `models.recipe.Recipe`. Subclasses give `start`, `build`, `freeze`, `sizes`, `metrics` and what stands first."""

    name: str
    kind: type[Checkpoint]
    frozen_in_4_2: str  # the part that phase 4_2 leaves as it is
    absolute = False  # whether frames are trained on their absolute error
    output = Checkpoint.output
    ends_with: Literal["best", "last", "mean"] = "best"

    def __init__(self, prosody: bool = False):
        self.prosody = prosody
        self.validation_metrics = (*METRICS, PROSODY) if prosody else METRICS

    @classmethod
    def of(cls, config: AcousticRun, load: Callable[[Path], Any]) -> Self:
        """That of a run."""
        return cls(config.model.prosody)

    def prepare(self, config: AcousticRun) -> FeatureSet:
        features = prepare(config)
        return PitchedSet(features, config.data) if config.model.prosody else features

    def prepare_again(self, config: AcousticRun, codec: str, named_by: str) -> FeatureSet:
        return self.prepare(config)

    def find(self, folder: Path, content: str) -> FeatureSet | None:
        for card in sorted(folder.glob(f"*/{CARD}")):
            known = read_card(card)
            shards = known.get("shards", [{"file": ""}])  # without any, an earlier version has prepared it
            if known.get("content") == content and all((card.parent / shard["file"]).is_file() for shard in shards):
                features = FeatureSet(card.parent)
                if not self.prosody:
                    return features
                return PitchedSet(features) if not F0(features).waiting() else None
        return None

    def start(self, config: Any, features: FeatureSet, fabric: "Fabric") -> tuple[AcousticModel, dict]:
        raise NotImplementedError

    def build(self, config: Any, features: FeatureSet, fabric: "Fabric") -> AcousticModel:
        raise NotImplementedError

    def sizes(self, config: Any, features: FeatureSet) -> dict[str, Any]:
        """The arguments of the network for a run's configuration and data."""
        raise NotImplementedError

    def freeze(self, model: AcousticModel, config: AcousticRun, fabric: "Fabric | None" = None) -> Frozen:
        """
        Raises:
            UserError: no such phase.
        """
        trains = config.phase.trains
        if trains not in ("text_encoder", "full_model"):
            raise UserError(f"phase.trains={trains} is not known; use text_encoder or full_model")
        frozen = {name: model.get_submodule(name) for name in [self.frozen_in_4_2][:trains == "text_encoder"]}
        for part in frozen.values():
            part.requires_grad_(False)
        return Frozen(list(frozen), lambda: weights_hash(frozen))

    def batches(self, config: AcousticRun, features: FeatureSet, budget: Budget, rates: np.ndarray | None) -> Batches:
        phase = config.phase
        return Batches(features, features.train, phase.batch_size, config.train.seed, collate,
                       phase.batch_frames, budget, rates)

    def compile(self, model: AcousticModel) -> None:
        for layer in model.text_encoder.layers:
            layer.compile(dynamic=True)

    def weights(self, model: AcousticModel) -> dict[str, Tensor]:
        return model.state_dict()

    def restore(self, model: AcousticModel, weights: dict[str, Tensor]) -> None:
        model.load_state_dict(weights)

    def parameter_groups(self, model: AcousticModel) -> list[dict[str, Any]]:
        apart = self.apart(model)
        theirs = {weight for part in apart.values() for weight in part.parameters()}
        rest = [weight for weight in model.parameters() if weight.requires_grad and weight not in theirs]
        return [{"params": rest}, *({"params": list(part.parameters()), "part": name} for name, part in apart.items())]

    def apart(self, model: AcousticModel) -> dict[str, nn.Module]:
        """Children whose gradients are clipped by themselves."""
        return {"prosody": model.prosody} if model.prosody is not None else {}

    def losses(self, fabric: "Fabric", model: nn.Module, micro_batch: Batch, step: Step) -> recipe.Losses:
        prediction = model(*micro_batch.inputs())
        return losses_of(prediction, micro_batch.mels, step.tokens, step.frames, self.absolute)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        frame, token, duration, *more = parts
        names = [f"train_{name}_loss" for name in (["prosody"] if self.prosody else []) + ["flow"]]
        return {"train_loss": frame, "train_token_loss": token, "train_duration_loss": duration,
                **dict(zip(names, more, strict=False)), "grad_norm_text": norms["text_encoder"]}

    def flops(self, model: AcousticModel, step: Step) -> float:
        return model.training_flops(step.tokens, step.frames)

    def products(self, model: AcousticModel, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        return list(model.products(tokens, frames))

    def plan(self, fabric: "Fabric", model: AcousticModel, batches: Batches, config: AcousticRun) -> Plan:
        return plan_memory(fabric, model, batches, config.hw, self.minimised)

    def minimised(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch that is whole."""
        return losses_of(model(*batch.inputs()), batch.mels, absolute=self.absolute).total()

    def values(self, fabric: "Fabric", model: AcousticModel, features: FeatureSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        return utterance_values(fabric, model, features, numbers, check)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return f"with its own durations {metrics['val_own_durations']:.4f} (the mean scores {metrics['baseline']:.3f})"

    def checkpoint(self, model: AcousticModel, config: AcousticRun, features: FeatureSet, lineage: dict) -> Checkpoint:
        return self.kind({name: weight.detach().cpu().clone() for name, weight in self.stored(model).items()},
                         self.sizes(config, features), config.phase.name, features.contract, features.symbols,
                         features.statistics, front_end_facts(config.data), lineage)

    def stored(self, model: AcousticModel) -> dict[str, Tensor]:
        """The weights that speaking needs."""
        return model.state_dict()

    def check_speaks(self, config: AcousticRun) -> None:
        """Griffin-Lim is always there."""

    def samples(self, fabric: "Fabric", model: AcousticModel, config: AcousticRun, features: FeatureSet, numbers: Sequence[int],
                folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
        """Pictures are of mel and alignment, beside the recording's."""
        vocoder, rate = vocoder_for(features.contract), features.contract.sample_rate
        sounds, pictures = {}, {}
        for number in numbers:
            check()
            utterance, tokens = features.utterance(number), features.token_ids(number)
            mels, durations = speak(fabric, model, features, number, **self.manner(model, len(tokens), features.contract.bins))
            name = utterance["id"].replace("/", "_")
            if not mels.isfinite().all():
                raise UserError(f"what the model says of {name} is infinite or not numbers: the run has diverged; try a "
                                "smaller phase.lr")
            samples = vocoder(features.statistics.restore(mels).numpy())
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

    def manner(self, model: AcousticModel, tokens: int, bins: int) -> dict[str, Any]:
        """What a model's ``speak`` is told for `samples`: what a voice is told where nothing else is said."""
        if model.prosody is None:
            return {}
        controls = plain_controls(torch.zeros(tokens))
        controls.temperature += TEMPERATURE
        controls.noise = torch.from_numpy(shared_noise(tokens, (0, 0)))
        return {"controls": controls}

    def publish(self, checkpoint: Checkpoint, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
                weights: str = "") -> str:
        raise UserError(f"out={out}: model={self.name} is exported as ONNX; name a file that ends in .onnx")


@torch.no_grad()
def recorded_durations(fabric: "Fabric", model: AcousticModel, features: FeatureSet, number: int) -> Tensor:
    """(tokens,) frames of each token in an utterance's recording, by the model's alignment."""
    batch = collate(features, [number]).to(fabric.device)
    with fabric.autocast():
        prediction = model(*batch.inputs())
    return prediction.durations.cpu()


def weights_hash(parts: Mapping[str, nn.Module]) -> str:
    """SHA-256 of all weights of some modules."""
    return weights_digest({f"{name}.{key}": weight for name, part in parts.items()
                           for key, weight in part.state_dict().items()})
