"""A voice in Piper, sherpa-onnx and Home Assistant's server: that the graph reads what espeak-ng writes, and that the real
programs speak with it.
"""

import json
import re
import socket
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models import mel_vocoder
from chatterbox_es.models.acoustic.prosody import TEMPERATURE
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint, vocoder_beside
from chatterbox_es.speech import piper_export, piper_graph
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import export_voice
from chatterbox_es.speech.onnx_voice import OnnxModel
from chatterbox_es.speech.piper_export import numbers_of
from chatterbox_es.speech.voice import MelVoice
from chatterbox_es.text import FrontEnd, espeak
from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.symbols import SymbolTable
from tests.tiny_voices import flow_voice, write_vocoder

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

BIN = Path(sys.executable).parent
PIPER, WYOMING = BIN / "piper", BIN / "wyoming-piper"
needs_piper = pytest.mark.skipif(not PIPER.is_file(), reason="no Piper here: pip install piper-tts")
needs_wyoming = pytest.mark.skipif(not WYOMING.is_file(), reason="no wyoming-piper here: pip install wyoming-piper")
TEXT, WRITTEN = "Hola, ¿cómo estás?", "ˈola, kˈomo estˈas?"  # what es writes of it
PHONEMIZE = """
import json, sys
from piper.phonemize_espeak import EspeakPhonemizer
print(json.dumps(EspeakPhonemizer().phonemize(sys.argv[1], sys.argv[2])))
"""


@pytest.fixture(scope="module")
def voice(road, tmp_path_factory) -> Path:
    """A checkpoint with a tiny vocoder of its own beside it."""
    checkpoint = tmp_path_factory.mktemp("voice") / "voice.pt"
    checkpoint.write_bytes(final_checkpoint(road.whole_run).read_bytes())
    write_vocoder(vocoder_beside(checkpoint))
    return checkpoint


@pytest.fixture(scope="module")
def exported(voice, command, tmp_path_factory) -> dict[str, Path]:
    """Both formats, by the command."""
    files = {}
    for kind in ("piper", "sherpa"):
        files[kind] = tmp_path_factory.mktemp(kind) / "voice.onnx"
        output = command("export", f"run={voice}", f"out={files[kind]}", f"format={kind}", cwd=voice.parent)
        assert output.returncode == 0, output.stderr
        assert "onnxruntime against torch, 12 sayings" in output.stdout
    return files


@pytest.fixture(scope="module")
def ours(voice, tmp_path_factory) -> OnnxModel:
    """The same voice in our own engine."""
    path = tmp_path_factory.mktemp("ours") / "voice.onnx"
    export_voice(voice, path, vocoder=mel_vocoder.trained_for(load_checkpoint(voice).contract, vocoder_beside(voice)))
    return OnnxModel(path)


def run_graph(path: Path, characters: str, scales: tuple[float, float, float] = (0, 1, 0), **more: np.ndarray) -> np.ndarray:
    """The samples (samples,) of a graph, as Piper runs it."""
    numbers = numbers_of(characters)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    samples, = session.run(None, {"input": np.array([numbers]), "input_lengths": np.array([len(numbers)]),
                                  "scales": np.array(scales, np.float32), **more})
    assert samples.ndim == 3 and samples.dtype == np.float32
    return samples[0, 0]


# ---- what espeak-ng writes


@pytest.mark.parametrize(("written", "dialect", "text"), [
    ("kˈe tˈal, tʃˈiko?", "castilian", "¿Qué tal, chico?"),
    ("ˈum bˈeso, ˈuŋ ɡˈato, ˈun dʒˈate.", "castilian", "Un beso, un gato, un yate."),
    ("el kˈaro i la kˈaθa; ˈaʎa, jˈelo.", "castilian", "El carro y la caza; halla, hielo."),
    ("el kˈaro i la kˈasa; ˈajja, jˈelo.", "latin_american", "El carro y la caza; halla, hielo."),
    ("ɡˈiʲa, ˈaɣwa, wˈeβo, ˈaɪɾe, ˈaʊto, rˈeɪ, mˈuj.", "castilian", "Guía, agua, huevo, aire, auto, rey, muy."),
    ("ʎwˈeβe i jˈelo.", "rioplatense", "Llueve y hielo."),
    ("las mˈaðɾes pˈobɾes ˈaŋxel.", "caribbean", "Las madres pobres ángel."),
    ("ðjˌɛθiʲˈotʃo kwaɾˌɛntaiθˈinko.", "castilian", "dieciocho cuarenta y cinco."),
])
def test_espeak_is_read_as_the_front_end_reads(written, dialect, text):
    reading = FrontEnd(dialect).read(text)
    mine = tuple(espeak.tokens_of(written, dialect))
    if "¿" in reading.phonemes:  # before the clause, which is all of what a question's end says
        assert mine[:1] == ("<s>",) and mine.count("¿") == 1
        mine, reading_phonemes = (tuple(s for s in some if s != "¿") for some in (mine, reading.phonemes))
        assert mine == reading_phonemes
    elif written.startswith("ðj"):  # the front end hears a beginning; espeak hears what stood before
        assert mine[2:] == reading.phonemes[2:]
    else:
        assert mine == reading.phonemes


