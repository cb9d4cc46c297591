"""Where harmonics stand in mels, beside mels of pulses that are made as sound."""

import numpy as np
import pytest
import scipy.signal
import torch

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.harmonics import LOWEST, ROWS, STEP, harmonic_mels, harmonics_at


@pytest.mark.parametrize("hertz", [70.0, 110.0, 220.0, 400.0])
def test_they_are_the_mels_of_pulses_beside_those_of_noise(hertz):
    contract, times = MelContract(), np.arange(24_000) / 24_000
    pulses = sum(np.cos(2 * np.pi * hertz * number * times) for number in range(1, int(12_000 / hertz)))
    noise = np.random.default_rng(0).standard_normal(240_000)
    made = (log_mel(0.01 * pulses, contract)[10:40].mean(0) - log_mel(0.1 * noise, contract).mean(0)).numpy()
    found = harmonics_at(harmonic_mels(contract), torch.tensor([12 * np.log2(hertz) - LOWEST], dtype=torch.float32))[0].numpy()
    above = found > 0  # the table has a row every quarter of a semitone: a valley's bottom lies between two
    difference = (made - found)[above]
    np.testing.assert_allclose(difference - np.median(difference), 0, atol=0.25)
    peaks = scipy.signal.find_peaks(found[:30], height=0)[0]
    np.testing.assert_array_equal(peaks, scipy.signal.find_peaks(np.maximum(made, made.max() - 4)[:30],
                                                                  height=made.max() - 2)[0])


def test_an_octave_higher_the_first_one_stands_where_the_second_stood():
    low, high = (harmonics_at(harmonic_mels(MelContract()), torch.tensor([pitch]))[0].numpy()
                 for pitch in (24.0, 36.0))
    assert scipy.signal.find_peaks(high)[0][0] == scipy.signal.find_peaks(low)[0][1]


def test_between_rows_they_go_straight_and_beyond_the_ends_they_stay():
    table = torch.arange(ROWS, dtype=torch.float32)[:, None].expand(-1, 3)
    pitches = torch.tensor([2.6 * STEP, -5.0, (ROWS + 9) * STEP])
    found = harmonics_at(table, pitches)
    assert found.shape == (3, 3)
    assert found[:, 0].tolist() == pytest.approx([2.6, 0, ROWS - 1], abs=2e-3)
