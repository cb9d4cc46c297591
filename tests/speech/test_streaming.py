"""Sound in pieces: what is heard while a sentence is made is what is heard of it at once."""

from itertools import groupby

import numpy as np
import pytest

from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.errors import UserError
from chatterbox_es.models.mel_vocoder import NeuralVocoder
from chatterbox_es.runs.checkpoint_files import final_checkpoint, vocoder_beside
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voice import MelVoice
from chatterbox_es.speech.voices import load_voice
from tests.tiny_voices import CONTRACT, flow_voice, write_vocoder

TEXT = "El niño lee un libro que le ha dado su abuela, claro está. Y ya."


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory) -> NeuralVocoder:
    return NeuralVocoder(write_vocoder(tmp_path_factory.mktemp("vocoder") / "vocoder.safetensors"), "tiny")


@pytest.fixture
def voice(vocoder) -> MelVoice:
    return MelVoice(flow_voice(shift=-3), "flow", vocoder=vocoder)  # quiet: its peaks stay below full scale


def joined(parts) -> np.ndarray:
    return np.concatenate([part.samples for part in parts])


@pytest.mark.parametrize("tau", [0, 0.5])
def test_pieces_are_the_sound_of_the_whole(tau, voice):
    manner = Manner(tau=tau, temperature=0.8, seed=2)
    pieces, whole = list(voice.sounds(TEXT, 0.5, manner)), list(voice.stream(TEXT, 0.5, manner))
    assert [id(reading) for reading, _ in groupby(pieces, lambda piece: piece.reading)] == \
        list(dict.fromkeys(id(piece.reading) for piece in pieces))  # in order, none broken by another
    assert [reading.words for reading, _ in groupby(pieces, lambda piece: piece.reading)] == \
        [part.reading.words for part in whole]
    np.testing.assert_allclose(joined(pieces), joined(whole), atol=1e-3 * np.abs(joined(whole)).max())
    if not tau:
        assert len(pieces[0].samples) < len(whole[0].samples) / 4


def test_a_run_of_fase4_speaks_in_pieces_too(road, vocoder):
    voice = load_voice(final_checkpoint(road.whole_run))
    voice.vocoder = vocoder
    pieces, whole = list(voice.sounds(TEXT, 0.5)), list(voice.stream(TEXT, 0.5))
    assert len(pieces) > len(whole)
    np.testing.assert_allclose(joined(pieces), joined(whole), atol=1e-3 * np.abs(joined(whole)).max())


def test_a_piece_is_made_when_it_is_asked_for(voice, monkeypatch):
    decoded, decode = [], voice.acoustic.model.decode
    monkeypatch.setattr(voice.acoustic.model, "decode", lambda frames: decoded.append(len(frames)) or decode(frames))
    stream = voice.sounds(" ".join(["la casa"] * 30), 0.5)
    assert not decoded
    next(stream)
    first = sum(decoded)
    list(stream)
    assert 0 < first < sum(decoded) / 8


@pytest.mark.parametrize("engine", ["griffin_lim", "onnx"])
def test_what_cannot_be_made_in_pieces_comes_sentence_by_sentence(engine, road, vocoder, tmp_path):
    checkpoint = tmp_path / "voice.pt"
    checkpoint.write_bytes(final_checkpoint(road.whole_run).read_bytes())
    vocoder_beside(checkpoint).write_bytes(vocoder.path.read_bytes())
    voice = (load_voice(checkpoint, options=VoiceOptions(vocoder="griffin_lim")) if engine == "griffin_lim"
             else load_voice(checkpoint, engine=engine))
    pieces, whole = list(voice.sounds(TEXT, 3)), list(voice.stream(TEXT, 3))
    assert len(pieces) == len(whole) == 2
    np.testing.assert_array_equal(joined(pieces), joined(whole))


def test_marks_change_the_sound_of_pieces_too(voice):
    text = '<speak>Una casa <break time="2s"/> y otra.</speak>'
    np.testing.assert_array_equal(joined(voice.sounds(text)), joined(voice.stream(text)))


def test_a_peak_above_full_scale_is_divided_by_from_there_on(vocoder):
    mels = np.random.default_rng(0).normal(-4, 0.5, (200, CONTRACT.bins)).astype(np.float32)
    mels[100:140] += 6
    quiet, loud = mels.copy(), mels
    quiet[100:140] -= 6
    pieces = list(vocoder.stream(np.array_split(loud, 10)))
    sound, at_once = np.concatenate(pieces), vocoder(loud)
    assert np.abs(sound).max() == pytest.approx(1) and len(sound) == len(at_once)
    early = slice(0, (100 - 2 * vocoder.network.reach) * CONTRACT.hop)
    np.testing.assert_allclose(sound[early], vocoder(quiet)[early], atol=1e-5)
    late = slice(180 * CONTRACT.hop, None)
    np.testing.assert_allclose(sound[late], at_once[late], atol=1e-5)


def test_weights_that_are_no_numbers_are_said_before_anything_is_heard(vocoder):
    checkpoint = flow_voice()
    checkpoint.weights["mel_decoder.output.bias"][3] = float("nan")
    with pytest.raises(UserError, match="damaged"):
        next(MelVoice(checkpoint, "flow", vocoder=vocoder).sounds(TEXT))


def test_a_text_that_says_nothing_is_an_error(voice):
    with pytest.raises(UserError, match="can be spoken"):
        list(voice.sounds("* * *"))
    with pytest.raises(UserError, match="speed="):
        voice.sounds(TEXT, 0)
    assert isinstance(MelVoice(flow_voice(), "flow").vocoder, GriffinLim)
