"""Sound files in every form, and what makes one unusable."""

import os
import stat

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.waveform import AudioError, normalise_loudness, read_audio, trim_silence, write_audio
from chatterbox_es.errors import UserError


def tone(rate: int, seconds: float = 0.5, frequency: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def decibels(samples: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_gives_the_same_waveform(tmp_path, rate, channels):
    soundfile.write(tmp_path / "a.wav", np.tile(tone(rate)[:, None], channels), rate, subtype="PCM_24")
    samples = read_audio(tmp_path / "a.wav", rate=24000)
    assert samples.dtype == np.float32 and samples.shape == (12000,)
    np.testing.assert_allclose(samples[600:-600], tone(24000)[600:-600], atol=2e-3)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64"])
def test_any_format(tmp_path, form):
    soundfile.write(tmp_path / f"a.{form.lower()}", tone(24000), 24000, format=form)
    samples = read_audio(tmp_path / f"a.{form.lower()}")
    # Lossy coders may add some padding and change a little.
    assert abs(len(samples) - 12000) <= 2500
    assert abs(decibels(samples[2000:10000]) - decibels(tone(24000))) < 0.5


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_sample_format(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(24000), 24000, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), tone(24000), atol=0.02)


def test_resampling_removes_what_the_lower_rate_cannot_hold(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(48000, frequency=440) + 0.3 * tone(48000, frequency=15000), 48000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[600:-600], tone(24000)[600:-600], atol=2e-3)


def test_past_full_scale_keeps_its_shape(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(24000, amplitude=3.0), 24000, subtype="FLOAT")
    samples = read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(samples, tone(24000, amplitude=1.0), atol=1e-3)
    square = np.sign(tone(44100, frequency=100, amplitude=1.0)) * 0.999
    soundfile.write(tmp_path / "b.wav", square, 44100)
    assert np.abs(read_audio(tmp_path / "b.wav")).max() <= 1.0


def _bad_files(folder):
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no sound")
    (folder / "headless.raw").write_bytes(bytes(1000))
    (folder / "folder.wav").mkdir()
    os.symlink(folder / "gone.wav", folder / "link.wav")
    soundfile.write(folder / "zero.wav", np.zeros(0), 24000)
    soundfile.write(folder / "silence.wav", np.zeros(2400), 24000)
    soundfile.write(folder / "long.wav", tone(8000, seconds=2.5), 8000)
    for name, value in (("nan", np.nan), ("inf", -np.inf)):
        soundfile.write(folder / f"{name}.wav", np.array([0.1, value, 0.1]), 24000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.wav", "missing-audio"),
        ("link.wav", "missing-audio"),
        ("folder.wav", "unreadable-audio"),
        ("text.wav", "unreadable-audio"),
        ("headless.raw", "unreadable-audio"),
        ("empty.wav", "zero-length"),
        ("zero.wav", "zero-length"),
        ("silence.wav", "silent-audio"),
        ("nan.wav", "not-finite"),
        ("inf.wav", "not-finite"),
        ("long.wav", "too-long"),
    ],
)
def test_unusable_files_say_why(tmp_path, name, reason):
    _bad_files(tmp_path)
    with pytest.raises(AudioError) as error:
        read_audio(tmp_path / name, max_seconds=2.0)
    assert error.value.reason == reason
    assert name in error.value.detail and isinstance(error.value, ValueError)


def test_a_file_cut_short_is_read_or_refused_but_never_a_crash(tmp_path):
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        path = tmp_path / f"a.{form.lower()}"
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 24000), 24000, format=form)
        whole = path.read_bytes()
        for size in (1, 40, 60, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            try:
                assert 0 < len(read_audio(path)) <= 27000
            except AudioError as error:
                assert error.reason in ("unreadable-audio", "zero-length")


def test_the_limit_itself_is_allowed(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(8000, seconds=2.0), 8000)
    assert len(read_audio(tmp_path / "a.wav", max_seconds=2.0)) == 48000


def test_what_is_written_is_read_back(tmp_path):
    write_audio(tmp_path / "new" / "a.wav", tone(24000), 24000)
    assert soundfile.info(tmp_path / "new" / "a.wav").subtype == "PCM_16"
    samples = read_audio(tmp_path / "new" / "a.wav")
    np.testing.assert_allclose(samples, tone(24000), atol=1 / 32768)
    write_audio(tmp_path / "b.wav", samples, 24000)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "new" / "a.wav").read_bytes()


def test_writing_clips_what_is_past_full_scale(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([2.0, -2.0, 0.0]), 24000)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32767, -32768, 0]


@pytest.mark.parametrize(("samples", "error"), [(np.zeros((2, 10)), ValueError), (np.array([0.0, np.nan]), UserError)])
def test_writing_refuses_what_is_no_waveform_and_keeps_the_old_file(tmp_path, samples, error):
    write_audio(tmp_path / "a.wav", tone(24000), 24000)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(error, match=r"samples|a\.wav: .*not numbers"):
        write_audio(tmp_path / "a.wav", samples, 24000)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").stat().st_mode & stat.S_IRUSR


@pytest.mark.parametrize("rate", [8000, 22050, 24000])
def test_silent_ends_are_cut_with_a_margin_and_pauses_stay(rate):
    silence = np.zeros(rate)
    speech = np.concatenate([tone(rate), silence, tone(rate)])
    trimmed = trim_silence(np.concatenate([silence, speech, silence[: rate // 2]]), rate, margin=0.05)
    assert trimmed.head == pytest.approx(0.95, abs=0.02) and trimmed.head <= 0.95
    assert trimmed.tail == pytest.approx(0.45, abs=0.02) and trimmed.tail <= 0.45
    assert len(trimmed.samples) / rate == pytest.approx(3.5 - trimmed.head - trimmed.tail, abs=1e-3)


def test_trimming_does_not_depend_on_loudness_and_keeps_speech_and_silence_whole():
    samples = np.concatenate([np.zeros(4800), tone(24000), np.zeros(4800)])
    assert trim_silence(samples, 24000)[1:] == trim_silence(samples * 0.01, 24000)[1:]
    assert trim_silence(tone(24000), 24000)[1:] == (0.0, 0.0)
    assert len(trim_silence(np.zeros(1000), 24000).samples) == 1000
    assert len(trim_silence(np.ones(1), 24000).samples) == 1


def test_loudness_is_that_of_the_speech_not_of_the_pauses():
    speech = tone(24000, amplitude=0.02)
    padded = np.concatenate([np.zeros(24000), speech, np.zeros(24000)])
    level = normalise_loudness(padded, 24000, target_db=-20)[24000:36000]
    assert decibels(level) == pytest.approx(-20, abs=0.3)
    assert decibels(normalise_loudness(speech, 24000, target_db=-20)) == pytest.approx(-20, abs=0.3)


def test_loudness_is_held_back_at_the_peak():
    click = tone(24000, amplitude=0.01)
    click[6000] = 0.9
    assert np.abs(normalise_loudness(click, 24000, target_db=-10, peak=0.95)).max() == pytest.approx(0.95)
    assert not normalise_loudness(np.zeros(100), 24000).any()


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 10))])
def test_trimming_and_loudness_refuse_what_is_no_waveform(samples):
    for function in (trim_silence, normalise_loudness):
        with pytest.raises(ValueError, match="one-dimensional"):
            function(samples, 24000)
