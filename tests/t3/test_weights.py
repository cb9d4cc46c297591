"""Folders of weights: read strictly, written so that the published package's loader takes them; tags; what is missing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from chatterbox_es.errors import UserError
from chatterbox_es.optimisation import make_optimizer
from chatterbox_es.t3.batches import collate
from chatterbox_es.t3.checkpoints import extend_to
from chatterbox_es.t3.lora import LoraOptions, merged_state
from chatterbox_es.t3.loss import losses_of
from chatterbox_es.t3.model import T3, T3Size
from chatterbox_es.t3.phases import TEXT_AND_LORA, parameter_groups, set_phase
from chatterbox_es.t3.tokens import known_tokens
from chatterbox_es.t3.weights import WeightsFolder, export, load_t3, read_state, vocabulary_of

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
    for name in ("ve.pt", "s3gen_v3.pt", "conds.pt"):
        (path / name).write_bytes(name.encode())
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
    batch = collate([make_spoken(9, 31, 20), make_spoken(20, 31, 20)], starts=1)
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
