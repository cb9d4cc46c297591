"""T3 gives what the published one gives with the same weights, and an utterance is the same whoever stands beside it."""

import pytest
import torch

from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.conditioning import Conditions
from chatterbox_es.models.t3.loss import losses_of
from chatterbox_es.models.t3.network import T3, T3Size


def states_of(model: T3, batch):
    return model(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths, batch.text_dropped,
                 batch.start_tokens)


def logits(model: T3, batch) -> tuple[torch.Tensor, torch.Tensor]:
    states = states_of(model, batch)
    return model.text_head(states.text), model.speech_head(states.speech)


def their_logits(theirs, batch, as_upstream) -> tuple[torch.Tensor, torch.Tensor]:
    out = theirs(t3_cond=as_upstream(batch.conditions), text_tokens=batch.text, text_token_lens=batch.text_lengths,
                 speech_tokens=batch.speech, speech_token_lens=batch.speech_lengths)
    return out.text_logits, out.speech_logits


SIZES = {  # text rows, layers, width, feedforward
    "tiny": (704, 2, 128, 96),
    "English width": (704, 1, 1024, 4096),
    "multilingual width": (2454, 1, 1024, 4096),
}


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*sdp_kernel:FutureWarning")  # theirs
@pytest.mark.parametrize("size", SIZES)
def test_published_weights_load_strictly_and_give_the_published_logits(size, make_upstream, as_upstream, make_spoken):
    """With a prompt of full length, a shorter one, and none."""
    theirs = make_upstream(*SIZES[size])
    state = theirs.state_dict()
    with torch.device("meta"):
        ours = T3(T3Size.of({name: weight.shape for name, weight in state.items()})).eval()
    assert all(weight.dtype == state[name].dtype for name, weight in ours.state_dict().items())
    ours.load_state_dict(state, strict=True, assign=True)
    ours.tfmr.rotary_emb = type(ours.tfmr.rotary_emb)(ours.tfmr.config)
    for prompt in (150, 31, 0):
        batch = collate([make_spoken(17, 60, prompt), make_spoken(17, 60, prompt, seed=1)], start_tokens=1)
        for mine, published in zip(logits(ours, batch), their_logits(theirs, batch, as_upstream), strict=True):
            assert mine.abs().max() > 0.1
            assert torch.allclose(mine, published, atol=1e-4, rtol=0)


def test_sizes_are_the_published_ones(make_upstream):
    """Both on paper alone, without memory."""
    for rows, size in ((704, T3Size.english()), (2454, T3Size())):
        with torch.device("meta"):
            ours = T3(size)
            theirs = make_upstream(rows)
        assert {n: w.shape for n, w in ours.state_dict().items()} == {n: w.shape for n, w in theirs.state_dict().items()}
        assert T3Size.of({n: w.shape for n, w in ours.state_dict().items()}) == size
        assert ours.parameter_count() == sum(w.numel() for w in theirs.parameters())
        assert round(ours.parameter_count() / 1e6) == {704: 532, 2454: 536}[rows]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*sdp_kernel:FutureWarning")
@torch.no_grad()
def test_the_full_model_gives_the_published_logits(make_upstream, as_upstream, make_spoken):
    theirs = make_upstream(2454)
    ours = T3().eval()
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    batch = collate([make_spoken(40, 90, 150)], start_tokens=1)
    for mine, published in zip(logits(ours, batch), their_logits(theirs, batch, as_upstream), strict=True):
        assert torch.allclose(mine, published, atol=1e-4, rtol=0)


@torch.no_grad()
def test_an_utterance_is_the_same_alone_and_in_a_batch(make_t3, make_spoken):
    """Texts, recordings and prompts of very different lengths, one without a prompt, one without its text."""
    model = make_t3().eval()
    spoken = [make_spoken(5, 9, 3), make_spoken(61, 120, 150), make_spoken(1, 0, 0), make_spoken(30, 77, 40, text_dropped=True)]
    together = states_of(model, collate(spoken))
    for row, utterance in enumerate(spoken):
        alone = states_of(model, collate([utterance]))
        for mine, padded in ((alone.text, together.text), (alone.speech, together.speech)):
            assert torch.allclose(mine[0], padded[row, :mine.shape[1]], atol=1e-5)
            assert not padded[row, mine.shape[1]:].any()


@torch.no_grad()
def test_what_stands_in_the_padding_does_not_matter(make_t3, make_spoken):
    model = make_t3().eval()
    batch = collate([make_spoken(5, 9, 3), make_spoken(40, 70, 150)])
    before = states_of(model, batch)
    batch.text[0, 7:], batch.speech[0, 11:], batch.conditions.prompt[0, 3:] = 9, 99, 999
    after = states_of(model, batch)
    assert torch.equal(before.text, after.text) and torch.equal(before.speech, after.speech)


@torch.no_grad()
def test_a_state_depends_on_what_stands_before_it_and_on_nothing_behind(make_t3, make_spoken):
    model = make_t3().eval()
    utterance = make_spoken(12, 30, 20)
    before = states_of(model, collate([utterance])).speech
    utterance.codes = utterance.codes.copy()
    utterance.codes[20] = (utterance.codes[20] + 1) % 6561  # with two start tokens it is the speech's 22nd token
    after = states_of(model, collate([utterance])).speech
    changed = (before - after).abs().amax(-1)[0] > 1e-6
    assert not changed[:22].any() and changed[22:].all()


@torch.no_grad()
def test_conditions_and_text_reach_every_speech_state(make_t3, make_spoken):
    model = make_t3().eval()
    batch = collate([make_spoken(12, 30, 20)])
    before = states_of(model, batch).speech
    kinds = vars(batch.conditions)
    others = [kinds | {"speaker": -kinds["speaker"]}, kinds | {"emotion": kinds["emotion"] + 0.4},
              kinds | {"prompt": kinds["prompt"].flip(1)}, kinds | {"prompt_lengths": kinds["prompt_lengths"] - 5}]
    for other in others:
        batch.conditions = Conditions(**other)
        assert ((states_of(model, batch).speech - before).abs().amax(-1) > 1e-7).all()


def test_saving_memory_changes_no_gradient(make_t3, make_spoken):
    batch = collate([make_spoken(5, 9, 3), make_spoken(40, 70, 150)])
    gradients = []
    for saving in (False, True):
        model = make_t3(perceiver_dropout=0.0).train()
        if saving:
            model.save_memory()
        losses_of(model, batch).total().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        if gradient is None:
            assert name == "tfmr.embed_tokens.weight"
        else:
            assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name
