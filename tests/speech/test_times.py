"""Times of words and phones, and subtitles: from the durations, to a frame, as files beside the sound."""

import json
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.speech.subtitles import LINE, LINES, SECONDS, cues_of, written
from chatterbox_es.speech.times import times_of
from chatterbox_es.speech.voice import LONG_TEXT, Voice
from chatterbox_es.speech.voices import load_voice
from chatterbox_es.synthesize import main
from chatterbox_es.text import FrontEnd

FRONT_END = FrontEnd()
TEXT = "En 1984 el Barça ganó 3-1. ¿Y quién lo vio? ¡Su abuela, claro está!"
FRAME = 0.02  # s


@pytest.fixture(scope="module")
def voice(road) -> Voice:
    return load_voice(road.whole_run)


@pytest.fixture
def synthesize(monkeypatch, capsys, tmp_path, road):
    def speak(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["synthesize", *arguments, f"run={road.whole_run}"])
        with pytest.raises(SystemExit) as ended:
            command_line.run(main)
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return speak


def at_frames(text: str, frames: int = 5, **more):
    """The times of a text each of whose tokens takes so many frames."""
    reading = FRONT_END.read(text)
    return times_of(reading, [frames] * len(reading.ids), len(reading.ids) * frames * FRAME, **more)


@pytest.mark.parametrize("text", [TEXT, " ".join([TEXT] * 8)])
def test_times_are_the_durations_and_add_up_to_the_sound(voice, text):
    speech = voice.speak(text, 5)
    assert (len(speech.reading.ids) > LONG_TEXT) == (text != TEXT)  # said in one piece, and sentence by sentence
    times = speech.times
    assert times.seconds == len(speech.samples) / speech.rate
    assert times.phones[0].start == 0
    assert times.phones[-1].end == pytest.approx(times.seconds, abs=1e-9)
    assert all(before.end == after.start for before, after in pairwise(times.phones))
    np.testing.assert_array_equal([round((phone.end - phone.start) / FRAME) for phone in times.phones], speech.durations)
    assert [phone.phone for phone in times.phones] == list(speech.reading.phonemes)
    assert " ".join(word.word for word in times.words) == re.sub("[.,?¿!¡]", "", speech.reading.words)
    assert all(word.written == times.text[slice(*word.place)] for word in times.words)
    assert [word.place for word in times.words] == sorted(word.place for word in times.words)
    for word in times.words:
        assert (word.start, word.end) == (word.phones[0].start, word.phones[-1].end)
    assert {word.written for word in times.words} == set(re.findall(r"\w+", TEXT))


def test_each_sentence_of_a_stream_has_times_of_its_own(voice):
    whole, parts = voice.speak(" ".join([TEXT] * 8), 5).times, list(voice.stream(" ".join([TEXT] * 8), 5))
    starts, before = [], 0.0
    for part in parts:
        starts.extend(before + word.start for word in part.times.words)
        before += part.times.seconds
    np.testing.assert_allclose(starts, [word.start for word in whole.words], atol=1e-9)


def test_of_a_word_of_known_durations():
    times = at_frames("Hola, 21.", 5)  # <s> ˈo l a , b e ɪ n t j ˈu n o . </s>
    assert [(word.word, word.written, round(word.start, 6), round(word.end, 6)) for word in times.words] == [
        ("hola", "Hola", 0.1, 0.4), ("veintiuno", "21", 0.5, 1.4)]


def test_a_model_without_durations_says_so():
    with pytest.raises(UserError, match="no durations"):
        times_of(FRONT_END.read("Hola"), [], 1.0)


@pytest.mark.parametrize(("text", "lines"), [
    ("Hola.", [("Hola.",)]),
    ("En 1984 ganó 3-1.", [("En 1984 ganó 3-1.",)]),
    ("Vino a las 20:30 «de ayer», dijo. (¿Y quién lo vio?) ¡Su abuela, claro está, y nadie más!",
     [("Vino a las 20:30 «de ayer», dijo.",), ("(¿Y quién lo vio?)",), ("¡Su abuela, claro está, y nadie más!",)]),
    ("La casa que está en lo alto del monte, entre los pinos, tiene tres puertas.",
     [("La casa que está en lo alto del monte,", "entre los pinos, tiene tres puertas.")]),
])
def test_cues_end_where_sentences_and_clauses_do(text, lines):
    assert [cue.lines for cue in cues_of(at_frames(text, 2))] == lines


