"""``model=vocoder`` as the commands know it: waveforms from mels, by `Vocoder`."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from omegaconf import OmegaConf
from torch import Tensor, nn

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.config import VocoderRun
from chatterbox_es.dataset.batches import Batches, Budget, Step
from chatterbox_es.dataset.feature_set import CARD, FeatureSet, read_card
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.checkpoints import read_stored
from chatterbox_es.models.plan import Plan
from chatterbox_es.models.recipe import Frozen
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.vocoder.adversarial import AdversarialVocoder
from chatterbox_es.models.vocoder.batches import Batch, OwnMels, collate
from chatterbox_es.models.vocoder.checkpoint import BASE, Checkpoint
from chatterbox_es.models.vocoder.discriminators import Discriminators
from chatterbox_es.models.vocoder.loss import Losses, LossWeights
from chatterbox_es.models.vocoder.memory import plan_memory
from chatterbox_es.models.vocoder.network import Vocoder
from chatterbox_es.models.vocoder.sound_set import SoundSet
from chatterbox_es.models.vocoder.validation import METRICS, utterance_values, vocoded
from chatterbox_es.models.weights import front_end_facts
from chatterbox_es.runs.checkpoint_files import BASE as BASE_RUN
from chatterbox_es.runs.checkpoint_files import final_checkpoint, is_base, voice_file
from chatterbox_es.runs.plots import draw_mels

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

log = logging.getLogger(__name__)
SIZES = ("n_fft", "upsampling", "width", "slow_blocks", "blocks", "expansion", "pitch_width", "pitch_blocks")
NO_TOKENS = np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True)
class VocoderRecipe:
    """See `models.recipe.Recipe`. What the commands train is an `AdversarialVocoder`; what they store is its vocoder."""

    weights_of_losses: LossWeights = LossWeights()
    adversarial_from: float = 1.0  # share of the run
    load_voice: Callable[[Path], Any] = Checkpoint.load  # a `StoredModel` of any model from its file

    name, output = Checkpoint.family, Checkpoint.output
    ends_with: Literal["best", "last", "mean"] = "last"  # what discriminators ask for may cost ``val_loss``
    validation_metrics = METRICS

    @classmethod
    def of(cls, config: VocoderRun, load: Callable[[Path], Any]) -> "VocoderRecipe":
        """That of a run."""
        model = config.model
        return cls(LossWeights(model.mel_weight, model.spectral_weight, model.pitch_weight, model.adversarial_weight,
                               model.feature_weight), model.adversarial_from, load)

    def prepare(self, config: VocoderRun) -> SoundSet:
        return SoundSet(prepare(config), config.data)

    def prepare_again(self, config: VocoderRun, codec: str, named_by: str) -> SoundSet:
        return self.prepare(config)

    def find(self, folder: Path, content: str) -> SoundSet | None:
        for card in sorted(folder.glob(f"*/{CARD}")):
            if read_card(card).get("content") == content:
                return SoundSet(FeatureSet(card.parent))
        return None

    def start(self, config: VocoderRun, features: SoundSet, fabric: "Fabric") -> tuple[AdversarialVocoder, dict]:
        """
        Raises:
            UserError: the run to start from, or the voice to train for, is not there; or its vocoder is of another size or for
                other mels.
        """
        model = self.build(config, features, fabric)
        lineage = {}
        if voice := config.model.voice:
            path = voice_to_serve(voice, features)
            lineage = {"voice": BASE_RUN if is_base(Path(voice)) else str(path)}
        if not config.train.finetune:
            return model, lineage
        path = BASE if config.train.finetune == BASE_RUN else final_checkpoint(Path(config.train.finetune))
        parent = Checkpoint.load(path)
        parent.check_fits(features, str(path))
        if others := {key: size for key, size in sizes_of(config).items() if parent.model.get(key) != size}:
            said = " ".join(f"model.{key}={parent.model.get(key)}" for key in others)
            raise UserError(f"{path} is a vocoder of another size; it goes on as {said}")
        model.vocoder.load_state_dict(parent.weights)
        log.info("vocoder from %s", path)
        return model, lineage | {"finetuned_from": str(path), "of": parent.lineage}

    def build(self, config: VocoderRun, features: SoundSet, fabric: "Fabric") -> AdversarialVocoder:
        chosen, contract = config.model, features.contract
        if contract.hop % chosen.upsampling or chosen.n_fft % (contract.hop // chosen.upsampling):
            raise UserError(f"model.upsampling={chosen.upsampling} model.n_fft={chosen.n_fft}: the one must divide mel.hop="
                            f"{contract.hop}, and what comes out must divide the other")
        judges = Discriminators(chosen.periods, chosen.period_width, chosen.resolutions, chosen.resolution_width)
        return AdversarialVocoder(Vocoder(contract, **sizes_of(config)), judges, chosen.judged)

    def freeze(self, model: AdversarialVocoder, config: VocoderRun, fabric: "Fabric | None" = None) -> Frozen:
        """
        Raises:
            UserError: no phase of a vocoder.
        """
        if config.phase.trains != self.name:
            raise UserError(f"model={self.name} is trained by phase=vocoder; phase={config.phase.name} trains "
                            f"{config.phase.trains}")
        return Frozen([], lambda: "")

    def batches(self, config: VocoderRun, features: SoundSet, budget: Budget, rates: np.ndarray | None) -> Batches:
        frames, seed, own = config.model.segment_frames, config.train.seed, self.own_mels(config, features)
        cut: Any = functools.partial(collate, frames=frames, seed=seed, own=own)  # of a `SoundSet`, which this is
        # Every stretch is of one length; it has no tokens, and is counted as one.
        lengths = np.full(len(features), frames), np.ones(len(features), np.int64)
        return Batches(features, features.train, config.phase.batch_size, seed, cut, config.phase.batch_frames, budget, rates,
                       lengths)

    def own_mels(self, config: VocoderRun, features: SoundSet) -> OwnMels | None:
        """What the voice that the vocoder is for says of the recordings that it learns from; None without one, or if it says
        no mels.

        Raises:
            UserError: its mels or symbols are not the set's.
        """
        if not (config.model.voice and config.model.own_mels):
            return None
        voice = self.load_voice(voice_to_serve(config.model.voice, features))
        own = {number: mel.astype(np.float16) for number, mel in voice.aligned_mels(features, features.train.tolist())}
        return OwnMels(own, config.model.own_mels)

    def compile(self, model: AdversarialVocoder) -> None:
        for block in (*model.vocoder.slow_blocks, *model.vocoder.blocks):
            block.compile()

    def weights(self, model: AdversarialVocoder) -> dict[str, Tensor]:
        return model.state_dict()

    def restore(self, model: AdversarialVocoder, weights: dict[str, Tensor]) -> None:
        model.load_state_dict(weights)

    def parameter_groups(self, model: AdversarialVocoder) -> list[dict[str, Any]]:
        return [{"params": list(part.parameters()), "part": name}
                for name, part in (("vocoder", model.vocoder), ("discriminators", model.discriminators))]

    def losses(self, fabric: "Fabric", model: nn.Module, micro_batch: Batch, step: Step) -> "WeightedLosses":
        found = model(**micro_batch.inputs(), adversarial=step.share >= self.adversarial_from)
        return WeightedLosses(found, self.weights_of_losses, micro_batch.frames / step.frames)

    def metrics(self, parts: Sequence[float], norms: Mapping[str, float]) -> dict[str, float]:
        names = [field.name for field in dataclasses.fields(Losses)]
        named = dict(zip(names, parts, strict=True))
        return {"train_loss": named.pop("mel"), **{f"train_{name}_loss": value for name, value in named.items()},
                "grad_norm_vocoder": norms["vocoder"], "grad_norm_discriminators": norms["discriminators"]}

    def flops(self, model: AdversarialVocoder, step: Step) -> float:
        """The vocoder's matrix products; transforms and discriminators are left out."""
        return sum(6 * layer.weight.numel() * rows for layer, rows in model.vocoder.products(step.frames))

    def products(self, model: AdversarialVocoder, tokens: int, frames: int) -> list[tuple[nn.Linear, int]]:
        return list(model.vocoder.products(frames))

    def plan(self, fabric: "Fabric", model: AdversarialVocoder, batches: Batches, config: VocoderRun) -> Plan:
        return plan_memory(fabric, model, batches, config.hw)

    def values(self, fabric: "Fabric", model: AdversarialVocoder, features: SoundSet, numbers: Sequence[int] | None = None,
               check: Callable[[], None] = lambda: None) -> UtteranceValues:
        return utterance_values(fabric, model, features, numbers, check)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return (f"F0 off in {metrics['val_f0_error']:.1%} of voiced frames, voicing in {metrics['val_voicing_error']:.1%} "
                f"(Griffin-Lim scores {metrics['baseline']:.3f})")

    def checkpoint(self, model: AdversarialVocoder, config: VocoderRun, features: SoundSet, lineage: dict) -> Checkpoint:
        return Checkpoint({name: weight.detach().cpu().clone() for name, weight in model.vocoder.state_dict().items()},
                          sizes_of(config), config.phase.name, features.contract, front_end_facts(config.data), lineage)

    def check_speaks(self, config: VocoderRun) -> None:
        """It makes the sound itself."""

    def samples(self, fabric: "Fabric", model: AdversarialVocoder, config: VocoderRun, features: SoundSet,
                numbers: Sequence[int], folder: Path | None, title: str,
                check: Callable[[], None]) -> tuple[dict, dict]:
        """Recordings' mels as sound; pictures are of the mels that this sound has, below the recording's."""
        sounds, pictures, rate = {}, {}, features.contract.sample_rate
        model.eval()
        for number in numbers:
            check()
            utterance = features.utterance(number)
            name = utterance["id"].replace("/", "_")
            samples = vocoded(fabric, model, features, number)[0].cpu().numpy()
            sounds[name] = samples, rate
            if folder is None:
                continue
            write_audio(folder / f"{name}.wav", samples, rate)
            if len(samples) > features.contract.margin:
                made = features.statistics.standardise(log_mel(samples, features.contract))
                draw_mels(folder / f"{name}.png", made.numpy(), features.mel(number).numpy(), [], NO_TOKENS, NO_TOKENS,
                          features.contract.frames_per_second, f"{title}: {utterance['text']}", ("recording", "vocoder"))
                pictures[name] = folder / f"{name}.png"
        return sounds, pictures

    def publish(self, checkpoint: Checkpoint, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
                weights: str = "") -> str:
        raise UserError(f"out={out}: a vocoder travels with a voice, and is exported with one")


class WeightedLosses:
    """The losses of a micro-batch, which is a ``share`` of its batch, and what each counts."""

    def __init__(self, losses: Losses, weights: LossWeights, share: float):
        self.losses, self.weights, self.share = losses, weights, share

    def total(self) -> Tensor:
        return self.losses.total(self.weights) * self.share

    def parts(self) -> Tensor:
        return self.losses.parts() * self.share


def sizes_of(config: VocoderRun) -> dict[str, Any]:
    """The arguments of `Vocoder` beside the contract."""
    chosen = cast(dict[str, Any], OmegaConf.to_container(config.model))
    return {name: chosen[name] for name in SIZES}


def voice_to_serve(run: str, features: FeatureSet) -> Path:
    """The checkpoint of the voice beside which a vocoder is written.

    Raises:
        UserError: there is none, or its mels have another contract.
    """
    path = voice_file(Path(run)).resolve()
    mel = read_stored(path, mmap=True).get("mel")
    if mel is None or (differences := MelContract(**mel).differences(features.contract)):
        raise UserError(f"model.voice={run}: the mel contract of {path} is not that of {features.folder} "
                        f"({', '.join(differences) if mel else 'it has none'})")
    return path
