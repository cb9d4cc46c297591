"""The vocoder: a backbone at frame rate says how a source is filtered.

    mels ─→ F0 ─→ pulses, and noise ─→ spectra ──────────┐
      └──→ ConvNeXt blocks ─→ magnitudes and phases ─→ × ─→ inverse transform ─→ samples

Backbone and inverse transform are Vocos's (Siuzdak 2023), the source is the neural source-filter family's (Wang 2019; HiFT,
Wavehax): what a network of a few million numbers cannot learn in an hour, phases that go on from frame to frame, the source
has already. Magnitudes begin as the mels' own envelope, which the network corrects.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.convnext import SIDE, convnext_blocks
from chatterbox_es.models.vocoder.pitch import PitchHead
from chatterbox_es.models.vocoder.source import CYCLE, Transform, noise_table, phase_of, pulses, sample_f0

PIECE = 1000  # frames that a long mel is made sound of at once
LOUDEST = 6.0  # natural logarithm of the largest magnitude of a filter
MEL_MIDDLE, MEL_SPREAD = -5.0, 2.5  # of natural-log mels of speech, roughly: what the backbone sees is of order 1


class Vocoder(nn.Module):
    """Log-mels, as a prepared set stores them, to the waveform that they are of; nothing else is needed, and the same mels give
    the same samples.

    B sentences of equally many mel frames; the filters change ``upsampling`` times a mel frame.
    """

    noise: Tensor

    def __init__(self, contract: MelContract, n_fft: int = 960, upsampling: int = 2, width: int = 304, slow_blocks: int = 3,
                 blocks: int = 4, expansion: float = 3.0, pitch_width: int = 144, pitch_blocks: int = 3):
        """``slow_blocks`` see mel frames, ``blocks`` those of the filters; a filter's window has ``n_fft`` samples."""
        super().__init__()
        self.rate, self.hop, self.upsampling = contract.sample_rate, contract.hop, upsampling
        bins, hop, lines = contract.bins, contract.hop, n_fft // 2 + 1
        self.transform = Transform(n_fft, hop // upsampling)
        self.pitch = PitchHead(bins, pitch_width, convnext_blocks(pitch_blocks, pitch_width, 2))
        self.embed = nn.Linear(bins, width)
        self.embed_norm = nn.LayerNorm(width)
        self.slow_blocks = convnext_blocks(slow_blocks, width, expansion)
        self.upsample = nn.Linear(width, upsampling * width)
        self.blocks = convnext_blocks(blocks, width, expansion)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * lines)
        self.envelope = nn.Linear(bins, lines)
        self.register_buffer("noise", noise_table(lines), persistent=False)
        nn.init.normal_(self.head.weight, std=0.02 * width**-0.5)
        nn.init.zeros_(self.head.bias)
        start_envelope(self.envelope, contract, n_fft)

    def forward(self, mels: Tensor) -> Tensor:
        """(B, frames, bins) natural-log mels → (B, frames * hop) float32 samples."""
        return self.decode(mels, self.f0(mels))

    def f0(self, mels: Tensor) -> Tensor:
        """(B, frames) Hz, of unvoiced frames too."""
        return self.pitch.f0(self.pitch(standardised(mels)))

    def pitch_of(self, mels: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz, and whether a frame is voiced, (B, frames) each."""
        logits = self.pitch(standardised(mels))
        return self.pitch.f0(logits), logits[..., -1] > 0

    def decode(self, mels: Tensor, f0: Tensor, random: bool = False) -> Tensor:
        """`forward` with the F0 (B, frames) Hz of the source given, 0 nowhere; ``random`` noise in place of the table's."""
        at_samples = sample_f0(f0, self.hop, self.transform.margin)
        return self.filtered(mels, at_samples, phase_of(at_samples, self.rate), 0, random)

    def filtered(self, mels: Tensor, f0: Tensor, phase: Tensor, first: int = 0, random: bool = False) -> Tensor:
        """`decode` with F0 and phase given at each sample, (B, frames * hop + 2 * margin), and the first frame's number."""
        source = self.transform.analyse(pulses(f0, phase, self.rate))
        noise = self.noise_of(source, first * self.upsampling, random)
        harmonic, turn, noisy = self.filters(mels)
        cosine, sine = harmonic * turn.cos(), harmonic * turn.sin()
        (real, imaginary), (noise_real, noise_imaginary) = source.unbind(3), noise.unbind(3)
        return self.transform.synthesise(cosine * real - sine * imaginary + noisy * noise_real,
                                         cosine * imaginary + sine * real + noisy * noise_imaginary)

    def noise_of(self, source: Tensor, first: int, random: bool) -> Tensor:
        """Noise of the source's shape (B, frames * upsampling, lines, 2), or that of the table from a frame on."""
        if random:
            return torch.randn_like(source) * 0.5**0.5
        places = (torch.arange(source.shape[1], device=source.device) + first) % CYCLE
        return self.noise[places][None]

    def filters(self, mels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each line of the pulses' spectra is multiplied and turned by, in radians, and what the noise's is multiplied by,
        (B, frames * upsampling, lines) each."""
        x = self.slow_blocks(self.embed_norm(self.embed(standardised(mels))))
        x = self.upsample(x).unflatten(2, (self.upsampling, -1)).flatten(1, 2)
        x = self.norm(self.blocks(x))
        magnitude, phase, noise = self.head(x).to(mels.dtype).chunk(3, dim=2)
        envelope = interpolated(self.envelope(mels).to(mels.dtype), self.upsampling)
        return (envelope + magnitude).clamp(max=LOUDEST).exp(), phase, (envelope + noise).clamp(max=LOUDEST).exp()

    @property
    def reach(self) -> int:
        """Mel frames on either side of a sample's that it depends on; the source's phase, which goes back to the first frame,
        left out."""
        of_filters = SIDE * len(self.slow_blocks) + math.ceil(SIDE * len(self.blocks) / self.upsampling) + 1
        of_f0 = SIDE * len(self.pitch.blocks) + 1
        return max(of_filters, of_f0 + self._window_reach) + self._window_reach

    @property
    def _window_reach(self) -> int:
        """Mel frames on either side that the windows of a sample's filters see."""
        return math.ceil(self.transform.n_fft / self.hop)

    @torch.inference_mode()
    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """The samples of a mel that comes in ``pieces`` (frames, bins), as soon as they are certain: `reach` frames behind.

        The source's phase is carried over, so that all together are what `forward` makes of all at once.

        Raises:
            ValueError: a piece of another shape, or with values that are not finite.
        """
        window = StreamWindow(self.envelope.weight.new_empty(0, self.envelope.in_features))
        for piece in pieces:
            window.mels = torch.cat([window.mels, checked(piece, window.mels)])
            if window.first + len(window.mels) - self.reach > window.done:
                yield self._advance(window, window.first + len(window.mels) - self.reach)
        if window.first + len(window.mels) > window.done:
            yield self._advance(window, window.first + len(window.mels))

    def _advance(self, window: "StreamWindow", ready: int) -> Tensor:
        """The samples of a stream up to the frame ``ready``, which is where the window is moved."""
        margin, hop, mels = self.transform.margin, self.hop, window.mels[None]
        at_samples = sample_f0(self.f0(mels), hop, margin)
        place = margin + (window.known_at - window.first) * hop if window.known_at else 0
        phase = phase_of(at_samples, self.rate, place, window.known)
        samples = self.filtered(mels, at_samples, phase, window.first)[0]
        found = samples[(window.done - window.first) * hop:(ready - window.first) * hop]
        known_at, first = max(0, ready - self._window_reach), max(0, ready - self.reach)
        known = float(phase[0, margin + (known_at - window.first) * hop]) if known_at else 0.0
        window.mels, window.first, window.done = window.mels[first - window.first:], first, ready
        window.known_at, window.known = known_at, known
        return found

    @torch.inference_mode()
    def vocode(self, mels: Tensor) -> Tensor:
        """(frames, bins) → (frames * hop,): `forward` for mels of any length, in the memory of `PIECE` frames.

        Raises:
            ValueError: as `stream`, or there are no frames.
        """
        if not len(mels):
            raise ValueError("a vocoder takes at least one frame")
        if len(mels) <= PIECE:  # a stream would make the frames within its reach of the end twice
            return self(checked(mels, self.envelope.weight)[None])[0]
        return torch.cat(list(self.stream(mels.split(PIECE))))

    def products(self, frames: int) -> Iterator[tuple[nn.Linear, int]]:
        """The linear layers, and how many rows each has of so many mel frames."""
        slow = (self.pitch, self.embed, self.slow_blocks, self.upsample, self.envelope)
        for parts, rows in ((slow, frames), ((self.blocks, self.head), frames * self.upsampling)):
            yield from ((layer, rows) for part in parts for layer in part.modules() if isinstance(layer, nn.Linear))


@dataclasses.dataclass
class StreamWindow:
    """The frames of a stream that are still needed."""

    mels: Tensor  # (frames, bins)
    first: int = 0  # the number of the first of them
    done: int = 0  # frames whose samples are given out
    known_at: int = 0  # the frame at whose first sample the phase is known; 0: at the very beginning
    known: float = 0.0  # that phase, in cycles


def checked(mels: Tensor, like: Tensor) -> Tensor:
    """Mels (frames, bins) on the device and in the type of others.

    Raises:
        ValueError: of another shape, or with values that are not finite.
    """
    if mels.ndim != 2 or mels.shape[1] != like.shape[1]:
        raise ValueError(f"a vocoder takes (frames, {like.shape[1]}), got {tuple(mels.shape)}")
    if not mels.isfinite().all():
        raise ValueError("mels hold values that are infinite or not numbers")
    return mels.to(like)


def standardised(mels: Tensor) -> Tensor:
    return (mels - MEL_MIDDLE) / MEL_SPREAD


def interpolated(values: Tensor, factor: int) -> Tensor:
    """(B, frames, width) → (B, frames * factor, width), linear between the middles of frames."""
    rows = values.transpose(1, 2)
    return functional.interpolate(rows, scale_factor=factor, mode="linear", align_corners=False).transpose(1, 2)


@torch.no_grad()
def start_envelope(layer: nn.Linear, contract: MelContract, n_fft: int) -> None:
    """Let a layer give, for natural-log mels, the log magnitudes at the lines of a transform that white noise of unit power
    must be filtered by to have such mels; above the highest bin those of the highest. One without content stays so."""
    if layer.weight.is_meta:
        return
    basis = mel_basis(contract)
    frequencies = torch.fft.rfftfreq(contract.n_fft, 1 / contract.sample_rate)
    middles = (basis * frequencies).sum(1) / basis.sum(1).clamp(min=1e-9)
    lines = torch.fft.rfftfreq(n_fft, 1 / contract.sample_rate)
    right = torch.searchsorted(middles, lines).clamp(1, len(middles) - 1)
    share = ((lines - middles[right - 1]) / (middles[right] - middles[right - 1])).clamp(0, 1)
    weight = torch.zeros(len(lines), len(middles))
    weight[torch.arange(len(lines)), right - 1] = 1 - share
    weight[torch.arange(len(lines)), right] += share
    white = math.sqrt(math.pi / 4 * 0.375 * contract.window)  # mean magnitude of a Hann-windowed spectrum of white noise
    layer.weight.copy_(weight)
    layer.bias.copy_(-weight @ (basis.sum(1) * white).clamp(min=1e-9).log())
