"""``model=fase4`` as the commands know it: mels from phonemes, by `Fase4`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chatterbox_es.config import Fase4Run
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.models.acoustic.recipe import AcousticRecipe
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.fase4.initialisation import build_model, sizes_of, start_model
from chatterbox_es.models.fase4.network import Fase4

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without


class Fase4Recipe(AcousticRecipe):
    """See `models.recipe.Recipe`."""

    name, kind, frozen_in_4_2 = Checkpoint.family, Checkpoint, "mel_decoder"

    def start(self, config: Fase4Run, features: FeatureSet, fabric: "Fabric") -> tuple[Fase4, dict]:
        return start_model(config, features)

    def build(self, config: Fase4Run, features: FeatureSet, fabric: "Fabric") -> Fase4:
        return build_model(config, features)

    def sizes(self, config: Fase4Run, features: FeatureSet) -> dict[str, Any]:
        return sizes_of(config, features)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        return super().metrics(parts, norms) | {"grad_norm_vocoder": norms["mel_decoder"]}
