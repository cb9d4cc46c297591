"""What `gpu_check.py` trains on: a prepared set, speech tokens and weights of T3, all from a seed and of no use for speech.

Every symbol has a mel of its own and every text id its codes, so that there is something to learn. The files are those that
`chatterbox_es.prepare` leaves (`feature_set`, `models.t3.token_set`) and that Resemble publishes (`models.t3.weights`).
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch

from chatterbox_es.audio.mel import MelContract
from chatterbox_es.dataset.feature_set import CARD, INDEX, FeatureSet, Statistics
from chatterbox_es.text import FrontEnd

SPEAKERS = 4
VOCABULARY = {"model": {"vocab": {}}, "added_tokens": []}  # of T3; its ids are drawn, no text is read


def write_features(folder: Path, train: int, held_out: int, seconds: tuple[float, float], seed: int = 0) -> FeatureSet:
    """A prepared set of so many utterances, each of a length between two."""
    random, contract, symbols = np.random.default_rng(seed), MelContract(), FrontEnd().table
    of_symbol = random.normal(-5, 1.5, (len(symbols.in_use), contract.bins))
    index, mels, tokens, lines = np.zeros(train + held_out, INDEX), [], [], []
    for number in range(len(index)):
        durations = random.integers(2, 6, round(random.uniform(*seconds) * contract.frames_per_second / 3.5))
        said = random.integers(3, len(symbols.in_use), len(durations))
        mel = np.repeat(of_symbol[said], durations, 0)
        mels.append((mel + random.normal(0, 0.5, mel.shape)).astype(np.float16))
        tokens.append(said.astype(np.int16))
        lines.append(json.dumps({"id": f"u{number}", "text": f"u{number}", "words": f"u{number}", "audio": ""}) + "\n")
        index[number]["frames"], index[number]["tokens"], index[number]["line"] = len(mel), len(said), len(lines[-1])
    for start, length in (("frame", "frames"), ("token", "tokens"), ("line", "line")):
        index[start] = np.cumsum(index[length], dtype=np.int64) - index[length]
    index["speaker"] = np.arange(len(index)) % SPEAKERS
    index["validation"][train:] = True
    frames = np.concatenate(mels)
    statistics = Statistics.of_moments(frames.mean(0, dtype=np.float64), np.square(frames.astype(np.float32)).mean(0))
    (folder / "mels").mkdir(parents=True)
    frames.tofile(folder / "mels" / "00000.f16")
    np.save(folder / "index.npy", index)
    np.save(folder / "tokens.npy", np.concatenate(tokens))
    (folder / "utterances.jsonl").write_text("".join(lines))
    (folder / "statistics.json").write_text(json.dumps(statistics.to_dict()))
    content = hashlib.sha256(frames.tobytes()).hexdigest()
    card = {"corpus": "gpu_check", "synthetic": True, "dialect": "castilian", "mel": dataclasses.asdict(contract),
            "symbols": symbols.to_dict(), "utterances": len(index), "left_out": {}, "content": content,
            "seconds": len(frames) / contract.frames_per_second, "symbols_seen": len(symbols.in_use), "split": "text",
            "speakers": [f"s{number}" for number in range(SPEAKERS)], "dialects": ["castilian"], "corpora": [""],
            "shards": [{"file": "mels/00000.f16", "utterances": len(index), "frames": len(frames), "sha256": content}]}
    (folder / CARD).write_text(json.dumps(card))
    return FeatureSet(folder)


def write_tokens(features: FeatureSet, size: object, seed: int = 0) -> FeatureSet:
    """The same utterances as T3 reads them; ``size`` is a `T3Size`."""
    from chatterbox_es.models.t3.network import CODES, START_TEXT, STOP_TEXT  # optional packages
    from chatterbox_es.models.t3.token_set import TOKENS, TokenSet

    random, folder = np.random.default_rng(seed), features.folder / "tokens-gpu_check"
    rows, of_id = min(size.text_rows, 255), random.integers(0, min(CODES, size.speech_rows), 256)
    places, codes, texts = np.zeros(len(features), TOKENS), [], []
    for number, row in enumerate(features.index):
        said = random.integers(1, rows, min(int(row["tokens"]), size.text_positions - 2))
        texts.append(np.array([START_TEXT, *said, STOP_TEXT], np.int16))
        count = min(int(row["frames"]) // 2, size.speech_positions - 4)
        codes.append(of_id[said[np.arange(count) * len(said) // count]].astype(np.int16))
        places[number]["codes"], places[number]["ids"] = len(codes[-1]), len(texts[-1])
    for start, length in (("code", "codes"), ("id", "ids")):
        places[start] = np.cumsum(places[length], dtype=np.int64) - places[length]
    speakers = random.normal(size=(len(features), size.speaker))
    speakers /= np.linalg.norm(speakers, axis=1, keepdims=True)
    folder.mkdir(exist_ok=True)
    for name, array in (("codes", np.concatenate(codes)), ("text", np.concatenate(texts)), ("index", places),
                        ("speakers", speakers.astype(np.float32))):
        np.save(folder / f"{name}.npy", array)
    (folder / "vocabulary.json").write_text(json.dumps(VOCABULARY))
    (folder / CARD).write_text(json.dumps({"content": features.card["content"], "tags": {}, "left_out": {}}))
    return TokenSet(features, folder)


def write_weights(folder: Path, size: object, device: str, seed: int = 0) -> Path:
    """A folder as Resemble publishes it, with random weights in fp16, drawn on a device; once."""
    from safetensors.torch import save_file  # optional packages

    from chatterbox_es.models.t3.network import T3
    from chatterbox_es.models.t3.weights import MULTILINGUAL_T3, MULTILINGUAL_VOCABULARY

    if (folder / MULTILINGUAL_T3).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MULTILINGUAL_VOCABULARY).write_text(json.dumps(VOCABULARY))
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in T3(size).state_dict().items()}
    torch.manual_seed(seed)
    state = {name: (torch.ones(shape) if "norm" in name and name.endswith("weight") else torch.zeros(shape) if len(shape) < 2
                    else torch.randn(shape, device=device) * 0.02).half().cpu() for name, shape in shapes.items()}
    partial = folder / "partial"
    save_file(state, partial)
    os.replace(partial, folder / MULTILINGUAL_T3)
    return folder
