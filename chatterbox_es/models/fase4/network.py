"""The model of "Fase 4": a transformer over tokens, a mel decoder over frames, and the durations between them.

    tokens → text encoder → one state a token → repeated over its frames → mel decoder → standardised log-mels

The sizes are the write-up's: text encoder 23,272,960 parameters, mel decoder 607,312 (4_2) or 4,804,688 (4_3). It
never said how text meets frames; here monotonic alignment search does while training, and a duration predictor,
whose parameters are counted apart, when speaking. So are those of prosody and of the speaker's and the dialect's embedding,
which it did not have and which are there on request.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from chatterbox_es.models.acoustic.network import AcousticModel, Prediction
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.text_encoder import TextEncoder
from chatterbox_es.models.acoustic.token_predictor import DurationPredictor


class MelDecoder(nn.Sequential):
    """A perceptron from a frame's state to its standardised log-mel bins: width → hidden … → bins."""

    def __init__(self, width: int, hidden: Sequence[int], bins: int):
        layers: list[nn.Module] = []
        for inner in hidden:
            layers += [nn.Linear(width, inner), nn.GELU()]
            width = inner
        super().__init__(*layers, nn.Linear(width, bins))


class Fase4(AcousticModel):
    """Text encoder, mel decoder and duration predictor."""

    def __init__(self, symbols: int = 8000, width: int = 512, layers: int = 6, heads: int = 8, feedforward: int = 2048,
                 dropout: float = 0.1, decoder_hidden: Sequence[int] = (1024, 2048, 1024), bins: int = 80,
                 duration_hidden: int = 256, speakers: Sequence[str] = (), dialects: Sequence[str] = (), prosody: bool = False):
        super().__init__(width)
        self.text_encoder = TextEncoder(symbols, width, layers, heads, feedforward, dropout)
        self.mel_decoder = MelDecoder(width, decoder_hidden, bins)
        self.duration_predictor = DurationPredictor(width, duration_hidden, dropout)
        self.condition(speakers, dialects, prosody, duration_hidden, dropout, bins)

    def token_mels(self, states: Tensor) -> Tensor:
        return self.mel_decoder(states)

    def forward(self, tokens: Tensor, text: Packing, mels: Tensor, speech: Packing, speakers: Tensor | None = None,
                dialects: Tensor | None = None, recorded: Tensor | None = None) -> Prediction:
        """Predict the recorded ``mels`` under their best alignment to the tokens; `AcousticModel.align` says of what."""
        found = self.align(tokens, text, mels, speech, speakers, dialects, recorded)
        return Prediction(found.token_mels, self.mel_decoder(found.frames), found.durations, found.log_durations, found.prosody)

    def products(self, tokens: int, frames: int) -> Iterator[tuple[nn.Linear, int]]:
        return self.layers_of((self.text_encoder, tokens), (self.mel_decoder, tokens), (self.mel_decoder, frames))

    def decode(self, frames: Tensor) -> Tensor:
        return self.mel_decoder(frames).float()

    @property
    def reach(self) -> int:
        return 0
