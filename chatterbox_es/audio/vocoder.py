"""Log-mels to a waveform."""

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.mel_contract import MelContract

BANDS = 4  # pieces of the filter bank, which is nearly all zeros: each is multiplied with its own few frequencies


class Vocoder(Protocol):
    """Anything that makes sound of a mel contract's frames; Chatterbox's HiFT fits the same contract."""

    contract: MelContract
    name: str  # as people are told

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        """Natural-log mels (frames, bins) to samples (frames * hop,) in [-1, 1]."""
        ...


def within_full_scale(samples: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as float32: divided by their peak where that is above 1."""
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)


class GriffinLim:
    """A signal whose mels are those given, by alternating projections (Griffin & Lim 1984) that know of the mels.

    The classical way fixes magnitudes first, by inverting the filter bank, and then looks for phases; but eighty bins
    say nothing of what lies between them, and no signal has the smooth magnitudes that an inversion finds. Here every
    round takes the geometric mean of those and of the signal's own magnitudes, scaled until their mels fit, so that
    fine structure can form. An independent recogniser hears the difference: docs/experiments.md.

    Rounds are made at the lowest rate that holds every bin (16 kHz for S3Gen's contract, whose bins end at 8 kHz: the
    same frames, frequencies and window in two thirds of the samples), and the last step gives the contract's rate.

    Deterministic: the same mels give the same samples.
    """

    name = "Griffin-Lim"

    def __init__(self, contract: MelContract | None = None, iterations: int = 48, updates: int = 60):
        self.contract = contract or MelContract()
        self.iterations, self.updates = iterations, updates
        self.n_fft = _smallest_transform(self.contract)
        self.hop = self.contract.hop * self.n_fft // self.contract.n_fft
        self.bank = FilterBank(mel_basis(self.contract)[:, :self.n_fft // 2 + 1])
        self.window, self.full_window = (_window(self.contract, n) for n in (self.n_fft, self.contract.n_fft))

    @torch.inference_mode()
    def __call__(self, mel: np.ndarray) -> np.ndarray:
        c = self.contract
        if mel.ndim != 2 or mel.shape[1] != c.bins or not len(mel):
            raise ValueError(f"a vocoder takes (frames, {c.bins}), got {mel.shape}")
        target = torch.from_numpy(np.asarray(mel, np.float32)).exp()
        smooth = self.invert(target)
        noise = np.random.default_rng(0).standard_normal(self.hop * len(mel)).astype(np.float32)
        estimate = self._analyse(torch.from_numpy(noise))
        energy = _energy(self.window, len(mel), self.hop)
        for _ in range(self.iterations):
            estimate = self._analyse(_overlap_add(self._fit(estimate, target, smooth), self.window, self.hop, energy))
        energy = _energy(self.full_window, len(mel), c.hop)
        samples = _overlap_add(self._fit(estimate, target, smooth), self.full_window, c.hop, energy).numpy()
        return within_full_scale(samples)

    def invert(self, target: Tensor) -> Tensor:
        """Smooth magnitudes (frames, n_fft // 2 + 1) whose mels are ``target`` (frames, bins)."""
        magnitude = self.bank.spread(target / (self.bank.total + 1e-9)) + 1e-8
        for _ in range(self.updates):
            magnitude = self.bank.fit(magnitude, target)
        return magnitude

    def _fit(self, estimate: Tensor, target: Tensor, smooth: Tensor) -> Tensor:
        """A spectrum with the estimate's phases, and magnitudes between its own, scaled towards the mels, and smooth ones.

        It takes the estimate's place.
        """
        # by the definition: Tensor.abs guards against overflow, which is far away here, and takes three times as long
        magnitude = estimate.real.square().add_(estimate.imag.square()).sqrt_().add_(1e-7)
        own = self.bank.fit(magnitude, target)
        return estimate.mul_(own.mul_(smooth).sqrt_().div_(magnitude))

    def _analyse(self, samples: Tensor) -> Tensor:
        """Spectra (frames, n_fft // 2 + 1); silence stands before and after the samples (frames * hop,)."""
        margin = (self.n_fft - self.hop) // 2
        padded = functional.pad(samples, (margin, self.n_fft - self.hop - margin))
        return torch.fft.rfft(padded.unfold(0, self.n_fft, self.hop) * self.window)


class FilterBank:
    """Mel filters as a few narrow matrices; frames are rows."""

    def __init__(self, basis: Tensor):
        self.total = basis.sum(1)  # (bins,)
        self.share = 1 / basis.sum(0).clamp(min=1e-6)  # (frequencies,)
        self.bands = []
        for numbers in torch.arange(len(basis)).tensor_split(BANDS):
            bins = slice(int(numbers[0]), int(numbers[-1]) + 1)
            heard = basis[bins].any(0).nonzero()
            span = slice(int(heard.min()), int(heard.max()) + 1) if len(heard) else slice(0, 1)
            self.bands.append((bins, span, basis[bins, span].contiguous()))

    def mels(self, magnitude: Tensor) -> Tensor:
        """(frames, frequencies) → (frames, bins)."""
        return torch.cat([magnitude[:, span] @ band.T for _, span, band in self.bands], 1)

    def spread(self, mels: Tensor) -> Tensor:
        """The transpose of `mels`: (frames, bins) → (frames, frequencies)."""
        spread = mels.new_zeros(len(mels), len(self.share))
        for bins, span, band in self.bands:
            spread[:, span] += mels[:, bins] @ band
        return spread

    def fit(self, magnitude: Tensor, target: Tensor) -> Tensor:
        """Magnitudes scaled towards the mels ``target``: a multiplicative update (Lee & Seung 2001), never negative."""
        return self.spread(target / (self.mels(magnitude) + 1e-9)).mul_(self.share).mul_(magnitude)


def _smallest_transform(contract: MelContract) -> int:
    """The shortest transform with the contract's frequencies that reaches its highest filter and fits hop and window."""
    highest = int(mel_basis(contract).any(0).nonzero().max())
    unit = contract.n_fft // math.gcd(contract.n_fft, contract.hop, contract.window)
    return min(contract.n_fft, math.ceil(2 * highest / unit) * unit)


def _window(contract: MelContract, n_fft: int) -> Tensor:
    """The contract's Hann window at the rate of a transform of ``n_fft``, in the middle of (n_fft,)."""
    window = torch.hann_window(contract.window * n_fft // contract.n_fft)
    before = (n_fft - len(window)) // 2
    return functional.pad(window, (before, n_fft - len(window) - before))


def _overlap_add(spectra: Tensor, window: Tensor, hop: int, energy: Tensor) -> Tensor:
    """The signal (frames * hop,) whose windowed spectra are nearest to ``spectra`` (Griffin & Lim 1984, equation 6).

    Frame *i* is centred on sample hop * i + hop / 2. ``spectra`` may end below the highest frequency of the window's rate.
    """
    pieces = torch.fft.irfft(spectra, len(window)).mul_(window)
    margin, length = (len(window) - hop) // 2, hop * len(spectra)
    return _added(pieces, hop).div_(energy)[margin:margin + length]


def _energy(window: Tensor, frames: int, hop: int) -> Tensor:
    """What that many windows, squared, add up to."""
    return _added(window.square().expand(frames, -1), hop).clamp_(min=1e-2)


def _added(pieces: Tensor, hop: int) -> Tensor:
    """Pieces (frames, n) laid over each other, each a hop after the last."""
    overlap = -(-pieces.shape[1] // hop)
    blocks = functional.pad(pieces, (0, overlap * hop - pieces.shape[1])).view(len(pieces), overlap, hop)
    added = pieces.new_zeros(len(pieces) + overlap - 1, hop)
    for block in range(overlap):
        added[block:block + len(pieces)] += blocks[:, block]
    return added.view(-1)
