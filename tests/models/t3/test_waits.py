"""T3 on a GPU, pretended: no tensor on the wrong device in training, validating and speaking, and how often the host waits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from chatterbox_es.config import compose
from chatterbox_es.dataset.batches import Budget, Step
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint, recipe_of
from chatterbox_es.models.t3 import samples
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.generation import Sampling, draw, generate
from chatterbox_es.models.t3.lora import LoraOptions, adapted, merge_lora, merged_meanwhile
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.t3.phases import FULL_MODEL, TEXT_AND_LORA, set_phase
from chatterbox_es.models.t3.recipe import T3Recipe
from chatterbox_es.models.t3.token_set import TokenSet
from chatterbox_es.models.t3.validation import utterance_values
from chatterbox_es.models.t3.weights import load_t3
from chatterbox_es.training.optimisation import make_optimizer, training_step
from chatterbox_es.training.run import load_listening
from tests.fp16 import fabric_of
from tests.pretend_gpu import OnGpu, PretendGpu

HERE = Path(__file__).resolve().parent
# As it is, but for inference mode, in which torch makes no tensors of another class.
generate_there = torch.no_grad()(generate.__wrapped__)


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
@pytest.mark.parametrize("phase", [TEXT_AND_LORA, FULL_MODEL])
def test_a_step_waits_for_the_gpu_once(make_t3, make_spoken, phase, precision):
    """However many micro-batches it is computed in: forward, backward, clipping and the optimiser's step."""
    model, recipe = make_t3(), T3Recipe()
    set_phase(model, phase, LoraOptions(rank=4), torch.float16 if precision == "16-mixed" else torch.float32)
    model.save_memory()
    with PretendGpu() as gpu:
        fabric = gpu.fabric(precision)
        optimizer = make_optimizer("adamw", recipe.parameter_groups(gpu.move(model)), 1e-3, 0.01)
        wrapped, optimizer = fabric.setup(model.train(), optimizer)
        micro_batches = [collate([make_spoken(9, 31, 20), make_spoken(20, 60, 0)]).pin(),
                  collate([make_spoken(12, 40, 30, text_dropped=True)]).pin()]
        step = Step([0, 1, 2], micro_batches, 29, 131, text_targets=29)
        for _ in range(2):
            before = len(gpu.waits)
            metrics = training_step(fabric, recipe, wrapped, optimizer, step, 1e-3, 0.01)
            assert len(gpu.since(before)) <= 1, gpu.since(before)
            assert np.isfinite(metrics["train_loss"]) and not metrics["skipped"]


def test_what_a_batch_knows_of_itself(make_spoken):
    batch = collate([make_spoken(9, 31, 20), make_spoken(20, 60, 0), make_spoken(12, 40, 30, text_dropped=True)])
    assert batch.counts() == (32 + 61 + 41, 10 + 21) and batch.frames == 131
    assert batch.longest(34) == max(34 + 11 + 33, 2 + 22 + 62, 34 + 14 + 42)
    assert batch.longest(10) == 2 + 22 + 62
    for targets, places in ((batch.speech_targets, batch.speech_places), (batch.text_targets, batch.text_places)):
        assert torch.equal(targets.flatten()[places], targets[targets != -100])


# ---- validating and speaking


@pytest.fixture(scope="module")
def config(tmp_path_factory, make_corpus, make_weights):
    folder = tmp_path_factory.mktemp("waits")
    return compose(["model=chatterbox", f"model.weights={make_weights(folder / 'weights')}", "model.codec=standin_codec:load",
                    "model.rank=4", "data=folder", f"data.path={make_corpus(folder / 'corpus')}",
                    f"data.prepared={folder / 'prepared'}", "data.workers=1", "phase=4_2"])


@pytest.fixture
def features(config, monkeypatch) -> TokenSet:
    monkeypatch.syspath_prepend(str(HERE))
    return recipe_of(config).prepare(config)


