"""Prosody: measured as a hand would, drawn as it is distributed, laid over frames, and told to a voice."""

import numpy as np
import pytest
import scipy.stats
import torch

from chatterbox_es.models.acoustic.harmonics import LOWEST, ROWS, STEP
from chatterbox_es.models.acoustic.network import plain_controls
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.prosody import (
    ALIKE,
    COMPONENTS,
    UNIT,
    Mixtures,
    Prosody,
    TokenProsody,
    decibels,
    semitones,
    shared_noise,
)
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.speech.manner import Manner

SIZES = {"symbols": 60, "width": 32, "layers": 1, "heads": 2, "feedforward": 64, "decoder_hidden": [48], "bins": 8,
         "duration_hidden": 16, "dropout": 0.0}
TOKENS = torch.arange(3, 13)


def talkative(**more) -> Fase4:
    """A model whose prosody says something, since it begins as one that has none."""
    model = Fase4(**SIZES | {"prosody": True} | more).eval()
    torch.nn.init.normal_(model.prosody.embedding.weight)
    torch.nn.init.normal_(model.prosody.predictor.output.weight, std=0.5)
    model.prosody.statistics[:] = torch.tensor([90.0, 2.0, -50.0, 8.0])
    return model


def test_units_are_semitones_and_decibels():
    hertz = torch.tensor([0.0, 110.0, 220.0])
    assert semitones(hertz)[0] == 0 and float(semitones(hertz)[2] - semitones(hertz)[1]) == pytest.approx(12, abs=1e-4)
    assert float(decibels(torch.zeros(1, 8) + np.log(10))) == pytest.approx(20, abs=1e-4)


def test_tokens_have_the_mean_of_their_voiced_frames():
    recorded = torch.tensor([[90, -40], [94, -50], [0, -60], [80, -70], [0, -70], [0, -76]], dtype=torch.int32) * UNIT
    measured = Prosody(8, 4, 0.0, 8).measure(recorded, torch.tensor([3, 2, 1]), torch.tensor([[90.0, 2.0, -50.0, 10.0]] * 3))
    assert measured.voiced.tolist() == [1, 0, 0]  # half of the frames are not most of them
    assert measured.pitch.tolist() == [1.0, 0.0, 0.0]
    assert float(measured.height[0]) == pytest.approx(92 - LOWEST)
    assert measured.energy.tolist() == pytest.approx([0.0, -2.0, -2.6])


def test_contours_go_from_middle_to_middle_of_voiced_tokens_and_stay_within_their_sentence():
    said = TokenProsody(*torch.tensor([[1.0, 3.0, 0.0, 7.0], [1.0, 1.0, 0.0, 1.0], [0.0, 4.0, 8.0, 5.0],
                                       [81.0, 83.0, 0.0, 87.0]]))
    frames = said.stretched(Packing.of([3, 1]), torch.tensor([2, 2, 2, 2]))
    assert frames[:, 0].tolist() == [1.0, 1.5, 2.5, 3.0, 0.0, 0.0, 7.0, 7.0]
    assert frames[:, 1].tolist() == [1, 1, 1, 1, 0, 0, 1, 1]
    assert frames[:, 2].tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 8.0, 5.0, 5.0]
    assert frames[[0, 1, 2, 3, 6], 3].tolist() == [81.0, 81.5, 82.5, 83.0, 87.0]


def test_recorded_frames_are_told_their_own_pitch_and_unvoiced_tokens_none():
    prosody = Prosody(8, 4, 0.0, 8)
    prosody.harmonics.copy_(torch.arange(ROWS)[:, None].expand(-1, 8))
    torch.nn.init.zeros_(prosody.embedding.weight[:, :3])
    torch.nn.init.ones_(prosody.embedding.weight[:, 3:])
    recorded = torch.tensor([[80, -40], [84, -40], [0, -40], [80, -40], [0, -40]], dtype=torch.int32) * UNIT
    durations, text = torch.tensor([3, 2]), Packing.of([2])
    measured = prosody.measure(recorded, durations, torch.tensor([[80.0, 2.0, -50.0, 10.0]] * 2))
    told = prosody(measured, text, durations, 5, recorded)[:, 0] / 8
    rows = [(pitch - LOWEST) / STEP for pitch in (80, 84, 82)]  # the third frame has none of its own, and the token's
    assert told.tolist() == pytest.approx([*rows, 0, 0], abs=1e-2)
    assert prosody(measured, text, durations, 5)[:3, 0].tolist() == pytest.approx([8 * rows[2]] * 3, abs=1e-1)


