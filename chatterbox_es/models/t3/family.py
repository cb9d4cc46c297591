"""``model=chatterbox`` as the commands know it: speech tokens from letters, by `T3`, started from published weights."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from chatterbox_es.audio.waveform import AudioError, normalise_loudness, trim_silence
from chatterbox_es.config import ChatterboxConfig, Config
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.feature_set import CARD, FeatureSet
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import require_gpu
from chatterbox_es.models.checkpoints import load_checkpoint
from chatterbox_es.models.family import Frozen
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.t3.batches import T3Batch, collate
from chatterbox_es.models.t3.checkpoint import Base, T3Checkpoint, extend_to, load_trained, trained_weights
from chatterbox_es.models.t3.codec import REFERENCE_SECONDS, TokenVocoder
from chatterbox_es.models.t3.cost import sequence_flops
from chatterbox_es.models.t3.lora import LoraOptions, adapted
from chatterbox_es.models.t3.loss import LossWeights, T3Losses, losses_of
from chatterbox_es.models.t3.memory import plan_memory
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, frozen_digest, parameter_groups, set_phase
from chatterbox_es.models.t3.preparation import prepare_tokens, weights_folder
from chatterbox_es.models.t3.prompts import unheard
from chatterbox_es.models.t3.samples import load_vocoder, save_samples
from chatterbox_es.models.t3.token_set import TokenSet
from chatterbox_es.models.t3.validation import spoken_of, utterance_values
from chatterbox_es.models.t3.weights import fingerprint, load_t3
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.weights import front_end_facts
from chatterbox_es.runs.checkpoint_files import final_checkpoint

log = logging.getLogger(__name__)
FROZEN_TYPES = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}
REFERENCES = 40  # speakers whose voices a checkpoint holds
REFERENCE_CODES = 200  # 8 s: the clip of about that length is a speaker's reference


class TokenFamily:
    """See `models.family.Family`. One object serves one run."""

    name = "chatterbox"

    def __init__(self) -> None:
        self._texts: Callable[[Step], int] = lambda step: 1
        self._weights, self._options = LossWeights(), LoraOptions()
        self._checkpointing, self._trains = True, FULL_MODEL
        self._references: dict[str, Tensor] | None = None
        self._vocoder: TokenVocoder | None = None

    def prepare(self, config: Config) -> TokenSet:
        check(config)  # what is wrong is said before the work begins
        return prepare_tokens(prepare(config), config)

    def find(self, folder: Path, content: str) -> TokenSet | None:
        """The set with that content hash among those prepared in a folder."""
        for card in sorted(folder.glob(f"*/tokens-*/{CARD}")):
            if json.loads(card.read_text(encoding="utf-8")).get("content") == content:
                return TokenSet(FeatureSet(card.parent.parent), card.parent)
        return None

    def start(self, config: Config, features: TokenSet, fabric: Fabric) -> tuple[T3, dict]:
        """
        Raises:
            UserError: weights that are missing, or do not fit; a run to start from that is not there.
        """
        if config.train.finetune:
            path, key = final_checkpoint(Path(config.train.finetune)), "finetuned_from"
        elif config.phase.encoder_from:
            path, key = encoder_checkpoint(config, features), "encoder_from"
        else:
            return self.build(config, features, fabric), {}
        parent = load_checkpoint(path)
        if not isinstance(parent, T3Checkpoint):
            raise UserError(f"{path} is no checkpoint of model=chatterbox")
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
            model = parent.build()
            self._make_ready(model, config, fabric)
            return model, lineage
        if parent.lora is None:
            raise UserError(f"{path} holds all of T3, and this phase trains adapters on published weights: export it (python "
                            f"-m chatterbox_es.export run={path} out=DIR) and start from that: model.weights=DIR")
        model = self.build(config, features, fabric)
        load_trained(model, parent.weights)
        return model, lineage

    def build(self, config: Config, features: TokenSet, fabric: Fabric) -> T3:
        weights = weights_folder(config.model)
        model = load_t3(weights.t3)
        extend_to(model, features.vocabulary(), features.told["tags"], weights)
        self._make_ready(model, config, fabric)
        return model

    def _make_ready(self, model: T3, config: Config, fabric: Fabric) -> None:
        """Adapters, what is frozen and in which type, dropout, and what saves memory."""
        chosen = config.model
        model.train()
        model.starts = chosen.starts
        model.cond_enc.perceiver.attn.dropout = chosen.perceiver_dropout
        self._options = lora_options(chosen)
        self._weights, self._trains = LossWeights(text=chosen.text_weight), config.phase.trains
        set_phase(model, config.phase.trains, self._options, frozen_type(fabric))
        self._checkpointing = chosen.checkpointing
        if chosen.checkpointing:
            model.save_memory()

    def freeze(self, model: T3, config: Config) -> Frozen:
        frozen = [name for name, weight in model.named_parameters() if not weight.requires_grad]
        parts = ["all of T3 but the text embedding and the adapters"] if config.phase.trains == TEXT_AND_LORA else frozen
        return Frozen(parts, lambda: frozen_digest(model))

    def batches(self, config: Config, features: TokenSet, budget: Budget, rates: np.ndarray | None) -> Batches:
        phase, seed, share = config.phase, config.train.seed, config.model.unheard
        prompts, ids = features.prompts(seed), features.places["ids"]
        if alone := len(prompts.without(features.train)):
            log.info("%d of %d utterances have no other clip of their speaker of a second or more, and are trained without a "
                     "prompt", alone, len(features.train))

        def read(features: TokenSet, numbers: list[int], epoch: int) -> T3Batch:
            batch = collate([spoken_of(features, number, prompts.choose(number, epoch), unheard(seed, epoch, number, share))
                             for number in numbers], config.model.starts)
            batch.utterances = numbers
            return batch

        self._texts = lambda step: sum(int(ids[number]) - 1 for number in step.utterances
                                       if not unheard(seed, step.epoch, number, share))
        return Batches(features, features.train, phase.batch_size, seed, read, phase.batch_frames,
                       budget, rates, features.lengths())

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
            found = losses_of(model, micro_batch, step.frames + len(step.utterances), self._texts(step), len(step.utterances))
        return WeightedLosses(found, self._weights)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        speech, text, accuracy, ends = parts
        of_text = {"text_emb", "text_pos_emb", "text_head"}
        return {"train_loss": speech, "train_text_loss": text, "train_token_accuracy": accuracy, "train_end_accuracy": ends,
                "grad_norm_text": math.hypot(*(norm for name, norm in norms.items() if name in of_text)),
                "grad_norm_speech": math.hypot(*(norm for name, norm in norms.items() if name not in of_text))}

    def flops(self, model: T3, step: Step) -> float:
        count = len(step.utterances)
        return count * sequence_flops(model.size, self._trains, step.frames / count, step.tokens / count, self._options.rank,
                                      self._checkpointing)

    def products(self, model: T3, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        """Those of the Llama, adapters left out; every one sees all positions."""
        beneath = {id(layer.get_base_layer()): layer.get_base_layer() for _, layer in adapted(model.tfmr)}
        layers = beneath or {id(part): part for part in model.tfmr.modules() if isinstance(part, nn.Linear)}
        return [(layer, tokens + frames) for layer in layers.values()]

    def plan(self, fabric: Fabric, model: T3, batches: Batches, config: Config) -> Plan:
        return plan_memory(fabric, model, batches, config, self._options)

    def values(self, fabric: Fabric, model: T3, features: TokenSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        return utterance_values(fabric, model, features, numbers, getattr(model, "starts", 2), check)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return (f"with another utterance's text {metrics['val_loss_other_text']:.4f}, {1 - metrics['val_token_error']:.1%} of "
                f"the tokens right (guessing by frequency scores {metrics['baseline']:.3f})")

    def checkpoint(self, model: T3, config: Config, features: TokenSet, lineage: dict) -> T3Checkpoint:
        weights = weights_folder(config.model)
        adapters = config.phase.trains == TEXT_AND_LORA
        kept = trained_weights(model) if adapters else model.state_dict()
        if self._references is None:
            self._references = references(features)
        return T3Checkpoint(
            {name: weight.detach().cpu().clone() for name, weight in kept.items()}, model.sizes(),
            lora_arguments(config.model) if adapters else None, Base.of(weights, config.model.codec), features.vocabulary(),
            features.told["tags"], config.model.starts, config.phase.name,
            front_end_facts(config.data), self._references, lineage)

    def samples(self, fabric: Fabric, model: T3, config: Config, features: TokenSet, numbers: Sequence[int], folder: Path,
                title: str, check: Callable[[], None]) -> tuple[dict, dict]:
        if not numbers:
            return {}, {}
        # Loaded once and kept in the host's memory: a gigabyte is not read at each validation.
        self._vocoder = self._vocoder or load_vocoder(config)
        if self._vocoder is None:
            return {}, {}
        return save_samples(fabric, model, self._vocoder, config, features, numbers, folder, title, check)


class WeightedLosses:
    """T3's losses, and what each counts."""

    def __init__(self, losses: T3Losses, weights: LossWeights):
        self.losses, self.weights = losses, weights

    def total(self) -> Tensor:
        return self.losses.total(self.weights)

    def parts(self) -> Tensor:
        return self.losses.parts()


