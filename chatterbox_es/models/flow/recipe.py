"""``model=flow`` as the commands know it: mels from phonemes, by `Flow`."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch

from chatterbox_es.config import AcousticRun, FlowRun
from chatterbox_es.dataset.feature_set import FeatureSet, Statistics
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.initialisation import build_network, fitting_weights, load_weights, model_arguments
from chatterbox_es.models.acoustic.network import AcousticModel
from chatterbox_es.models.acoustic.recipe import AcousticRecipe
from chatterbox_es.models.acoustic.validation import FLOW
from chatterbox_es.models.checkpoints import check_contract
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.flow_decoder import TAU, Draw, flow_noise
from chatterbox_es.models.flow.network import Flow
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.weights import weights_digest
from chatterbox_es.runs.checkpoint_files import BASE, final_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

log = logging.getLogger(__name__)


class FlowRecipe(AcousticRecipe):
    """See `models.recipe.Recipe`. Phase 4_2 trains all but the flow; 4_3 goes on with all of it, the flow too."""

    name, kind, frozen_in_4_2 = Checkpoint.family, Checkpoint, "flow_decoder"
    absolute = True
    from_base = False  # whether a run begins as the voice that comes along

    @classmethod
    def of(cls, config: AcousticRun, load: Callable[[Path], Any]) -> Self:
        recipe = super().of(config, load)
        recipe.from_base = config.train.finetune == BASE
        if config.phase.trains == "full_model":
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
        model, finetune = self.build(config, features, fabric), bool(config.train.finetune)
        if not finetune and not config.phase.encoder_from:
            return model, {}
        path = (final_checkpoint(Path(cast(str, config.train.finetune))) if finetune
                else encoder_checkpoint(config, features, "model", f"model={self.name} "))
        parent = Checkpoint.load(path)
        load_weights(model, fitting_weights(parent, model, features, str(path), finetune), str(path))
        log.info("weights from %s", path)
        return model, {"finetuned_from" if finetune else "encoder_from": str(path), "of": parent.lineage}

    def build(self, config: FlowRun, features: FeatureSet, fabric: "Fabric") -> Flow:
        return cast(Flow, build_network(Flow, self.sizes(config, features), features))

    def sizes(self, config: FlowRun, features: FeatureSet) -> dict[str, Any]:
        return model_arguments(config, features)

    def manner(self, model: Any, tokens: int, bins: int) -> dict[str, Any]:
        flows = model.flow_decoder.output.weight.requires_grad
        draw = {"draw": Draw(torch.tensor(TAU), torch.from_numpy(flow_noise(bins, (0, 0, 1))))} if flows else {}
        return super().manner(model, tokens, bins) | draw

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        return super().metrics(parts, norms) | {"grad_norm_vocoder": norms["mel_decoder"],
                                                "grad_norm_flow": norms["flow_decoder"]}
