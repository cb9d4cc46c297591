"""The loss against a slow, plain reference; what is left out of it; batches and prompts."""

import math

import numpy as np
import pytest
import torch

from chatterbox_es.models.t3.batches import IGNORED, collate
from chatterbox_es.models.t3.loss import LossWeights, losses_of
from chatterbox_es.models.t3.network import START_SPEECH, STOP_SPEECH
from chatterbox_es.models.t3.prompts import Prompts, drops_text, first_tokens


def reference(model, spoken, start_tokens: int) -> tuple[float, float, float, float]:
    """One utterance after the other, one token after the other: the whole sequence is written out without any padding."""
    speech, text, hits, ends = [], [], [], []
    for utterance in spoken:
        embedded = [model.cond_enc.spkr_enc(torch.tensor(utterance.speaker, dtype=torch.float32))]
        if len(utterance.prompt):
            prompt = torch.stack([model.speech_emb.weight[code] + model.speech_pos_emb.emb.weight[place]
                                  for place, code in enumerate(utterance.prompt)])[None]
            embedded += list(model.cond_enc.perceiver(prompt, torch.ones(1, len(utterance.prompt), dtype=torch.bool))[0])
        embedded.append(model.cond_enc.emotion_adv_fc.weight[:, 0] * utterance.emotion)
        first_text = len(embedded)
        for place, token in enumerate(utterance.text):
            word = model.text_emb.weight[token] * (0 if utterance.text_dropped else 1)
            embedded.append(word + model.text_pos_emb.emb.weight[place])
        last_start = len(embedded) + start_tokens - 1
        for _ in range(start_tokens):
            embedded.append(model.speech_emb.weight[START_SPEECH] + model.speech_pos_emb.emb.weight[0])
        for place, code in enumerate(utterance.codes, start=1):
            embedded.append(model.speech_emb.weight[code] + model.speech_pos_emb.emb.weight[place])
        hidden = model.tfmr(inputs_embeds=torch.stack(embedded)[None]).last_hidden_state[0]
        for step, wanted in enumerate([*utterance.codes, STOP_SPEECH]):
            scores = model.speech_head.weight @ hidden[last_start + step]
            speech.append(float(scores.logsumexp(0) - scores[wanted]))
            hits.append(int(scores.argmax()) == wanted)
        ends.append(hits[-1])
        if not utterance.text_dropped:
            for step, wanted in enumerate(utterance.text[1:]):
                scores = model.text_head.weight @ hidden[first_text + step]
                text.append(float(scores.logsumexp(0) - scores[wanted]))
    return np.mean(speech), np.mean(text) if text else 0.0, np.mean(hits), np.mean(ends)


# text, codes, prompt: recordings shorter than their prompt, longer, without a prompt, and with no code at all
LENGTHS = [(9, 31, 20), (20, 12, 150), (1, 3, 60), (33, 120, 1), (5, 40, 0), (7, 0, 33)]


@torch.no_grad()
@pytest.mark.parametrize("start_tokens", [1, 2])
@pytest.mark.parametrize("batch", [[0], [1], [4], [5], [0, 1], [0, 1, 2, 3, 4, 5], [2, 2, 2]])
def test_the_loss_is_that_of_a_plain_loop(batch, start_tokens, make_t3, make_spoken):
    model = make_t3().eval()
    spoken = [make_spoken(*LENGTHS[n], seed=n, text_dropped=n in (2, 4), emotion=0.1 * n) for n in batch]
    losses = losses_of(model, collate(spoken, start_tokens))
    assert losses.parts().tolist() == pytest.approx(reference(model, spoken, start_tokens), abs=1e-5)
    assert math.isfinite(losses.total())
    assert float(losses.total(LossWeights(2.0, 0.5))) == pytest.approx(2 * float(losses.speech) + 0.5 * float(losses.text))


@torch.no_grad()
def test_accuracy_counts_what_is_predicted_right(make_t3, make_spoken):
    """Recordings made of what the model itself thinks likeliest are predicted without a mistake."""
    model = make_t3().eval()
    spoken = make_spoken(9, 12, 20)
    for step in range(12):
        batch = collate([spoken])
        states = model(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths, start_tokens=2)
        spoken.codes[step] = model.speech_head(states.speech[0, step + 1])[:6561].argmax()
    model.speech_head.weight[6561:] = 0  # nothing beside codes is likely
    losses = losses_of(model, collate([spoken]))
    assert float(losses.accuracy) == pytest.approx(12 / 13) and float(losses.end_accuracy) == 0


