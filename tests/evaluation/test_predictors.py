"""DistillMOS, DNSMOS and Resemblyzer as their packages have them, any predictor and embedding as ONNX, and their faults."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("speechmos")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from chatterbox_es.audio.waveform import read_audio  # noqa: E402
from chatterbox_es.errors import UserError  # noqa: E402
from chatterbox_es.evaluation.predictors import DistillMos, Dnsmos, Predictor, resample  # noqa: E402
from chatterbox_es.evaluation.sounds import Failure, Sound  # noqa: E402
from chatterbox_es.evaluation.speaker_similarity import OnnxEmbedding, Resemblyzer, SpeakerSimilarity  # noqa: E402


def said(samples: np.ndarray, utterance: str = "u1", recording: np.ndarray | None = None, speaker: str = "") -> Sound:
    return Sound("voice", utterance, "la casa", ("a",), samples.astype(np.float32), 16_000, recording, speaker=speaker)


def tone(frequency: float, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(16_000 * seconds)) / 16_000)).astype(np.float32)


def speech(seconds: float) -> np.ndarray:
    """A melody that swells, in a little noise: not speech, and not silence."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    samples = 0.3 * np.sin(2 * np.pi * (120 + 30 * np.sin(3 * time)) * time) * (1 + np.sin(7 * time)) / 2
    return (samples + 0.01 * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


# ---- DistillMOS


def test_distillmos_gives_what_its_package_gives_and_no_torchaudio_is_left():
    """In a process of its own, where the package is imported by hand with an empty torchaudio."""
    pytest.importorskip("xls_r_sqa", reason="distillmos is not installed")
    program = """
import sys, types
from chatterbox_es.evaluation.predictors import DistillMos
import numpy as np, torch
sounds = np.load(sys.argv[1])
mine = DistillMos()
assert "torchaudio" not in sys.modules
from distillmos import ConvTransformerSQAModel
theirs = ConvTransformerSQAModel().eval()
with torch.no_grad():
    for sound in (sounds, sounds[:8000]):
        print(mine.score(sound, 16_000)["distillmos"], float(theirs(torch.from_numpy(sound)[None])))
"""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/sounds.npy", speech(8.5))  # a little more than its window
        done = subprocess.run([sys.executable, "-c", program, f"{folder}/sounds.npy"], capture_output=True, text=True,
                              check=False)
    assert done.returncode == 0, done.stderr
    pairs = [tuple(map(float, line.split())) for line in done.stdout.splitlines()[1:]]  # the first is the package's own
    assert len(pairs) == 2 and all(1 <= mine <= 5 and mine == pytest.approx(theirs, abs=1e-6) for mine, theirs in pairs)
    assert len(done.stdout.splitlines()) == 3  # ours has said nothing


def test_distillmos_prefers_a_recording_to_the_same_in_noise_at_any_rate():
    pytest.importorskip("xls_r_sqa", reason="distillmos is not installed")
    corpus = Path("../shared/corpora/dona/wavs")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    clean = read_audio(sorted(corpus.glob("*.flac"))[3], 24_000)
    noisy = (clean + 0.1 * np.random.default_rng(0).normal(size=len(clean))).clip(-1, 1).astype(np.float32)
    predictor = DistillMos()
    better, worse, silent = predictor([Sound("v", "u", "a", ("a",), samples, 24_000)
                                       for samples in (clean, noisy, np.zeros(24_000, np.float32))])
    assert better["distillmos"] > 4 > 2 > worse["distillmos"]
    assert isinstance(silent, Failure)
    again = predictor.score(resample(clean, 24_000, 16_000), 16_000)
    assert again["distillmos"] == pytest.approx(better["distillmos"], abs=1e-5)


def test_a_missing_package_is_said_with_what_to_do(monkeypatch):
    for name, kind in (("distillmos", DistillMos), ("speechmos", Dnsmos), ("resemblyzer", Resemblyzer)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UserError, match=f"^{name} cannot be imported .*make ears.*measures="):
            kind()


# ---- DNSMOS


@pytest.fixture(scope="module")
def dnsmos() -> Dnsmos:
    return Dnsmos()


@pytest.mark.parametrize("seconds", [0.3, 9.5])
def test_dnsmos_gives_what_speechmos_gives(dnsmos, seconds):
    from speechmos import dnsmos as theirs

    samples = speech(seconds)
    mine, reference = dnsmos.score(samples, 16_000), theirs.run(samples, 16_000)
    assert list(mine) == list(dnsmos.metrics)
    for name, key in (("ovrl", "ovrl_mos"), ("sig", "sig_mos"), ("bak", "bak_mos"), ("p808", "p808_mos")):
        assert mine[f"dnsmos_{name}"] == pytest.approx(float(reference[key]), abs=1e-6)


def test_dnsmos_ranks_speech_above_the_same_speech_in_noise(dnsmos):
    corpus = Path("../shared/corpora/dona/wavs")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    clean = read_audio(sorted(corpus.glob("*.flac"))[3], 16_000)
    noisy = clean + 0.1 * np.random.default_rng(0).normal(size=len(clean))
    better, worse = dnsmos([said(clean), said(noisy.clip(-1, 1))])
    assert better["dnsmos_ovrl"] > worse["dnsmos_ovrl"] + 0.5


def test_silence_is_a_failure_and_the_others_are_measured(dnsmos):
    failed, empty, measured = dnsmos([said(np.zeros(16_000)), said(np.zeros(0)), said(speech(0.5))])
    assert isinstance(failed, Failure)
    assert isinstance(empty, Failure)
    assert isinstance(measured, dict)


# ---- ONNX files


def write_onnx(path: Path, nodes: list, outputs: int, initializers: list = (), rank: int = 2, **metadata: str) -> Path:
    """A graph from ``samples`` (float, ``rank`` axes) to ``result`` (1, outputs)."""
    given = helper.make_tensor_value_info("samples", TensorProto.FLOAT, [1, "n"][:rank])
    made = helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, outputs])
    model = helper.make_model(helper.make_graph(nodes, "g", [given], [made], list(initializers)),
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.fixture
def loudness(tmp_path: Path) -> Path:
    """A predictor that likes what is loud: the mean of squares."""
    square = helper.make_node("Mul", ["samples", "samples"], ["squared"])
    mean = helper.make_node("ReduceMean", ["squared"], ["result"], axes=[1], keepdims=1)
    return write_onnx(tmp_path / "loud.onnx", [square, mean], 1)


def test_a_predictor_from_a_file_scores_sounds(loudness):
    predictor = Predictor(loudness)
    quiet, loud = predictor([said(0.2 * tone(300)), said(tone(300))])
    assert quiet["predictor_loud"] == pytest.approx(0.04 * 0.125, rel=1e-3)
    assert loud["predictor_loud"] == pytest.approx(0.125, rel=1e-3)
    assert "as predicted" in predictor.metrics["predictor_loud"].meaning


def test_a_predictor_hears_sounds_at_the_rate_its_metadata_give(tmp_path):
    shape = [helper.make_node("Shape", ["samples"], ["shape"]),
             helper.make_node("Cast", ["shape"], ["f"], to=TensorProto.FLOAT),
             helper.make_node("ReduceMax", ["f"], ["m"], keepdims=1), helper.make_node("Unsqueeze", ["m", "axis"], ["result"])]
    axis = numpy_helper.from_array(np.zeros(1, np.int64), "axis")
    path = write_onnx(tmp_path / "length.onnx", shape, 1, [axis], rate="8000")
    assert Predictor(path)([said(tone(300, 1))])[0]["predictor_length"] == 8000
    assert Predictor(path, 24_000)([said(tone(300, 1))])[0]["predictor_length"] == 24_000


def test_a_score_that_is_no_number_is_a_failure(tmp_path):
    log = [helper.make_node("ReduceMin", ["samples"], ["low"], axes=[1], keepdims=1),
           helper.make_node("Log", ["low"], ["result"])]
    assert isinstance(Predictor(write_onnx(tmp_path / "log.onnx", log, 1))([said(tone(300))])[0], Failure)


def test_files_that_are_no_predictor_are_refused(tmp_path, loudness):
    (tmp_path / "text.onnx").write_text("no")
    flat = write_onnx(tmp_path / "flat.onnx", [helper.make_node("Identity", ["samples"], ["result"])], 1, rank=1)
    odd_rate = onnx.load(loudness)
    helper.set_model_props(odd_rate, {"rate": "fast"})
    onnx.save(odd_rate, tmp_path / "odd.onnx")
    faults = {"missing": "no such file", "text": "cannot be loaded", "flat": "waveforms", "odd": "rate="}
    for name, said_of_it in faults.items():
        with pytest.raises(UserError, match=said_of_it):
            Predictor(tmp_path / f"{name}.onnx")
    assert flat.is_file()


# ---- speakers


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    """The projections of a waveform on a slow and on a fast cosine: voices here are tones."""
    time = np.arange(8000) / 16_000
    basis = np.stack([np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 1000 * time)], 1).astype(np.float32)
    return write_onnx(tmp_path / "speaker.onnx", [helper.make_node("MatMul", ["samples", "basis"], ["result"])], 2,
                      [numpy_helper.from_array(basis, "basis")])


