"""How near the vocoder comes to held-out recordings, utterance by utterance."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.models.vocoder.adversarial import AdversarialVocoder
from chatterbox_es.models.vocoder.sound_set import SoundSet
from chatterbox_es.runs.metrics import Metric

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # a second to import, which preparing does without

GROSS = 50.0  # cents
METRICS = (
    Metric("val_loss", "difference of full-band log-mels", SoundSet.unit, by_frames=True),
    Metric("val_f0_error", f"voiced frames whose F0 is more than {GROSS:g} cents off", "share"),
    Metric("val_voicing_error", "frames taken for voiced or unvoiced wrongly", "share"),
)


@torch.no_grad()
def utterance_values(fabric: "Fabric", model: AdversarialVocoder, features: SoundSet,
                     numbers: Sequence[int] | None = None, check: Callable[[], None] = lambda: None) -> UtteranceValues:
    """The metrics of held-out utterances (all of them, or those of ``numbers``); ``check`` is called before each.

    ``val_loss`` is the mean absolute difference of log-mels of the whole band (`loss.SpectralLoss`): it falls as long as
    spectra are learnt, and may rise a little when the discriminators ask for detail that no mean has.
    """
    model.eval()
    chosen = np.asarray(features.validation if numbers is None else numbers)
    errors, gross, voicing = [], [], []
    for number in chosen.tolist():
        check()
        made, mels = vocoded(fabric, model, features, number)
        recorded = torch.from_numpy(features.recorded(number)).to(made)
        errors.append(float(model.spectral_loss(made[None], recorded[None])[0]))
        f0, voiced = model.vocoder.pitch_of(mels[None])
        away, wrong = pitch_errors(f0[0].cpu().numpy(), voiced[0].cpu().numpy(), features.f0.hertz(number))
        gross.append(away)
        voicing.append(wrong)
    found = {"val_loss": errors, "val_f0_error": gross, "val_voicing_error": voicing}
    return UtteranceValues.of(METRICS, [features.utterance(number)["id"] for number in chosen.tolist()],
                              features.index["frames"][chosen], found)


def pitch_errors(f0: np.ndarray, voiced: np.ndarray, recorded: np.ndarray) -> tuple[float, float]:
    """Shares of the voiced frames whose F0 is off, and of the frames whose voicing is wrong; (frames,) Hz, ``recorded`` 0
    where unvoiced."""
    there = recorded > 0
    cents = 1200 * np.abs(np.log2(f0[there] / recorded[there]))
    return float((cents > GROSS).mean()) if there.any() else 0.0, float((voiced != there).mean())


@torch.no_grad()
def vocoded(fabric: "Fabric", model: AdversarialVocoder, features: SoundSet, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An utterance's recorded mels as sound, (frames * hop,), and these mels (frames, bins) on the run's device.

    In float32 whatever the run's precision, as it will be used: phases add up the rounding of F0.
    """
    mels = torch.from_numpy(features.stored_mel(number).astype(np.float32)).to(fabric.device)
    return model.vocoder.vocode(mels), mels
