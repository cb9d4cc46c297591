"""Resemble's networks behind the protocols, with random weights: each as far as the packages that it needs are installed."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3 import codec
from chatterbox_es.models.t3.codec import RATE, ResembleSpeakerEncoder, load_s3gen, load_strictly, read_voice
from chatterbox_es.models.t3.weights import WeightsFolder


def tone(seconds: float, pitch: float = 150.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sign(np.sin(2 * np.pi * pitch * time)) * (1 + 0.3 * np.sin(7 * time))).astype(np.float32)


@pytest.fixture
def folder(tmp_path) -> WeightsFolder:
    return WeightsFolder(tmp_path, tmp_path / "t3_cfg.safetensors", tmp_path / "tokenizer.json", tmp_path / "ve.pt", None, None)


def test_speakers_are_the_published_encoders(upstream, folder):
    torch.manual_seed(3)
    theirs = upstream("voice_encoder").VoiceEncoder().eval()
    torch.save(theirs.state_dict(), folder.speaker_encoder)
    encoder = ResembleSpeakerEncoder(folder)
    recordings = [tone(2.0), tone(3.5, 210.0), tone(0.5)]
    together = encoder(recordings)
    assert together.shape == (3, 256) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, theirs.embeds_from_wavs(recordings, sample_rate=RATE), atol=1e-6)
    for row, recording in zip(together, recordings, strict=True):
        assert np.allclose(encoder([recording])[0], row, atol=1e-5)
    for nothing in (np.zeros(RATE, np.float32), tone(0.05)):
        with pytest.raises(UserError, match="2 of 2 is silent or shorter"):
            encoder([tone(1.0), nothing])


def test_weights_that_do_not_fit_are_named(upstream, folder, tmp_path):
    encoder = upstream("voice_encoder").VoiceEncoder()
    state = encoder.state_dict()
    save_file(state | {"more": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(UserError, match="more is not of it"):
        load_strictly(encoder, tmp_path / "more.safetensors")
    del state["proj.bias"]
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(UserError, match="proj.bias is missing"):
        load_strictly(encoder, tmp_path / "less.pt")
    load_strictly(encoder, tmp_path / "less.pt", may_miss=["proj.bias"])
    (tmp_path / "broken.pt").write_bytes(b"<html>")
    torch.save({"proj.bias": torch.zeros(3)}, tmp_path / "shape.pt")
    for broken in ("broken.pt", "nowhere.pt"):
        with pytest.raises(UserError, match=f"{broken} cannot be read.*hf download"):
            load_strictly(encoder, tmp_path / broken)
    with pytest.raises(UserError, match="shape.pt does not fit chatterbox-tts 0.1.7: .*size mismatch for proj.bias"):
        load_strictly(encoder, tmp_path / "shape.pt")


def test_a_part_that_is_missing_comes_with_its_command(folder, monkeypatch, upstream):
    with pytest.raises(UserError, match=r"no s3gen.pt; fetch it: hf download ResembleAI/chatterbox s3gen.pt --local-dir"):
        monkeypatch.setattr(codec, "published", lambda part: type("Module", (), {"S3Gen": torch.nn.Identity}))
        load_s3gen(folder)
    monkeypatch.undo()
    with pytest.raises(UserError, match="pip install --no-deps chatterbox-tts"):
        codec.published("nothing_of_this_name")


def test_a_published_voice_is_read(tmp_path):
    prompt = torch.arange(150)[None]
    speaker = torch.nn.functional.normalize(torch.randn(1, 256), dim=1)
    torch.save({"t3": {"speaker_emb": speaker, "clap_emb": None, "cond_prompt_speech_tokens": prompt,
                       "cond_prompt_speech_emb": None, "emotion_adv": 0.5 * torch.ones(1, 1, 1)},
                "gen": {"prompt_token": torch.arange(9)[None]}}, tmp_path / "conds.pt")
    conditions, gen = read_voice(tmp_path / "conds.pt")
    assert torch.equal(conditions.prompt, prompt) and conditions.prompt_lengths.tolist() == [150]
    assert torch.equal(conditions.speaker, speaker) and conditions.emotion.tolist() == [0.5]
    assert gen["prompt_token"].shape == (1, 9)
    (tmp_path / "conds.pt").write_bytes(b"")
    with pytest.raises(UserError, match=re.escape("conds.pt holds no voice")):
        read_voice(tmp_path / "conds.pt")
