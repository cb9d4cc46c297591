"""What T3 says: the published package's tokens for the same seed, and the end of an utterance."""

import dataclasses

import pytest
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.generation import Sampling, generate
from chatterbox_es.models.t3.network import STOP_SPEECH, T3, T3Size

PLAIN = Sampling(temperature=0.9, min_p=0.02, top_p=0.9, repetition_penalty=1.3, max_tokens=20)


def sharpened(model: torch.nn.Module, seed: int = 2) -> None:
    """Random weights know no preference; larger ones make some tokens much likelier than others."""
    with torch.no_grad():
        torch.manual_seed(seed)
        model.speech_head.weight.normal_(std=0.4)
        model.speech_head.weight[6561:] = 0


@pytest.mark.filterwarnings("ignore:.*sdp_kernel:FutureWarning")
@pytest.mark.parametrize("sampling", [PLAIN, dataclasses.replace(PLAIN, guidance=1.5, top_p=1.0, repetition_penalty=2.0),
                                      dataclasses.replace(PLAIN, temperature=1e-4, min_p=0.05)], ids=["", "guided", "greedy"])
def test_same_seed_same_tokens_as_the_published_package(sampling, make_upstream, as_upstream, make_spoken):
    """With a prompt of full length, a shorter one, and none."""
    theirs = make_upstream(704, 2, 128, 96)
    sharpened(theirs)
    ours = T3(T3Size.of({name: weight.shape for name, weight in theirs.state_dict().items()})).eval()
    ours.load_state_dict(theirs.state_dict())
    for prompt in (150, 31, 0):
        batch = collate([make_spoken(17, 60, prompt)])
        torch.manual_seed(31)
        published = theirs.inference(t3_cond=as_upstream(batch.conditions), text_tokens=batch.text.repeat(2, 1),
                                     max_new_tokens=sampling.max_tokens, temperature=sampling.temperature,
                                     top_p=sampling.top_p, min_p=sampling.min_p, cfg_weight=sampling.guidance,
                                     repetition_penalty=sampling.repetition_penalty)[0]
        said = generate(ours, batch.text[0], batch.conditions, sampling, seed=31)
        assert len(said.codes) == sampling.max_tokens and not said.ended
        assert said.codes.tolist() == published.tolist()
        if sampling.temperature < 0.01:
            likeliest = generate(ours, batch.text[0], batch.conditions, dataclasses.replace(sampling, temperature=0))
            assert likeliest.codes.tolist() == published.tolist()


def test_the_cache_gives_what_reading_everything_anew_gives(make_t3, make_spoken):
    """Greedy, without guidance: each token is the likeliest after all before it, through the training forward."""
    model = make_t3().eval()
    sharpened(model)
    spoken = make_spoken(9, 0, 20)
    batch = collate([spoken])
    said = generate(model, batch.text[0], batch.conditions,
                    Sampling(guidance=0, temperature=0, repetition_penalty=1.0, max_tokens=30))
    spoken.codes = said.codes.numpy()
    with torch.no_grad():
        batch = collate([spoken])
        states = model(batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths, start_tokens=2)
    assert model.speech_head(states.speech)[0, 1:-1].argmax(-1).tolist() == said.codes.tolist()
    assert len(set(said.codes.tolist())) > 5


def test_a_seed_decides(make_t3, make_spoken):
    model = make_t3().eval()
    sharpened(model)
    batch = collate([make_spoken(9, 0, 20)])
    first, again, other = (generate(model, batch.text[0], batch.conditions, PLAIN, seed).codes.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_it_ends_with_the_stop_token_and_says_so(make_t3, make_spoken):
    model = make_t3().eval()
    sharpened(model)
    batch = collate([make_spoken(9, 0, 20)])
    greedy = Sampling(guidance=0, temperature=0, max_tokens=30)
    free = generate(model, batch.text[0], batch.conditions, greedy)
    assert not free.ended and len(free.codes) == 30
    with torch.no_grad():  # the stop token takes the place of the first code that was not said before
        fresh = next(n for n in range(3, 30) if free.codes[n] not in free.codes[:n])
        model.speech_head.weight[STOP_SPEECH] = model.speech_head.weight[free.codes[fresh]] * 1.01
    ended = generate(model, batch.text[0], batch.conditions, greedy)
    assert ended.ended and ended.codes.tolist() == free.codes[:fresh].tolist()


def test_tokens_that_are_no_codes_are_left_out_and_counted(make_t3, make_spoken):
    model = make_t3().eval()
    with torch.no_grad():
        model.speech_head.weight.normal_(std=0.4)
        model.speech_head.weight[:6561] = 0
        model.speech_head.weight[STOP_SPEECH] = 0
    batch = collate([make_spoken(9, 0, 20)])
    said = generate(model, batch.text[0], batch.conditions, Sampling(temperature=0.3, max_tokens=12), seed=1)
    assert said.dropped + len(said.codes) == 12 and said.dropped > 0
    assert (said.codes < 6561).all()


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"min_p": 1.5}, {"repetition_penalty": 0},
                                   {"max_tokens": 0}, {"max_tokens": 5000}, {"guidance": -0.5}, {"guidance": float("nan")}])
def test_values_out_of_range_are_named(wrong, make_t3, make_spoken):
    batch = collate([make_spoken(9, 0, 20)])
    with pytest.raises(UserError, match=next(iter(wrong))):
        generate(make_t3(), batch.text[0], batch.conditions, Sampling(**wrong))
