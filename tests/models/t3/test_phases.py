"""What each phase moves, adapters merged and exported, and both phases one after the other on a tiny task."""

import numpy as np
import pytest
import torch
from peft import PeftModel

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.generation import Sampling, generate
from chatterbox_es.models.t3.lora import (
    PREFIX,
    LoraOptions,
    add_lora,
    load_lora,
    lora_state,
    merge_lora,
    merged_state,
    save_lora,
)
from chatterbox_es.models.t3.loss import losses_of
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, frozen_digest, parameter_groups, set_phase
from chatterbox_es.training.optimisation import make_optimizer

LORA = LoraOptions(rank=4, alpha=8.0)


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        states = model.eval()(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths)
        return model.speech_head(states.speech)


def steps(model, batch, count: int = 3, lr: float = 1e-2, kind: str = "adamw") -> list[float]:
    optimizer = make_optimizer(kind, parameter_groups(model), lr, weight_decay=0.01)
    model.train()
    losses = []
    for _ in range(count):
        loss = losses_of(model, batch).total()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture
def batch(make_spoken):
    return collate([make_spoken(9, 31, 20, rows=100), make_spoken(20, 60, 40, rows=100, text_dropped=True)])


@pytest.mark.parametrize("optimiser", ["adamw", "adafactor"])
def test_phase_4_2_moves_the_texts_rows_and_the_adapters_and_not_a_bit_else(optimiser, make_t3, batch):
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    digest = frozen_digest(model)
    steps(model, batch, kind=optimiser)
    assert frozen_digest(model) == digest
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {"text_emb.weight", *(name for name in before if ".lora_" in name)}
    assert len([name for name in moved if "lora_A" in name]) == 2 * 7  # layers, and every product of each
    heard = torch.zeros(300, dtype=torch.bool)
    heard[batch.text[0]] = True
    rows = (model.text_emb.weight != before["text_emb.weight"]).any(1)
    assert rows[~heard].sum() == 0 and rows[heard].all()


def test_phase_4_3_moves_all_that_a_step_reads(make_t3, batch):
    model = make_t3()
    set_phase(model, FULL_MODEL, LORA)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    steps(model, batch)
    still = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert still == {"tfmr.embed_tokens.weight"}


def test_frozen_weights_in_half_precision_train_and_stay(make_t3, batch):
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA, torch.bfloat16)
    kept = {name: weight.dtype for name, weight in model.named_parameters()}
    assert all((dtype == torch.float32) == (name == "text_emb.weight" or ".lora_" in name) for name, dtype in kept.items())
    digest = frozen_digest(model)
    model.save_memory()
    with torch.autocast("cpu", torch.bfloat16):
        losses = steps(model, batch, 5)
    assert losses[-1] < losses[0] and frozen_digest(model) == digest


@pytest.mark.parametrize("kind", ["adamw", "adafactor"])
def test_both_optimisers_learn_at_the_same_rate(kind, make_t3, batch):
    """Adafactor's steps are of the rate itself: relative to adapters that begin at 0 they would be nothing."""
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA)
    losses = steps(model, batch, 20, lr=3e-3, kind=kind)
    assert losses[-1] < losses[0] - 0.3
    moved = [float(weight.detach().square().mean().sqrt()) for name, weight in model.named_parameters() if ".lora_B" in name]
    assert min(moved) > 3e-3


def test_new_adapters_add_nothing_and_merging_is_exact(make_t3, batch):
    model = make_t3().eval()
    fresh = logits(model, batch)
    set_phase(model, TEXT_AND_LORA, LORA)
    assert torch.equal(logits(model, batch), fresh)
    steps(model, batch, 10)
    trained = logits(model, batch)
    assert (trained - fresh).abs().max() > 1e-3
    names = list(make_t3().state_dict())
    state = merged_state(model)
    assert sorted(state) == sorted(names)
    assert torch.equal(logits(model, batch), trained)  # the model itself stays as it was
    other = make_t3()
    other.load_state_dict(state, strict=True)
    merge_lora(model)
    assert list(model.state_dict()) == names
    for merged in (other, model):
        assert torch.allclose(logits(merged, batch), trained, atol=1e-5)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in state.items())