def test_gradients_are_finite_whatever_the_lengths(make_t3, make_spoken):
    for numbers in ([5], [4], [2], [0, 1, 2, 3, 4, 5]):
        model = make_t3().train()
        model.save_memory()
        losses_of(model, collate([make_spoken(*LENGTHS[n], text_dropped=n == 2) for n in numbers])).total().backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients) and any(gradient.any() for gradient in gradients)


def test_pieces_add_up_to_the_batch(make_t3, make_spoken):
    """Losses and gradients alike, as gradient accumulation needs."""
    spoken = [make_spoken(*lengths, seed=n, text_dropped=n == 3) for n, lengths in enumerate(LENGTHS)]
    whole, parts = make_t3(perceiver_dropout=0.0), make_t3(perceiver_dropout=0.0)
    batch = collate(spoken)
    expected = losses_of(whole, batch)
    expected.total().backward()
    total = torch.zeros(4, dtype=torch.float64)
    for micro_batch in (spoken[:1], spoken[1:4], spoken[4:]):
        losses = losses_of(parts, collate(micro_batch), *batch.counts(), len(spoken))
        losses.total().backward()
        total += losses.parts()
    assert torch.allclose(total, expected.parts(), atol=1e-6)
    for ours, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        assert ours.grad is None and theirs.grad is None or torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_a_dropped_text_teaches_nothing_about_text(make_t3, make_spoken):
    model = make_t3()
    losses = losses_of(model, collate([make_spoken(9, 31, 20, text_dropped=True)]))
    assert losses.text == 0
    losses.total().backward()
    assert not model.text_emb.weight.grad.any() and not model.text_head.weight.grad.any()
    assert model.text_pos_emb.emb.weight.grad.any()  # its places stay


def test_no_target_is_ever_an_input(make_spoken):
    batch = collate([make_spoken(*lengths, text_dropped=n == 1) for n, lengths in enumerate(LENGTHS)])
    for tokens in (batch.text, batch.speech, batch.conditions.prompt):
        assert tokens.min() >= 0
    assert (batch.text_targets[1] == IGNORED).all()
    assert batch.counts() == (sum(codes + 1 for _, codes, _ in LENGTHS), sum(n + 1 for n, _, _ in LENGTHS) - 21)


@pytest.mark.parametrize("wrong", [{"codes": np.array([6561])}, {"codes": np.array([-100])}, {"prompt": np.array([6562])},
                                   {"prompt": np.zeros(151, int)}, {"text": (255,)}])
def test_what_is_no_utterance_is_refused(wrong, make_spoken):
    utterance = make_spoken(5, 9, 3)
    for name, value in wrong.items():
        setattr(utterance, name, value)
    with pytest.raises(ValueError):
        collate([utterance])


def test_a_prompt_is_another_clip_of_the_same_speaker():
    speakers = ["ana"] * 6 + ["luis"] * 4 + ["solo"] + ["dos"] * 2
    lengths = [100, 200, 24, 100, 100, 100, 90, 90, 90, 90, 90, 90, 10]
    training = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12]
    names = np.unique(speakers, return_inverse=True)[1]
    prompts = Prompts(names, lengths, training, seed=3)
    chosen = {number: {prompts.choose(number, epoch) for epoch in range(60)} for number in range(len(speakers))}
    for number, clips in chosen.items():
        assert number not in clips
        assert all(clip is None or speakers[clip] == speakers[number] and clip in training and lengths[clip] >= 25
                   for clip in clips)
    assert chosen[0] == {1, 3} and chosen[4] == {0, 1, 3}  # a held-out utterance hears training clips alone
    assert chosen[10] == {None} and chosen[11] == {None} and chosen[12] == {11}  # the other one is too short
    assert prompts.without(np.arange(len(speakers))).tolist() == [10, 11]
    again = Prompts(names, lengths, training, seed=3)
    assert all(prompts.choose(n, 7) == again.choose(n, 7) for n in range(len(speakers)))


def test_a_prompt_is_the_first_six_seconds_at_most():
    clip = np.arange(200)
    assert first_tokens(clip).tolist() == list(range(150)) and first_tokens(clip[:40]).tolist() == list(range(40))


def test_the_share_of_dropped_texts():
    drawn = [drops_text(1, epoch, number, 0.2) for epoch in range(20) for number in range(200)]
    assert 0.18 < np.mean(drawn) < 0.22  # 4,000 draws: three deviations
    assert drawn == [drops_text(1, epoch, number, 0.2) for epoch in range(20) for number in range(200)]
    assert not any(drops_text(1, 1, number, 0.0) for number in range(50)) and all(drops_text(1, 1, n, 1.0) for n in range(50))
