"""What any vocoder of the contract owes: length, range, time, and the mels it was given."""

import numpy as np
import pytest
import torch

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.mel import MelContract, mel_basis
from chatterbox_es.audio.vocoder import FilterBank, GriffinLim


@pytest.fixture(scope="module")
def vocoder() -> GriffinLim:
    return GriffinLim()


def vowel(seconds: float) -> np.ndarray:
    """A pulse train through two resonances, roughly an "a"."""
    time = np.arange(round(seconds * 24_000)) / 24_000
    return sum(np.sin(2 * np.pi * 125 * h * time) * (np.exp(-((125 * h - 700) / 300) ** 2)
               + 0.6 * np.exp(-((125 * h - 1300) / 300) ** 2)) for h in range(1, 40)) * 0.1 + 0.001


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_a_hop_of_samples_a_frame_within_full_scale(vocoder, frames):
    samples = vocoder(np.full((frames, 80), 3.0, np.float32))  # far too loud
    assert samples.shape == (frames * 480,)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_the_sound_has_the_mels_it_was_made_of(vocoder):
    original = vowel(0.8)
    mel = log_mel(original).numpy()
    again = log_mel(vocoder(mel)).numpy()
    loud = mel > mel.max() - 4
    inside = np.zeros_like(loud)
    inside[3:-3] = True
    assert np.abs(again - mel)[loud & inside].mean() < 0.25
    shuffled = np.random.default_rng(0).permutation(mel.T).T
    assert np.abs(again - shuffled)[loud & inside].mean() > 1  # the bound above means something


def test_the_sound_is_where_the_mels_are(vocoder):
    mel = np.full((60, 80), -11.5, np.float32)
    mel[40:44, 10:30] = 0.0
    energy = np.square(vocoder(mel)).reshape(60, 480).sum(1)
    assert energy[39:45].sum() > 0.95 * energy.sum()
    assert (energy * np.arange(60)).sum() / energy.sum() == pytest.approx(41.5, abs=0.5)


def test_the_same_mels_sound_the_same(vocoder):
    mel = log_mel(vowel(0.2)).numpy()
    np.testing.assert_array_equal(vocoder(mel), vocoder(mel.copy()))


@pytest.mark.parametrize("shape", [(0, 80), (10, 79), (80,), (1, 10, 80)])
def test_other_shapes_are_an_error(vocoder, shape):
    with pytest.raises(ValueError, match=r"a vocoder takes \(frames, 80\)"):
        vocoder(np.zeros(shape, np.float32))


@pytest.mark.parametrize("contract", [
    MelContract(f_max=12_000.0),  # filters up to the highest frequency
    MelContract(sample_rate=22_050, n_fft=1024, hop=256, window=1024),
    MelContract(sample_rate=22_050, n_fft=1024, hop=300, window=800),  # a hop that the transform is no multiple of
    MelContract(sample_rate=16_000, n_fft=1024, hop=200, window=1024, bins=40, f_max=4000.0),
])
def test_other_contracts_sound_as_they_should(contract):
    vocoder = GriffinLim(contract)
    mel = log_mel(vowel(0.8), contract).numpy()
    samples = vocoder(mel)
    assert samples.shape == (len(mel) * contract.hop,)
    again = log_mel(samples, contract).numpy()
    loud = mel > mel.max() - 4
    loud[:3] = loud[-3:] = False
    assert np.abs(again - mel)[loud].mean() < 0.3


def test_work_is_done_at_the_rate_that_the_filters_need():
    """S3Gen's filters end at 8 kHz: its frames of 1920 samples at 24 kHz are 1280 samples at 16 kHz."""
    assert (GriffinLim().n_fft, GriffinLim().hop) == (1280, 320)
    assert GriffinLim(MelContract(f_max=12_000.0)).n_fft == 1920


def test_the_filter_bank_in_pieces_is_the_filter_bank():
    basis = mel_basis(MelContract())
    bank = FilterBank(basis)
    magnitude, mels = torch.rand(7, basis.shape[1]), torch.rand(7, len(basis))
    torch.testing.assert_close(bank.mels(magnitude), magnitude @ basis.T)
    torch.testing.assert_close(bank.spread(mels), mels @ basis)
    assert bank.fit(magnitude, mels).min() >= 0
    torch.testing.assert_close(bank.fit(magnitude, bank.mels(magnitude)), magnitude * (basis.sum(0) > 0), atol=1e-4, rtol=1e-3)
