"""A tiny T3 and its batches, and the published package's own classes without the packages that only sound needs."""

import importlib
import importlib.metadata
import sys
import types
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("transformers", reason="pip install -e '.[chatterbox]'")
pytest.importorskip("peft", reason="pip install -e '.[chatterbox]'")

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import BPE  # noqa: E402

from chatterbox_es.models.t3.batches import Spoken  # noqa: E402
from chatterbox_es.models.t3.conditioning import Conditions  # noqa: E402
from chatterbox_es.models.t3.network import CODES, START_TEXT, STOP_TEXT, T3, T3Size  # noqa: E402

UPSTREAM = "chatterbox-tts"
INSTALL = f"pip install --no-deps {UPSTREAM}==0.1.7"


@pytest.fixture(scope="session")
def upstream() -> Iterator:
    """``upstream("t3")`` imports chatterbox.models.t3 as it is installed.

    The package's own __init__ imports everything that sound needs (torchaudio, perth, …); an empty parent takes its place.
    """
    try:
        found = importlib.metadata.distribution(UPSTREAM)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the published Chatterbox is not installed: {INSTALL}")
    pytest.importorskip("einops", reason="pip install einops")
    parent = types.ModuleType("chatterbox")
    parent.__path__ = [str(Path(found.locate_file("chatterbox")))]
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "chatterbox"}
    for name in before:
        del sys.modules[name]
    sys.modules["chatterbox"] = parent

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"chatterbox.models.{name}")

    load.folder = Path(parent.__path__[0])
    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] == "chatterbox"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def make_upstream(upstream, monkeypatch) -> Callable[..., torch.nn.Module]:
    """The published T3 with random weights, with fewer layers, or narrower. Its perceiver is always 1024 wide: a narrow
    model gets one of the same class and its own width."""
    def make(rows: int = 704, layers: int = 30, width: int = 1024, feedforward: int = 4096) -> torch.nn.Module:
        t3, config = upstream("t3.t3"), upstream("t3.modules.t3_config")
        sizes = t3.LLAMA_CONFIGS["Llama_520M"] | {"num_hidden_layers": layers, "hidden_size": width,
                                                 "intermediate_size": feedforward, "num_attention_heads": width // 64,
                                                 "num_key_value_heads": width // 64}
        monkeypatch.setitem(t3.LLAMA_CONFIGS, "Llama_520M", sizes)
        torch.manual_seed(7)
        theirs = t3.T3(config.T3Config(rows))
        if width != 1024:
            theirs.cond_enc.perceiver = upstream("t3.modules.perceiver").Perceiver(
                pre_attention_query_size=width, embedding_dim=width)
        return theirs.eval()

    return make


@pytest.fixture(scope="session")
def as_upstream(upstream) -> Callable:
    """Conditions as the published package takes them."""
    def convert(conditions: Conditions):
        prompt = conditions.prompt if conditions.prompt_lengths.any() else None
        return upstream("t3.modules.cond_enc").T3Cond(
            speaker_emb=conditions.speaker, cond_prompt_speech_tokens=prompt, emotion_adv=conditions.emotion[:, None, None])

    return convert


SMALL = {"text_rows": 300, "speech_rows": 6600, "width": 64, "layers": 2, "heads": 2, "feedforward": 96, "text_positions": 80,
         "speech_positions": 200, "queries": 8}  # fmt: skip


@pytest.fixture(scope="session")
def make_t3() -> Callable[..., T3]:
    """A T3 of a few hundred thousand weights, the same each time."""
    def make(**changes) -> T3:
        torch.manual_seed(5)
        return T3(T3Size(**SMALL | changes))

    return make


@pytest.fixture(scope="session")
def make_spoken() -> Callable[..., Spoken]:
    """An utterance of random tokens."""
    def make(text: int, codes: int, prompt: int = 20, seed: int = 0, rows: int = 255, **more) -> Spoken:
        random = np.random.default_rng((seed, text, codes, prompt))
        ids = (START_TEXT, *random.integers(1, rows, text).tolist(), STOP_TEXT)
        speaker = random.normal(size=256)
        return Spoken(ids, random.integers(0, CODES, codes), speaker / np.linalg.norm(speaker),
                      random.integers(0, CODES, prompt), **more)

    return make


@pytest.fixture(scope="session")
def make_weights() -> Callable[..., Path]:
    return write_weights


def write_weights(folder: Path, **size) -> Path:
    """A folder of weights in the published form."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?-'\"¿¡" + unicodedata.normalize("NFKD", "éñü")[1::2]
    vocab = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255, "[es]": 10, "[fr]": 11}
    vocab |= {letter: 20 + n for n, letter in enumerate(dict.fromkeys(letters))}
    tokenizer = Tokenizer(BPE(vocab, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens([token for token in vocab if token.startswith("[")])
    tokenizer.save(str(folder / "grapheme_mtl_merged_expanded_v1.json"))
    torch.manual_seed(5)
    sizes = {"text_rows": 2454, "width": 64, "layers": 2, "heads": 1, "feedforward": 96, "text_positions": 400,
             "speech_positions": 800}
    model = T3(T3Size(**sizes | size))
    for table in (model.text_emb, model.speech_emb, model.text_pos_emb.emb, model.speech_pos_emb.emb):
        torch.nn.init.normal_(table.weight, std=0.2)  # places as loud as tokens: such a small model learns sooner
    save_file(model.state_dict(), folder / "t3_mtl23ls_v2.safetensors")
    return folder
