"""The model of Fase 4: its sizes, and that a sentence is the same whoever stands beside it in the batch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from chatterbox_es.config import compose
from chatterbox_es.models.acoustic.loss import losses_of
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.acoustic.text_encoder import LONGEST_TEXT
from chatterbox_es.models.fase4.initialisation import start_model
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.models.fase4.recipe import Fase4Recipe

SENTENCES = [(5, 7), (61, 260), (1, 1), (12, 90)]  # tokens and frames: very different lengths


def small(**changes) -> Fase4:
    sizes = {"symbols": 60, "width": 32, "layers": 2, "heads": 4, "feedforward": 48, "dropout": 0.1, "decoder_hidden": [40],
             "bins": 80, "duration_hidden": 16}
    return Fase4(**sizes | changes)


def sentences() -> list[tuple[torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(3)
    return [(torch.randint(3, 60, (n,), generator=random), torch.randn(t, 80, generator=random)) for n, t in SENTENCES]


def predict(model: Fase4, spoken: list[tuple[torch.Tensor, torch.Tensor]]):
    """The prediction of a batch and its recordings, packed."""
    tokens = torch.cat([t for t, _ in spoken])
    mels = torch.cat([m for _, m in spoken])
    return model(tokens, Packing.of([len(t) for t, _ in spoken]), mels, Packing.of([len(m) for _, m in spoken])), mels


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_the_write_ups_to_the_digit(features):
    """From the configuration as it stands in conf/, by the way that a run builds its model."""
    first, _ = start_model(compose(["phase=4_2"]), features)
    second, _ = start_model(compose(["phase=4_3", "phase.encoder_from=null", "model.decoder_start=random"]), features)
    assert parameters(first.text_encoder) == parameters(second.text_encoder) == 23_272_960
    assert parameters(first.mel_decoder) == 607_312
    assert parameters(second.mel_decoder) == 4_804_688
    assert parameters(second.text_encoder) + parameters(second.mel_decoder) == 28_077_648
    assert parameters(second) - parameters(second.duration_predictor) == 28_077_648  # counted apart


def test_phase_4_2_trains_the_encoder_and_not_the_decoder():
    model, config = small(), compose(["phase=4_2"])
    frozen = Fase4Recipe().freeze(model, config)
    assert frozen.parts == ["mel_decoder"]
    prediction, mels = predict(model, sentences())
    losses_of(prediction, mels).total().backward()
    assert all(p.grad is None for p in model.mel_decoder.parameters())
    assert all(p.grad is not None for p in [*model.text_encoder.parameters(), *model.duration_predictor.parameters()])
    assert Fase4Recipe().freeze(small(), compose(["phase=4_3"])).parts == []


@pytest.mark.parametrize("phase", ["4_2", "4_3"])
def test_operations_of_a_step_are_those_that_torch_counts(phase):
    """Of the linear layers; attention is of other operations (bmm), and the duration predictor's last layer is not foreseen."""
    model, spoken = small(dropout=0.0), sentences()
    Fase4Recipe().freeze(model, compose([f"phase={phase}"]))
    tokens, frames = (sum(counts) for counts in zip(*SENTENCES, strict=True))
    with FlopCounterMode(display=False) as counter:
        prediction, mels = predict(model, spoken)
        losses_of(prediction, mels).total().backward()
    counted = counter.get_flop_counts()["Global"]
    linear = counted[torch.ops.aten.mm] + counted[torch.ops.aten.addmm]
    assert model.training_flops(tokens, frames) + 6 * tokens * model.duration_predictor.output.in_features == linear


def test_padding_changes_no_prediction_no_duration_and_no_loss():
    model = small().eval()
    together, mels = predict(model, sentences())
    alone = [predict(model, [sentence])[0] for sentence in sentences()]
    assert torch.equal(together.durations, torch.cat([p.durations for p in alone]))
    for name in ("token_mels", "mels", "log_durations"):
        apart = torch.cat([getattr(p, name) for p in alone])
        torch.testing.assert_close(getattr(together, name), apart, atol=2e-5, rtol=1e-4)
    frames = torch.tensor([t for _, t in SENTENCES])
    apart = torch.stack([losses_of(p, m).frame for p, (_, m) in zip(alone, sentences(), strict=True)])
    torch.testing.assert_close(losses_of(together, mels).frame, (apart * frames).sum() / frames.sum())


def test_neighbours_change_nothing_and_order_does_not_matter():
    model = small().eval()
    first, second = sentences()[:2]
    other = (torch.full((70,), 9), torch.full((300, 80), 50.0))
    beside = predict(model, [other, first])[0]
    with_another = predict(model, [first, second])[0]
    torch.testing.assert_close(beside.mels[300:], with_another.mels[:len(first[1])], atol=2e-5, rtol=1e-4)


def test_durations_cover_each_recording():
    prediction, _ = predict(small(), sentences())
    ends = 0
    for tokens, frames in SENTENCES:
        durations = prediction.durations[ends:ends + tokens]
        assert int(durations.sum()) == frames
        assert int(durations.min()) >= 1
        ends += tokens
    assert len(prediction.mels) == sum(t for _, t in SENTENCES)


def test_frames_of_a_token_differ_by_their_place_in_it():
    states = small().frame_states(torch.zeros(2, 32), torch.tensor([3, 3]))
    assert torch.equal(states[:3], states[3:])  # the same state, the same place
    assert len(torch.unique(states[:3], dim=0)) == 3


def test_speaking_uses_its_own_durations_and_speed_divides_them():
    model = small().eval()
    torch.nn.init.zeros_(model.duration_predictor.output.weight)
    torch.nn.init.constant_(model.duration_predictor.output.bias, torch.log(torch.tensor(6.0)).item())
    mels, durations = model.speak(torch.arange(3, 13))
    assert durations.tolist() == [6] * 10
    assert mels.shape == (60, 80)
    assert len(model.speak(torch.arange(3, 13), speed=2.0)[0]) == 30
    states = model.text_encoder(torch.arange(3, 13), Packing.of([10]))
    torch.testing.assert_close(mels, model.mel_decoder(model.frame_states(states, durations)))


def test_a_token_longer_than_the_position_table_is_still_spoken():
    assert small().frame_states(torch.zeros(1, 32), torch.tensor([1500])).isfinite().all()


def test_a_text_longer_than_the_position_table_is_an_error():
    tokens = torch.ones(LONGEST_TEXT + 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"the encoder takes {LONGEST_TEXT}"):
        small().text_encoder(tokens, Packing.alone(len(tokens)))