def check(config: Config) -> None:
    """
    Raises:
        UserError: weights that are not there, a GPU that is not, numbers that make no sense.
    """
    model = config.model
    weights_folder(model)
    if config.hw.accelerator == "cuda":
        require_gpu(config.hw)
    if model.starts < 1:
        raise UserError(f"model.starts={model.starts}: must be 1 or more")
    if not 0 <= model.unheard < 1:
        raise UserError(f"model.unheard={model.unheard:g}: a share of the utterances, from 0 to below 1")


def lora_arguments(model: ChatterboxConfig) -> dict[str, Any]:
    """Arguments of `LoraOptions`, as a checkpoint keeps them."""
    return {"rank": model.rank, "alpha": model.alpha, "dropout": model.lora_dropout, "targets": list(model.lora_targets)}


def lora_options(model: ChatterboxConfig) -> LoraOptions:
    """What the configuration says of the adapters."""
    return LoraOptions(model.rank, model.alpha, model.lora_dropout, tuple(model.lora_targets))


def frozen_type(fabric: Fabric) -> torch.dtype:
    """What frozen weights are kept in: the type that is computed in."""
    return FROZEN_TYPES.get(fabric._precision.precision, torch.float32)


def treated(samples: np.ndarray, rate: int) -> np.ndarray:
    """The first 10 s of a recording's speech, as loud as what was trained on."""
    return normalise_loudness(trim_silence(samples, rate).samples, rate)[:REFERENCE_SECONDS * rate]


def references(features: TokenSet) -> dict[str, Tensor]:
    """Of the speakers with the most recordings, one of about 8 s each: int16 samples at 24 kHz, at most 10 s, by name."""
    speakers, codes = features.index["speaker"], features.places["codes"]
    counts = np.bincount(speakers[features.train], minlength=len(features.names("speaker")))
    found = {}
    for speaker in np.argsort(-counts, kind="stable")[:REFERENCES].tolist():
        for side in (features.train, features.validation):
            clips = side[speakers[side] == speaker]
            if len(clips):
                clip = int(clips[np.argmin(np.abs(codes[clips].astype(int) - REFERENCE_CODES))])
                try:
                    samples = treated(features.recording(clip), features.contract.sample_rate)
                except AudioError:  # it came inside a data set, which keeps only those held out
                    continue
                found[features.names("speaker")[speaker]] = torch.from_numpy((np.clip(samples, -1, 1) * 32767).astype(np.int16))
                break
    return found
