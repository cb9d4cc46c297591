"""What a discriminator of mels asks for, and that each side's weights learn from its own loss alone."""

import pytest
import torch

from chatterbox_es.models.acoustic.loss import losses_of
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.flow.loss import AdversarialWeights, ContestedLosses
from chatterbox_es.models.flow.mel_discriminator import FRAMES, Contest, MelDiscriminator
from tests.models.flow.test_flow import awake, utterances

BINS = 8


def test_it_learns_to_tell_rough_mels_from_smooth_ones_of_which_a_mean_is_one():
    """Recordings are noise that no text foretells; the best that squared error finds of it is 0."""
    torch.manual_seed(0)
    discriminator = MelDiscriminator(BINS, 2)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    lengths = [FRAMES, 3 * FRAMES]
    for _ in range(60):
        contest = discriminator.contest(torch.zeros(sum(lengths), BINS), torch.randn(sum(lengths), BINS), lengths)
        optimizer.zero_grad()
        contest.discriminator.backward()
        optimizer.step()
    rough, smooth = (discriminator(mels)[0].mean() for mels in (torch.randn(4, FRAMES, BINS), torch.zeros(4, FRAMES, BINS)))
    assert rough > 0.8 and smooth < 0.2
    with torch.no_grad():
        apart, alike = (discriminator.contest(made, torch.randn(sum(lengths), BINS), lengths)
                        for made in (torch.zeros(sum(lengths), BINS), torch.randn(sum(lengths), BINS)))
    assert apart.adversarial > 4 * alike.adversarial and apart.features > alike.features


def test_each_side_learns_from_its_own_loss():
    torch.manual_seed(1)
    discriminator, made = MelDiscriminator(BINS, 2), torch.randn(FRAMES, BINS, requires_grad=True)
    contest = discriminator.contest(made, torch.randn(FRAMES, BINS), [FRAMES])
    (contest.adversarial + contest.features).backward(retain_graph=True)
    assert made.grad.abs().sum() > 0 and all(weight.grad is None for weight in discriminator.parameters())
    made.grad = None
    contest.discriminator.backward()
    assert made.grad is None and all(weight.grad.abs().sum() > 0 for weight in discriminator.parameters())
    assert all(weight.requires_grad for weight in discriminator.parameters())


def test_stretches_lie_within_one_sentence():
    """Sentences that touch in the packing are heard apart."""
    discriminator, seen = MelDiscriminator(1, 1), []
    discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    lengths = [FRAMES - 1, FRAMES, 5 * FRAMES, 3]
    number = torch.repeat_interleave(torch.arange(4.0), torch.tensor(lengths))[:, None]
    for _ in range(20):
        discriminator.contest(number, number, lengths)
    for stretches in seen:
        assert stretches.shape == (3, FRAMES, 1) and (stretches == stretches[:, :1]).all()
        assert stretches[:, 0, 0].tolist() == [1, 2, 2]


def test_a_batch_of_sentences_shorter_than_a_stretch_has_no_contest():
    contest = MelDiscriminator(BINS, 2).contest(torch.randn(20, BINS), torch.randn(20, BINS), [12, 8])
    assert [float(value) for value in contest] == [0, 0, 0]


def test_what_is_minimised_is_the_losses_and_the_contest_by_its_weights():
    model = awake(symbols=60).train()
    model.discriminator = MelDiscriminator(BINS, 2)
    (tokens, mels, recorded), = utterances([(6, FRAMES + 6)])
    told = tokens, Packing.of([6]), mels, Packing.of([FRAMES + 6])
    assert model(*told, recorded=recorded).contest is None
    prediction = model(*told, recorded=recorded, contested=True)
    losses = losses_of(prediction, mels, absolute=True)
    found = ContestedLosses(losses, Contest(*prediction.contest), AdversarialWeights(0.25, 0.5), 0.5)
    adversarial, features, own = prediction.contest
    expected = losses.total() + 0.5 * (0.25 * adversarial + 0.5 * features + own)
    assert found.total().item() == pytest.approx(expected.item())
    assert found.parts()[-3:].tolist() == pytest.approx([0.5 * value.item() for value in prediction.contest])


@torch.no_grad()
def test_the_share_of_sentences_that_the_flow_sees_stands_for_all():
    model, lengths = awake(), [(4, 12), (7, 25), (2, 9), (5, 30)]
    tokens, mels, recorded = (torch.cat(parts) for parts in zip(*utterances(lengths), strict=True))
    text, speech = (Packing.of(list(sizes)) for sizes in zip(*lengths, strict=True))
    whole = model(tokens, text, mels, speech, recorded=recorded)
    some = model(tokens, text, mels, speech, recorded=recorded, flow_share=0.3)  # two of four
    seen = 12 + 25
    torch.testing.assert_close(some.flow, whole.flow[:seen] * (len(mels) / seen), atol=1e-5, rtol=1e-4)
    assert float(some.flow.sum() / len(mels)) == pytest.approx(float(whole.flow[:seen].mean()), rel=1e-4)
    torch.testing.assert_close(some.mels, whole.mels)