def test_a_question_opens_with_its_clause():
    assert "".join(espeak.tokens_of(WRITTEN)) == "<s>ˈola,¿kˈomoestˈas?</s>"
    assert "".join(espeak.tokens_of("ˈaɪ! nˈo.")) == "<s>¡ˈaɪ!nˈo.</s>"


@given(st.lists(st.sampled_from(sorted(espeak.NUMBER)), max_size=30), st.sampled_from(sorted(DIALECTS)))
def test_nothing_that_espeak_may_write_is_no_token_of_ours(characters, dialect):
    tokens = espeak.tokens_of(characters, dialect)
    assert tokens[0] == "<s>" and tokens[-1] == "</s>"
    SymbolTable().ids_of(tokens)


# ---- the graph


@pytest.fixture(scope="module")
def tokens_graph() -> piper_graph.EspeakTokens:
    return piper_graph.EspeakTokens(DIALECTS["castilian"])


@given(st.text(st.sampled_from(sorted(espeak.MEANING)), max_size=40))
def test_lookups_make_the_tokens_that_the_rules_make(tokens_graph, characters):
    numbers = torch.tensor(numbers_of(characters))
    made = tokens_graph(torch.cat([numbers, torch.tensor([9, 9])]), torch.tensor(len(numbers)))  # what lies behind the length
    assert tuple(made.tolist()) == SymbolTable().ids_of(espeak.tokens_of(characters))


def test_without_noise_it_says_what_our_engine_says(exported, ours):
    ids = SymbolTable().ids_of(espeak.tokens_of(WRITTEN))
    for speed in (1.0, 1.6, 0.7):
        expected = ours(ids, Manner(speed))[2]
        np.testing.assert_allclose(run_graph(exported["piper"], WRITTEN, (0, 1 / speed, 0)), expected, atol=1e-3)
    assert len(run_graph(exported["piper"], WRITTEN, (0, 2, 0))) > 1.7 * len(run_graph(exported["piper"], WRITTEN))


def test_both_formats_are_one_graph(exported):
    np.testing.assert_array_equal(*(run_graph(path, WRITTEN) for path in exported.values()))


def test_the_file_beside_says_what_the_numbers_mean(exported):
    config = json.loads(exported["piper"].with_name("voice.onnx.json").read_text(encoding="utf-8"))
    assert config["espeak"]["voice"] == "es" and config["audio"]["sample_rate"] == 24_000
    assert config["phoneme_id_map"]["_"] == [0] and config["phoneme_id_map"]["^"] == [1]
    assert config["num_speakers"] == 1 and config["language"]["code"] == "es_ES"
    tokens = exported["sherpa"].with_name("tokens.txt").read_text(encoding="utf-8").splitlines()
    assert {line[0]: int(line[2:]) for line in tokens} == {key: value[0] for key, value in config["phoneme_id_map"].items()}
    facts = onnxruntime.InferenceSession(str(exported["sherpa"])).get_modelmeta().custom_metadata_map
    assert (facts["model_type"], facts["comment"], facts["voice"], facts["n_speakers"], facts["sample_rate"]) == (
        "vits", "piper", "es", "1", "24000")