def test_mixtures_have_the_densities_and_quantiles_of_their_components():
    parameters = torch.randn(5, 3 * 2 * COMPONENTS)
    mixtures = Mixtures(parameters)
    logits, means, spread = parameters.double().unflatten(1, (3, 2, COMPONENTS)).unbind(1)
    deviations, weights = (0.1 + spread.exp().log1p()).numpy(), logits.softmax(2).numpy()
    values = torch.randn(5, 2)
    density = (weights * scipy.stats.norm.pdf(values[..., None].numpy(), means.numpy(), deviations)).sum(2)
    np.testing.assert_allclose(mixtures.log_density(values).numpy(), np.log(density), atol=1e-4)
    normal = torch.randn(5, 2)
    found = mixtures.quantiles(normal)[..., None].numpy()
    below = (weights * scipy.stats.norm.cdf(found, means.numpy(), deviations)).sum(2)
    np.testing.assert_allclose(below, scipy.stats.norm.cdf(normal.numpy()), atol=1e-4)


def test_quantiles_move_as_smoothly_as_what_they_are_of():
    means = torch.linspace(-2, 2, 301)
    parameters = torch.stack([torch.zeros(301), means, torch.zeros(301)], 1).repeat_interleave(COMPONENTS, 1)
    np.testing.assert_allclose(Mixtures(parameters).quantiles(torch.zeros(301, 1))[:, 0].numpy(), means.numpy(), atol=1e-6)


def test_noise_is_normal_shared_along_a_sentence_and_of_its_seed():
    noise = np.stack([shared_noise(40, (seed,)) for seed in range(2000)]).astype(np.float64)
    np.testing.assert_allclose(noise.mean((0, 1)), 0, atol=0.05)
    np.testing.assert_allclose(noise.var(0), 1, atol=0.15)
    beside = (noise[:, 1:] * noise[:, :-1]).mean((0, 1))
    np.testing.assert_allclose(beside, 0.3 + 0.7 * ALIKE, atol=0.05)
    np.testing.assert_array_equal(shared_noise(40, (7, 1)), shared_noise(40, (7, 1)))
    assert np.abs(shared_noise(40, (7, 1)) - shared_noise(40, (7, 2))).max() > 0.1


def test_without_prosody_and_before_it_has_learnt_the_model_is_the_same():
    torch.manual_seed(0)
    plain = Fase4(**SIZES).eval()
    torch.manual_seed(0)
    told = Fase4(**SIZES, prosody=True).eval()
    mine, theirs = plain.state_dict(), told.state_dict()
    assert list(mine) == [name for name in theirs if not name.startswith("prosody.")]
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    (mels, durations), (again, same) = plain.speak(TOKENS), told.speak(TOKENS)
    assert torch.equal(durations, same) and torch.equal(mels, again)


def test_prosody_is_counted_apart():
    def counts(**more) -> dict[str, int]:
        with torch.device("meta"):
            model = Fase4(**more)
        return {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}

    plain, told = counts(), counts(prosody=True)
    assert (told["text_encoder"], told["mel_decoder"]) == (23_272_960, 4_804_688)
    assert counts(decoder_hidden=[1024], prosody=True)["mel_decoder"] == 607_312
    assert told.pop("prosody") > 0 and told == plain


