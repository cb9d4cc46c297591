"""The mel contract against its definition, written out here without torch's or librosa's transforms."""

import math

import librosa.filters
import numpy as np
import pytest
import torch

from chatterbox_es.audio.log_mel import frames_of, log_mel
from chatterbox_es.audio.mel import MelContract, mel_basis


def slaney_mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear below 1 kHz (3 mels every 200 Hz), logarithmic above (27 mels every factor of 6.4)."""
    return np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(np.maximum(hertz, 1) / 1000) / np.log(6.4))


def slaney_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def filters() -> np.ndarray:
    """(80, 961) triangles from 0 to 8000 Hz, each of unit area over Hz."""
    ends = slaney_mel(np.array([0.0, 8000.0]))
    corners = slaney_hertz(np.linspace(*ends, 82))
    frequencies = np.arange(961) * 24_000 / 1920
    rows = []
    for left, centre, right in zip(corners, corners[1:], corners[2:], strict=False):
        triangle = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
        rows.append(np.maximum(triangle, 0) * 2 / (right - left))
    return np.array(rows)


def reference(samples: np.ndarray) -> np.ndarray:
    """The contract's log-mels by an explicit Fourier sum in double precision."""
    padded = np.pad(samples, 720, mode="reflect")
    frames = np.array([padded[start:start + 1920] for start in range(0, len(padded) - 1919, 480)])
    n = np.arange(1920)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / 1920)
    # k n modulo 1920 keeps the angles small, so that the sum is exact to double precision.
    fourier = np.exp(-2j * np.pi * (np.outer(n, np.arange(961)) % 1920) / 1920)
    magnitude = np.sqrt(np.abs((frames * window) @ fourier) ** 2 + 1e-9)
    return np.log(np.maximum(magnitude @ filters().T, 1e-5))


def test_log_mels_are_those_of_the_definition():
    random = np.random.default_rng(1)
    time = np.arange(3000) / 24_000
    samples = (0.3 * np.sin(2 * np.pi * 220 * time) + 0.1 * np.sin(2 * np.pi * (500 + 9000 * time) * time)
               + random.normal(0, 0.02, 3000)).astype(np.float32)
    expected = reference(samples.astype(np.float64))
    assert expected.shape == (6, 80)
    assert expected.std() > 1  # there is something to get wrong
    np.testing.assert_allclose(log_mel(samples).numpy(), expected, atol=2e-4)


def test_filters_are_slaneys():
    np.testing.assert_allclose(mel_basis(MelContract()).numpy(), filters(), atol=1e-8)


@pytest.mark.parametrize("contract", [
    MelContract(), MelContract(16_000, 1024, 256, 1024, 80, 20.0, 7600.0),
    MelContract(44_100, 2048, 512, 2048, 128, 1200.0, 16_000.0),
], ids=["S3Gen's", "16 kHz", "44.1 kHz, none below 1 kHz"])  # fmt: skip
def test_filters_are_librosas_bit_by_bit(contract):
    expected = librosa.filters.mel(sr=contract.sample_rate, n_fft=contract.n_fft, n_mels=contract.bins, fmin=contract.f_min,
                                   fmax=contract.f_max)
    assert np.array_equal(mel_basis(contract).numpy(), expected)


@pytest.mark.parametrize(("hertz", "bin"), [(200, 4), (1000, 26), (4000, 62)])
def test_a_tone_is_loudest_in_the_bin_that_is_centred_nearest(hertz, bin):
    mel = log_mel(np.sin(2 * np.pi * hertz * np.arange(24_000) / 24_000))
    centres = slaney_hertz(np.linspace(*slaney_mel(np.array([0.0, 8000.0])), 82))[1:-1]
    assert abs(centres[bin] - hertz) == np.abs(centres - hertz).min()
    assert set(mel[2:-2].argmax(1).tolist()) == {bin}


def test_silence_is_what_the_constants_leave():
    mel = log_mel(np.zeros(4800))
    expected = np.log(np.maximum(filters().sum(1) * math.sqrt(1e-9), 1e-5))
    np.testing.assert_allclose(mel.numpy(), np.tile(expected, (10, 1)), atol=1e-5)
    assert mel.min() == pytest.approx(math.log(1e-5))


@pytest.mark.parametrize("samples", [721, 959, 960, 1919, 1920, 24_000, 24_479, 24_480])
def test_frames_are_whole_hops(samples):
    mel = log_mel(np.random.default_rng(0).normal(0, 0.1, samples))
    assert mel.shape == (samples // 480, 80)
    assert mel.dtype == torch.float32
    assert frames_of(samples, MelContract()) == samples // 480


def test_frame_i_is_centred_half_a_hop_after_its_start():
    samples = np.zeros(9600)
    samples[480 * 7 + 240] = 1.0
    assert log_mel(samples).sum(1).argmax() == 7


@pytest.mark.parametrize("samples", [np.zeros(720), np.zeros(0), np.zeros((2, 4800))])
def test_too_little_or_too_many_channels_is_an_error(samples):
    with pytest.raises(ValueError, match="more than 720 samples"):
        log_mel(samples)


def test_contracts_say_where_they_differ():
    assert MelContract().differences(MelContract()) == []
    assert MelContract().differences(MelContract(hop=256, floor=1e-6)) == ["hop: 480 / 256", "floor: 1e-05 / 1e-06"]
