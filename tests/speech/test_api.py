"""Voices from Python: loading takes what the commands take, saying gives the same sound, and a notebook plays it."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import chatterbox_es
from chatterbox_es import Voice
from chatterbox_es.errors import UserError
from chatterbox_es.speech.voices import load_voice
from tests.conftest import REPOSITORY

TEXT = "Hola, ¿qué tal?"


@pytest.fixture(scope="module")
def voice(road):
    return Voice.load(road.whole_run)


def test_it_says_what_the_voice_beneath_says(voice, road):
    said, expected = voice.say(TEXT), load_voice(road.whole_run).speak(TEXT)
    assert (said.samples == expected.samples).all()
    assert len(voice.say(TEXT, speed=2).samples) < 0.7 * len(said.samples)
    parts = list(voice.stream("Una casa. Dos casas."))
    assert [part.reading.words for part in parts] == ["una casa.", "dos casas."]
    sound = np.concatenate(list(voice.sounds("Una casa. Dos casas.")))
    np.testing.assert_array_equal(sound, np.concatenate([part.samples for part in parts]))
    assert voice.rate == parts[0].rate
    assert voice.dialect == "castilian" and "castilian" in repr(voice)
    assert Voice.load(road.whole_run, dialect="mexican").dialect == "mexican"


def test_without_a_name_it_is_the_voice_that_synthesize_takes(road, tmp_path, monkeypatch):
    outputs = road.folder / "outputs"
    assert (Voice.load(outputs=outputs).say(TEXT).samples == Voice.load(str(road.whole_run)).say(TEXT).samples).all()
    monkeypatch.chdir(road.folder)
    assert Voice.load().voice.name.startswith("outputs/4_3/")


def test_a_wrong_wish_is_a_sentence(voice, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        Voice.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="speed=0"):
        voice.say(TEXT, speed=0)
    with pytest.raises(UserError, match="pitch=3"):  # this voice knows nothing of melody
        voice.say(TEXT, pitch=3)
    with pytest.raises(TypeError, match="pich"):
        voice.say(TEXT, pich=3)
    with pytest.raises(UserError, match=r"hola\.mp3.*\.wav"):
        voice.say(TEXT).save(tmp_path / "hola.mp3")
    assert not list(tmp_path.iterdir())


def test_what_is_saved_and_what_a_notebook_plays_are_the_sound(voice, tmp_path):
    speech = voice.say(TEXT)
    speech.save(tmp_path / "hola.wav")
    uri = re.fullmatch(r'<audio controls src="data:audio/wav;base64,([^"]+)"></audio>', speech._repr_html_())[1]
    for file in (tmp_path / "hola.wav", io.BytesIO(base64.b64decode(uri))):
        samples, rate = soundfile.read(file)
        assert rate == speech.rate
        assert np.abs(samples - np.clip(speech.samples, -1, 1)).max() <= 1 / 32768


def test_importing_the_package_imports_no_torch():
    program = "import sys, chatterbox_es; dir(chatterbox_es); assert 'torch' not in sys.modules; chatterbox_es.Nothing"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, text=True, capture_output=True)
    assert "AttributeError: module 'chatterbox_es' has no attribute 'Nothing'" in done.stderr
    assert "Voice" in dir(chatterbox_es)
