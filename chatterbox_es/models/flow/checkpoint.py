"""`Flow`'s weights on disk: `models.acoustic.checkpoint` says with what."""


import torch

from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.models.acoustic import checkpoint
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.checkpoint import rebase_output
from chatterbox_es.models.acoustic.network import AcousticModel, Prediction
from chatterbox_es.models.flow.flow_decoder import TAU, Draw, flow_noise
from chatterbox_es.models.flow.network import Flow


class Checkpoint(checkpoint.Checkpoint):
    """One set of weights of a `Flow`, and what it was trained on."""

    family = "flow"
    limits = "It knows the voices and the ways of speaking that it heard. Spanish only."
    network = Flow

    @property
    def has_flow(self) -> bool:
        """Not after phase 4_2, which leaves it as it was."""
        return self.phase != "4_2"

    @torch.no_grad()
    def spoken_mels(self, model: AcousticModel, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Drawn, each utterance with noise of its own."""
        mels = super().spoken_mels(model, prediction, batch)
        if not self.has_flow:
            return mels
        assert isinstance(model, Flow) and prediction.states is not None
        lengths, drawn = batch.speech.lengths, []
        for number, prior, states in zip(batch.utterances, mels.split(lengths), prediction.states.split(lengths), strict=True):
            noise = torch.from_numpy(flow_noise(prior.shape[1], (number,)))
            drawn.append(model.flow_decoder.draw(prior, states, Draw(torch.tensor(TAU), noise)))
        return torch.cat(drawn)

    def rebase(self, new: Statistics) -> None:
        """Also what goes into the flow and comes out: velocities are differences, so that means fall out of them."""
        old, weights = self.statistics, self.weights
        for name in ("token_decoder", "mel_decoder.output"):
            rebase_output(weights[f"{name}.weight"], weights[f"{name}.bias"], old, new)
        scale, shift = new.deviation / old.deviation, (new.mean - old.mean) / old.deviation
        entry, bias = weights["flow_decoder.input.weight"], weights["flow_decoder.input.bias"]
        for columns in entry.split((len(scale), len(scale), entry.shape[1] - 2 * len(scale)), 1)[:2]:
            bias.add_(columns @ shift)
            columns.mul_(scale)
        weights["flow_decoder.output.weight"].div_(scale[:, None])
        weights["flow_decoder.output.bias"].div_(scale)


