"""Training, through the real command line and through its functions: what it starts from, what it leaves, how it ends."""

import json
import re
import sys

import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from omegaconf import OmegaConf

from chatterbox_es.config import compose
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.recipe import weights_hash
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.initialisation import start_model
from chatterbox_es.runs import plots
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.runs.metrics import Metric
from chatterbox_es.runs.run_directory import RunDirectory, newest_run, read_card
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.run import run_phase
from chatterbox_es.training.schedule import learning_rate


def fails(result, *said: str) -> None:
    """The command ended with a message of ours, not with a traceback, and said this."""
    output = result.stdout + result.stderr
    assert result.returncode != 0, output
    assert "Traceback" not in output
    for words in said:
        assert words in output


# ---- what both phases leave


def test_a_run_leaves_its_configuration_and_its_log(road):
    for run, phase in ((road.encoder_run, "4_2"), (road.whole_run, "4_3")):
        config = OmegaConf.load(run / "config.yaml")
        assert config.phase.name == phase
        assert config.model.width == 32
        assert OmegaConf.to_yaml(config) == OmegaConf.to_yaml(config, resolve=True)
        log = (run / "train.log").read_text(encoding="utf-8")
        assert "val_loss" in log
        assert "the mean scores" in log
        card = read_card(run)
        assert (card["state"], card["phase"], card["synthetic"]) == ("finished", phase, False)
        assert (run / card["final"]).is_file()


def test_a_run_leaves_every_metric(road, features):
    for run in (road.encoder_run, road.whole_run):
        rows = RunDirectory(run).metrics()
        steps, epochs = [r for r in rows if "train_loss" in r], [r for r in rows if "val_loss" in r]
        assert [r["step"] for r in steps] == [1, 2]  # two epochs of one batch of eight, one epoch of two of four
        for row in steps:
            assert {"learning_rate", "gpu_memory_gb", "grad_norm_text", "grad_norm_vocoder"} <= row.keys()
            assert row["grad_norm_text"] > 0
        assert {"epoch_time", "val_own_durations", "val_length_error", "baseline"} <= epochs[-1].keys()
        assert epochs[-1]["baseline"] == features.baseline()
        assert all(np.isfinite(value) for row in rows for value in row.values())
        assert read_card(run)["best_val_loss"] == min(r["val_loss"] for r in epochs)
    assert all(r["grad_norm_vocoder"] == 0 for r in RunDirectory(road.encoder_run).metrics() if "train_loss" in r)
    assert all(r["grad_norm_vocoder"] > 0 for r in RunDirectory(road.whole_run).metrics() if "train_loss" in r)


def test_checkpoints_are_named_after_what_they_hold_and_load_without_running_code(road):
    for run, stem in ((road.encoder_run, "text_encoder"), (road.whole_run, "full_model")):
        names = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert re.fullmatch(rf"best_{stem}_epoch_\d+\.pt", names[0])
        assert names[1:] == [f"final_{stem}.pt", f"final_{stem}.safetensors"]  # and no state, which a run that ended needs not
        for name in names[:2]:
            stored = torch.load(run / "checkpoints" / name, weights_only=True)
            assert {"weights", "mel", "symbols", "statistics", "model", "lineage"} <= stored.keys()


def test_held_out_sentences_can_be_heard_and_seen(road, features):
    number = features.validation[0]
    name, text = features.utterance(number)["id"], features.utterance(number)["text"]
    for run, epoch in ((road.encoder_run, 2), (road.whole_run, 1)):
        samples, rate = soundfile.read(run / f"samples/epoch_{epoch:04d}/{name}.wav")
        assert rate == 24_000
        assert len(samples) % 480 == 0
        assert len(samples) > 0
        assert np.ptp(matplotlib.image.imread(run / f"samples/epoch_{epoch:04d}/{name}.png")) > 0.5
        assert (run / f"samples/recordings/{name}.txt").read_text(encoding="utf-8").strip() == text
        assert (run / f"samples/recordings/{name}.wav").is_file()
        assert (run / "losses.png").is_file()


