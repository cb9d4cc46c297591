"""What is said of each token from its state and its neighbours': how long it lasts, and more."""

from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.models.acoustic.dropout import Dropout
from chatterbox_es.models.acoustic.packing import Packing


class TokenPredictor(nn.Module):
    """Some values of each token from its state and its neighbours' (two convolutions, as FastSpeech has)."""

    def __init__(self, width: int, hidden: int, dropout: float, values: int):
        super().__init__()
        self.first = nn.Conv1d(width, hidden, 3, padding=1)
        self.first_norm = nn.LayerNorm(hidden)
        self.second = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.second_norm = nn.LayerNorm(hidden)
        self.output = nn.Linear(hidden, values)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, text: Packing) -> Tensor:
        """Packed states (tokens, width) → (tokens, values)."""
        padded = text.pad(states)
        x = self.first_norm(functional.relu(self.first(padded.transpose(1, 2))).transpose(1, 2))
        x = self.dropout(x)
        if text.mask is not None:  # the next convolution sees no padding
            x = x * text.mask[:, :, None]
        x = self.second_norm(functional.relu(self.second(x.transpose(1, 2))).transpose(1, 2))
        return self.output(text.pack(self.dropout(x)))


class DurationPredictor(TokenPredictor):
    """Expected frames of each token."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__(width, hidden, dropout, 1)

    def forward(self, states: Tensor, text: Packing) -> Tensor:
        """Packed states (tokens, width) to the logarithm of their expected durations in frames, (tokens,)."""
        return super().forward(states, text).squeeze(1)
