"""``model=flow`` as the commands know it: mels from phonemes, by `Flow`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch

from chatterbox_es.config import AcousticRun, FlowRun
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.acoustic.initialisation import build_network, fitting_weights, load_weights, model_arguments
from chatterbox_es.models.acoustic.recipe import AcousticRecipe
from chatterbox_es.models.acoustic.validation import FLOW
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.flow_decoder import TAU, Draw, flow_noise
from chatterbox_es.models.flow.network import Flow
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

log = logging.getLogger(__name__)


class FlowRecipe(AcousticRecipe):
    """See `models.recipe.Recipe`. Phase 4_2 trains all but the flow; 4_3 goes on with all of it, the flow too."""

    name, kind, frozen_in_4_2 = Checkpoint.family, Checkpoint, "flow_decoder"
    absolute = True

    @classmethod
    def of(cls, config: AcousticRun, load: Callable[[Path], Any]) -> Self:
        recipe = super().of(config, load)
        if config.phase.trains == "full_model":
            recipe.validation_metrics = (*recipe.validation_metrics, FLOW)
            recipe.ends_with = "mean"  # ``val_loss`` is the prior's, and the flow goes on learning when that is learnt
        return recipe

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
