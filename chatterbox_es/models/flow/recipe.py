"""``model=flow`` as the commands know it: mels from phonemes, by `Flow`."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn

from chatterbox_es.config import AcousticRun, FlowRun
from chatterbox_es.dataset.batches import Step
from chatterbox_es.dataset.feature_set import FeatureSet, Statistics
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.initialisation import build_network, fitting_weights, load_weights, model_arguments
from chatterbox_es.models.acoustic.loss import Losses, losses_of
from chatterbox_es.models.acoustic.network import AcousticModel, Prediction
from chatterbox_es.models.acoustic.recipe import AcousticRecipe
from chatterbox_es.models.acoustic.validation import FLOW
from chatterbox_es.models.checkpoints import check_contract
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.flow_decoder import TAU, Draw, flow_noise
from chatterbox_es.models.flow.loss import AdversarialWeights, ContestedLosses
from chatterbox_es.models.flow.mel_discriminator import Contest, MelDiscriminator
from chatterbox_es.models.flow.network import Flow
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.weights import weights_digest
from chatterbox_es.runs.checkpoint_files import BASE, final_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

log = logging.getLogger(__name__)
DISCRIMINATOR = "discriminator"  # the child of a model that is trained against one
TRAINED_BY = ("flow_share", "adversarial_from", "adversarial_weight", "feature_weight", "discriminator_width")  # are no sizes


class FlowRecipe(AcousticRecipe):
    """See `models.recipe.Recipe`. Phase 4_2 trains all but the flow; 4_3 goes on with all of it, the flow too."""

    name, kind, frozen_in_4_2 = Checkpoint.family, Checkpoint, "flow_decoder"
    absolute = True
    from_base = False  # whether a run begins as the voice that comes along
    flow_share = 1.0
    adversarial_from = 1.0  # share of the run
    adversarial_weights: AdversarialWeights | None = None  # of a run with a discriminator

    @classmethod
    def of(cls, config: AcousticRun, load: Callable[[Path], Any]) -> Self:
        recipe = super().of(config, load)
        recipe.from_base = config.train.finetune == BASE
        if config.phase.trains == "full_model":
            model = cast(FlowRun, config).model
            recipe.flow_share, recipe.adversarial_from = model.flow_share, model.adversarial_from
            if recipe.adversarial_from < 1:
                recipe.adversarial_weights = AdversarialWeights(model.adversarial_weight, model.feature_weight)
            recipe.validation_metrics = (*recipe.validation_metrics, FLOW)
            recipe.ends_with = "mean"  # ``val_loss`` is the prior's, and the flow goes on learning when that is learnt
        return recipe

    def prepare(self, config: AcousticRun) -> FeatureSet:
        return self.in_its_units(super().prepare(config))

    def find(self, folder: Path, content: str) -> FeatureSet | None:
        found = super().find(folder, content)
        return found and self.in_its_units(found)

    def in_its_units(self, features: FeatureSet) -> FeatureSet:
        """A set as this run's model is given it. One that begins as the base voice keeps the base's mel statistics: minutes of
        a new voice say less of them, and losses, noise and tau go on meaning what they did.

        Raises:
            UserError: there is no base voice, or its mels have another contract.
        """
        if self.from_base:
            contract, statistics = self.base_units
            check_contract(contract, features.contract, "the base voice", str(features.folder))
            features.standardise_by(statistics)
        return features

    @functools.cached_property
    def base_units(self) -> tuple[MelContract, Statistics]:
        """The base voice's, read once: its weights take a moment, and are not kept.

        Raises:
            UserError: there is no base voice, or it is damaged.
        """
        base = Checkpoint.load(final_checkpoint(Path(BASE)))
        return base.contract, base.statistics

    def freeze(self, model: AcousticModel, config: AcousticRun, fabric: "Fabric | None" = None) -> Frozen:
        frozen = super().freeze(model, config, fabric)
        if not self.from_base:
            return frozen
        kept = weights_digest(vars(self.base_units[1]))  # a resumed run would not go on by those of another base
        return Frozen([*frozen.parts, "mel statistics"], lambda: f"{frozen.digest()} {kept}")

    def start(self, config: FlowRun, features: FeatureSet, fabric: "Fabric") -> tuple[Flow, dict]:
        """
        Raises:
            UserError: the run to start from is not there, or of other sizes, symbols or mels.
        """
        model, finetune = build_network(Flow, self.sizes(config, features), features), bool(config.train.finetune)
        if not finetune and not config.phase.encoder_from:
            return self.against(model, config), {}
        path = (final_checkpoint(Path(cast(str, config.train.finetune))) if finetune
                else encoder_checkpoint(config, features, "model", f"model={self.name} "))
        parent = Checkpoint.load(path)
        load_weights(model, fitting_weights(parent, model, features, str(path), finetune), str(path))
        log.info("weights from %s", path)
        return self.against(model, config), {"finetuned_from" if finetune else "encoder_from": str(path), "of": parent.lineage}

    def build(self, config: FlowRun, features: FeatureSet, fabric: "Fabric") -> Flow:
        return self.against(build_network(Flow, self.sizes(config, features), features), config)

    def against(self, model: AcousticModel, config: FlowRun) -> Flow:
        """A model with what it is trained against."""
        flow = cast(Flow, model)
        if self.adversarial_weights is not None:
            flow.discriminator = MelDiscriminator(flow.mel_decoder.output.out_features, config.model.discriminator_width)
        return flow

    def sizes(self, config: FlowRun, features: FeatureSet) -> dict[str, Any]:
        return model_arguments(config, features, TRAINED_BY)

    def stored(self, model: AcousticModel) -> dict[str, Tensor]:
        return {name: weight for name, weight in super().stored(model).items() if not name.startswith(DISCRIMINATOR)}

    def apart(self, model: AcousticModel) -> dict[str, nn.Module]:
        judge = cast(Flow, model).discriminator
        return super().apart(model) | ({DISCRIMINATOR: judge} if judge is not None else {})

    def losses(self, fabric: "Fabric", model: nn.Module, micro_batch: Batch, step: Step) -> Losses | ContestedLosses:
        prediction = model(*micro_batch.inputs(), flow_share=self.flow_share, contested=step.share >= self.adversarial_from)
        losses = losses_of(prediction, micro_batch.mels, step.tokens, step.frames, self.absolute)
        return self.contested(losses, prediction, len(micro_batch.mels) / step.frames)

    def minimised(self, model: nn.Module, batch: Batch) -> Tensor:
        prediction = model(*batch.inputs(), flow_share=self.flow_share, contested=True)
        return self.contested(losses_of(prediction, batch.mels, absolute=self.absolute), prediction, 1.0).total()

    def contested(self, losses: Losses, prediction: Prediction, share: float) -> Losses | ContestedLosses:
        """A micro-batch's losses, which is a ``share`` of its batch, with those of the contest in a run that has one."""
        if self.adversarial_weights is None:
            return losses
        contest = Contest(*(prediction.contest or losses.frame.new_zeros(3).unbind()))
        return ContestedLosses(losses, contest, self.adversarial_weights, share)

    def manner(self, model: Any, tokens: int, bins: int) -> dict[str, Any]:
        flows = model.flow_decoder.output.weight.requires_grad
        draw = {"draw": Draw(torch.tensor(TAU), torch.from_numpy(flow_noise(bins, (0, 0, 1))))} if flows else {}
        return super().manner(model, tokens, bins) | draw

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        told = {"grad_norm_vocoder": norms["mel_decoder"], "grad_norm_flow": norms["flow_decoder"]}
        if self.adversarial_weights is not None:
            *parts, adversarial, distance, discriminator = parts
            told |= {"train_adversarial_loss": adversarial, "train_features_loss": distance,
                     "train_discriminator_loss": discriminator, "grad_norm_discriminator": norms[DISCRIMINATOR]}
        return super().metrics(parts, norms) | told
