"""The mel contract of Chatterbox's S3Gen, and the log-mel spectrogram it defines.

One owner for every number that says what a frame is: prepared data and checkpoints store it and are compared by it.
"""

import dataclasses
import functools
import math

import numpy as np
import torch

CHUNK = 64  # frames whose spectra are computed at once: as much as the cache of one core holds


@dataclasses.dataclass(frozen=True)
class MelContract:
    """What a frame means. The defaults are S3Gen's (Resemble AI, Chatterbox), so that its HiFT vocoder fits."""

    sample_rate: int = 24_000  # Hz
    n_fft: int = 1920  # samples
    hop: int = 480  # samples: 50 frames a second
    window: int = 1920  # samples, Hann
    bins: int = 80  # Slaney mel scale, Slaney area normalisation
    f_min: float = 0.0  # Hz
    f_max: float = 8000.0  # Hz
    floor: float = 1e-5  # of the magnitude, before the natural logarithm

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop

    @property
    def margin(self) -> int:
        """Samples of reflection before the first and after the last one (`center=False`, as S3Gen pads)."""
        return (self.n_fft - self.hop) // 2

    def differences(self, other: "MelContract") -> list[str]:
        """Each field in which the two differ, as ``name: mine / other's``."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{name}: {mine[name]} / {theirs[name]}" for name in mine if mine[name] != theirs[name]]


@functools.lru_cache(maxsize=4)
def mel_basis(contract: MelContract) -> torch.Tensor:
    """Filter bank, (bins, n_fft // 2 + 1) float32: triangles of unit area over Hz on Slaney's mel scale (Auditory Toolbox,
    1998), bit by bit those of librosa, which S3Gen takes them from and which takes a second to import."""
    scale = np.linspace(_slaney_mel(contract.f_min), _slaney_mel(contract.f_max), contract.bins + 2)
    # 3 mels every 200 Hz up to 1 kHz, above it 27 mels every factor of 6.4.
    corners = np.where(scale < 15, 200 / 3 * scale, 1000 * np.exp(np.log(6.4) / 27 * (scale - 15)))
    slopes = corners[:, None] - np.fft.rfftfreq(contract.n_fft, 1 / contract.sample_rate)
    widths = np.diff(corners)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:])).astype(np.float32)
    triangles *= (2 / (corners[2:] - corners[:-2]))[:, None]
    return torch.from_numpy(triangles)


def _slaney_mel(hertz: float) -> float:
    return hertz / (200 / 3) if hertz < 1000 else 15 + math.log(hertz / 1000) / (math.log(6.4) / 27)


@functools.lru_cache(maxsize=4)
def _bands(contract: MelContract) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The window, and the filter bank without its zeros: the ends (bins, 2) of each filter and all their weights."""
    basis = mel_basis(contract).numpy()
    used = [np.flatnonzero(row) for row in basis]  # a filter narrower than a line of the spectrum may hold none
    ends = np.array([[lines[0], lines[-1] + 1] if len(lines) else [0, 0] for lines in used])
    weights = np.concatenate([row[first:last] for row, (first, last) in zip(basis, ends, strict=True)])
    return torch.hann_window(contract.window).numpy(), ends, weights.astype(np.float32)


def log_mel(samples: np.ndarray | torch.Tensor, contract: MelContract = MelContract()) -> torch.Tensor:
    """Natural logarithm of the mel magnitudes of ``samples``.

    Args:
        samples: (samples,), mono, in [-1, 1], at the contract's rate.

    Returns:
        (frames, bins) float32; frame *i* is centred on sample ``hop * i + hop / 2``, and there are
        ``samples // hop`` of them.

    Raises:
        ValueError: fewer samples than the reflection needs (720 for S3Gen's contract), or more than one channel.
    """
    from chatterbox_es.acoustics.spectrum import band_sums, windowed_frames  # compiles: nobody who only speaks waits for it

    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or len(samples) <= contract.margin:
        raise ValueError(f"log_mel takes (samples,) with more than {contract.margin} samples, got {samples.shape}")
    window, ends, weights = _bands(contract)
    padded = np.pad(samples, contract.margin, mode="reflect")[(contract.n_fft - contract.window) // 2:]
    count = frames_of(len(samples), contract)
    mels = np.empty((count, contract.bins), np.float32)
    # In torch's memory, which is aligned alike in every process: the last bit of a transform may depend on that.
    frames = torch.zeros(min(count, CHUNK), contract.n_fft)
    for first in range(0, count, CHUNK):
        part = frames[:min(CHUNK, count - first)]
        windowed_frames(padded[first * contract.hop:], window, contract.hop, part.numpy()[:, :contract.window])
        spectra = torch.fft.rfft(part).numpy()
        # The 1e-9 under the root is S3Gen's (Matcha-TTS's): it moves only silence, but a vocoder was trained with it.
        band_sums(spectra.view(np.float32), ends, weights, 1e-9, mels[first:first + len(part)])
    np.maximum(mels, contract.floor, out=mels)
    return torch.from_numpy(np.log(mels, out=mels))


def frames_of(samples: int, contract: MelContract) -> int:
    """How many frames `log_mel` makes of that many samples."""
    return math.floor((samples + 2 * contract.margin - contract.n_fft) / contract.hop) + 1