def test_weights_and_biases_has_the_same_offline(road):
    store, = road.encoder_run.glob("wandb/offline-run-*/*.wandb")
    content = store.read_bytes()
    for name in ("chatterbox-spanish-tts", "train_loss", "val_loss", "learning_rate", "gpu_memory_gb", "epoch_time",
                 "grad_norm_text", "grad_norm_vocoder", "baseline"):
        assert name.encode() in content, name
    assert list(store.parent.glob("files/media/audio/**/*.wav"))
    assert list(store.parent.glob("files/media/images/**/*.png"))
    assert not (road.whole_run / "wandb").exists()  # train.wandb=disabled


def test_prepared_data_is_used_again(road):
    for output in road.outputs:
        assert "reused" in output.stdout


# ---- frozen, and handed on


def test_frozen_is_proven_frozen(road, config_of, features):
    """The hash in run.json is that of the final checkpoint, and that of the decoder this seed gives."""
    frozen = read_card(road.encoder_run)["frozen"]
    assert frozen["parts"] == ["mel_decoder"]
    assert frozen["sha256_before"] == frozen["sha256_after"]
    final = load_checkpoint(road.encoder_run / "checkpoints/final_text_encoder.pt").build()
    assert weights_hash({"mel_decoder": final.mel_decoder}) == frozen["sha256_after"]
    torch.manual_seed(0)  # the run's
    start, _ = start_model(config_of("phase=4_2"), features)
    for name, weight in start.mel_decoder.state_dict().items():
        assert torch.equal(weight, final.mel_decoder.state_dict()[name])
    moved = [not torch.equal(weight, final.text_encoder.state_dict()[name])
             for name, weight in start.text_encoder.state_dict().items()]
    assert all(moved)
    assert read_card(road.whole_run)["frozen"]["parts"] == []


def test_phase_4_3_begins_with_the_encoder_of_4_2(road, config_of, features, monkeypatch):
    final = road.encoder_run / "checkpoints/final_text_encoder.pt"
    assert read_card(road.whole_run)["lineage"]["encoder_from"] == str(final.relative_to(road.folder))
    monkeypatch.chdir(road.folder)
    model, lineage = start_model(config_of("phase=4_3"), features)
    assert lineage["encoder_from"] == str(final.relative_to(road.folder))
    given = load_checkpoint(final).weights
    for name, weight in model.state_dict().items():
        assert name.startswith("mel_decoder.") or torch.equal(weight, given[name]), name


def test_4_3_takes_the_newest_finished_4_2_run_of_the_same_data_or_the_named_one(tmp_path, road, config_of, features):
    content = features.card["content"]
    assert newest_run(tmp_path, "4_2", content) is None
    ended = {}
    for name, phase, state, of in [("old", "4_2", "finished", content), ("new", "4_2", "finished", content),
                                   ("failed", "4_2", "failed", content), ("whole", "4_3", "finished", content),
                                   ("foreign", "4_2", "finished", "another hash"), ("running", "4_2", "running", content)]:
        run = RunDirectory.create(tmp_path / phase / name, phase=phase, content=of)
        run.end(state)
        ended[name] = run.folder
    (tmp_path / "4_2" / "torn").mkdir()
    (tmp_path / "4_2" / "torn" / "run.json").write_text("{", encoding="utf-8")
    assert newest_run(tmp_path, "4_2", content) == ended["new"]
    _, lineage = start_model(config_of("phase=4_3", f"train.encoder={road.encoder_run}", f"outputs={tmp_path}"), features)
    assert lineage["encoder_from"] == str(road.encoder_run / "checkpoints/final_text_encoder.pt")


# ---- the command line, as written


