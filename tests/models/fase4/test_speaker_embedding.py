"""Conditioning on speaker and dialect: counted apart, learnt, named in errors, folded into one voice."""

import dataclasses

import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional

from chatterbox_es.audio.mel import MelContract
from chatterbox_es.dataset.batches import Step
from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.batches import Batch
from chatterbox_es.models.acoustic.packing import Packing
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.models.fase4.recipe import Fase4Recipe
from chatterbox_es.text import FrontEnd
from chatterbox_es.training.optimisation import training_step

SIZES = {"symbols": 40, "width": 32, "layers": 1, "heads": 2, "feedforward": 64, "dropout": 0.0, "decoder_hidden": (64,),
         "bins": 8, "duration_hidden": 16}  # fmt: skip
TOKENS = torch.arange(3, 9)


def numbered(model: Fase4, **names: list[str]) -> Fase4:
    model.number(lambda what: names.get(what, [""]))
    return model


def test_the_write_ups_counts_stay_and_the_embeddings_are_counted_apart():
    def counts(**more) -> dict[str, int]:
        return {name: sum(p.numel() for p in part.parameters()) for name, part in Fase4(**more).named_children()}

    plain = counts()
    assert plain["text_encoder"] == 23_272_960 and list(plain) == ["text_encoder", "mel_decoder", "duration_predictor"]
    conditioned = counts(speakers=["a", "b", "c"], dialects=["castilian", "mexican"])
    assert conditioned == plain | {"speaker_embedding": 4 * 512, "dialect_embedding": 3 * 512}


def test_it_begins_as_the_model_that_is_told_nothing():
    torch.manual_seed(0)
    plain = Fase4(**SIZES).eval()
    torch.manual_seed(0)
    conditioned = numbered(Fase4(**SIZES, speakers=["a", "b"]).eval(), speaker=["", "a", "b"])
    for speaker in range(3):
        conditioning = conditioned.conditioning(torch.tensor([speaker]), None)
        assert torch.equal(plain.speak(TOKENS)[0], conditioned.speak(TOKENS, conditioning=conditioning)[0])


SOUNDS = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))  # of each token, as "ana" says it


def said_by(name: str, tokens: torch.Tensor) -> torch.Tensor:
    """What a speaker makes of a text: "luz" says all upside down, and takes twice as long."""
    return SOUNDS[tokens].repeat_interleave(3, 0) if name == "ana" else -SOUNDS[tokens].repeat_interleave(6, 0)


def two_speakers() -> Batch:
    """The same eight texts said by both; "luz" is 2 and "ana" is 1."""
    texts = [torch.randint(3, 20, (7,), generator=torch.Generator().manual_seed(seed)) for seed in range(8)] * 2
    mels = [said_by("luz" if number < 8 else "ana", text) for number, text in enumerate(texts)]
    return Batch(list(range(16)), torch.cat(texts), Packing.of([7] * 16), torch.cat(mels), Packing.of([len(m) for m in mels]),
                 torch.tensor([2] * 8 + [1] * 8), torch.zeros(16, dtype=torch.int64))


def learn(model: Fase4, batch: Batch, steps: int = 200) -> float:
    """Train on one batch; the last loss."""
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    wrapped = fabric.setup(model.train())
    optimizer = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), lr=3e-3))
    step = Step(batch.utterances, [batch], len(batch.tokens), len(batch.mels))
    for _ in range(steps):
        metrics = training_step(fabric, Fase4Recipe(), wrapped, optimizer, step, 3e-3, 1.0)
    return metrics["train_loss"]


@pytest.fixture(scope="module")
def learnt() -> Fase4:
    torch.manual_seed(0)
    model = numbered(Fase4(**SIZES, speakers=["ana", "luz"]), speaker=["", "ana", "luz"])
    assert learn(model, two_speakers()) < 0.05
    return model.eval()


def test_a_tiny_model_learns_two_sounds_and_paces_of_one_text(learnt):
    frames, near, far = {"ana": 0, "luz": 0}, [], []
    for text in two_speakers().tokens.split(7)[:8]:
        for number, (name, other) in enumerate((("ana", "luz"), ("luz", "ana")), start=1):
            mels, durations = learnt.speak(text, conditioning=learnt.conditioning(torch.tensor([number]), None))
            frames[name] += len(mels)
            said = torch.stack([part.mean(0) for part in mels.split(durations.tolist())])
            for errors, who in ((near, name), (far, other)):
                errors.append(functional.mse_loss(said, said_by(who, text).unflatten(0, (len(text), -1))[:, 0]).item())
    assert sum(near) < 0.5 * sum(far)
    assert frames["luz"] == pytest.approx(2 * frames["ana"], rel=0.15)


def test_ids_are_places_in_the_names_of_the_data(learnt):
    """Another prepared set numbers its speakers otherwise, and has some that the model does not know."""
    again = Fase4(**SIZES, speakers=["ana", "luz"])
    again.load_state_dict(learnt.state_dict())
    numbered(again.eval(), speaker=["eva", "luz", "ana"])
    ids = torch.tensor([2, 1, 0])
    assert torch.equal(again.conditioning(ids, None), learnt.conditioning(torch.tensor([1, 2, 0]), None))


def test_a_model_that_is_told_refuses_to_guess(learnt):
    batch = two_speakers()
    with pytest.raises(ValueError, match="conditioned on the speaker"):
        learnt(batch.tokens, batch.text, batch.mels, batch.speech)


def checkpoint_of(model: Fase4, **more) -> Checkpoint:
    statistics = Statistics(torch.zeros(8), torch.ones(8))
    return Checkpoint(model.state_dict(), SIZES | {"speakers": ["ana", "luz"]} | more, "4_3", MelContract(bins=8),
                      FrontEnd("castilian").table, statistics, {"dialect": "castilian", "lexicon": ""}, {})


def test_one_voice_is_folded_into_the_tokens(learnt, tmp_path):
    path = tmp_path / "voice.pt"
    checkpoint_of(learnt).save(path)
    stored = load_checkpoint(path)
    for number, name in enumerate(("ana", "luz"), start=1):
        alone = stored.as_speaker(name, "castilian")
        assert "speakers" not in alone.model and "speaker_embedding.embedding.weight" not in alone.weights
        expected, durations = learnt.speak(TOKENS, conditioning=learnt.conditioning(torch.tensor([number]), None))
        said, own = alone.build().speak(TOKENS)
        assert torch.equal(durations, own)
        torch.testing.assert_close(said, expected, atol=1e-4, rtol=1e-4)
    first = stored.as_speaker("", "castilian")
    assert torch.equal(first.weights["text_encoder.embedding.weight"],
                       stored.as_speaker("ana", "castilian").weights["text_encoder.embedding.weight"])


def test_speakers_that_are_not_there_are_named(learnt):
    stored = checkpoint_of(learnt)
    with pytest.raises(UserError, match="speaker=eva is not known to this voice; it has ana, luz"):
        stored.as_speaker("eva", "castilian")
    plain = dataclasses.replace(stored.fold("speaker", None))
    with pytest.raises(UserError, match="one voice: leave speaker= out"):
        plain.as_speaker("ana", "castilian")
    assert plain.as_speaker("", "castilian") is plain
