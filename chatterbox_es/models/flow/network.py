"""A decoder that does not average: neighbours, melody, and a flow from the mean to speech.

    tokens → text encoder → states of frames, with prosody → ConvNeXt blocks → mels, the prior
                                                                  └─→ flow: prior + noise → mels as recorded

Encoder, alignment, durations and prosody are `models.acoustic`'s; the prior is trained on its absolute error, and the flow
learns from it without changing it. So what is spoken without noise (``tau`` 0) is the prior, whatever the flow does.
"""

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from chatterbox_es.models.acoustic.network import AcousticModel, Prediction
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.prosody import Controls
from chatterbox_es.models.acoustic.text_encoder import TextEncoder
from chatterbox_es.models.acoustic.token_predictor import DurationPredictor
from chatterbox_es.models.convnext import SIDE
from chatterbox_es.models.flow.flow_decoder import Draw, FlowDecoder, FrameBlocks
from chatterbox_es.models.flow.mel_discriminator import MelDiscriminator


class PriorDecoder(nn.Module):
    """States of frames to standardised log-mels, with the neighbours in view."""

    def __init__(self, width: int, blocks: int, expansion: float, bins: int):
        super().__init__()
        self.blocks = FrameBlocks(blocks, width, expansion)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, bins)

    def forward(self, frames: Tensor, speech: Packing) -> tuple[Tensor, Tensor]:
        """(frames, width) → mels (frames, bins), and the states (frames, width) that they are made of."""
        states = self.norm(self.blocks(frames, speech))
        return self.output(states), states


class Flow(AcousticModel):
    """Text encoder, prior, flow, durations and prosody."""

    def __init__(self, symbols: int = 256, width: int = 384, layers: int = 6, heads: int = 6, feedforward: int = 1536,
                 dropout: float = 0.1, decoder_blocks: int = 4, decoder_expansion: float = 3, flow_width: int = 256,
                 flow_blocks: int = 10, flow_expansion: float = 4, bins: int = 80, duration_hidden: int = 256,
                 speakers: Sequence[str] = (), dialects: Sequence[str] = (), prosody: bool = True):
        super().__init__(width)
        self.text_encoder = TextEncoder(symbols, width, layers, heads, feedforward, dropout)
        self.token_decoder = nn.Linear(width, bins)
        self.mel_decoder = PriorDecoder(width, decoder_blocks, decoder_expansion, bins)
        self.flow_decoder = FlowDecoder(bins, width, flow_width, flow_blocks, flow_expansion)
        self.duration_predictor = DurationPredictor(width, duration_hidden, dropout)
        self.condition(speakers, dialects, prosody, duration_hidden, dropout, bins)
        self.discriminator: MelDiscriminator | None = None  # of a model that is trained against one; none is stored with it

    def token_mels(self, states: Tensor) -> Tensor:
        return self.token_decoder(states)

    def forward(self, tokens: Tensor, text: Packing, mels: Tensor, speech: Packing, speakers: Tensor | None = None,
                dialects: Tensor | None = None, recorded: Tensor | None = None, flow_share: float = 1.0,
                contested: bool = False) -> Prediction:
        """Predict the recorded ``mels`` under their best alignment to the tokens; `AcousticModel.align` says of what. The flow
        takes part where it is not frozen, with a share of the sentences, whose errors stand for all; ``contested`` is what the
        discriminator says, where the model has one."""
        found = self.align(tokens, text, mels, speech, speakers, dialects, recorded)
        prior, states = self.mel_decoder(found.frames, speech)
        flow = None
        if self.flow_decoder.output.weight.requires_grad:
            some = speech.first(math.ceil(flow_share * len(speech.lengths)))
            rows = sum(some.lengths)
            flow = self.flow_decoder.loss(mels[:rows], prior[:rows].detach(), states[:rows].detach(), some) * (len(mels) / rows)
        contest = None
        if contested and self.discriminator is not None:
            contest = self.discriminator.contest(prior.float(), mels.float(), speech.lengths)
        return Prediction(found.token_mels, prior, found.durations, found.log_durations, found.prosody, flow, states, contest)

    def products(self, tokens: int, frames: int) -> Iterator[tuple[nn.Linear, int]]:
        flows = self.flow_decoder.output.weight.requires_grad
        return self.layers_of((self.text_encoder, tokens), (self.token_decoder, tokens), (self.mel_decoder, frames),
                              *[(part, frames) for part in (self.flow_decoder.input, self.flow_decoder.blocks,
                                                            self.flow_decoder.output) if flows])

    def decode(self, frames: Tensor) -> Tensor:
        return self.mel_decoder(frames, Packing.alone(frames.shape[0], frames.device))[0].float()

    @property
    def reach(self) -> int:
        return SIDE * len(self.mel_decoder.blocks)

    def speak(self, tokens: Tensor, speed: float | Tensor = 1.0, conditioning: Tensor | None = None,
              controls: Controls | None = None, speaker: Tensor | None = None,
              draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """Standardised log-mels (frames, bins) of one text, ``tokens`` (tokens,), and its durations (tokens,); the rest as
        `AcousticModel.spoken_frames` says. Without ``draw`` the prior."""
        frames, durations = self.spoken_frames(tokens, speed, conditioning, controls, speaker)
        prior, states = self.mel_decoder(frames, Packing.alone(frames.shape[0], frames.device))
        mels = prior.float()
        return mels if draw is None else self.flow_decoder.draw(mels, states, draw).float(), durations
