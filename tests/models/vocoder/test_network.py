"""What a vocoder makes of mels, before and after any training: its length, silence, streams, the source's harmonics."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.convnext import KERNEL, SIDE, DepthwiseConv
from chatterbox_es.models.vocoder.batches import filled
from chatterbox_es.models.vocoder.network import PIECE, Vocoder
from chatterbox_es.models.vocoder.pitch import PitchHead
from chatterbox_es.models.vocoder.source import Transform, phase_of, pulses, sample_f0

CONTRACT = MelContract()
SIZES = {"width": 32, "slow_blocks": 2, "blocks": 3, "pitch_width": 16, "pitch_blocks": 2}


@pytest.fixture
def vocoder() -> Vocoder:
    """With weights in whose output every input counts: as they are at first, the filters hardly hear the backbone."""
    vocoder = Vocoder(CONTRACT, **SIZES).eval()
    torch.nn.init.normal_(vocoder.head.weight, std=0.3 / vocoder.head.in_features**0.5)
    return vocoder


def speechlike(frames: int, seed: int = 0) -> torch.Tensor:
    """Natural-log mels (frames, bins) of about the loudness of speech, smooth over frames and bins."""
    random = torch.randn(1, 1, frames + 8, 88, generator=torch.Generator().manual_seed(seed))
    return 4 * functional.avg_pool2d(random, 9, 1)[0, 0] * 9**0.5 - 5


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
def test_as_many_samples_as_the_frames_stand_for(vocoder, frames):
    with torch.inference_mode():
        samples = vocoder(speechlike(frames)[None])
    assert samples.shape == (1, frames * CONTRACT.hop)
    assert samples.isfinite().all()
    assert samples.dtype == torch.float32
    assert torch.equal(vocoder.vocode(speechlike(frames)), samples[0])


def test_the_same_mels_give_the_same_samples(vocoder):
    torch.manual_seed(1)
    first = vocoder.vocode(speechlike(20))
    torch.manual_seed(2)
    assert torch.equal(vocoder.vocode(speechlike(20)), first)


def test_silence_stays_silent(vocoder):
    silence = torch.full((100, CONTRACT.bins), float(np.log(CONTRACT.floor)))
    samples = Vocoder(CONTRACT, **SIZES).vocode(silence)
    assert float(samples.abs().max()) < 2e-4  # 74 dB below full scale


def test_untrained_it_is_as_loud_as_its_mels(vocoder):
    """White noise has the mels that the envelope's start was reckoned for, up to what filters between their lines lose."""
    noise = 0.1 * torch.randn(48_000, generator=torch.Generator().manual_seed(0))
    mels = log_mel(noise)
    made = log_mel(Vocoder(CONTRACT, **SIZES).vocode(mels))
    assert float((made - mels)[2:-2].mean().abs()) < 0.3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_an_error(vocoder, value):
    mels = speechlike(20)
    mels[7, 3] = value
    with pytest.raises(ValueError, match="infinite or not numbers"):
        vocoder.vocode(mels)