def test_both_phases_in_one_command(tmp_path, arguments, features, command):
    result = command("train", "-m", "phase=4_2,4_3", *arguments("train.epochs=1", "train.samples=0"), cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = {card["phase"]: card for path in tmp_path.glob("outputs/**/run.json") if (card := read_card(path.parent))}
    assert sorted(runs) == ["4_2", "4_3"]
    lineage = runs["4_3"]["lineage"]
    assert str(tmp_path / lineage["encoder_from"]) == lineage["of"]["run"] + "/checkpoints/final_text_encoder.pt"
    assert [card["state"] for card in runs.values()] == ["finished"] * 2


def test_phase_4_3_on_a_t4_where_there_is_none(tmp_path, command):
    result = command("train", "phase=4_3", "hw=t4", cwd=tmp_path)
    fails(result, "hw=t4 needs an NVIDIA GPU", "hw=cpu")
    assert result.returncode == 2
    assert not list(tmp_path.glob("outputs/4_3/*"))  # nothing was begun


def test_4_3_without_4_2_says_which_command_makes_it_and_deletes_nothing_of_the_users(tmp_path, arguments, corpus, features,
                                                                                     command):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear", encoding="utf-8")
    result = command("train", "phase=4_3", f"hydra.run.dir={mine}", *arguments(), cwd=tmp_path)
    fails(result, f"python -m chatterbox_es.train phase=4_2 data=folder data.path={corpus} hw=cpu", "train.encoder=RUN")
    assert result.returncode == 2
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]


def test_a_misspelt_key_is_named(tmp_path, command):
    fails(command("train", "train.max_minuts=3", cwd=tmp_path), "max_minuts")


# ---- how a run ends


@pytest.fixture
def train_here(tmp_path, config_of, features):
    """One 4_2 run of the tiny model in this process; its folder."""
    def train(*more: str, **options):
        run_phase(config_of("phase=4_2", "train.samples=0", *more, **options), tmp_path / "run")
        return tmp_path / "run"

    return train


def last_row(run) -> dict:
    return RunDirectory(run).metrics()[-1]


def test_steps_end_a_run(train_here):
    assert last_row(train_here("train.max_steps=3", "train.epochs=50", "phase.batch_size=3"))["step"] == 3


def test_minutes_end_a_run(train_here):
    row = last_row(train_here("train.max_minutes=0.02", "train.epochs=100000", "phase.validate_every=100000"))
    assert 1 <= row["step"] < 100_000
    assert "val_loss" in row


def test_epochs_end_a_run_and_it_validates_where_it_should(train_here):
    run = train_here("train.epochs=5", "phase.validate_every=2", "phase.batch_size=4")
    rows = RunDirectory(run).metrics()
    assert [row["epoch"] for row in rows if "epoch_time" in row] == [1, 2, 3, 4, 5]
    assert [row["epoch"] for row in rows if "val_loss" in row] == [2, 4, 5]
    assert rows[-1]["step"] == 10
    assert len(list(run.glob("checkpoints/best_*.pt"))) == 1


def test_it_learns(train_here):
    row = last_row(train_here("train.epochs=60", "phase.validate_every=60", "phase.batch_size=4", "phase.warmup_steps=5",
                              "phase.trains=full_model", "phase.lr=1e-2", "model.decoder_hidden=[128]"))
    assert row["train_loss_epoch"] < 0.7
    assert row["val_loss"] < row["baseline"]  # held-out letters sound as those of training do


def test_the_same_seed_gives_the_same_run(train_here, tmp_path, config_of):
    first = load_checkpoint(train_here() / "checkpoints/final_text_encoder.pt").weights
    run_phase(config_of("phase=4_2", "train.samples=0"), tmp_path / "again")
    again = load_checkpoint(tmp_path / "again/checkpoints/final_text_encoder.pt").weights
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_run_that_fails_is_marked_and_starts_nothing(train_here, tmp_path, features):
    with pytest.raises(UserError, match="text_encoder or full_model"):
        train_here("phase.trains=text_and_lora")
    assert read_card(tmp_path / "run")["state"] == "failed"
    assert newest_run(tmp_path, "4_2", features.card["content"]) is None


