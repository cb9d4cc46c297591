"""Mel-cepstral distortion and prosody: identity, independent values, what cannot be measured."""

import dataclasses
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("pyworld") is None:  # one that is there and cannot be imported is a fault, not a reason to skip
    pytest.skip("pyworld is not installed", allow_module_level=True)

from chatterbox_es.audio.log_mel import log_mel  # noqa: E402
from chatterbox_es.audio.mel import MelContract  # noqa: E402
from chatterbox_es.audio.waveform import read_audio  # noqa: E402
from chatterbox_es.evaluation.global_variance import GlobalVariance  # noqa: E402
from chatterbox_es.evaluation.mcd import (
    Analysis,
    MelCepstralDistortion,
    Pairs,
    align,
    all_pass_constant,
    analyse,
    distortion,
    mel_cepstra,
)
from chatterbox_es.evaluation.prosody import Prosody, f0_range, liveliness, melody, speech_seconds  # noqa: E402
from chatterbox_es.evaluation.sounds import Failure, Sound  # noqa: E402

RATE = 24_000


def glide(seconds: float = 1.0, low: float = 100.0, high: float = 200.0, rate: int = RATE) -> np.ndarray:
    """A harmonic tone whose F0 rises evenly, with a formant that moves, (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    f0 = low + (high - low) * time / seconds
    phase = 2 * np.pi * np.cumsum(f0) / rate
    formant = 500 + 1000 * time / seconds
    tone = sum(np.exp(-((k * f0 - formant) / 400) ** 2) * np.sin(k * phase) for k in range(1, 40))
    return (0.3 * tone / np.abs(tone).max() + 1e-4 * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


def sound(samples: np.ndarray, recording: np.ndarray | None, **more: object) -> Sound:
    phonemes = ("<s>", "l", "a", "k", "ˈa", "s", "a", ".", "</s>")
    return Sound("voice", "u1", "la casa", phonemes, samples, RATE, recording, **more)


# ---- mel-cepstra


@pytest.mark.parametrize(("rate", "constant"), [(16_000, 0.41), (22_050, 0.455), (24_000, 0.466), (44_100, 0.544)])
def test_the_all_pass_constant_is_the_one_that_the_field_uses(rate, constant):
    assert all_pass_constant(rate) == pytest.approx(constant, abs=0.001)


def test_mel_cepstra_give_the_log_spectrum_back_on_the_mel_axis():
    """Σ c_k cos kω' must be the log magnitude at the frequency that the all-pass bends to ω'."""
    frequencies = np.linspace(0, np.pi, 513)
    log_magnitude = 0.8 * np.cos(frequencies) + 0.3 * np.cos(2 * frequencies) - 1
    cepstra = mel_cepstra(np.exp(2 * log_magnitude)[None], RATE, order=60)[0]
    a = all_pass_constant(RATE)
    bent = frequencies + 2 * np.arctan2(a * np.sin(frequencies), 1 - a * np.cos(frequencies))
    found = (cepstra[:, None] * np.cos(np.arange(61)[:, None] * bent)).sum(0)
    assert found == pytest.approx(log_magnitude, abs=1e-6)


# ---- distortion


def test_a_sound_has_no_distortion_from_itself():
    samples = glide()
    assert distortion(align(analyse(samples, RATE), analyse(samples, RATE))) == 0
    measured = MelCepstralDistortion(Pairs())([sound(samples, samples.copy())])
    assert measured == [{"mcd": 0.0}]


def test_loudness_does_not_count_and_timing_is_warped_away():
    quiet, slow = 0.5 * glide(), glide(1.5)
    other = glide(low=180, high=220)[::-1].copy()
    assert distortion(align(analyse(quiet, RATE), analyse(glide(), RATE))) < 0.5  # what lies at the floor moves
    assert distortion(align(analyse(slow, RATE), analyse(glide(), RATE))) < distortion(align(analyse(other, RATE),
                                                                                             analyse(glide(), RATE))) / 2


def loops_mcd(one: np.ndarray, other: np.ndarray) -> float:
    """The definition in plain loops: (frames, 25) each; mean over the cheapest path of 10/ln 10 · √(2 Σ Δc²)."""
    def distance(i: int, j: int) -> float:
        return 10 / math.log(10) * math.sqrt(2 * sum((one[i][k] - other[j][k]) ** 2 for k in range(1, 25)))

    cost: dict[tuple[int, int], tuple[float, int]] = {}  # sum and cells of the cheapest path that ends here
    for i in range(len(one)):
        for j in range(len(other)):
            before = [cost[cell] for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if cell in cost]
            total, cells = min(before, key=lambda path: path[0]) if before else (0.0, 0)
            cost[i, j] = (total + distance(i, j), cells + 1)
    total, cells = cost[len(one) - 1, len(other) - 1]
    return total / cells


def loops_cepstra(envelope: np.ndarray, alpha: float, order: int = 24) -> np.ndarray:
    """One power spectrum (bins,) to its mel-cepstrum: an inverse cosine transform, then the all-pass recursion, in loops."""
    bins = len(envelope)
    size = 2 * (bins - 1)
    log_magnitude = [0.5 * math.log(value) for value in envelope]
    cepstrum = []
    for m in range(bins):
        total = log_magnitude[0] + log_magnitude[-1] * math.cos(math.pi * m)
        total += 2 * sum(log_magnitude[k] * math.cos(2 * math.pi * k * m / size) for k in range(1, bins - 1))
        cepstrum.append(total / size * (1 if m in (0, bins - 1) else 2))
    warped = [0.0] * (order + 1)
    for value in reversed(cepstrum):  # Oppenheim & Johnson's recursion, from the last coefficient to the first
        before = warped[:]
        warped[0] = value + alpha * before[0]
        if order:
            warped[1] = (1 - alpha * alpha) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    return np.array(warped)


def test_the_distortion_is_that_of_its_definition_written_out_in_loops():
    generator = np.random.default_rng(1)
    one, other = (0.3 * generator.normal(size=(frames, 25)) for frames in (40, 33))
    found = distortion(align(Analysis(np.zeros(40), one), Analysis(np.zeros(33), other)))
    assert found == pytest.approx(loops_mcd(one, other), rel=1e-9)


def test_mel_cepstra_are_those_of_their_definition_written_out_in_loops():
    envelope = np.exp(np.random.default_rng(2).normal(size=129).cumsum() / 8)
    found = mel_cepstra(envelope[None], RATE)[0]
    assert found == pytest.approx(loops_cepstra(envelope, all_pass_constant(RATE)), abs=1e-9)


@pytest.mark.parametrize(("samples", "reason"), [
    (np.zeros(0, np.float32), "too short"), (np.zeros(24_000, np.float32), "silent"), (glide(0.02), "too short"),
])
def test_what_cannot_be_analysed_is_a_failure_that_says_why(samples, reason):
    for measure in (MelCepstralDistortion(Pairs()), Prosody(Pairs())):
        failed, measured = measure([sound(samples, glide()), Sound("voice", "u2", "a", ("a",), glide(), RATE, glide())])
        assert isinstance(failed, Failure)
        assert reason in failed.reason
        assert isinstance(measured, dict)


def test_world_is_found_without_the_module_of_setuptools_that_pyworld_asks_for():
    """pyworld 0.3.5 imports pkg_resources, which setuptools 82 has dropped."""
    program = ("import sys; sys.modules['pkg_resources'] = None\n"
               "from chatterbox_es.audio.f0 import world\n"
               "print(world().__version__, 'pkg_resources' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, left = done.stdout.split()
    assert version[0].isdigit() and left == "False"


def test_without_a_recording_there_is_a_failure():
    assert "no recording" in MelCepstralDistortion(Pairs())([sound(glide(), None)])[0].reason


def test_real_speech_has_no_distortion_from_itself_and_some_from_another_sentence():
    corpus = Path("../shared/corpora/dona/wavs")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    one, other = (analyse(read_audio(path, RATE), RATE) for path in sorted(corpus.glob("*.flac"))[7:10:2])
    assert distortion(align(one, one)) == 0
    assert 5 < distortion(align(one, other)) < 20


def test_many_processes_align_as_one_does():
    sounds = [sound(glide(0.3, high=150 + place), glide(0.3, low=90 + place)) for place in range(16)]
    sounds = [dataclasses.replace(one, utterance=f"u{place}") for place, one in enumerate(sounds)]
    sounds.append(sound(np.zeros(0, np.float32), glide(0.3)))
    apart, here = (MelCepstralDistortion(Pairs(processes))(sounds) for processes in (2, 1))
    assert apart == here
    assert isinstance(apart[-1], Failure)


# ---- flatness


def wobble(depth: float) -> np.ndarray:
    """A second of noise whose loudness swells by ± ``depth`` nepers, eight times: every mel bin moves as much."""
    time = np.arange(RATE) / RATE
    noise = 0.05 * np.random.default_rng(0).normal(size=RATE)
    return (noise * np.exp(depth * np.sin(2 * np.pi * 8 * time))).astype(np.float32)


def test_the_variance_of_mel_bins_is_that_of_their_definition_and_shows_what_is_flat():
    measure = GlobalVariance()
    lively, dull = sound(wobble(1.0), wobble(1.0)), dataclasses.replace(sound(wobble(0.2), wobble(1.0)), utterance="u2")
    same, flat = measure([lively, dull])
    assert same == {"mel_variance": 1}
    mine, theirs = (log_mel(wobble(depth), MelContract()).numpy().var(0) for depth in (0.2, 1.0))  # no pause in it
    assert flat["mel_variance"] == pytest.approx(float(np.exp(np.log(mine / theirs).mean())), rel=1e-4)
    assert measure.ratios["voice", "u2"] == pytest.approx(mine / theirs, rel=1e-4)
    assert flat["mel_variance"] < 0.5


def test_pauses_do_not_make_a_spectrum_lively():
    paused = np.concatenate([wobble(1.0), np.zeros(RATE, np.float32), wobble(1.0)])
    found, = GlobalVariance()([sound(paused, wobble(1.0))])
    everything, theirs = (log_mel(samples, MelContract()).numpy().var(0) for samples in (paused, wobble(1.0)))
    assert found["mel_variance"] < 2 < 10 < (everything / theirs).mean()  # the pause's edges alone remain
    short, alone = GlobalVariance()([sound(wobble(1.0)[:100], wobble(1.0)), sound(wobble(1.0), None)])
    assert "more than" in short.reason and "no recording" in alone.reason


# ---- prosody


def pair_of(mine: list[float], theirs: list[float]):
    """Two F0 tracks whose frames belong together one to one."""
    frames = len(mine)
    cepstra = np.zeros((frames, 25))
    pair = align(Analysis(np.array(mine), cepstra), Analysis(np.array(theirs), cepstra))
    return type(pair)(pair.sound, pair.recording, np.stack([np.arange(frames)] * 2, 1))


def test_f0_figures_by_hand():
    metrics = melody(pair_of([100, 110, 0, 300, 0], [100, 100, 100, 200, 0]))
    cents = [0, 1200 * math.log2(1.1), 1200 * math.log2(1.5)]
    assert metrics["f0_rmse"] == pytest.approx(math.sqrt(sum(c * c for c in cents) / 3))
    assert metrics["f0_rmse_hz"] == pytest.approx(math.sqrt((100 + 10_000) / 3))
    assert metrics["voicing_error"] == pytest.approx(1 / 5)
    assert metrics["gross_pitch_error"] == pytest.approx(1 / 3)
    mine, theirs = np.log([100, 110, 300]), np.log([100, 100, 200])
    covariance = ((mine - mine.mean()) * (theirs - theirs.mean())).sum()
    assert metrics["f0_correlation"] == pytest.approx(
        covariance / math.sqrt(((mine - mine.mean()) ** 2).sum() * ((theirs - theirs.mean()) ** 2).sum()))


def test_f0_figures_of_a_sound_with_itself_are_perfect():
    samples = glide()
    metrics = Prosody(Pairs())([sound(samples, samples.copy())])[0]
    assert [metrics[name] for name in ("f0_rmse", "f0_rmse_hz", "voicing_error", "gross_pitch_error", "duration_error",
                                       "rate_error")] == [0] * 6
    assert metrics["f0_correlation"] == pytest.approx(1)
    assert metrics["duration_ratio"] == 1


def test_a_melody_by_itself_by_hand():
    """Ten frames an octave and a half apart in steps of two semitones, and two without voice."""
    theirs = np.array([0, *(100 * 2 ** (np.arange(10) / 6)), 0])
    mine = np.where(theirs > 0, 100 * (theirs / 100) ** 0.5, 0)
    steps = 2 * np.arange(10)
    found = liveliness(theirs, theirs)
    assert found == {"voiced": pytest.approx(10 / 12), "f0_spread": pytest.approx(steps.std()),
                     "f0_range": pytest.approx(0.9 * 18), "f0_range_ratio": 1}
    flatter = liveliness(mine, theirs)
    assert flatter["f0_spread"] == pytest.approx(found["f0_spread"] / 2)
    assert flatter["f0_range_ratio"] == pytest.approx(0.5)
    assert liveliness(np.zeros(5), theirs) == {"voiced": 0}
    assert "f0_range_ratio" not in liveliness(theirs, np.full(12, 100.0)) and f0_range(np.full(3, 90.0)) == 0


def test_prosody_keeps_the_melodies_that_it_has_measured_and_hears_a_second_saying_anew():
    prosody = Prosody(Pairs())
    prosody([sound(glide(), glide(low=90))])
    first, recorded = prosody.melodies["voice", "u1"]
    prosody([sound(glide(low=150), glide(low=90))])  # the same system and sentence, said otherwise
    second, again = prosody.melodies["voice", "u1"]
    assert np.array_equal(recorded, again)
    voiced = (first > 0) & (second > 0)
    assert voiced.mean() > 0.6 and (second[voiced] > first[voiced]).mean() > 0.9


def test_a_transposed_voice_is_so_many_cents_away():
    metrics = Prosody(Pairs())([sound(glide(low=120, high=240), glide(low=100, high=200))])[0]
    assert metrics["f0_rmse"] == pytest.approx(1200 * math.log2(1.2), rel=0.05)
    assert metrics["f0_correlation"] > 0.95


def test_where_nothing_is_voiced_in_both_only_the_voicing_is_judged():
    assert melody(pair_of([0, 0, 100], [100, 0, 0])) == {"voicing_error": pytest.approx(2 / 3)}


def test_speaking_rate_leaves_pauses_out_and_counts_phones_alone():
    tone, pause = glide(0.5), np.zeros(RATE, np.float32)
    with_pause = np.concatenate([tone, pause, tone])
    assert speech_seconds(with_pause, RATE) == pytest.approx(1.0, abs=0.03)
    assert speech_seconds(np.concatenate([tone, pause[:RATE // 20], tone]), RATE) == pytest.approx(1.05, abs=0.03)
    metrics = Prosody(Pairs())([sound(with_pause, np.concatenate([tone, tone]))])[0]
    assert metrics["speaking_rate"] == pytest.approx(6.0, rel=0.05)
    assert metrics["rate_error"] < 0.05
    assert metrics["duration_ratio"] == pytest.approx(2, rel=0.01)
