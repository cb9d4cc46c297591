"""`Fase4` as a graph that torch exports to ONNX."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.models.fase4.network import LONGEST_TOKEN, DurationPredictor, Fase4, TextEncoder


class SpeakingGraph(nn.Module):
    """What `Fase4.speak` does for one sentence, written without masks and packing, and in log-mels instead of standardised.

    The modules are the model's own; that nothing was lost on the way is measured, not assumed (`compare`).
    """

    def __init__(self, model: Fase4, statistics: Statistics):
        super().__init__()
        self.model = model
        self.register_buffer("mean", statistics.mean)
        self.register_buffer("deviation", statistics.deviation)

    def forward(self, tokens: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens`` (tokens,) int64 and ``speed`` () float32 to log-mels (frames, bins) and durations (tokens,)."""
        states = encode(self.model.text_encoder, tokens)
        durations = self.whole_frames(predict_durations(self.model.duration_predictor, states), speed)
        return self.model.mel_decoder(self.frame_states(states, durations)) * self.deviation + self.mean, durations

    def whole_frames(self, durations: Tensor, speed: Tensor) -> Tensor:
        """As `alignment.whole_frames`, with ``speed`` a tensor."""
        ends = torch.round(torch.cumsum(durations.double() / speed.double(), 0)).long()
        return torch.diff(ends, prepend=ends.new_zeros(1)).clamp(min=1)

    def frame_states(self, states: Tensor, durations: Tensor) -> Tensor:
        """As `Fase4.frame_states`: the token of a frame is the number of tokens that have ended by then."""
        ends = durations.cumsum(0)
        total = ends[-1].item()
        torch._check(total > 0)
        frame = torch.arange(total)
        token = (frame[:, None] >= ends[None, :]).sum(1)
        left = ends[token] - 1 - frame
        since = durations[token] - 1 - left
        waves = self.model.frame_sinusoids
        return states[token] + torch.cat([waves[position.clamp(max=LONGEST_TOKEN - 1)] for position in (since, left)], dim=1)


def encode(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """`TextEncoder.forward` of one sentence: (tokens,) → (tokens, width)."""
    x = encoder.embedding(tokens) + encoder.positions[:tokens.shape[0]]
    for layer in encoder.layers:
        packed = layer.query_key_value(layer.attention_norm(x))
        query, key, value = packed.unflatten(1, (3, layer.heads, -1)).permute(1, 2, 0, 3)  # (heads, tokens, depth)
        weights = (query @ key.transpose(1, 2) * query.shape[-1] ** -0.5).softmax(2)
        x = x + layer.attention_output((weights @ value).transpose(0, 1).flatten(1))
        x = x + layer.contract(functional.gelu(layer.expand(layer.feedforward_norm(x))))
    return encoder.output(x)


def predict_durations(predictor: DurationPredictor, states: Tensor) -> Tensor:
    """`DurationPredictor.forward` of one sentence: (tokens, width) → (tokens,) frames."""
    x = predictor.first_norm(functional.relu(predictor.first(states.T[None])).transpose(1, 2))
    x = predictor.second_norm(functional.relu(predictor.second(x.transpose(1, 2))).transpose(1, 2))
    return predictor.output(x)[0, :, 0].exp()