def test_several_speakers_are_numbers(voice, tmp_path):
    """Of a voice with prosody and a flow; each says what it says alone in our own engine, in the other dialect as well."""
    path = tmp_path / "voice.pt"
    flow_voice(pitches={"Ana": 92, "Bea": 83}).save(path)
    trained = mel_vocoder.trained_for(MelContract(), vocoder_beside(voice))
    piper = piper_export.piper_voice(path, trained, dialect="mexican")
    piper_export.export_piper(piper, tmp_path / "both.onnx")
    config = json.loads((tmp_path / "both.onnx.json").read_text(encoding="utf-8"))
    assert config["speaker_id_map"] == {"Ana": 0, "Bea": 1} and config["num_speakers"] == 2
    assert config["espeak"]["voice"] == "es-419" and config["language"]["code"] == "es_MX"
    ids = SymbolTable().ids_of(espeak.tokens_of(WRITTEN, "mexican"))
    said = [run_graph(tmp_path / "both.onnx", WRITTEN, sid=np.array([place])) for place in (0, 1)]
    for samples, name in zip(said, ("Ana", "Bea"), strict=True):
        own = MelVoice(load_checkpoint(path), "own", "mexican", trained, speaker=name)
        mel, _, _ = own.acoustic(ids, Manner(temperature=0.0, tau=0.0))
        assert len(samples) == len(mel) * MelContract().hop
    assert len(said[0]) != len(said[1]) or not np.allclose(*said, atol=1e-3)
    alone = piper_export.piper_voice(path, trained, speaker="Bea")
    assert not alone.speakers and alone.config("Bea")["num_speakers"] == 1


def test_melody_is_that_of_our_engine_with_as_much_chance():
    """`noise_scale` is melody and loudness, `noise_w` length; Piper's own values stand for our own."""
    wanted = {"tokens": 1, "speed": 1, "temperature": 0, "noise": 2, "pitch": 1, "range": 1, "energy": 1}
    front = piper_graph.PiperFront(DIALECTS["castilian"], wanted)
    numbers = torch.tensor([numbers_of(WRITTEN)])

    def said(*scales: float) -> dict:
        made = front(numbers, torch.tensor([numbers.shape[1]]), torch.tensor(scales))
        return dict(zip(wanted, made, strict=True))

    usual = said(piper_graph.NOISE, 1.0, piper_graph.NOISE_W)
    tokens = usual["tokens"].tolist()
    controls = Manner().controls(len(tokens), piper_graph.noise_part(tokens))
    assert float(usual["temperature"]) == pytest.approx(TEMPERATURE)
    np.testing.assert_allclose(usual["noise"], controls["noise"], atol=1e-6)
    assert float(said(0.0, 1.0, 0.0)["temperature"]) == 0
    assert not said(0.0, 1.0, 0.8)["noise"][:, 1:].any() and said(0.0, 1.0, 0.8)["noise"][:, 0].any()
    assert not said(0.5, 1.0, 0.0)["noise"][:, 0].any()
    assert float(said(0.0, 0.0, 0.0)["speed"][0]) == 10 and float(said(0.0, 4.0, 0.0)["speed"][0]) == 0.25


# ---- the real programs


def phonemes_of(text: str, espeak_voice: str = "es") -> list[list[str]]:
    """What Piper's espeak-ng writes, sentence by sentence."""
    output = subprocess.run([sys.executable, "-c", PHONEMIZE, espeak_voice, text], capture_output=True, text=True, check=True,
                            timeout=300)
    return json.loads(output.stdout)


@needs_piper
def test_piper_speaks(exported, ours, tmp_path):
    output = subprocess.run([PIPER, "-m", exported["piper"], "-f", tmp_path / "said.wav", "--noise-scale", "0", "--noise-w",
                             "0", "--no-normalize", "--", TEXT], capture_output=True, text=True, timeout=500)
    assert output.returncode == 0 and "Missing phoneme" not in output.stderr, output.stderr
    with wave.open(str(tmp_path / "said.wav")) as sound:
        assert sound.getframerate() == 24_000
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 32767
    ids = SymbolTable().ids_of(FrontEnd("castilian").read(TEXT).phonemes)
    np.testing.assert_allclose(samples, ours(ids, Manner())[2], atol=1e-3)


