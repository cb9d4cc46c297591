"""The vocoder that comes with the package."""

import numpy as np
import pytest
import soxr
import torch

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.corpus.espeak_demo import Espeak
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.mel_vocoder import vocoder_for
from chatterbox_es.models.vocoder.checkpoint import BASE, Checkpoint
from chatterbox_es.models.vocoder.loss import SpectralLoss

CONTRACT = MelContract()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A sentence by a machine whose voice it has not heard."""
    with Espeak("es") as voice:
        samples = soxr.resample(voice.speak("Esta voz no la ha oído nunca: ¿suena mejor?"), voice.rate, CONTRACT.sample_rate)
    return samples[:len(samples) // CONTRACT.hop * CONTRACT.hop].astype(np.float32)


def test_it_fits_into_its_share_of_the_repository_and_says_where_it_comes_from():
    assert BASE.stat().st_size < 10_000_000
    checkpoint = Checkpoint.load(BASE)
    assert checkpoint.contract == CONTRACT
    card = (BASE.parent / "README.md").read_text(encoding="utf-8")
    assert f"{sum(weight.numel() for weight in checkpoint.weights.values()):,}" in card and "Apache-2.0" in card


def test_it_comes_nearer_to_a_voice_that_it_never_heard_than_griffin_lim_does(speech):
    mel, loss = log_mel(speech, CONTRACT).numpy(), SpectralLoss(CONTRACT.sample_rate)
    base, without = vocoder_for(CONTRACT), GriffinLim(CONTRACT)
    assert base.name == "the base vocoder"
    errors = [float(loss(torch.from_numpy(vocoder(mel))[None, :len(speech)], torch.from_numpy(speech)[None])[0])
              for vocoder in (base, without)]
    assert errors[0] < 0.85 * errors[1]


def test_silence_stays_silent_and_nothing_clicks_at_the_ends(speech):
    base = vocoder_for(CONTRACT)
    silence = base(np.full((50, CONTRACT.bins), np.log(CONTRACT.floor), np.float32))
    assert np.abs(silence).max() < 1e-3
    quiet = np.concatenate([np.zeros(4800, np.float32), speech, np.zeros(4800, np.float32)])
    said = base(log_mel(quiet, CONTRACT).numpy())
    assert max(np.abs(said[:960]).max(), np.abs(said[-960:]).max()) < 1e-3


def test_a_training_draws_the_same_whether_it_is_heard_or_not():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    vocoder_for(CONTRACT)
    assert torch.equal(torch.rand(4), expected)