def test_training_goes_on_where_weights_and_biases_is_broken(train_here, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it fails
    run = train_here("train.wandb=offline", "train.max_steps=1")
    assert read_card(run)["state"] == "finished"
    assert sum("Weights & Biases does not work here" in record.message for record in caplog.records) == 1


def test_fp16_with_a_scaled_loss_trains(train_here, monkeypatch):
    """The arithmetic of hw=t4, on the CPU: clipping needs gradients that are not scaled any more."""
    monkeypatch.setattr("chatterbox_es.training.run.set_up",
                        lambda hw: Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu")))
    run = train_here("train.epochs=3")
    assert read_card(run)["state"] == "finished"
    assert [row["grad_norm_text"] < 100 for row in RunDirectory(run).metrics() if "train_loss" in row] == [True] * 3


def test_a_decoder_fitted_to_the_mels_begins_where_a_random_one_does_not(config_of, features):
    random, _ = start_model(config_of("phase=4_2"), features)
    torch.manual_seed(0)
    fitted, _ = start_model(config_of("phase=4_2", "model.decoder_start=mels"), features)
    assert not torch.equal(fitted.mel_decoder[0].weight, random.mel_decoder[0].weight)
    with pytest.raises(UserError, match="decoder_start=zeros: must be random | mels | grown"):
        config_of("phase=4_2", "model.decoder_start=zeros")


def test_a_grown_decoder_says_at_first_what_the_encoders_run_said(road, config_of, features):
    """GELU(x) − GELU(−x) = x: 4_3 begins where 4_2 ended, to rounding, and its other weights are there to learn with."""
    ended = load_checkpoint(final_checkpoint(road.encoder_run)).build(features)
    written = ("phase=4_3", f"train.encoder={road.encoder_run}", "model.decoder_start=grown")
    grown, lineage = start_model(config_of(*written, "model.decoder_hidden=[32,64,200]"), features)
    for number in range(len(features)):
        mels, durations = ended.speak(features.token_ids(number))
        mine, same = grown.eval().speak(features.token_ids(number))
        assert torch.equal(durations, same)
        torch.testing.assert_close(mine, mels, rtol=0, atol=1e-5)
    assert lineage["encoder_from"] == str(final_checkpoint(road.encoder_run))
    states = torch.randn(7, 32, requires_grad=True)
    grown.mel_decoder(states).square().sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in grown.mel_decoder if isinstance(layer, torch.nn.Linear))
    for hidden, message in (("[32]", "makes three hidden layers of one; model.decoder_hidden has 1"),
                            ("[32,64,159]", r"model.decoder_hidden=\[32,64,N\], N at least 160"),
                            ("[32,60,200]", r"\[32,64,N\]")):
        with pytest.raises(UserError, match=message):
            start_model(config_of(*written, f"model.decoder_hidden={hidden}"), features)
    with pytest.raises(UserError, match="needs a run whose decoder it grows from"):
        start_model(config_of("phase=4_2", "model.decoder_start=grown"), features)


# ---- the learning rate


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_warms_up_and_reaches_zero(schedule):
    config = compose(["phase=4_2", f"phase.schedule={schedule}", "phase.warmup_steps=300", "phase.lr=1e-3"])
    rates = [learning_rate(config, Progress(10_000, None, step)) for step in range(10_001)]
    assert rates[0] == pytest.approx(1e-3 / 300, rel=0.01)
    assert np.argmax(rates) in range(299, 301)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[5_000] == pytest.approx(5e-4, rel=1e-6)
    assert np.all(np.diff(rates[300:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("ending", "last"), [(0.0, 10.0), (2.0, 8.0), (9.0, 5.0)])  # half is trained in any case
def test_a_run_by_minutes_reaches_zero_when_its_end_begins(ending, last):
    config = compose(["phase=4_2"])
    progress = Progress(10**9, minutes=10, step=5_000, now=last / 2, ending=ending)
    assert learning_rate(config, progress) == pytest.approx(5e-5, rel=1e-3)
    assert not progress.is_over()
    progress.now = last
    assert learning_rate(config, progress) == pytest.approx(0, abs=1e-12)
    assert progress.is_over()


def test_hardware_overrides_the_rate():
    assert learning_rate(compose(["phase.lr=0.5", "phase.warmup_steps=1"]), Progress(100, None, 0)) == 0.5


def test_metrics_are_one_json_object_a_line(road):
    lines = (road.whole_run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_the_baseline_is_drawn_through_a_run_of_one_validation(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    rows = [{"step": 10, "train_loss": 0.6}, {"step": 20, "train_loss": 0.5, "val_loss": 0.4, "baseline": 0.9}]
    plots.draw_losses(tmp_path / "losses.png", rows, "a run", "squared error", "predicting the mean",
                      [Metric("val_loss", "error", "squared error")])
    axes, = drawn[0].axes
    line, = (line for line in axes.lines if line.get_label() == "baseline: predicting the mean")
    assert len(line.get_ydata()) == 2 and set(line.get_ydata()) == {0.9}
