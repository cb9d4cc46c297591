"""model=chatterbox through the real commands with Resemble's own tokeniser, S3Gen, HiFT and watermark, of random weights.

Slow, and skipped where their packages cannot be imported (torchaudio has no build for every torch: docs/chatterbox.md).
Noise comes out; the tokens' number and type, the rates, lengths and the watermark are what is tested.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.codec import CODE_RATE, ResembleTokenizer, load_codec, load_hift, load_s3gen, published
from chatterbox_es.models.t3.network import CODES
from chatterbox_es.models.t3.weights import WeightsFolder

REPOSITORY = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory, make_weights) -> Path:
    """A folder as it is published: a tiny T3, and codec and speaker encoder in full size; all random."""
    try:
        s3gen, encoder = published("s3gen"), published("voice_encoder")
    except UserError as error:
        pytest.skip(str(error))
    folder = make_weights(tmp_path_factory.mktemp("resemble") / "weights")
    torch.manual_seed(11)
    torch.save(s3gen.S3Gen().state_dict(), folder / "s3gen.pt")
    torch.save(encoder.VoiceEncoder().state_dict(), folder / "ve.pt")
    return folder


def run_command(module: str, *arguments: str, cwd: Path) -> str:
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    output = subprocess.run([sys.executable, "-m", f"chatterbox_es.{module}", *arguments], cwd=cwd, text=True,
                            capture_output=True, timeout=1800, env=environment)
    assert output.returncode == 0, output.stdout + output.stderr
    return output.stdout


def marked(samples: np.ndarray, rate: int) -> float:
    from perth import PerthImplicitWatermarker

    return float(PerthImplicitWatermarker().get_watermark(samples, sample_rate=rate))


def test_from_recordings_to_a_watermarked_sentence(weights, tmp_path, make_corpus):
    corpus = make_corpus(tmp_path / "corpus")
    arguments = ["model=chatterbox", f"model.weights={weights}", "data=folder", f"data.path={corpus}", "hw.precision=32-true",
                 "train.wandb=disabled", "train.samples=0", "train.epochs=1", "train.trial_steps=0", "phase.batch_size=3",
                 "model.rank=4"]  # fmt: skip
    run_command("prepare", *arguments, cwd=tmp_path)
    card, = tmp_path.glob("outputs/prepared/*/tokens-*/card.json")
    codes, index = np.load(card.with_name("codes.npy")), np.load(card.with_name("index.npy"))
    assert json.loads(card.read_text())["left_out"] == {} and len(index) == 10
    assert codes.dtype == np.int16 and 0 <= codes.min() <= codes.max() < CODES
    seconds = [soundfile.info(path).duration for path in sorted((corpus / "wavs").iterdir())]
    assert (np.abs(index["codes"] - CODE_RATE * np.array(seconds)) <= CODE_RATE).all()  # silent ends were cut
    for phase in ("4_2", "4_3"):
        run_command("train", f"phase={phase}", *arguments, cwd=tmp_path)
    run_command("synthesize", "text=Hola.", "out=hola.wav", "temperature=1", f"run={next(tmp_path.glob('outputs/4_3/*'))}",
                f"reference={corpus}/wavs/r3.wav", cwd=tmp_path)
    samples, rate = soundfile.read(tmp_path / "hola.wav", dtype="float32")
    assert rate == 24_000 and len(samples) % 480 == 0 and np.abs(samples).max() > 0  # whole frames of mels
    assert marked(samples, rate) > 0.9
    assert marked(np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32), rate) < 0.9


def test_recordings_are_tokenised_together_as_alone(weights, make_corpus, tmp_path):
    tokenizer = ResembleTokenizer(load_s3gen(WeightsFolder.open(weights)))
    chance = np.random.default_rng(4)
    recordings = [chance.normal(0, 0.1, length).astype(np.float32) for length in (16_000, 40_000, 27_520)]
    together = tokenizer(recordings)
    assert [len(codes) for codes in together] == [25, 63, 43]
    for codes, recording in zip(together, recordings, strict=True):
        assert codes.dtype == np.int16 and np.array_equal(codes, tokenizer([recording])[0])


def test_hift_speaks_mels_of_the_other_family(weights):
    mel = np.random.default_rng(1).normal(-5, 2, (20, 80)).astype(np.float32)
    samples = load_hift(weights)(mel)
    assert samples.shape == (20 * 480,) and np.isfinite(samples).all() and np.abs(samples).max() <= 1
    vocoder = load_codec(WeightsFolder.open(weights)).vocoder()
    reference = vocoder.reference(np.random.default_rng(2).normal(0, 0.1, 48_000).astype(np.float32))
    assert vocoder(torch.arange(10), reference).shape == (10 * 960,)
