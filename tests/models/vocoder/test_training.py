"""A vocoder as the commands train it: cuts, both sides of the contest, states, checkpoints, errors."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch

from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.config import compose
from chatterbox_es.dataset.batches import Budget
from chatterbox_es.errors import UserError
from chatterbox_es.hardware import set_up
from chatterbox_es.models.families import load_checkpoint, recipe_of
from chatterbox_es.models.vocoder import sound_set
from chatterbox_es.models.vocoder.adversarial import AdversarialVocoder
from chatterbox_es.models.vocoder.batches import collate
from chatterbox_es.models.vocoder.checkpoint import Checkpoint
from chatterbox_es.models.vocoder.loss import SpectralLoss
from chatterbox_es.models.vocoder.recipe import sizes_of
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.runs.run_directory import RunDirectory, read_card, state_of
from chatterbox_es.training.run import run_phase

FRAMES = 16


def test_stretches_belong_together_and_change_with_the_epoch(sounds):
    numbers = sounds.train.tolist()
    batch = collate(sounds, numbers, epoch=1, frames=FRAMES, seed=0)
    assert batch.mels.shape == (len(numbers), FRAMES, 80)
    assert batch.samples.shape == (len(numbers), FRAMES * 480)
    for row, number in enumerate(numbers):
        mels, samples = sounds.stored_mel(number).astype(np.float32), sounds.recorded(number)
        start, = np.flatnonzero([np.array_equal(mels[i:i + FRAMES], batch.mels[row]) for i in range(len(mels) - FRAMES + 1)])
        assert np.array_equal(samples[start * 480:(start + FRAMES) * 480], batch.samples[row])
        assert np.array_equal(sounds.f0.hertz(number)[start:start + FRAMES], batch.f0[row])
    again, other = (collate(sounds, numbers[::-1], epoch, FRAMES, 0) for epoch in (1, 2))
    assert torch.equal(again.mels.flip(0), batch.mels)  # in whatever order, micro-batch or process
    assert not torch.equal(other.mels.flip(0), batch.mels)
    assert (batch.source_f0 > 0).all()


def test_what_is_shorter_than_a_stretch_has_silence_behind_it(sounds):
    number = int(sounds.train[0])
    length = int(sounds.index["frames"][number])
    batch = collate(sounds, [number], 1, length + 5, 0)
    assert torch.equal(batch.samples[0, :length * 480], torch.from_numpy(sounds.recorded(number)))
    assert not batch.samples[0, length * 480:].any()
    assert (batch.mels[0, length:] == np.float32(np.log(1e-5))).all()


def test_a_voices_vocoder_hears_that_voices_mels_too(road, vocoder_config, sounds):
    number = int(sounds.train[0])
    mel = sounds.stored_mel(number).astype(np.float32)
    (_, own), = load_checkpoint(final_checkpoint(road.whole_run)).aligned_mels(sounds, [number])
    assert own.shape == mel.shape

    def cuts(share: float) -> tuple[int, int]:
        config = vocoder_config(f"model.voice={road.whole_run}", f"model.own_mels={share}", f"model.segment_frames={FRAMES}")
        batches = recipe_of(config).batches(config, sounds, Budget(), None)
        pieces = [batches.collate(sounds, [number], epoch).mels[0] for epoch in range(40)]
        whose = [[np.array_equal(whole[i:i + FRAMES], piece) for piece in pieces for i in range(len(mel) - FRAMES + 1)]
                 for whole in (mel, own.astype(np.float16).astype(np.float32))]
        return sum(whose[0]), sum(whose[1])

    assert cuts(0) == (40, 0) and cuts(1) == (0, 40)
    recorded, said = cuts(0.5)
    assert recorded + said == 40 and 8 < recorded < 32


@pytest.fixture
def contest(vocoder_config, sounds):
    config = vocoder_config()
    recipe = recipe_of(config)
    model, _ = recipe.start(config, sounds, set_up(config.hw))
    return model, collate(sounds, sounds.train[:3].tolist(), 1, FRAMES, 0)


def gradients(part: torch.nn.Module) -> list[torch.Tensor]:
    return [weight.grad for weight in part.parameters() if weight.grad is not None and weight.grad.any()]


def test_each_side_learns_from_its_own_loss_alone(contest):
    model, batch = contest
    losses = model(**batch.inputs(), adversarial=True)
    losses.discriminator.backward(retain_graph=True)
    assert gradients(model.discriminators)
    assert not gradients(model.vocoder)
    model.zero_grad(set_to_none=True)
    (losses.adversarial + losses.features).backward()
    assert gradients(model.vocoder)
    assert not gradients(model.discriminators)
    assert all(weight.requires_grad for weight in model.parameters())


def test_spectra_are_compared_in_float32_whatever_is_computed_in(contest):
    model, batch = contest
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(**batch.inputs(), adversarial=True)
    assert losses.mel.dtype == losses.spectral.dtype == torch.float32
    assert losses.mel.item() != losses.mel.bfloat16().item()
    assert losses.parts().isfinite().all()


def test_before_their_time_discriminators_take_no_part(contest):
    model, batch = contest
    losses = model(**batch.inputs(), adversarial=False)
    assert [float(part) for part in (losses.adversarial, losses.features, losses.discriminator)] == [0, 0, 0]
    (losses.mel + losses.discriminator).backward()
    assert all(weight.grad is None for weight in model.discriminators.parameters())


def test_the_spectral_losses_are_0_for_the_same_and_grow_with_noise():
    loss, samples = SpectralLoss(24_000), 0.1 * torch.randn(2, 12_000)
    assert [float(part.max()) for part in loss(samples, samples)] == [0, 0]
    little, much = (loss(samples + amount * torch.randn(2, 12_000), samples) for amount in (0.01, 0.1))
    assert all((small < large).all() for small, large in zip(little, much, strict=True))
    mel, _ = loss(2 * samples, samples)
    assert mel.tolist() == pytest.approx([np.log(2)] * 2, abs=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, vocoder_arguments, command):
    """A run by the real command, and its folder."""
    folder = tmp_path_factory.mktemp("vocoder")
    result = command("train", *vocoder_arguments("train.samples=1", "train.epochs=2", "model.adversarial_from=0.5",
                                                 "train.ema=0.9"), cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    run, = folder.glob("outputs/vocoder/*")
    return run, result


def test_a_run_leaves_what_every_run_leaves(trained, sounds):
    run, result = trained
    assert "Griffin-Lim scores" in result.stdout
    assert read_card(run)["state"] == "finished"
    assert read_card(run)["output"] == "samples"
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {
        "final_vocoder.pt", "final_vocoder.safetensors", "ema_vocoder.pt"}
    plan = json.loads((run / "plan.json").read_text())
    assert plan["trained"] == sum(plan["parameters"].values())
    rows = RunDirectory(run).metrics()
    steps = [row for row in rows if "train_loss" in row]
    assert [row["train_discriminator_loss"] > 0 for row in steps] == [False] * 3 + [True] * 3
    assert all(row["grad_norm_discriminators"] > 0 for row in steps[3:])
    last = rows[-1]
    assert last["val_loss"] < last["baseline"] * 2
    assert last["baseline"] == pytest.approx(sounds.baseline())
    number = int(sounds.validation[0])
    samples, rate = soundfile.read(run / "samples/epoch_0002" / f"{sounds.utterance(number)['id']}.wav", dtype="float32")
    assert rate == 24_000
    better = "ema_vocoder.pt" if last["val_loss"] == last["val_loss_mean"] else "final_vocoder.pt"  # rounding may decide
    said = load_checkpoint(run / "checkpoints" / better).build().vocode(
        torch.from_numpy(sounds.stored_mel(number).astype(np.float32)))
    assert np.allclose(samples, said.numpy().clip(-1, 1), atol=1e-3)


def test_the_baseline_is_griffin_lims(sounds, monkeypatch):
    monkeypatch.setattr(sound_set, "COMPARED", 1)
    fresh = sound_set.SoundSet(sounds)
    number = int(sounds.validation[0])
    made = torch.from_numpy(GriffinLim()(sounds.stored_mel(number).astype(np.float32)))
    assert fresh.baseline() == pytest.approx(float(
        SpectralLoss(24_000)(made[None], torch.from_numpy(sounds.recorded(number))[None])[0]), rel=1e-5)


def test_both_files_of_a_vocoder_say_the_same(trained, tmp_path):
    run, _ = trained
    whole = load_checkpoint(run / "checkpoints/final_vocoder.pt")
    exported = load_checkpoint(run / "checkpoints/final_vocoder.safetensors")
    mels = torch.randn(30, 80) - 5
    assert torch.equal(whole.build().vocode(mels), exported.build().vocode(mels))
    assert exported.describe() == whole.describe()
    whole.export(tmp_path / "half.safetensors", half=True)
    half = Checkpoint.load(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (run / "checkpoints/final_vocoder.safetensors").stat().st_size
    assert float((half.build().vocode(mels) - whole.build().vocode(mels)).abs().mean()) < 0.01


def test_another_run_begins_where_it_ended(trained, vocoder_config, sounds):
    run, _ = trained
    config = vocoder_config(f"train.finetune={run}")
    model, lineage = recipe_of(config).start(config, sounds, set_up(config.hw))
    assert isinstance(model, AdversarialVocoder)
    assert lineage["finetuned_from"].endswith("final_vocoder.pt")
    stored = load_checkpoint(run / "checkpoints/final_vocoder.pt").weights
    assert all(torch.equal(weight, stored[name]) for name, weight in model.vocoder.state_dict().items())
    other = vocoder_config(f"train.finetune={run}", "model.width=40")
    with pytest.raises(UserError, match=r"another size; it goes on as model\.width=32"):
        recipe_of(other).start(other, sounds, set_up(other.hw))


def test_a_run_of_another_model_is_no_vocoder(road, vocoder_config, sounds):
    config = vocoder_config(f"train.finetune={road.whole_run}")
    with pytest.raises(UserError, match="is no vocoder: it is of model=fase4"):
        recipe_of(config).start(config, sounds, set_up(config.hw))


@pytest.mark.parametrize("written", [("phase=vocoder", "model=fase4"), ("phase=4_2", "model=vocoder")])
def test_a_vocoder_has_a_phase_of_its_own(written, corpus):
    with pytest.raises(UserError, match="a vocoder is trained by phase=vocoder"):
        compose([*written, "data=folder", f"data.path={corpus}"])


def test_windows_that_do_not_fit_the_hop_are_refused(vocoder_config, sounds):
    config = vocoder_config("model.upsampling=7")
    with pytest.raises(UserError, match=r"model\.upsampling=7 model\.n_fft=960"):
        recipe_of(config).build(config, sounds, set_up(config.hw))


LONG = ("train.epochs=12", "train.state_minutes=0", "model.adversarial_from=0.3", "resume=auto")


def weights(run) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints/final_vocoder.pt").weights


def losses(run) -> list[tuple]:
    return [tuple(value for key, value in sorted(row.items()) if key.startswith(("step", "train_", "val_", "grad_"))
                  and key != "steps_per_second") for row in RunDirectory(run).metrics()]


def test_killed_while_both_sides_learn_it_ends_as_if_it_never_was(tmp_path, vocoder_arguments, sounds, command):
    def written(name: str) -> list[str]:
        return vocoder_arguments(*LONG, f"outputs={tmp_path / name}")

    assert command("train", *written("never"), cwd=tmp_path).returncode == 0
    for number, lines in ((signal.SIGTERM, 8), (signal.SIGKILL, 25)):
        process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.train", *written("it")], cwd=tmp_path,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            metrics = list(tmp_path.glob("it/vocoder/*/metrics.jsonl"))
            if metrics and metrics[0].read_bytes().count(b"\n") >= lines:
                process.send_signal(number)
                break
            time.sleep(0.005)
        process.wait()
        run, = tmp_path.glob("it/vocoder/*")
    assert state_of(run) == "killed"
    result = command("train", *written("it"), cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    never, = tmp_path.glob("never/vocoder/*")
    assert len(read_card(run)["resumed"]) == 2
    mine, theirs = weights(run), weights(never)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert losses(run) == losses(never)


def test_micro_batches_change_nothing_of_the_spectral_step(vocoder_config, sounds, tmp_path):
    """Discriminators see a share of each micro-batch, and noise is drawn for each: so only what does not depend on them is
    compared, the loss of F0."""
    found = []
    for name, budget in (("whole", "default"), ("parts", str(2 * FRAMES))):
        config = vocoder_config("train.max_steps=2", f"model.segment_frames={FRAMES}", "model.adversarial_from=1",
                                f"outputs={tmp_path / name}", f"hw.micro_batch_frames={budget}")
        run_phase(config, tmp_path / name / "run")
        found.append(next(row["train_pitch_loss"] for row in RunDirectory(tmp_path / name / "run").metrics()
                          if "train_loss" in row))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_what_does_not_fit_the_memory_says_what_would(vocoder_config, tmp_path, sounds):
    config = vocoder_config("hw.memory_gb=0.001", f"outputs={tmp_path}")
    with pytest.raises(UserError, match="needs .* GB of memory"):
        run_phase(config, tmp_path / "run")
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert sizes_of(config)["width"] == 32
