"""What is measured of a recording, on signals of which it is known."""

import io

import numpy as np
import pytest
import soundfile
import soxr

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.mel import MelContract
from chatterbox_es.audio.quality import QUALITY, measure
from chatterbox_es.audio.waveform import Source, mono_at, trim_silence

CONTRACT = MelContract()
RATE = CONTRACT.sample_rate


def measured(samples: np.ndarray, rate: int = RATE, phones: int = 10, trim: bool = False, words: str = "hola") -> np.void:
    """As preparing measures a file with these samples."""
    source = Source(np.asarray(samples, np.float32).reshape(len(samples), -1), rate, "test")
    mono, cut = mono_at(source, RATE), (0.0, 0.0)
    if trim:
        mono, *cut = trim_silence(mono, RATE)
    return measure(source, mono, log_mel(mono).numpy(), CONTRACT, tuple(cut), phones, words)


def syllables(seconds: float = 4.0, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Voiced and hissing stretches of 50 to 150 ms at many levels, with closures between: not speech, but shaped like it."""
    random, pieces = np.random.default_rng(seed), []
    while sum(map(len, pieces)) < seconds * rate:
        length = random.integers(rate // 20, rate // 7)
        time, pitch = np.arange(length) / rate, random.uniform(90, 220)
        formant = random.uniform(300, 2500)
        voiced = sum(np.sin(2 * np.pi * pitch * h * time) * np.exp(-((pitch * h - formant) / 600) ** 2) for h in range(1, 30))
        hiss = np.diff(random.normal(size=length + 1)) * 0.3
        shape = np.hanning(length) * 10 ** random.uniform(-1.2, 0)
        pieces += [shape * (voiced if random.random() < 0.7 else hiss), np.zeros(random.integers(0, rate // 12))]
    whole = np.concatenate(pieces)[: round(seconds * rate)]
    return 0.4 * whole / np.abs(whole).max()


def active_power(samples: np.ndarray) -> float:
    """Mean power of the frames within 30 dB of the loudest, computed in another way than the module's."""
    frames = np.square(samples[: len(samples) // 480 * 480].reshape(-1, 480)).mean(1)
    return float(frames[frames > frames.max() * 1e-3].mean())


def test_level_and_offset_are_those_of_the_file():
    tone = 0.1 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)
    assert measured(tone)["level"] == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.1)
    assert measured(tone + 0.03)["dc"] == pytest.approx(0.03, abs=1e-4)
    assert measured(tone - 0.03)["dc"] == pytest.approx(-0.03, abs=1e-4)
    padded = np.concatenate([np.zeros(3 * RATE), tone])
    assert measured(padded, trim=True)["level"] == pytest.approx(measured(tone)["level"], abs=0.3)  # silence does not count


def test_clipping_is_counted_sample_by_sample_and_found_after_scaling():
    samples = syllables()
    assert measured(samples)["clipping"] == 0
    clipped = np.clip(samples * 4, -0.8, 0.8)
    held = np.abs(clipped) == 0.8
    runs = np.split(held, np.flatnonzero(np.diff(np.sign(clipped) * held)) + 1)
    expected = sum(len(run) for run in runs if run[0] and len(run) >= 3) / len(samples)
    assert expected > 0.001
    for scaled in (clipped, 0.3 * clipped, np.round(0.3 * clipped * 32768) / 32768):
        assert measured(scaled)["clipping"] == pytest.approx(expected, rel=0.02)
    both = np.stack([samples, clipped], axis=1)
    assert measured(both)["clipping"] == pytest.approx(expected, rel=0.02)  # in the worse of two channels


@pytest.mark.parametrize("low", [8000, 11025, 16000])
def test_a_recording_from_a_lower_rate_is_found(low):
    samples = syllables()
    assert measured(samples)["bandwidth"] > 11_000
    raised = soxr.resample(soxr.resample(samples, RATE, low), low, 22_050)
    assert 0.9 * low / 2 < measured(np.round(raised * 32768) / 32768, 22_050)["bandwidth"] < 1.05 * low / 2
    assert 0.9 * low / 2 < measured(soxr.resample(samples, RATE, low), low)["bandwidth"] < 1.05 * low / 2


@pytest.mark.parametrize("ratio", [5, 10, 15, 20, 25])
@pytest.mark.parametrize("colour", ["white", "pink"])
def test_noise_of_a_known_level_is_found(ratio, colour):
    random = np.random.default_rng(ratio)
    errors = []
    for seed in range(6):
        samples = syllables(seed=seed)
        spectrum = np.fft.rfft(random.normal(size=len(samples)))
        noise = np.fft.irfft(spectrum / (1 if colour == "white" else np.sqrt(np.arange(1, len(spectrum) + 1))), len(samples))
        noise *= np.sqrt(active_power(samples) / np.mean(noise**2)) * 10 ** (-ratio / 20)
        errors.append(float(measured(samples + noise)["snr"]) - ratio)
    assert abs(np.median(errors)) < 3.5 and np.ptp(errors) < 5, errors


def test_silence_and_pauses_are_those_put_in():
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)
    samples = np.concatenate([np.zeros(RATE // 2), tone, np.zeros(RATE), tone, np.zeros(RATE // 10), tone, np.zeros(RATE // 4)])
    for trim in (False, True):
        found = measured(samples, trim=trim, phones=31)
        assert found["head"] == pytest.approx(0.5, abs=0.05) and found["tail"] == pytest.approx(0.25, abs=0.06)
        assert found["longest_pause"] == pytest.approx(1.0, abs=0.06)
        assert found["silence"] == pytest.approx(1.75 / 4.85, abs=0.03)  # the 0.1 s between two tones are no pause
        assert found["speaking_rate"] == pytest.approx(31 / 3.1, rel=0.04)
        assert found["seconds"] == pytest.approx(4.85)


def differing(one: np.void, other: np.void) -> int:
    return int(np.bitwise_count(one["fingerprint"] ^ other["fingerprint"]).sum())


def test_a_fingerprint_survives_coding_and_gain_and_no_other_recording_has_it():
    samples = syllables()
    original = measured(samples, trim=True)
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * samples, RATE, format="MP3")
    buffer.seek(0)
    copy = measured(np.concatenate([np.zeros(5000), soundfile.read(buffer)[0]]), trim=True)
    assert differing(original, copy) <= 20
    assert copy["audio"] != original["audio"]
    assert measured(samples.copy(), trim=True)["audio"] == original["audio"]
    assert min(differing(original, measured(syllables(seed=seed), trim=True)) for seed in range(1, 20)) > 30


def test_texts_are_the_same_whatever_their_marks():
    tone = syllables(1.0)
    assert measured(tone, words="¡Hola, Ana!")["text"] == measured(tone, words="hola ana")["text"]
    assert measured(tone, words="hola ana")["text"] != measured(tone, words="hola anas")["text"]


@pytest.mark.parametrize("samples", [
    np.r_[np.zeros(800), 0.5, np.zeros(200)], 0.001 * np.ones(24_000) + 0.5 * (np.arange(24_000) == 9000),
    np.tile([0.9, -0.9], 12_000), np.random.default_rng(0).normal(0, 0.1, (1200, 2)),
], ids=["a click", "a click on an offset", "full scale at the highest frequency", "two channels of 50 ms"])
def test_whatever_is_measured_is_a_number(samples):
    found = measured(samples)
    assert found.dtype == QUALITY
    assert all(np.isfinite(found[name]).all() for name in QUALITY.names)
