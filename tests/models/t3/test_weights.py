"""Folders of weights: read strictly, written so that the published package's loader takes them; tags; what is missing."""

import json
from fnmatch import fnmatch

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from chatterbox_es.config import ChatterboxConfig
from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.checkpoint import extend_to
from chatterbox_es.models.t3.lora import LoraOptions, merged_state
from chatterbox_es.models.t3.loss import losses_of
from chatterbox_es.models.t3.network import T3, T3Size
from chatterbox_es.models.t3.phases import TEXT_AND_LORA, parameter_groups, set_phase
from chatterbox_es.models.t3.preparation import weights_folder
from chatterbox_es.models.t3.tokens import known_tokens
from chatterbox_es.models.t3.weights import WeightsFolder, export, load_t3, read_state, vocabulary_of
from chatterbox_es.training.optimisation import make_optimizer

SMALL = {"text_rows": 2454, "width": 128, "layers": 2, "heads": 2, "feedforward": 96}
VOCABULARY = {"version": "1.0", "added_tokens": [{"id": 0, "content": "[STOP]"}],
              "model": {"type": "BPE", "vocab": {"[STOP]": 0, "[START]": 255, "[es]": 40, "[SPACE]": 2, "a": 3}, "merges": []}}


@pytest.fixture
def folder(tmp_path, make_upstream):
    """As the published one, with the published class's random weights and other files that are only copied."""
    path = tmp_path / "weights"
    path.mkdir()
    theirs = make_upstream(2454, 2, 128, 96)
    save_file(theirs.state_dict(), path / "t3_mtl23ls_v2.safetensors")
    (path / "grapheme_mtl_merged_expanded_v1.json").write_text(json.dumps(VOCABULARY))
    torch.save({"lstm": torch.ones(3)}, path / "ve.pt")
    torch.save({"flow": torch.arange(4), "tokenizer.encoder": torch.ones(2)}, path / "s3gen_v3.pt")
    (path / "conds.pt").write_bytes(b"a voice")
    return path


