"""``model=chatterbox`` as the commands know it: speech tokens from letters, by `T3`, started from published weights."""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from chatterbox_es.config import ChatterboxConfig, ChatterboxRun
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.feature_set import CARD, FeatureSet, read_card
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import require_gpu
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.t3.batches import T3Batch, collate
from chatterbox_es.models.t3.checkpoint import Base, T3Checkpoint, extend_to, load_trained, trained_weights
from chatterbox_es.models.t3.codec import trusted_codec
from chatterbox_es.models.t3.cost import sequence_flops
from chatterbox_es.models.t3.lora import LoraOptions, adapted, beneath
from chatterbox_es.models.t3.loss import LossWeights, T3Losses, losses_of
from chatterbox_es.models.t3.memory import plan_memory
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, add_adapters, freeze, frozen_digest, parameter_groups
from chatterbox_es.models.t3.preparation import prepare_tokens, weights_folder
from chatterbox_es.models.t3.prompts import drops_text
from chatterbox_es.models.t3.published import publish
from chatterbox_es.models.t3.samples import load_vocoder, save_samples, vocoder_of
from chatterbox_es.models.t3.token_set import TokenSet
from chatterbox_es.models.t3.validation import METRICS, spoken_of, utterance_values
from chatterbox_es.models.t3.weights import fingerprint, load_t3
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.weights import front_end_facts
from chatterbox_es.runs.checkpoint_files import final_checkpoint