@pytest.fixture
def adapted_t3(config) -> T3:
    model = load_t3(Path(config.model.weights) / "t3_mtl23ls_v2.safetensors")
    set_phase(model, TEXT_AND_LORA, LoraOptions(rank=4))
    torch.manual_seed(3)
    for _, layer in adapted(model.tfmr):
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    return model.eval()


def test_a_validation_waits_once_and_finds_what_the_cpu_finds(adapted_t3, features, monkeypatch):
    monkeypatch.setattr("chatterbox_es.models.t3.validation.BATCH", 3)
    expected = utterance_values(fabric_of("32-true"), adapted_t3, features, features.train)
    with PretendGpu() as gpu:
        found = utterance_values(gpu.fabric(), gpu.move(adapted_t3), features, features.train)
        assert len(gpu.waits) == 1, gpu.waits
    for name, values in expected.values.items():
        assert np.array_equal(found.values[name], values)


def test_a_step_knows_how_many_text_tokens_its_whole_batch_predicts(config, features):
    """What the mean of the text's loss is over, in however many micro-batches and processes; some texts are dropped."""
    changed = OmegaConf.merge(config, {"model": {"text_drop_prob": 0.4}, "phase": {"batch_size": 4}})
    recipe, counts = T3Recipe.of(changed, load_checkpoint), []
    batches = recipe.batches(changed, features, Budget(frames=1), None)
    for epoch in (1, 2, 3):
        for one, other in zip(batches.steps(epoch, 0, 0, 2), batches.steps(epoch, 0, 1, 2), strict=True):
            predicted = sum(len(part.text_places) for step in (one, other) if not step.idle for part in step.micro_batches)
            assert one.text_targets == other.text_targets == predicted
            counts.append(predicted < sum(len(part.text_places) + int(part.text_dropped.sum())
                                          for step in (one, other) if not step.idle for part in step.micro_batches))
    assert any(counts)


class Watched:
    """The stand-in's vocoder, and where it is."""

    def __init__(self, vocoder):
        self.vocoder, self.places, self.spoken = vocoder, [], 0

    def to(self, device):
        self.places.append(torch.device(device).type)
        return self

    def reference(self, recording):
        return self.vocoder.reference(recording)

    def __call__(self, codes, reference):
        assert self.places[-1] == "cuda"
        torch.rand(1), torch.randn(3)  # as S3Gen draws its noise
        self.spoken += 1
        return self.vocoder(codes, reference)


def test_samples_are_spoken_with_adapters_merged_and_leave_everything_as_it_was(adapted_t3, features, config, monkeypatch,
                                                                                tmp_path):
    loaded = []

    def load(name, weights, device):
        from standin_codec import Tones

        loaded.append(Watched(Tones()))
        assert device == "cpu"
        return type("Codec", (), {"vocoder": lambda: loaded[-1]})

    monkeypatch.setattr(samples, "codec_named", load)
    monkeypatch.setattr(samples, "generate", generate_there)
    make = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: make("cpu"))  # there is none for the GPU here
    recipe, said = T3Recipe(), []
    before = {name: weight.clone() for name, weight in adapted_t3.state_dict().items()}
    with PretendGpu() as gpu:
        fabric, model = gpu.fabric(), gpu.move(adapted_t3)
        layers = dict(adapted(model.tfmr))
        forwards = [layer.register_forward_hook(lambda *_: pytest.fail("an adapter computes")) for layer in layers.values()]
        for time in ("first", "second"):
            random = torch.get_rng_state()
            sounds, _ = recipe.samples(fabric, model, config, features, features.validation.tolist(), tmp_path / time, time,
                                       lambda: None)
            assert torch.equal(torch.get_rng_state(), random)  # training draws on as if nothing had been said
            said.append(sounds)
        for hook in forwards:
            hook.remove()
        assert dict(adapted(model.tfmr)) == layers
        after = {name: weight.inner if isinstance(weight, OnGpu) else weight for name, weight in model.state_dict().items()}
    samples._vocoder.cache_clear()  # others are not spoken to by this one
    vocoder, = loaded  # once
    assert vocoder.places == ["cuda", "cpu"] * 2 and vocoder.spoken > 0
    assert said[0].keys() == said[1].keys() and all(np.array_equal(said[0][name][0], said[1][name][0]) for name in said[0])
    assert after.keys() == before.keys() and all(torch.equal(after[name], weight) for name, weight in before.items())


