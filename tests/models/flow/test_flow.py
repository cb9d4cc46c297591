"""The decoder that sees its neighbours, and the flow on top: sizes, padding, what it learns, what tau means."""

import numpy as np
import pytest
import torch

from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.prosody import UNIT
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.flow_decoder import CYCLE, NOISE, RESIDUE, Draw, FlowDecoder, flow_noise
from chatterbox_es.models.flow.network import Flow

SIZES = {"symbols": 60, "width": 32, "layers": 1, "heads": 2, "feedforward": 64, "decoder_blocks": 2, "decoder_expansion": 2,
         "flow_width": 16, "flow_blocks": 2, "flow_expansion": 2, "bins": 8, "duration_hidden": 16, "dropout": 0.0}
TOKENS = torch.arange(3, 13)


def awake(**more) -> Flow:
    """A model whose flow does more than it begins with."""
    model = Flow(**SIZES | more).eval()
    torch.nn.init.normal_(model.flow_decoder.output.weight, std=0.5)
    return model


def test_it_has_some_21_million_parameters_of_which_the_flow_6():
    with torch.device("meta"):
        model = Flow()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    block = (7 + 3) * 384 + 384 + 384 * 1152 * 2 + 1152 + 384  # depthwise and its bias, norm, both products, scale
    assert counts["mel_decoder"] == 4 * block + 2 * 384 + 384 * 80 + 80
    layer = 4 * (384**2 + 384) + 2 * 384 * 1536 + 1536 + 384 + 4 * 384
    assert counts["text_encoder"] == 256 * 384 + 6 * layer + 384**2 + 384
    assert 5.9e6 < counts["flow_decoder"] < 6.4e6
    assert 20e6 < sum(counts.values()) < 22e6


def utterances(lengths: list[tuple[int, int]]) -> list[tuple]:
    return [(torch.randint(3, 60, (tokens,)), torch.randn(frames, 8),
             (UNIT * torch.stack([(90 + 3 * torch.randn(frames)) * (torch.rand(frames) < 0.7), torch.randn(frames)], 1)).int())
            for tokens, frames in lengths]


@torch.no_grad()
def test_what_is_beside_an_utterance_changes_nothing():
    model, lengths = awake(), [(4, 12), (7, 25), (2, 9)]
    said = utterances(lengths)
    tokens, mels, recorded = (torch.cat(parts) for parts in zip(*said, strict=True))
    text, speech = (Packing.of(list(sizes)) for sizes in zip(*lengths, strict=True))
    together = model(tokens, text, mels, speech, recorded=recorded)
    alone = [model(one, Packing.of([len(one)]), mel, Packing.of([len(mel)]), recorded=melody) for one, mel, melody in said]
    for name in ("mels", "prosody", "flow", "durations"):
        torch.testing.assert_close(getattr(together, name), torch.cat([getattr(one, name) for one in alone]), atol=1e-4,
                                   rtol=1e-4)


@torch.no_grad()
def test_without_noise_it_says_the_prior_and_with_noise_what_its_seed_has():
    model = awake()
    prior, durations = model.speak(TOKENS)
    noise = torch.from_numpy(flow_noise(8, (1,)))

    def said(tau: float, noise: torch.Tensor, steps: int = 4) -> torch.Tensor:
        mels, same = model.speak(TOKENS, draw=Draw(torch.tensor(tau), noise, steps))
        assert torch.equal(same, durations)
        return mels

    assert torch.equal(said(0.0, noise), prior)
    assert torch.equal(said(0.7, noise), said(0.7, noise)) and (said(0.7, noise) - prior).abs().max() > 0.1
    other = torch.from_numpy(flow_noise(8, (2,)))
    assert (said(0.7, noise) - said(0.7, other)).abs().max() > 0.1
    assert (said(0.7, noise) - said(0.7, noise, steps=8)).abs().max() > 1e-4


@torch.no_grad()
def test_noise_begins_again_where_it_ends():
    flow = FlowDecoder(8, 4, 16, 1, 2)  # no frame sees another yet
    draw, frames = Draw(torch.tensor(1.0), torch.from_numpy(flow_noise(8))), CYCLE + 5
    long = flow.draw(torch.zeros(frames, 8), torch.zeros(frames, 4), draw)
    assert torch.equal(long[CYCLE:], long[:5]) and float(long.std()) > 0.1


@torch.no_grad()
def test_an_untrained_flow_turns_its_noise_into_as_much_as_the_prior_leaves_open():
    flow = FlowDecoder(8, 4, 16, 1, 2)
    draw = Draw(torch.tensor(NOISE), torch.from_numpy(flow_noise(8)), 100)
    drawn = flow.draw(torch.full((500, 8), 3.0), torch.zeros(500, 4), draw)
    assert float((drawn - 3).square().mean()) == pytest.approx(RESIDUE, rel=0.1)


def test_the_flow_learns_what_the_mean_leaves_out():
    """Speech is +1 or -1 in all bins, by chance: the mean is 0, and what is drawn is one or the other."""
    torch.manual_seed(0)
    flow, speech = FlowDecoder(2, 4, 32, 2, 2).train(), Packing.of([1] * 64)
    optimizer = torch.optim.Adam(flow.parameters(), 5e-3)
    prior, states = torch.zeros(64, 2), torch.zeros(64, 4)
    for _ in range(300):
        mels = (torch.randint(0, 2, (64, 1)) * 2.0 - 1).expand(-1, 2)
        loss = flow.loss(mels, prior, states, speech).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        drawn = torch.cat([flow.draw(prior[:1], states[:1], Draw(torch.tensor(1.0), torch.randn(1, 2), 8)) for _ in range(200)])
    assert 0.25 < float((drawn[:, 0] > 0).float().mean()) < 0.75
    assert float((drawn.abs() - 1).abs().mean()) < 0.35
    assert float((drawn[:, 0] * drawn[:, 1] > 0).float().mean()) > 0.85


def test_the_flow_trains_nothing_but_itself():
    model = awake().train()
    (tokens, mels, recorded), = utterances([(6, 20)])
    model(tokens, Packing.of([6]), mels, Packing.of([20]), recorded=recorded).flow.sum().backward()
    moved = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {"flow_decoder"}


@torch.no_grad()
def test_weights_in_other_units_say_the_same_mels():
    model = awake()
    old, new = (Statistics(torch.randn(8), torch.rand(8) + 0.5) for _ in range(2))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    checkpoint = Checkpoint(weights, SIZES, "4_3", None, None, old, {}, {})
    mels, states = torch.randn(9, 8), torch.randn(9, 32)
    prior, velocity = torch.randn(9, 8), None
    time, speech = torch.tensor([0.3]), Packing.alone(9)
    velocity = model.flow_decoder(mels, time, prior, states, speech) * old.deviation
    said = old.restore(model.speak(TOKENS)[0])
    checkpoint.rebase(new)
    again = Flow(**SIZES).eval()
    again.load_state_dict(checkpoint.weights)
    torch.testing.assert_close(new.restore(again.speak(TOKENS)[0]), said, atol=1e-4, rtol=1e-4)
    same = again.flow_decoder(new.standardise(old.restore(mels)), time, new.standardise(old.restore(prior)), states, speech)
    torch.testing.assert_close(same * new.deviation, velocity, atol=1e-4, rtol=1e-4)


def test_noise_is_standard_normal():
    noise = flow_noise(80, (3, 1, 1))
    assert noise.shape == (CYCLE, 80) and abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    np.testing.assert_array_equal(noise, flow_noise(80, (3, 1, 1)))
