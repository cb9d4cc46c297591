"""What a model is trained on, and what predicting the mean would score."""

import dataclasses

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chatterbox_es.models.acoustic.alignment import tokens_of_frames
from chatterbox_es.models.acoustic.network import Prediction

DURATION_WEIGHT = 0.1  # its gradient reaches the duration predictor alone
PROSODY_WEIGHT = 0.1  # likewise its predictor


@dataclasses.dataclass
class Losses:
    """Means over what they name. For the first two, 1.0 is what predicting the mean of the data scores."""

    frame: Tensor  # squared error a frame and bin: the loss that is reported
    token: Tensor  # the same of the token-level mel, which the alignment is searched with
    duration: Tensor  # Poisson negative log-likelihood a token
    prosody: Tensor | None = None  # negative log-likelihood a token, of a model that has prosody
    absolute: Tensor | None = None  # absolute error a frame and bin, where it is minimised in place of the squared one
    flow: Tensor | None = None  # squared error of the flow a frame and bin, where it is trained

    def total(self) -> Tensor:
        total = (self.frame if self.absolute is None else self.absolute) + self.token + DURATION_WEIGHT * self.duration
        if self.prosody is not None:
            total = total + PROSODY_WEIGHT * self.prosody
        return total if self.flow is None else total + self.flow

    def parts(self) -> Tensor:
        """float64, without gradients: frame, token and duration loss, then those of prosody and flow where there are any."""
        there = [loss for loss in (self.frame, self.token, self.duration, self.prosody, self.flow) if loss is not None]
        return torch.stack(there).detach().double()


def losses_of(prediction: Prediction, mels: Tensor, tokens: int | None = None, frames: int | None = None,
              absolute: bool = False) -> Losses:
    """The losses of a prediction of the recorded ``mels``, (frames, bins), standardised and packed; ``absolute``: frames are
    trained on their absolute error.

    The token-level mel is trained too, as the search compares it with the recording (Glow-TTS, Kim et al. 2020).
    Durations are the rate of a Poisson distribution: its best rate is the mean duration, so that spoken sentences
    come out as long as recorded ones; the mean of log durations would make them shorter.

    ``tokens`` and ``frames`` are those of the whole batch where this is a micro-batch of it: the losses of all of them, and
    their gradients, then add up to the batch's.
    """
    tokens, frames = tokens or len(prediction.durations), frames or len(mels)
    values = frames * mels.shape[1]
    token_frames = functional.embedding(tokens_of_frames(prediction.durations, len(mels)), prediction.token_mels)
    said = prediction.mels.float()
    return Losses(
        frame=functional.mse_loss(said, mels, reduction="sum") / values,
        token=functional.mse_loss(token_frames.float(), mels, reduction="sum") / values,
        duration=functional.poisson_nll_loss(prediction.log_durations.float(), prediction.durations.float(),
                                             reduction="sum") / tokens,
        prosody=None if prediction.prosody is None else prediction.prosody.sum() / tokens,
        absolute=functional.l1_loss(said, mels, reduction="sum") / values if absolute else None,
        flow=None if prediction.flow is None else prediction.flow.sum() / frames,
    )


def warped_error(spoken: Tensor, recorded: Tensor) -> float:
    """Squared error a recorded frame and bin of speech that has its own timing, along the best time warp.

    Unlike the loss it uses nothing but the text: spoken with the model's own durations, (frames, bins), against the
    recording, (other frames, bins), by dynamic time warping (Sakoe & Chiba 1978; steps 1-1, 0-1, 1-0). Each recorded
    frame counts once, by the mean over the spoken frames it is matched with, so that dwelling on easy frames gains
    nothing and predicting the mean scores what it does in the loss. Speech that is not finite has no error: nan.
    """
    if not spoken.isfinite().all():
        return float("nan")
    import librosa.sequence  # compiles: the start of a run does not wait for what its first validation needs

    cost = torch.cdist(spoken.double(), recorded.double()).square().numpy() / spoken.shape[1]
    _, path = librosa.sequence.dtw(C=cost)
    matched = np.bincount(path[:, 1], minlength=len(recorded))
    return float((np.bincount(path[:, 1], weights=cost[path[:, 0], path[:, 1]]) / matched).mean())