log = logging.getLogger(__name__)
FROZEN_TYPES = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclasses.dataclass(frozen=True)
class T3Recipe:
    """See `models.recipe.Recipe`."""

    trains: str = FULL_MODEL
    adapters: LoraOptions = LoraOptions()
    loss_weights: LossWeights = LossWeights()
    checkpointing: bool = True  # layers are computed again in the backward pass

    name, output = T3Checkpoint.family, T3Checkpoint.output
    ends_with: Literal["best", "last", "mean"] = "best"
    validation_metrics = METRICS

    @classmethod
    def of(cls, config: ChatterboxRun, load: Callable[[Path], Any]) -> "T3Recipe":
        """That of a run."""
        model = config.model
        return cls(config.phase.trains, lora_options(model), LossWeights(text=model.text_weight),
                   model.checkpointing)

    def prepare(self, config: ChatterboxRun) -> TokenSet:
        check(config)  # what is wrong is said before the work begins
        return prepare_tokens(prepare(config), config)

    def prepare_again(self, config: ChatterboxRun, codec: str, named_by: str) -> TokenSet:
        config.model.codec = trusted_codec(config.model.codec, codec, named_by)
        return self.prepare(config)

    def find(self, folder: Path, content: str) -> TokenSet | None:
        """The set with that content hash among those prepared in a folder."""
        for card in sorted(folder.glob(f"*/tokens-*/{CARD}")):
            if read_card(card).get("content") == content:
                return TokenSet(FeatureSet(card.parent.parent), card.parent)
        return None

    def start(self, config: ChatterboxRun, features: TokenSet, fabric: Fabric) -> tuple[T3, dict]:
        """
        Raises:
            UserError: weights that are missing, or do not fit; a run to start from that is not there.
        """
        if config.train.finetune:
            path, key = final_checkpoint(Path(config.train.finetune)), "finetuned_from"
        elif config.phase.encoder_from:
            path = encoder_checkpoint(config, features, "weights", f"model={self.name} model.weights={config.model.weights} ")
            key = "encoder_from"
        else:
            return self.build(config, features, fabric), {}
        parent = T3Checkpoint.load(path)
        parent.check_fits(features, str(path))
        weights = weights_folder(config.model)
        if fingerprint(weights.t3) != parent.base.fingerprint:
            raise UserError(f"{path} was trained from {parent.base.t3} in {parent.base.folder}, and model.weights="
                            f"{weights.folder} holds another T3 ({weights.t3.name}); name the one it was trained from, or a "
                            "run of this one: train.encoder=RUN, train.finetune=RUN")
        parent.base.folder = str(weights.folder)
        lineage = {key: str(path), "of": parent.lineage}
        log.info("weights from %s", path)
        if config.phase.trains == FULL_MODEL:
            return self._ready(parent.build(), config), lineage
        if parent.lora is None:
            raise UserError(f"{path} holds all of T3, and this phase trains adapters on published weights: export it (python "
                            f"-m chatterbox_es.export run={path} out=DIR) and start from that: model.weights=DIR")
        model = self.build(config, features, fabric)
        load_trained(model, parent.weights)
        return model, lineage

    def build(self, config: ChatterboxRun, features: TokenSet, fabric: Fabric) -> T3:
        weights = weights_folder(config.model)
        model = load_t3(weights.t3)
        extend_to(model, features.vocabulary(), features.token_card["tags"], weights)
        return self._ready(model, config)

    def _ready(self, model: T3, config: ChatterboxRun) -> T3:
        """With adapters where the phase trains them, dropout, and what saves memory."""
        chosen = config.model
        model.train()
        model.start_tokens = chosen.start_tokens
        model.cond_enc.perceiver.attn.dropout = chosen.perceiver_dropout
        add_adapters(model, self.trains, self.adapters)
        if self.checkpointing:
            model.save_memory()
        return model

    def freeze(self, model: T3, config: ChatterboxRun, fabric: Fabric | None = None) -> Frozen:
        """Frozen weights are kept in the type that ``fabric`` computes in."""
        freeze(model, config.phase.trains, frozen_type(fabric) if fabric else torch.float32)
        frozen = [name for name, weight in model.named_parameters() if not weight.requires_grad]
        parts = ["all of T3 but the text embedding and the adapters"] if config.phase.trains == TEXT_AND_LORA else frozen
        return Frozen(parts, lambda: frozen_digest(model))

    def batches(self, config: ChatterboxRun, features: TokenSet, budget: Budget, rates: np.ndarray | None) -> Batches:
        phase, seed, share = config.phase, config.train.seed, config.model.text_drop_prob
        prompts, ids = features.prompts(seed), features.places["ids"]
        if alone := len(prompts.without(features.train)):
            log.info("%d of %d utterances have no other clip of their speaker of a second or more, and are trained without a "
                     "prompt", alone, len(features.train))

        def read(_: FeatureSet, numbers: list[int], epoch: int) -> T3Batch:
            batch = collate([spoken_of(features, number, prompts.choose(number, epoch), drops_text(seed, epoch, number, share))
                             for number in numbers], config.model.start_tokens)
            batch.utterances = numbers
            return batch

        def text_targets(batch: list[int], epoch: int) -> int:
            return sum(int(ids[number]) - 1 for number in batch if not drops_text(seed, epoch, number, share))

        return Batches(features, features.train, phase.batch_size, seed, read, phase.batch_frames,
                       budget, rates, features.lengths(), text_targets)

    def compile(self, model: T3) -> None:
        for layer in model.tfmr.layers:
            layer.compile(dynamic=True)

    def weights(self, model: T3) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in trained_weights(model).items()}

    def restore(self, model: T3, weights: dict[str, Tensor]) -> None:
        load_trained(model, weights)

    def parameter_groups(self, model: T3) -> list[dict[str, Any]]:
        return parameter_groups(model)

    def losses(self, fabric: Fabric, model: nn.Module, micro_batch: T3Batch, step: Step) -> "WeightedLosses":
        with fabric.autocast():
            found = losses_of(model, micro_batch, step.frames + len(step.utterances), step.text_targets, len(step.utterances))
        return WeightedLosses(found, self.loss_weights)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        speech, text, accuracy, ends = parts
        of_text = {"text_emb", "text_pos_emb", "text_head"}
        return {"train_loss": speech, "train_text_loss": text, "train_token_accuracy": accuracy, "train_end_accuracy": ends,
                "grad_norm_text": math.hypot(*(norm for name, norm in norms.items() if name in of_text)),
                "grad_norm_speech": math.hypot(*(norm for name, norm in norms.items() if name not in of_text))}

    def flops(self, model: T3, step: Step) -> float:
        count = len(step.utterances)
        return count * sequence_flops(model.size, self.trains, step.frames / count, step.tokens / count, self.adapters.rank,
                                      self.checkpointing)

    def products(self, model: T3, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        """Those of the Llama, adapters left out; every one sees all positions."""
        layers = [beneath(layer) for _, layer in adapted(model.tfmr)]
        return [(layer, tokens + frames)
                for layer in layers or [part for part in model.tfmr.modules() if isinstance(part, nn.Linear)]]

    def plan(self, fabric: Fabric, model: T3, batches: Batches, config: ChatterboxRun) -> Plan:
        return plan_memory(fabric, model, batches, config, self.adapters)

    def values(self, fabric: Fabric, model: T3, features: TokenSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        return utterance_values(fabric, model, features, numbers, model.start_tokens, check)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return (f"with another utterance's text {metrics['val_loss_other_text']:.4f}, {1 - metrics['val_token_error']:.1%} of "
                f"the tokens right (guessing by frequency scores {metrics['baseline']:.3f})")

    def checkpoint(self, model: T3, config: ChatterboxRun, features: TokenSet, lineage: dict) -> T3Checkpoint:
        weights = weights_folder(config.model)
        adapters = config.phase.trains == TEXT_AND_LORA
        kept = trained_weights(model) if adapters else model.state_dict()
        return T3Checkpoint(
            {name: weight.detach().cpu().clone() for name, weight in kept.items()}, model.sizes(),
            lora_arguments(config.model) if adapters else None, Base.of(weights, config.model.codec), features.vocabulary(),
            features.token_card["tags"], config.model.start_tokens, config.phase.name,
            front_end_facts(config.data), features.references, lineage)

    def check_speaks(self, config: ChatterboxRun) -> None:
        vocoder_of(config)

    def samples(self, fabric: Fabric, model: T3, config: ChatterboxRun, features: TokenSet, numbers: Sequence[int],
                folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
        if not numbers:
            return {}, {}
        vocoder = load_vocoder(config)
        return save_samples(fabric, model, vocoder, config, features, numbers, folder, title, check) if vocoder else ({}, {})

    def publish(self, checkpoint: T3Checkpoint, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
                weights: str = "") -> str:
        return publish(checkpoint, out, adapters, half, trim, weights)


class WeightedLosses:
    """T3's losses, and what each counts."""

    def __init__(self, losses: T3Losses, weights: LossWeights):
        self.losses, self.weights = losses, weights

    def total(self) -> Tensor:
        return self.losses.total(self.weights)

    def parts(self) -> Tensor:
        return self.losses.parts()


def check(config: ChatterboxRun) -> None:
    """
    Raises:
        UserError: weights that are not there, a GPU that is not, numbers that make no sense.
    """
    model = config.model
    weights_folder(model)
    if config.hw.accelerator == "cuda":
        require_gpu(config.hw)


def lora_arguments(model: ChatterboxConfig) -> dict[str, Any]:
    """Arguments of `LoraOptions`, as a checkpoint keeps them."""
    return {"rank": model.rank, "alpha": model.alpha, "dropout": model.lora_dropout, "targets": list(model.lora_targets)}


def lora_options(model: ChatterboxConfig) -> LoraOptions:
    """What the configuration says of the adapters."""
    return LoraOptions(model.rank, model.alpha, model.lora_dropout, tuple(model.lora_targets))


def frozen_type(fabric: Fabric) -> torch.dtype:
    """What frozen weights are kept in: the type that is computed in."""
    return FROZEN_TYPES.get(fabric._precision.precision, torch.float32)