def test_a_trained_model_with_its_adapters_merged_loads_strictly_into_the_published_class(
        folder, make_upstream, make_spoken, tmp_path):
    """Read, tagged, trained in phase 4_2, exported, read by the published class as its own loader does, same logits."""
    weights = WeightsFolder.open(folder)
    original = load_file(weights.t3)
    model = load_t3(weights.t3)
    vocabulary, tags = vocabulary_of(weights, ["mexican"])
    extend_to(model, vocabulary, tags, weights)
    original = {name: weight.clone() for name, weight in model.state_dict().items()}
    set_phase(model, TEXT_AND_LORA, LoraOptions(rank=4))
    batch = collate([make_spoken(9, 31, 20), make_spoken(20, 31, 20)], start_tokens=1)
    optimizer = make_optimizer("adamw", parameter_groups(model), 1e-2, 0.01)
    for _ in range(3):
        losses_of(model, batch).total().backward()
        optimizer.step()
        optimizer.zero_grad()
    out = tmp_path / "spanish"
    file = export(merged_state(model, original), vocabulary, out, weights)
    assert sorted(path.name for path in out.iterdir()) == ["conds.pt", "grapheme_mtl_merged_expanded_v1.json", "s3gen.pt",
                                                           "t3_mtl23ls_v2.safetensors", "ve.pt"]
    assert json.loads((out / "grapheme_mtl_merged_expanded_v1.json").read_text())["model"]["vocab"]["[es-mx]"] == 1
    for name in ("ve.pt", "conds.pt"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    state = load_file(file)
    theirs = make_upstream(2454, 2, 128, 96)
    published = {name: (weight.shape, weight.dtype) for name, weight in theirs.state_dict().items()}
    assert {name: (weight.shape, weight.dtype) for name, weight in state.items()} == published
    theirs.load_state_dict(state, strict=True)
    ours = load_t3(file).eval()
    with torch.no_grad():
        a = model.eval()(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths)
        b = ours(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths)
    assert torch.allclose(a.speech, b.speech, atol=1e-5)
    assert tags == {"mexican": "es-mx"} and known_tokens(vocabulary)["[es-mx]"] == 1


def test_a_tag_begins_as_es_and_a_full_table_grows(folder):
    weights = WeightsFolder.open(folder)
    model = load_t3(weights.t3)
    before = model.text_emb.weight.clone(), model.text_head.weight.clone()
    vocabulary, tags = vocabulary_of(weights, ["castilian", "rioplatense"])
    extend_to(model, vocabulary, tags, weights)
    ids = {tag: known_tokens(vocabulary)[f"[{tag}]"] for tag in tags.values()}
    assert model.size.text_rows == 2454 and ids == {"es-es": 1, "es-ar": 4}
    for table, old in ((model.text_emb.weight, before[0]), (model.text_head.weight, before[1])):
        assert all(torch.equal(table[number], old[40]) for number in ids.values())
        others = [n for n in range(2454) if n not in ids.values()]
        assert torch.equal(table[others], old[others])
    full = VOCABULARY | {"model": VOCABULARY["model"] | {"vocab": VOCABULARY["model"]["vocab"] | {
        f"x{n}": n for n in range(2454) if n not in VOCABULARY["model"]["vocab"].values()}}}
    weights.vocabulary.write_text(json.dumps(full))
    new, tags = vocabulary_of(weights, ["latin_american"])
    extend_to(model, new, tags, weights)
    assert known_tokens(new)["[es-419]"] == 2454 and model.size.text_rows == 2455
    assert torch.equal(model.text_emb.weight[2454], before[0][40]) and model.text_head.out_features == 2455
    with pytest.raises(UserError, match="2455 rows.*2454 or 704.*trim=true"):
        export(model.state_dict(), new, folder.parent / "out")
    file = export(model.state_dict(), new, folder.parent / "out", trim=True)
    assert load_t3(file).size.text_rows == 2454
    written = json.loads((folder.parent / "out/grapheme_mtl_merged_expanded_v1.json").read_text())
    assert "[es-419]" not in written["model"]["vocab"]


def test_a_tag_that_the_weights_have_stays_as_it_was_trained(folder):
    weights = WeightsFolder.open(folder)
    vocabulary, _ = vocabulary_of(weights, ["mexican"])
    weights.vocabulary.write_text(json.dumps(vocabulary))  # as an exported folder has it
    model = load_t3(weights.t3)
    before = model.text_emb.weight.clone()
    again, tags = vocabulary_of(weights, ["mexican"])
    extend_to(model, again, tags, weights)
    assert tags == {"mexican": "es-mx"} and torch.equal(model.text_emb.weight, before)


def test_types_and_odd_names(folder, tmp_path):
    """An official fine-tune has a name of its own; weights may be in half precision."""
    source = folder / "t3_mtl23ls_v2.safetensors"
    state = {name: weight.half() for name, weight in load_file(source).items()}
    source.unlink()
    save_file(state, folder / "t3_es_mx_latam.safetensors")
    weights = WeightsFolder.open(folder)
    assert weights.t3.name == "t3_es_mx_latam.safetensors" and weights.codec.name == "s3gen_v3.pt"
    assert read_state(weights.t3)["text_emb.weight"].dtype == torch.float16
    model = load_t3(weights.t3)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    file = export(model.state_dict(), weights.vocabulary, tmp_path / "out", dtype=torch.float16)
    assert all(torch.equal(weight, state[name]) for name, weight in load_file(file).items())


def test_a_codec_without_its_computed_buffers_gets_them_on_export(tmp_path, make_weights):
    """`s3gen_v3` has neither the filter bank nor the window of the tokeniser, and chatterbox-tts 0.1.7 loads strictly."""
    librosa = pytest.importorskip("librosa", reason="what the package computes them with")
    source = make_weights(tmp_path / "weights")
    short = {"flow": torch.arange(4), "tokenizer.encoder": torch.ones(2)}
    expected = {"tokenizer._mel_filters": torch.FloatTensor(librosa.filters.mel(sr=16_000, n_fft=400, n_mels=128)),
                "tokenizer.window": torch.hann_window(400)}
    model = load_t3(source / "t3_mtl23ls_v2.safetensors")
    for number, (name, write) in enumerate((("s3gen_v3.pt", torch.save), ("s3gen_v3.safetensors", save_file))):
        write(short, source / name)
        out = tmp_path / f"out{number}"
        export(model.state_dict(), source / "grapheme_mtl_merged_expanded_v1.json", out, WeightsFolder.open(source))
        written = torch.load(out / "s3gen.pt", weights_only=True)
        assert written.keys() == short.keys() | expected.keys()
        assert all(torch.equal(written[key], value) for key, value in (short | expected).items())
        (source / name).unlink()
    torch.save(short | expected, source / "s3gen.pt")
    export(model.state_dict(), source / "grapheme_mtl_merged_expanded_v1.json", tmp_path / "out2", WeightsFolder.open(source))
    assert (tmp_path / "out2/s3gen.pt").read_bytes() == (source / "s3gen.pt").read_bytes()  # whole: copied as it is
    (source / "s3gen.pt").write_bytes(b"broken")
    with pytest.raises(UserError, match="s3gen.pt cannot be read as weights .* hf download ResembleAI/chatterbox s3gen.pt"):
        export(model.state_dict(), source / "grapheme_mtl_merged_expanded_v1.json", tmp_path / "out3",
               WeightsFolder.open(source))


PACK = ["t3_es_mx_latam.safetensors", "grapheme_mtl_merged_expanded_v1.json", "s3gen_v3.pt"]


class Hub:
    """In place of the hub's client: files that come one after the other, until the line breaks."""

    def __init__(self, monkeypatch, source):
        self.files = {"ResembleAI/chatterbox": ["t3_mtl23ls_v2.safetensors", "t3_mtl23ls_v3.safetensors", "s3gen.pt",
                                                "conds.pt", "grapheme_mtl_merged_expanded_v1.json", "ve.pt", "README.md"],
                      "ResembleAI/Chatterbox-Multilingual-es-mx-latam": [*PACK]}
        self.source, self.came, self.breaks_after, self.offline = source, [], None, False
        monkeypatch.setattr("huggingface_hub.snapshot_download", self)

    def __call__(self, repository, allow_patterns, local_dir):
        if self.offline:  # with a folder that holds something, the client says no word
            return str(local_dir)
        for name in self.files[repository]:
            if not any(fnmatch(name, pattern) for pattern in allow_patterns) or (local_dir / name).exists():
                continue
            if self.breaks_after == len(self.came):
                raise ConnectionError("the line is dead")
            self.came.append(name)
            is_t3 = name.startswith("t3_")
            (local_dir / name).write_bytes((self.source / ("t3_mtl23ls_v2.safetensors" if is_t3 else name)).read_bytes()
                                           if is_t3 or name.endswith(".json") else name.encode())
        return str(local_dir)


@pytest.fixture
def hub(monkeypatch, tmp_path, make_weights):
    pytest.importorskip("huggingface_hub")
    return Hub(monkeypatch, make_weights(tmp_path / "source"))


@pytest.mark.parametrize("repository", ["ResembleAI/chatterbox", "ResembleAI/Chatterbox-Multilingual-es-mx-latam"])
@pytest.mark.parametrize("breaks_after", range(6))
def test_a_fetch_that_broke_off_is_gone_on_with(hub, tmp_path, repository, breaks_after):
    """Wherever it broke off: the next command fetches what is missing, and the one after that nothing."""
    options = ChatterboxConfig(name="chatterbox", weights=str(tmp_path / "weights"), fetch=True, repository=repository)
    options = OmegaConf.structured(options)
    hub.breaks_after = breaks_after
    whole = 5  # of the pack too: it has no ve.pt and no conds.pt, which are the base repository's
    if breaks_after < whole:
        with pytest.raises(UserError, match="could not be fetched .the line is dead.*the same command goes on"):
            weights_folder(options)
        hub.offline = True
        with pytest.raises(UserError, match="fetched in part|hf download"):
            weights_folder(options)
        hub.offline, hub.breaks_after = False, None
    weights = weights_folder(options)
    assert len(hub.came) == len(set(hub.came)) == whole
    assert weights.speaker_encoder.name == "ve.pt" and weights.voice.name == "conds.pt"
    assert (weights.t3.name, weights.codec.name) == (("t3_es_mx_latam.safetensors", "s3gen_v3.pt") if "latam" in repository
                                                     else ("t3_mtl23ls_v2.safetensors", "s3gen.pt"))
    hub.breaks_after = 0
    assert weights_folder(options) == weights  # nothing is asked of the hub
    half = tmp_path / "weights/.cache/huggingface/download/s3gen.pt.incomplete"  # as the client leaves where it is killed
    half.parent.mkdir(parents=True)
    half.touch()
    hub.breaks_after = None
    hub.files[repository].append("t3_new.json")
    weights_folder(options)
    assert ("t3_new.json" in hub.came) == ("latam" in repository)  # whose patterns take it: the hub was asked


def test_what_is_missing_is_said_with_the_command_that_brings_it(folder, tmp_path):
    with pytest.raises(UserError, match="hf download ResembleAI/chatterbox .*--local-dir"):
        WeightsFolder.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no t3_.*hf download"):
        WeightsFolder.open(tmp_path / "empty")
    (folder / "grapheme_mtl_merged_expanded_v1.json").unlink()
    with pytest.raises(UserError, match="grapheme_mtl_merged_expanded_v1.json.*hf download"):
        WeightsFolder.open(folder)
    (folder / "t3_mtl23ls_v2.safetensors").rename(folder / "t3_a.safetensors")
    (folder / "t3_b.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="t3_a.safetensors, t3_b.safetensors; exactly one"):
        WeightsFolder.open(folder)


@pytest.mark.parametrize("damage, message", [
    (lambda state: state.pop("speech_head.weight"), "speech_head.weight is missing"),
    (lambda state: state.update(extra=torch.zeros(1)), "extra is not of it"),
    (lambda state: state.update({"text_head.weight": torch.zeros(9, 128)}), r"text_head.weight is \(9, 128\), wanted \(2454, "),
    (lambda state: state.pop("text_emb.weight"), "holds no T3"),
])
def test_a_file_that_is_no_t3(damage, message, tmp_path):
    state = T3(T3Size(**SMALL)).state_dict()
    damage(state)
    save_file(state, tmp_path / "t3.safetensors")
    with pytest.raises(UserError, match=message):
        load_t3(tmp_path / "t3.safetensors")


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "t3.safetensors").write_bytes(b"\x09\x00\x00\x00\x00\x00\x00\x00not json")
    for name in ("t3.safetensors", "missing.safetensors"):
        with pytest.raises(UserError, match="cannot be read"):
            load_t3(tmp_path / name)