def test_what_is_beside_an_utterance_changes_nothing():
    model, lengths = talkative(), [(4, 12), (7, 15), (2, 9)]
    utterances = []
    for count, frames in lengths:
        melody = torch.stack([(90 + 3 * torch.randn(frames)) * (torch.rand(frames) < 0.7), torch.randn(frames)], 1)
        utterances.append((torch.randint(3, 60, (count,)), torch.randn(frames, 8), (UNIT * melody).int()))
    tokens, mels, recorded = (torch.cat(parts) for parts in zip(*utterances, strict=True))
    text, speech = (Packing.of(list(sizes)) for sizes in zip(*lengths, strict=True))
    with torch.no_grad():
        together = model(tokens, text, mels, speech, recorded=recorded)
        alone = [model(one, Packing.of([len(one)]), mel, Packing.of([len(mel)]), recorded=said)
                 for one, mel, said in utterances]
    for name in ("mels", "prosody", "durations"):
        torch.testing.assert_close(getattr(together, name), torch.cat([getattr(one, name) for one in alone]), atol=1e-4,
                                   rtol=1e-4)


def prosody_of(model: Fase4, **manner) -> TokenProsody:
    controls = plain_controls(TOKENS)
    for name, value in Manner(**manner).controls(len(TOKENS)).items():
        setattr(controls, name, torch.from_numpy(value))
    return model.spoken_tokens(TOKENS, controls=controls).prosody


@torch.no_grad()
def test_controls_move_what_the_decoder_is_told_by_what_they_say():
    model = talkative()
    model.prosody.predictor.output.bias[0] = 9  # voiced
    plain = prosody_of(model)
    higher, louder = prosody_of(model, pitch=3.0), prosody_of(model, energy=-6.0)
    torch.testing.assert_close((higher.pitch - plain.pitch) * 2.0, torch.full((10,), 3.0))
    torch.testing.assert_close((louder.energy - plain.energy) * 8.0, torch.full((10,), -6.0))
    assert torch.equal(higher.energy, plain.energy) and torch.equal(louder.pitch, plain.pitch)
    lively, flat = prosody_of(model, range=2.0), prosody_of(model, range=0.0)
    torch.testing.assert_close(lively.pitch - lively.pitch.mean(), 2 * (plain.pitch - plain.pitch.mean()))
    torch.testing.assert_close(flat.pitch, plain.pitch.mean().expand(10))
    half = np.repeat([0.0, 4.0], 5)
    torch.testing.assert_close(2 * (prosody_of(model, pitch=half).pitch - plain.pitch), torch.from_numpy(half).float())


@torch.no_grad()
def test_a_seed_says_it_again_and_at_temperature_0_all_seeds_are_one():
    model = talkative()
    first, again, other = (prosody_of(model, seed=seed, temperature=1.0).pitch for seed in (1, 1, 2))
    assert torch.equal(first, again) and (first - other).abs().max() > 0.05
    still = [prosody_of(model, seed=seed, temperature=0.0) for seed in (1, 2)]
    assert torch.equal(still[0].pitch, still[1].pitch)
    cold = model.spoken_tokens(TOKENS, controls=plain_controls(TOKENS))
    expected = model.duration_predictor(cold.states, Packing.alone(10)).exp()
    torch.testing.assert_close(cold.durations, expected)  # sentences are as long as recorded ones


def test_a_model_that_is_told_nothing_says_so():
    model = talkative()
    with pytest.raises(ValueError, match="told the recordings' prosody"):
        model(TOKENS, Packing.of([10]), torch.randn(20, 8), Packing.of([20]))


def test_it_learns_where_a_voice_goes_up():
    """Even tokens are high and loud, odd ones low and soft, whatever else is said."""
    torch.manual_seed(1)
    model, text = Prosody(16, 16, 0.0, 8), Packing.of([40])
    states = torch.randn(40, 16) * 0.1
    states[::2, 0] += 2
    up = (torch.arange(40) % 2 == 0).float() * 2 - 1
    recorded = TokenProsody(up, torch.ones(40), 0.5 * up, 90 + up)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        loss = model.loss(states, text, recorded, torch.zeros(40), torch.full((40,), 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        _, said = model.eval().draw(states, Packing.alone(40), torch.tensor([90.0, 1.0, -50.0, 1.0]), plain_controls(states))
    torch.testing.assert_close(said.pitch, up, atol=0.25, rtol=0)
    torch.testing.assert_close(said.energy, 0.5 * up, atol=0.25, rtol=0)
    assert said.voiced.all()