def test_similarity_is_the_cosine_to_the_recording_and_to_the_speakers_mean(embedding):
    low, high = tone(200), tone(1000)
    sounds = [said(low, "u1", low, "ana"), said(high, "u2", low, "ana"), said(high, "u3", high, "eva"),
              said(low, "u4", high, "eva")]
    metrics = SpeakerSimilarity(OnnxEmbedding(embedding))(sounds)
    assert [row["similarity"] for row in metrics] == pytest.approx([1, 0, 1, 0], abs=1e-3)
    assert [row["similarity_to_speaker"] for row in metrics] == pytest.approx([1, 0, 1, 0], abs=1e-3)


def test_the_own_recording_is_not_part_of_the_speakers_mean(embedding):
    low, high = tone(200), tone(1000)
    metrics = SpeakerSimilarity(OnnxEmbedding(embedding))([said(low, "u1", low), said(high, "u2", high)])
    assert [row["similarity_to_speaker"] for row in metrics] == pytest.approx([0, 0], abs=1e-3)


def test_a_sound_without_a_direction_or_a_recording_is_a_failure(embedding):
    silent, alone, wrong_length = SpeakerSimilarity(OnnxEmbedding(embedding))(
        [said(np.zeros(8000), "u1", tone(200)), said(tone(200), "u2", None, "eva"), said(tone(200, 1.0), "u3", tone(200))])
    assert "no direction" in silent.reason
    assert "no recording of this speaker" in alone.reason
    assert "gave up" in wrong_length.reason