def test_merged_meanwhile_is_merged_and_comes_back(adapted_t3, make_spoken):
    batch = collate([make_spoken(9, 31, 20)])
    given = (batch.conditions, batch.text, batch.text_lengths, batch.speech, batch.speech_lengths)
    before = {name: weight.clone() for name, weight in adapted_t3.state_dict().items()}
    with torch.no_grad():
        apart = adapted_t3(*given).speech
        with pytest.raises(KeyboardInterrupt), merged_meanwhile(adapted_t3):
            together = adapted_t3(*given).speech
            assert not list(adapted(adapted_t3.tfmr))
            raise KeyboardInterrupt
        assert torch.equal(adapted_t3(*given).speech, apart)
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
        assert all(torch.equal(weight, before[name]) for name, weight in adapted_t3.state_dict().items())
        trained = [name for name, weight in adapted_t3.named_parameters() if weight.requires_grad]
        assert any(".lora_" in name for name in trained)
        merge_lora(adapted_t3)
        assert torch.equal(adapted_t3(*given).speech, together)


def test_each_token_that_is_spoken_is_waited_for_once(make_t3, make_spoken, monkeypatch):
    """It has to be looked at, since it may be the last; and what is said is what the CPU says."""
    make = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: make("cpu"))
    for prompt in (20, 0):
        batch, model = collate([make_spoken(9, 31, prompt)]), make_t3().eval()
        expected = generate(model, batch.text[0], batch.conditions, Sampling(max_tokens=12), 1)
        with PretendGpu() as gpu:
            found = generate_there(gpu.move(model), batch.text[0], batch.conditions, Sampling(max_tokens=12), 1)
            tokens = [wait for wait in gpu.waits if "scalar" in wait]
            # Before the first come the text, four conditions and transformers' cache of two layers; after the last the codes.
            assert len(tokens) == 12 and len(gpu.waits) <= 12 + 6 + 4, "\n".join(gpu.waits)
        assert torch.equal(found.codes, expected.codes) and len(found.codes) > 8


def test_a_draw_is_torchs_own():
    probabilities = torch.softmax(3 * torch.randn(4, 500, generator=torch.Generator().manual_seed(1)), -1)
    for seed in range(20):
        one, other = (torch.Generator().manual_seed(seed) for _ in range(2))
        assert torch.equal(draw(probabilities, one), torch.multinomial(probabilities, 1, generator=other))


def test_sentences_to_be_heard_are_those_that_are_shown_and_nothing_is_written(adapted_t3, features, config, tmp_path):
    recipe, fabric, numbers = T3Recipe(), fabric_of("32-true"), features.validation.tolist()
    shown, pictures = recipe.samples(fabric, adapted_t3, config, features, numbers, tmp_path / "shown", "shown", lambda: None)
    random = torch.get_rng_state()
    heard, none = recipe.samples(fabric, adapted_t3, config, features, numbers, None, "", lambda: None)
    assert torch.equal(torch.get_rng_state(), random)
    assert shown and len(pictures) == len(shown) and none == {}
    assert heard.keys() == shown.keys() and all(np.array_equal(heard[name][0], shown[name][0]) for name in heard)
    assert len(list(tmp_path.rglob("*.wav"))) == len(shown)


def test_a_model_that_cannot_be_heard_says_so_before_it_is_trained(config, features, monkeypatch):
    deaf = OmegaConf.merge(config, {"model": {"codec": "standin_codec:none"}, "train": {"listen": 2}})
    said = r"^train\.listen=2: model=chatterbox cannot be heard here: model\.codec=standin_codec:none: write resemble"
    with pytest.raises(UserError, match=said):
        load_listening(deaf, fabric_of("32-true"), T3Recipe.of(deaf, load_checkpoint))
