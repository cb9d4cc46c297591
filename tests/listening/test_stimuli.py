"""Sounds of a test: equally loud, an anchor by the standard, what is missing or broken named."""

import base64
import io

import numpy as np
import pytest
import soundfile

from chatterbox_es.errors import UserError
from chatterbox_es.listening.design import plan
from chatterbox_es.listening.stimuli import (
    LEVEL_DB,
    PEAK,
    RATE,
    choose_items,
    encode,
    equalise,
    find_items,
    low_anchor,
    read_sounds,
    speak_instructions,
)


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).clip(-1, 1).astype(np.float32)


def decibels(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def test_every_sound_is_equally_loud():
    loud, level = equalise({("u", "a"): noise(level=0.3), ("u", "b"): noise(level=0.001), ("v", "a"): noise(2.0)})
    assert level == LEVEL_DB
    assert [decibels(samples) for samples in loud.values()] == pytest.approx([LEVEL_DB] * 3, abs=0.2)


def test_one_peak_lowers_all_and_not_itself_alone():
    click = noise(level=0.001)
    click[100] = 1.0
    loud, level = equalise({("u", "a"): click, ("u", "b"): noise()})
    assert level < LEVEL_DB - 1
    assert decibels(loud["u", "b"]) == pytest.approx(level, abs=0.2)
    assert max(np.abs(samples).max() for samples in loud.values()) == pytest.approx(PEAK, abs=1e-3)


def test_the_anchor_is_low_passed_as_bs_1534_wants():
    impulse = np.zeros(2 * RATE, np.float32)
    impulse[RATE] = 1
    anchor = low_anchor(impulse)
    response = 20 * np.log10(np.abs(np.fft.rfft(anchor)) + 1e-12)
    hertz = np.fft.rfftfreq(len(impulse), 1 / RATE)
    assert np.abs(response[hertz <= 3500]).max() <= 0.1
    assert response[hertz >= 4000].max() <= -25 and response[hertz >= 4500].max() <= -50
    assert len(anchor) == len(impulse) and np.argmax(anchor) == RATE  # no delay


@pytest.mark.parametrize(("form", "kind", "decibels_apart"), [("wav", "WAV", 70), ("flac", "FLAC", 70), ("mp3", "MP3", 15)])
def test_sounds_on_the_page_are_those_of_the_files(form, kind, decibels_apart):
    time = np.arange(RATE) / RATE
    samples = (0.3 * np.sin(2 * np.pi * 300 * time) + 0.1 * np.sin(2 * np.pi * 2100 * time)).astype(np.float32)
    data = io.BytesIO(base64.b64decode(encode(samples, form)))
    assert soundfile.info(data).format == kind
    data.seek(0)
    read, rate = soundfile.read(data, dtype="float32")
    assert rate == RATE and len(read) == pytest.approx(len(samples), abs=0.15 * RATE)
    middle = slice(RATE // 4, RATE // 2)
    assert decibels(samples[middle]) - decibels(read[middle] - samples[middle]) > decibels_apart


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for item in ("u1", "u2", "u3"):
            soundfile.write(tmp_path / name / f"{item}.wav", noise(0.2), RATE)
    return {name: tmp_path / name for name in ("a", "b")}


def test_what_is_missing_is_listed_or_left_out(folders):
    assert find_items(folders, "error")[0] == ["u1", "u2", "u3"]
    (folders["b"] / "u2.wav").unlink()
    (folders["a"] / "u3.wav").rename(folders["a"] / "u4.wav")
    with pytest.raises(UserError) as caught:
        find_items(folders, "error")
    for line in ("u2: not in b", "u3: not in a", "u4: not in b", "3 of 4 sentences"):
        assert line in str(caught.value)
    common, lacking, files = find_items(folders, "skip")
    assert common == ["u1"] and len(lacking) == 3 and set(files) == {("u1", "a"), ("u1", "b")}


def test_no_sentence_in_common_an_empty_folder_and_none_are_said(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    for extra, words in ((tmp_path / "empty", "holds no sound"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(UserError, match=words):
            find_items(folders | {"c": extra}, "skip")
    soundfile.write(tmp_path / "empty" / "other.wav", noise(0.2), RATE)
    with pytest.raises(UserError, match="not in every folder"):
        find_items(folders | {"c": tmp_path / "empty"}, "skip")
    soundfile.write(folders["a"] / "u1.flac", noise(0.2), RATE)
    with pytest.raises(UserError, match="two files named u1"):
        find_items(folders, "skip")


def test_all_sounds_that_cannot_be_used_are_named(folders):
    (folders["a"] / "u1.wav").write_bytes(b"no sound")
    soundfile.write(folders["b"] / "u2.wav", np.zeros(1000), RATE)
    files = find_items(folders, "error")[2]
    with pytest.raises(UserError) as caught:
        read_sounds(files, ["u1", "u2", "u3"])
    assert "2 sounds cannot be used" in str(caught.value)
    assert "unreadable-audio" in str(caught.value) and "silent-audio" in str(caught.value)
    assert len(read_sounds(files, ["u3"])) == 2


def test_sentences_are_drawn_and_one_is_spared_for_practice():
    names = [f"u{number}" for number in range(10)]
    drawn, training = choose_items(names, 4, seed=3)
    assert len(set(drawn)) == 4 and training in set(names) - set(drawn)
    assert choose_items(names, 4, seed=3) == (drawn, training) != choose_items(names, 4, seed=4)
    assert choose_items(names, None, 0)[1] in names
    with pytest.raises(UserError, match="there are 10 sentences"):
        choose_items(names, 11, 0)


def test_instructions_are_spoken_each_its_own():
    design = plan("mos", ["a"], ["u"], checks=3)
    spoken = speak_instructions(design)
    assert len(spoken) == 3
    assert all(len(samples) > RATE and np.abs(samples).max() > 0.05 for samples in spoken.values())
    assert len({samples.tobytes() for samples in spoken.values()}) == 3