@needs_piper
def test_sherpa_speaks(exported, ours, tmp_path):
    """Version 2 takes what espeak-ng wrote from whoever asks; version 1 asks espeak-ng itself."""
    sherpa = pytest.importorskip("sherpa_onnx")
    data = next(Path(sys.prefix).glob("lib/*/site-packages/piper/espeak-ng-data"))
    config = sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=sherpa.OfflineTtsVitsModelConfig(
        model=str(exported["sherpa"]), tokens=str(exported["sherpa"].with_name("tokens.txt")), noise_scale=0.0,
        noise_scale_w=0.0, **({} if is_new(sherpa) else {"data_dir": str(data)}))))
    assert config.validate()
    speaker, asked = sherpa.OfflineTts(config), sherpa.GenerationConfig()
    asked.silence_scale = 1.0  # it shortens pauses otherwise
    if is_new(sherpa):
        asked.phoneme_codepoints = [[ord(character) for character in sentence] for sentence in phonemes_of(TEXT)]
    said = speaker.generate(TEXT, asked)
    assert said.sample_rate == 24_000
    ids = SymbolTable().ids_of(FrontEnd("castilian").read(TEXT).phonemes)
    np.testing.assert_allclose(said.samples, ours(ids, Manner())[2], atol=1e-3)


def is_new(sherpa) -> bool:
    return int(re.match(r"\d+", sherpa.__version__)[0]) > 1


@needs_wyoming
def test_home_assistants_server_speaks(exported, tmp_path):
    """Asked as Wyoming clients ask: a line of JSON, and one that is answered with sound."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([WYOMING, "--voice", "voice", "--data-dir", exported["piper"].parent, "--uri",
                               f"tcp://127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            if "Ready" in line:
                break
        client = subprocess.run([sys.executable, "-c", CLIENT, str(port), TEXT], capture_output=True, text=True, timeout=300)
        assert client.returncode == 0, client.stderr
        told = json.loads(client.stdout)
        assert ["voice", ["es_ES"]] in told["voices"]
        assert told["rate"] == 24_000 and told["samples"] > 2_400 and told["loudest"] > 0
    finally:
        server.terminate()
        server.stderr.close()
        server.wait(60)


CLIENT = """
import asyncio, json, sys
import numpy as np
from wyoming.client import AsyncTcpClient
from wyoming.audio import AudioChunk, AudioStop
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

async def main():
    async with AsyncTcpClient("127.0.0.1", int(sys.argv[1])) as client:
        await client.write_event(Describe().event())
        voices = [[voice.name, voice.languages] for voice in Info.from_event(await client.read_event()).tts[0].voices]
        await client.write_event(Synthesize(text=sys.argv[2]).event())
        sound, rate = b"", 0
        while (event := await client.read_event()) is not None and not AudioStop.is_type(event.type):
            if AudioChunk.is_type(event.type):
                chunk = AudioChunk.from_event(event)
                sound, rate = sound + chunk.audio, chunk.rate
        samples = np.frombuffer(sound, np.int16)
        print(json.dumps({"voices": voices, "rate": rate, "samples": len(samples), "loudest": int(abs(samples).max())}))

asyncio.run(main())
"""


# ---- what cannot be


def test_what_cannot_be_exported_is_said(road, voice, command, tmp_path, monkeypatch):
    monkeypatch.setattr(mel_vocoder, "BASE", tmp_path / "none")
    output = command("export", f"run={voice}", "format=mp3", cwd=tmp_path)
    assert output.returncode == 2 and "onnx" in output.stderr and "piper" in output.stderr and "sherpa" in output.stderr
    output = command("export", f"run={road.whole_run}", "format=piper", "vocoder=griffin_lim", cwd=tmp_path)
    assert output.returncode == 2 and "need the sound in the graph" in output.stderr
    assert not list(tmp_path.iterdir())
    trained = mel_vocoder.trained_for(load_checkpoint(voice).contract, vocoder_beside(voice))
    with pytest.raises(UserError, match="phase 4_2, which trains the encoder alone"):
        piper_export.piper_voice(final_checkpoint(road.encoder_run), trained)
    with pytest.raises(UserError, match="dialect=basque is not known; use one of castilian"):
        piper_export.piper_voice(voice, trained, dialect="basque")
    with pytest.raises(UserError, match="speaker=Ana is not known"):
        piper_export.piper_voice(voice, trained, speaker="Ana")


def test_a_graph_that_sounds_otherwise_is_not_kept(voice, monkeypatch, tmp_path):
    trained = mel_vocoder.trained_for(load_checkpoint(voice).contract, vocoder_beside(voice))
    right = piper_graph.PiperSound.forward
    monkeypatch.setattr(piper_graph.PiperSound, "forward", lambda self, samples: right(self, samples * 0.5))
    with pytest.raises(UserError, match="sounds otherwise than the voice"):
        piper_export.export_piper(piper_export.piper_voice(voice, trained), tmp_path / "voice.onnx")
    assert not list(tmp_path.iterdir())