WORDS = st.lists(st.sampled_from(["casa", "y", "1984", "3-1,", "¿qué?", "sí.", "(no)", "—", "otorrinolaringólogo;",
                                  "20 €/noche", "http://www.ejemplo.es/" + "a" * 90, "9" * 40, "😀",
                                  "l'Hospitalet", "EE. UU."]), min_size=1)


@settings(max_examples=100)
@given(WORDS, st.integers(1, 30))
def test_whatever_is_said_cues_are_readable_and_hold_all_of_the_text(words, frames):
    times = at_frames(" ".join(["hola", *words]), frames)
    cues = cues_of(times)
    for cue in cues:
        assert 1 <= len(cue.lines) <= LINES
        assert max(map(len, cue.lines)) <= LINE
        assert cue.end - cue.start <= SECONDS + 1e-6
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(cues))
    assert (cues[0].start, cues[-1].end) == (times.words[0].start, pytest.approx(times.words[-1].end))
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == times.text.replace(" ", "")


def test_vtt_and_srt_are_as_their_standards_say():
    times = at_frames("3 < 5 & a --> b. " * 6, 4)
    stamp = r"\d\d:[0-5]\d:[0-5]\d{}\d\d\d"
    for form, mark in (("srt", ","), ("vtt", r"\.")):
        blocks = written(times, form).removesuffix("\n\n").split("\n\n")
        if form == "vtt":
            assert blocks.pop(0) == "WEBVTT"
            assert not any("-->" in line or "<" in line for block in blocks for line in block.split("\n")[1:])
        for number, block in enumerate(blocks, 1):
            lines = block.split("\n")
            if form == "srt":
                assert lines.pop(0) == str(number)
            assert re.fullmatch(f"{stamp.format(mark)} --> {stamp.format(mark)}", lines[0])
            assert 1 <= len(lines[1:]) <= LINES
    assert "3 &lt; 5 &amp; a --&gt; b." in written(times, "vtt")
    assert written(at_frames("Hola.", 50), "srt") == "1\n00:00:01,000 --> 00:00:04,000\nHola.\n\n"


@pytest.mark.parametrize("form", ["srt", "vtt", "json"])
def test_synthesize_writes_them_beside_the_sound(synthesize, tmp_path, form):
    code, printed = synthesize(f"text={TEXT}", "out=said/a.b.wav", f"times={form}")
    assert code == 0, printed
    content = (tmp_path / f"said/a.b.{form}").read_text(encoding="utf-8")
    samples, rate = soundfile.read(tmp_path / "said/a.b.wav")
    if form == "json":
        times = json.loads(content)
        assert times["seconds"] == round(len(samples) / rate, 6) == times["phones"][-1]["end"]
        assert times["text"] == TEXT
        assert [word["written"] for word in times["words"]][:8] == ["En", *["1984"] * 5, "el", "Barça"]
        assert set(times["words"][0]) == {"word", "written", "place", "start", "end", "phones"}
    else:
        assert "¿Y quién lo vio?" in content


def test_a_file_of_sentences_has_a_file_of_times_each(synthesize, tmp_path):
    (tmp_path / "lines.txt").write_text("uno|Hola, Ana.\ndos|Son 2.\n", encoding="utf-8")
    assert synthesize("file=lines.txt", "out=spoken", "times=srt")[0] == 0
    names = sorted(path.name for path in (tmp_path / "spoken").iterdir())
    assert names == ["dos.srt", "dos.wav", "index.tsv", "uno.srt", "uno.wav"]


@pytest.mark.parametrize(("given_arguments", "said"), [
    (["text=Hola", "times=ass"], "srt | vtt | json"),
    (["text=Hola", "times=srt", "out=-"], "out=FILE.wav"),
])
def test_what_cannot_be_is_said(synthesize, given_arguments, said):
    code, printed = synthesize(*given_arguments)
    assert code == 2
    assert said in printed
