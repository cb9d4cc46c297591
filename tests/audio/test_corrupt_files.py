"""Broken recordings among good ones: each is named with its reason, the good ones are prepared, and memory stays small."""

import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.waveform import AudioError, read_source

RATE = 16_000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


def wav_of(path: Path, seconds: float, rate: int = 24_000) -> None:
    """A mono WAV of zeros that takes no room on the disk."""
    size = round(seconds * rate) * 2
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16,
                         b"data", size)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(44 + size)


def truncated(path: Path) -> None:
    soundfile.write(path, tone(1), RATE)
    path.write_bytes(path.read_bytes()[:20_000])


def wrong_extension(path: Path) -> None:
    soundfile.write(path, tone(1), RATE, format="MP3")


def not_numbers(path: Path) -> None:
    soundfile.write(path, np.where(np.arange(RATE) == 5000, np.nan, tone(1)), RATE, subtype="FLOAT")


CORRUPT = {  # id: (how the file is made, reason, what the detail says)
    "truncated": (truncated, "truncated-audio", "breaks off"),
    "zero_bytes": (lambda path: path.touch(), "zero-length", "0 bytes"),
    "wrong_extension": (wrong_extension, "wrong-extension", "named .wav and holds MP3"),
    "not_numbers": (not_numbers, "not-finite", "not numbers"),
    "one_sample": (lambda path: soundfile.write(path, np.full(1, 0.5), RATE), "zero-length", "less than a frame"),
    "three_hours": (lambda path: wav_of(path, 3 * 3600), "too-long", "longer than 30 s"),
    "six_channels": (lambda path: soundfile.write(path, np.tile(tone(1, 96_000)[:, None], 6), 96_000), "too-many-channels",
                     "6 channels at 96000 Hz"),
    "offset_only": (lambda path: soundfile.write(path, np.full(RATE, 0.25), RATE), "silent-audio", "constant offset"),
    "a_folder": (lambda path: path.mkdir(), "unreadable-audio", "is a folder"),
    "broken_link": (lambda path: os.symlink(path.with_name("gone.wav"), path), "missing-audio",
                    "a link to a file that is gone"),
}  # fmt: skip
TEXTS = [f"{a} {b} {c}." for a in ("Una", "La", "Otra") for b in ("casa", "mesa", "calle", "rosa")
         for c in ("alta", "roja", "nueva")]


def write_corpus(folder: Path, good: int) -> Path:
    """The corrupt files spread over the good ones."""
    (folder / "wavs").mkdir(parents=True)
    rows = []
    for number in range(good):
        soundfile.write(folder / f"wavs/good{number}.wav", tone(0.7 + number % 7 / 20), RATE)
        rows.append(f"good{number}|{TEXTS[number % len(TEXTS)]}\n")
    for place, (name, (make, *_)) in enumerate(CORRUPT.items()):
        make(folder / f"wavs/{name}.wav")
        rows.insert(place * (good // 10) + place, f"{name}|Una casa alta.\n")
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    return folder


def check(folder: Path, command, good: int) -> None:
    write_corpus(folder / "corpus", good)
    options = ("data=folder", "data.path=corpus", "data.max_fault_share=0.4", "data.workers=2")
    result = command("prepare", *options, cwd=folder)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stdout + result.stderr
    card = json.loads(next(folder.glob("outputs/prepared/*/card.json")).read_text())
    assert card["utterances"] == good
    named = {fault["id"]: fault for fault in
             map(json.loads, next(folder.glob("outputs/prepared/*/lint.jsonl")).read_text().splitlines())}
    assert {name: fault["reason"] for name, fault in named.items()} == {name: CORRUPT[name][1] for name in CORRUPT}
    for name, fault in named.items():
        assert CORRUPT[name][2] in fault["detail"], fault
    shown = command("lint", *options, "format=text", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "10 rows cannot be used" in shown.stdout
    for _, reason, _ in CORRUPT.values():
        assert reason in shown.stdout
    page = command("lint", *options, "out=lint.html", cwd=folder)
    assert page.returncode == 0, page.stderr
    shown = (folder / "lint.html").read_text()
    assert all(f"<td>{name}</td>" in shown for name in CORRUPT)


def test_ten_kinds_among_good_ones(tmp_path, command):
    check(tmp_path, command, good=30)


@pytest.mark.slow
def test_ten_kinds_among_a_thousand_good_ones(tmp_path, command):
    check(tmp_path, command, good=1000)


def test_three_hours_are_not_read(tmp_path):
    wav_of(tmp_path / "long.wav", 3 * 3600)
    tracemalloc.start()
    with pytest.raises(AudioError, match="longer than 30 s"):
        read_source(tmp_path / "long.wav", 30, 2, strict=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000  # three hours are 1 GB


@pytest.mark.parametrize(("form", "subtype", "ending"), [
    ("WAV", "PCM_16", "wav"), ("WAVEX", "PCM_16", "wav"), ("RF64", "PCM_16", "wav"), ("W64", "PCM_16", "w64"),
    ("AIFF", "PCM_16", "aiff"), ("AU", "PCM_16", "au"), ("FLAC", "PCM_16", "flac"), ("OGG", "VORBIS", "ogg"),
    ("OGG", "OPUS", "opus"), ("MP3", "MPEG_LAYER_III", "mp3"),
])
def test_a_file_that_breaks_off_is_told_from_a_whole_one(form, subtype, ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 3 * 24_000), 24_000, format=form, subtype=subtype)
    assert abs(len(read_source(path, 30, 2, strict=True).samples) - 72_000) < 3000
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[:round(share * len(whole))])
        with pytest.raises(AudioError) as error:
            read_source(path, 30, 2, strict=True)
        assert error.value.reason in ("truncated-audio", "unreadable-audio") and path.name in error.value.detail


def test_a_length_that_a_pipe_could_not_know_is_no_promise(tmp_path):
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(1), RATE)
    content = bytearray(path.read_bytes())
    for claimed in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        content[40:44] = struct.pack("<I", claimed)
        path.write_bytes(content)
        assert len(read_source(path, 30, 2, strict=True).samples) == RATE


@pytest.mark.parametrize(("content", "words"), [
    (b"id|texto\nuna|otra\n", "it holds text ('id|texto')"), (bytes(3000), "zero bytes"),
    (b"\0\0\0\x20ftypM4A \0\0\0\0", "MP4"), (b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG picture"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"), (b"\xffsomething else\x80\x81", "no format"),
])
def test_what_is_no_sound_is_named(content, words, tmp_path):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError) as error:
        read_source(tmp_path / "a.wav", 30)
    assert error.value.reason == "unreadable-audio" and words in error.value.detail


def test_the_checks_can_be_turned_off(tmp_path, command):
    write_corpus(tmp_path / "corpus", 30)
    result = command("prepare", "data=folder", "data.path=corpus", "data.max_fault_share=0.4", "data.workers=1",
                     "data.check_files=false", "data.max_channels=6", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(next(tmp_path.glob("outputs/prepared/*/card.json")).read_text())["utterances"] == 33