@pytest.mark.parametrize("shape", [(0, 80), (10, 81), (10,), (1, 10, 80)])
def test_mels_of_another_shape_are_an_error(vocoder, shape):
    with pytest.raises(ValueError, match="a vocoder takes"):
        vocoder.vocode(torch.zeros(shape))


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_in_pieces_it_sounds_as_at_once(vocoder, size):
    mels = speechlike(120)
    with torch.inference_mode():
        at_once = vocoder(mels[None])[0]
    pieces = list(vocoder.stream(mels.split(size)))
    assert len(pieces) >= min(120 // size, 120 - vocoder.reach)
    torch.testing.assert_close(torch.cat(pieces), at_once, atol=1e-4, rtol=0)


def test_a_long_mel_is_made_in_pieces_that_fit(vocoder):
    mels = speechlike(PIECE + 300)
    with torch.inference_mode():
        at_once = vocoder(mels[None])[0]
    torch.testing.assert_close(vocoder.vocode(mels), at_once, atol=1e-3, rtol=0)


def test_what_lies_beyond_its_reach_changes_nothing(vocoder):
    """But for the source's phase, which is given here."""
    mels, changed, frame = speechlike(80), speechlike(80), 40
    changed[frame:] = speechlike(40, seed=9)
    f0 = torch.full((1, 80), 140.0)
    with torch.inference_mode():
        before, after = (vocoder.decode(one[None], f0)[0].view(80, -1) for one in (mels, changed))
    moved = (before - after).abs().amax(1) > 1e-6
    assert moved[frame]
    assert not moved[:frame - vocoder.reach].any()
    assert moved[frame - vocoder.reach // 2:].any()


@pytest.mark.parametrize("hertz", [237.0, 250.0, 799.0])
def test_pulses_are_the_sum_of_their_harmonics(hertz):
    """The highest of them by as much as there is room for above it."""
    rate, f0 = 24_000, torch.full((1, 2000), hertz)
    phase = phase_of(f0, rate)
    phase[0, :3] = torch.tensor([1e-9, 2e-5, 1 - 2e-5])
    room = rate / 2 / hertz
    loudness = torch.tensor([1.0] * (int(room) - 1) + [room % 1], dtype=torch.float64)
    turns = torch.arange(1, int(room) + 1) * phase[0, :, None]
    by_hand = (loudness * torch.cos(2 * torch.pi * turns)).sum(1) / ((room - 1) / 2)**0.5
    torch.testing.assert_close(pulses(f0, phase, rate)[0], by_hand.float(), atol=1e-4, rtol=0)
    assert float(pulses(f0, phase_of(f0, rate), rate).square().mean()) == pytest.approx(1, abs=0.05)


def test_pulses_do_not_depend_on_how_f0_is_rounded():
    """Where another harmonic comes under half of the rate (every 12 kHz / n), another runtime may find it above."""
    edges = 12_000 / torch.arange(20, 120)
    phase = torch.rand(1, len(edges), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    above, below = (pulses(edges[None] * (1 + step), phase, 24_000) for step in (2e-7, -2e-7))
    torch.testing.assert_close(above, below, atol=1e-3, rtol=0)


def test_f0_goes_from_middle_to_middle_of_the_frames():
    at_samples = sample_f0(torch.tensor([[100.0, 200.0, 200.0]]), hop=4, margin=2)
    rising = [100 + 100 * (sample + 0.5) / 4 for sample in range(4)]
    assert at_samples[0].tolist() == pytest.approx([100] * 4 + rising + [200] * 8, abs=1e-3)


def test_a_transform_and_back_gives_the_samples():
    transform = Transform(n_fft=48, hop=12)
    samples = torch.randn(2, 12 * 20)
    padded = functional.pad(samples, (transform.margin, transform.margin))
    torch.testing.assert_close(transform.synthesise(*transform.analyse(padded).unbind(3)), samples, atol=1e-5, rtol=0)


def test_the_depthwise_convolution_is_torchs(seeded):
    layer = DepthwiseConv(6)
    x = torch.randn(2, 11, 6, requires_grad=True)
    kernel, bias = layer.weight.detach().t()[:, None].clone().requires_grad_(), torch.randn(6, requires_grad=True)
    layer.bias.data.copy_(bias.detach())
    ours, back = layer(x), torch.randn(2, 11, 6)
    ours.backward(back)
    mine = x.grad.clone(), layer.weight.grad.t()[:, None], layer.bias.grad
    x.grad = None
    theirs = functional.conv1d(x.transpose(1, 2), kernel, bias, padding=SIDE, groups=6).transpose(1, 2)
    theirs.backward(back)
    for found, expected in zip((ours, *mine), (theirs, x.grad, kernel.grad, bias.grad), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert kernel.shape[2] == KERNEL


def test_f0_lies_between_classes_and_keeps_to_one_octave():
    head = PitchHead(80, 8, torch.nn.Identity())
    hertz = torch.tensor([[61.3, 119.0, 220.0, 598.0]])
    distance = (hertz.log()[..., None] - head.logs) / float(head.logs[1] - head.logs[0])
    likely = (-0.5 * distance.square()).exp()
    logits = torch.cat([torch.logit(likely, eps=1e-6), torch.ones(1, 4, 1)], 2)
    assert (1200 * (head.f0(logits) / hertz).log2()).abs().max() < 3  # cents
    either = torch.maximum(likely[:, 1], 0.5 * likely[:, 2])  # a frame that might be 220 Hz, and is rather 119
    assert head.f0(torch.cat([either.logit(eps=1e-6), torch.ones(1, 1)], 1)[:, None]).item() == pytest.approx(119, rel=1e-2)


def test_f0_does_not_depend_on_which_of_two_classes_is_the_best():
    """Where two are as likely as each other, rounding decides, and every later sample's phase hangs on F0."""
    head, chance = PitchHead(80, 8, torch.nn.Identity()), torch.Generator().manual_seed(0)
    noise = -6 + 0.5 * torch.randn(20, len(head.logs) + 1, generator=chance)
    places = torch.arange(len(head.logs))
    lower = torch.randint(10, 180, (20, 1), generator=chance)
    noise[:, :-1] = torch.logaddexp(noise[:, :-1], 3 - 0.5 * (places - lower - 0.5) ** 2)
    one, other = noise.clone(), noise.clone()
    one.scatter_(1, lower, noise.gather(1, lower + 1) + 1e-6)
    other.scatter_(1, lower, noise.gather(1, lower + 1) - 1e-6)
    torch.testing.assert_close(head.f0(one[None]), head.f0(other[None]), rtol=2e-6, atol=0)
    assert not torch.equal(one[:, :-1].argmax(1), other[:, :-1].argmax(1))


def test_f0_is_learnt_from_mels_of_tones():
    """A head alone, on steady tones: after some steps it hears tones between those that it was taught."""
    def tone(hertz: float) -> torch.Tensor:
        time = np.arange(9600) / 24_000
        return log_mel(0.1 * sum(np.sin(2 * np.pi * hertz * harmonic * time) for harmonic in range(1, 12)))[4:12]

    head, taught = PitchHead(80, 64, torch.nn.Identity()), [100 * 2**(step / 12) for step in range(0, 13)]
    mels = torch.stack([tone(hertz) for hertz in taught])
    f0 = torch.tensor(taught)[:, None].expand(-1, 8)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(150):
        loss = sum(part.mean() for part in head.loss(head((mels + 5) / 2.5), f0))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    found = head.f0(head((mels + 5) / 2.5)).detach()
    assert float((1200 * (found / f0).log2()).abs().median()) < 25


def test_the_source_has_f0_where_the_recording_has_none():
    track = filled(np.array([0, 0, 100, 0, 400, 0], np.float32))
    assert track.tolist() == pytest.approx([100, 100, 100, 200, 400, 400])
    assert (filled(np.zeros(4, np.float32)) > 0).all()


def test_another_contract_has_its_own_frames():
    contract = dataclasses.replace(CONTRACT, sample_rate=16_000, n_fft=1024, window=1024, hop=256, f_max=8000.0)
    samples = Vocoder(contract, n_fft=512, **SIZES).vocode(speechlike(10))
    assert samples.shape == (2560,)
