"""Speaking: any text as it stands, a file of sentences in one call, and a clear word when it cannot be."""

import sys

import numpy as np
import pytest
import soundfile

from chatterbox_es import command_line
from chatterbox_es.runs.run_directory import RunDirectory
from chatterbox_es.speech.voices import load_voice, newest_voice
from chatterbox_es.synthesize import main
from chatterbox_es.text import FrontEnd

VERBATIM = "¿Qué tal, 'Ana'? Dijo \"a=b, [c]\" y ${HOME}; {x}: ¡100 %!"


@pytest.fixture
def synthesize(monkeypatch, capsys, tmp_path, road):
    """`synthesize` with these arguments, from an empty folder; exit code and what was printed."""
    def speak(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["synthesize", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.run(main)
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return speak


def test_any_text_is_taken_as_it_stands(road, command):
    """On the real command line, from where the voice was trained: the newest voice is found."""
    result = command("synthesize", f"text={VERBATIM}", "out=said/a.wav", cwd=road.folder)
    assert result.returncode == 0, result.stderr
    assert f"words: {FrontEnd('castilian').read(VERBATIM).words}\n" in result.stdout
    assert str(road.whole_run.relative_to(road.folder)) in result.stdout
    samples, rate = soundfile.read(road.folder / "said/a.wav")
    assert rate == 24_000
    assert len(samples) % 480 == 0
    assert np.abs(samples).max() > 0


def test_the_sound_is_as_long_as_the_models_durations(road):
    voice = load_voice(road.whole_run)
    speech = voice.speak("Hola, ¿qué tal?")
    assert len(speech.durations) == len(speech.reading.ids)
    assert speech.mel.shape == (speech.durations.sum(), 80)
    assert len(speech.samples) == 480 * speech.durations.sum()
    half, quarter = (len(voice.speak("Hola, ¿qué tal estás hoy?", speed).samples) for speed in (0.5, 0.25))
    assert quarter / half == pytest.approx(2, abs=0.2)


def test_a_file_of_sentences_in_one_call(synthesize, tmp_path, road):
    (tmp_path / "lines.txt").write_text("﻿Hola, Ana.\n\nuno/dos|Son 2.\n¿...?\n", encoding="utf-8")
    code, printed = synthesize("file=lines.txt", "out=spoken", f"run={road.whole_run}")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "spoken").iterdir()) == ["0001.wav", "index.tsv", "uno_dos.wav"]
    assert (tmp_path / "spoken/index.tsv").read_text(encoding="utf-8") == "0001.wav\thola, ana.\nuno_dos.wav\tson dos.\n"
    assert "2 sentences" in printed
    assert "1 could not be spoken" in printed
    assert "0004" in printed  # which one


@pytest.mark.parametrize(("written", "said"), [
    ([], "either text="),
    (["text=Hola", "file=lines.txt"], "either text="),
    (["text=Hola"], "there is no finished run in outputs/"),
    (["text=Hola", "run=nowhere"], "there is no run nowhere"),
    (["file=nowhere.txt"], "nowhere.txt"),
    (["text=Hola", "speed=fast"], "speed=fast"),
    (["txt=Hola"], "txt=Hola"),
])
def test_what_is_wrong_is_said(written, said, synthesize):
    code, printed = synthesize(*written)
    assert code == 2
    assert said in printed


@pytest.mark.parametrize(("written", "said"), [
    (["text=¿...?"], "can be spoken"),
    (["text=Hola", "speed=0"], "speed=0"),
    (["text=Hola", "speed=-1"], "speed=-1"),
    (["text=Hola", "dialect=klingon"], "castilian"),
    (["file=marks.txt", "out=spoken"], "none of the sentences could be spoken"),
])
def test_what_a_voice_cannot_say_is_said(written, said, synthesize, road, tmp_path):
    (tmp_path / "marks.txt").write_text("¿...?\n—\n", encoding="utf-8")
    code, printed = synthesize(*written, f"run={road.whole_run}")
    assert code == 2
    assert said in printed
    assert not list(tmp_path.glob("**/*.wav"))


def test_the_newest_whole_model_speaks_even_when_an_encoder_is_newer(tmp_path):
    runs = {}
    for name, file, state in [("a", "final_full_model.pt", "finished"), ("b", "final_full_model.pt", "finished"),
                              ("c", "final_full_model.pt", "failed"), ("d", "final_text_encoder.pt", "finished")]:
        run = runs[name] = RunDirectory.create(tmp_path / name)
        run.checkpoints.mkdir()
        (run.checkpoints / file).touch()
        run.end(state)
    assert newest_voice(tmp_path) == tmp_path / "b"
    for name in "ab":
        (runs[name].checkpoints / "final_full_model.pt").unlink()
    assert newest_voice(tmp_path) == tmp_path / "d"