def test_half_precision_costs_a_merged_model_nothing(make_t3, batch):
    """Frozen weights come from the original file: rounding them to train on them leaves no trace."""
    original = {name: weight.clone() for name, weight in make_t3().state_dict().items()}
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        steps(model, batch)
    state = merged_state(model, original)
    changed = {name for name, weight in state.items() if not torch.equal(weight, original[name])}
    assert changed == {"text_emb.weight", *(name for name in state if "_proj." in name)}
    assert all(weight.dtype == torch.float32 for weight in state.values())
    adapters = lora_state(model)
    layer = "layers.1.mlp.down_proj"
    added = adapters[f"{PREFIX}{layer}.lora_B.weight"] @ adapters[f"{PREFIX}{layer}.lora_A.weight"] * LORA.alpha / LORA.rank
    assert torch.allclose(state[f"tfmr.{layer}.weight"] - original[f"tfmr.{layer}.weight"], added, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's
def test_adapters_are_saved_and_read_by_us_and_by_peft(tmp_path, make_t3, batch):
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA)
    steps(model, batch)
    save_lora(model, LORA, tmp_path / "lora")
    again = make_t3()
    load_lora(again, LORA, tmp_path / "lora")
    assert torch.equal(logits(again, batch), logits(model, batch))
    bare = make_t3()
    bare.text_emb.weight.data.copy_(model.text_emb.weight)
    bare.tfmr = PeftModel.from_pretrained(bare.tfmr, str(tmp_path / "lora"))
    assert torch.allclose(logits(bare, batch), logits(model, batch), atol=1e-6)


def test_what_does_not_fit_is_said(tmp_path, make_t3, batch):
    model = make_t3()
    set_phase(model, TEXT_AND_LORA, LORA)
    save_lora(model, LORA, tmp_path / "lora")
    with pytest.raises(UserError, match="merge"):
        set_phase(model, FULL_MODEL, LORA)
    with pytest.raises(UserError, match="merge"):
        add_lora(model, LORA)
    with pytest.raises(UserError, match="no q_prj; it has down_proj"):
        add_lora(make_t3(), LoraOptions(targets=("q_prj",)))
    with pytest.raises(UserError, match="rank"):
        load_lora(make_t3(), LoraOptions(rank=8), tmp_path / "lora")
    with pytest.raises(UserError, match="rank, model or vocabulary"):
        load_lora(make_t3(text_rows=301), LORA, tmp_path / "lora")
    with pytest.raises(UserError, match="no adapters"):
        load_lora(make_t3(), LORA, tmp_path)
    with pytest.raises(UserError, match="text_and_lora"):
        set_phase(make_t3(), "text_encoder", LORA)
    with pytest.raises(UserError, match="adafactor"):
        make_optimizer("adam8bit", parameter_groups(make_t3()), 1e-3, 0.0)


def test_both_phases_learn_to_say_what_is_written_and_to_end(make_t3, make_spoken):
    """Six texts, each with a recording of its own and all with the same voice: only the text can tell them apart."""
    spoken = [make_spoken(6, 8 + n, 20, seed=n, rows=60) for n in range(6)]
    for utterance in spoken:
        utterance.speaker, utterance.prompt = spoken[0].speaker, spoken[0].prompt
    heard, guided = collate(spoken), collate([*spoken[:5], make_spoken(1, 5, 20, text_dropped=True)])
    model = make_t3(perceiver_dropout=0.0)
    set_phase(model, TEXT_AND_LORA, LoraOptions(rank=16, alpha=32.0, dropout=0.0))
    losses = steps(model, guided, 30)
    assert losses[-1] < losses[0] - 1.5
    merge_lora(model)
    set_phase(model, FULL_MODEL, LORA)
    steps(model, heard, 120, lr=5e-3)
    losses = losses_of(model.eval(), heard)
    assert losses.accuracy > 0.99 and losses.end_accuracy == 1
    for utterance in spoken:
        batch = collate([utterance])
        said = generate(model, batch.text[0], batch.conditions,
                        Sampling(guidance=0, temperature=0, repetition_penalty=1.0, max_tokens=40))
        assert said.ended and np.array_equal(said.codes.numpy(), utterance.codes)