def test_resemblyzer_gives_what_its_package_gives():
    resemblyzer = pytest.importorskip("resemblyzer", reason="resemblyzer is not installed")
    corpus = Path("../shared/corpora/dona/wavs")
    if not corpus.is_dir():
        pytest.skip("../shared/corpora/dona is not here")
    one, other = (read_audio(path, 24_000) for path in sorted(corpus.glob("*.flac"))[:2])
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    theirs = [encoder.embed_utterance(resemblyzer.preprocess_wav(samples, 24_000)) for samples in (one, other)]
    sounds = [Sound("recordings", "u1", "a", ("a",), one, 24_000, one), Sound("voice", "u1", "a", ("a",), other, 24_000, one),
              Sound("recordings", "u2", "a", ("a",), other, 24_000, other)]
    first, second, _ = SpeakerSimilarity(Resemblyzer())(sounds)
    assert second["similarity"] == pytest.approx(float(theirs[0] @ theirs[1]), abs=1e-6)
    assert (first["similarity"], second["similarity_to_speaker"]) == pytest.approx((1, 1), abs=1e-6)
    assert first["similarity_to_speaker"] == pytest.approx(second["similarity"], abs=1e-6)


def test_resemblyzer_has_nothing_to_say_of_silence():
    pytest.importorskip("resemblyzer", reason="resemblyzer is not installed")
    silent = SpeakerSimilarity(Resemblyzer()).embed(np.zeros(16_000, np.float32), 16_000)
    assert isinstance(silent, Failure) and "no speech" in silent.reason
