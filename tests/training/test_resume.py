"""Runs that were killed, stopped, starved of disk or of memory, and go on as if nothing had been."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from chatterbox_es import files
from chatterbox_es.config import compose
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic import validation
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.runs.checkpoint_files import states
from chatterbox_es.runs.run_directory import RunDirectory, read_card, state_of
from chatterbox_es.training import loop
from chatterbox_es.training import run as training_run
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.resumption import run_to_resume
from chatterbox_es.training.run import run_phase
from chatterbox_es.training.run_writer import RunWriter
from chatterbox_es.training.state import load_newest_state

LONG = ("phase=4_2", "train.epochs=4", "phase.batch_size=3", "train.samples=0", "train.state_minutes=0", "model.dropout=0.1")


def losses(run) -> list[tuple]:
    return [(row["step"], row.get("train_loss"), row.get("val_loss"), row.get("grad_norm_text"))
            for row in RunDirectory(run).metrics()]


def weights(run) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints/final_text_encoder.pt").weights


def same(first, second) -> bool:
    """Bit for bit."""
    mine, theirs = weights(first), weights(second)
    return losses(first) == losses(second) and mine.keys() == theirs.keys() and all(
        torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture
def outputs(tmp_path):
    """A run that was never interrupted is in outputs/never, the other in outputs/it."""
    return tmp_path / "outputs"


@pytest.fixture
def go(config_of, features, outputs):
    """Train in this process, in outputs/NAME unless it goes on with another; the folder."""
    def train(name: str, *more: str):
        config = config_of(*LONG, f"outputs={outputs / name}", *more)
        run_phase(config, outputs / name / "run")
        return outputs / name / "run"

    return train


# The command, to which a signal comes when its metrics have so many lines: from outside, a busy machine might send it too late.
SIGNALLED = """
import os, runpy, sys
from chatterbox_es.runs.run_directory import RunDirectory
number, lines, log = int(sys.argv.pop(1)), int(sys.argv.pop(1)), RunDirectory.log

def counted(self, **metrics):
    log(self, **metrics)
    if len(self.metrics()) == lines:
        os.kill(os.getpid(), number)

RunDirectory.log = counted
runpy.run_module("chatterbox_es.train", run_name="__main__", alter_sys=True)
"""


def test_killed_and_stopped_by_the_real_command_it_ends_as_if_it_never_was(tmp_path, arguments, features, command):
    def written(name: str) -> list[str]:
        return arguments(*LONG, "train.epochs=12", f"outputs={tmp_path / name}", "resume=auto")

    assert command("train", *written("never"), cwd=tmp_path).returncode == 0
    endings = []
    for number, lines in ((signal.SIGTERM, 5), (signal.SIGKILL, 20)):
        process = subprocess.run([sys.executable, "-c", SIGNALLED, str(int(number)), str(lines), *written("it")], cwd=tmp_path,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        endings.append(process.returncode)
        run, = tmp_path.glob("it/4_2/*")
        endings.append(state_of(run))
    assert endings == [143, "stopped", -9, "killed"]
    result = command("train", *written("it"), cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    never, = tmp_path.glob("never/4_2/*")
    run, = tmp_path.glob("it/4_2/*")  # and no folder more
    assert same(never, run)
    assert read_card(run)["state"] == "finished"
    assert len(read_card(run)["resumed"]) == 2
    assert "which was killed" in (run / "train.log").read_text(encoding="utf-8")
    again = command("train", *written("it"), cwd=tmp_path)
    assert again.returncode == 0
    assert "has finished already" in again.stdout
    assert len(list(tmp_path.glob("it/4_2/*"))) == 1


@pytest.mark.parametrize("step", [1, 3, 4, 8])  # in the middle of an epoch, at its end, within a later one
def test_a_signal_saves_and_the_same_command_goes_on(step, go, at_step, outputs):
    never = go("never")
    at_step(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun, match="SIGTERM"):
        go("it")
    run = outputs / "it/run"
    assert state_of(run) == "stopped"
    assert read_card(run)["reason"] == "SIGTERM received"
    assert load_newest_state(run / "checkpoints")["progress"]["step"] == step
    go("it", "resume=auto")
    assert same(never, run)


def test_a_damaged_state_is_named_and_the_one_before_is_used(go, at_step, outputs, caplog):
    caplog.set_level("INFO")
    never = go("never")
    at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        go("it")
    run = outputs / "it/run"
    newest, before = states(run / "checkpoints")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    newest.write_bytes(content)
    go("it", "resume=auto")
    assert f"{newest} is damaged" in caplog.text
    assert f"going on from {before}" in caplog.text
    assert same(never, run)


def test_a_run_whose_states_are_all_damaged_starts_over(go, at_step, outputs, caplog):
    never = go("never", "model.decoder_start=mels")
    at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        go("it", "model.decoder_start=mels")
    run = outputs / "it/run"
    for path in states(run / "checkpoints"):
        path.write_bytes(path.read_bytes()[:-100])
    go("it", "model.decoder_start=mels", "resume=auto")
    assert caplog.text.count("is damaged") == 2
    assert same(never, run)


def killed_when(run, moment: str, monkeypatch) -> None:
    """Have ``run`` copied, as a kill would leave it, the last time that something happens."""
    def copy() -> None:
        shutil.rmtree(run.with_name("killed"), ignore_errors=True)
        shutil.copytree(run, run.with_name("killed"))

    def before(owner, name: str) -> None:
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments, **options: (copy(), original(*arguments, **options))[1])

    unlink = Path.unlink

    def and_unlink(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name.startswith("state_") and "train_loss_epoch" in RunDirectory(run).metrics()[-1]:
            copy()

    save_samples = RunWriter.save_samples

    def after_another_best(writer, *arguments) -> None:
        state = load_newest_state(run / "checkpoints")
        if state["kept"]["best"] and writer.state()["best"] != state["kept"]["best"]:
            copy()
        save_samples(writer, *arguments)

    if moment == "a state is deleted":
        monkeypatch.setattr(Path, "unlink", and_unlink)
    elif moment == "another best is kept":
        monkeypatch.setattr(RunWriter, "save_samples", after_another_best)
    else:
        before(*{"the final checkpoint is written": (RunWriter, "save_final"),
                 "the losses are drawn": (training_run, "draw_losses"),
                 "it is said to have finished": (RunDirectory, "end")}[moment])


@pytest.mark.parametrize("moment", ["another best is kept", "the final checkpoint is written", "the losses are drawn",
                                    "it is said to have finished", "a state is deleted"])
def test_a_kill_while_a_run_finishes_costs_neither_steps_nor_figures(moment, go, outputs, monkeypatch, caplog):
    never = go("never")
    run = outputs / "it/run"
    with monkeypatch.context() as patched:
        killed_when(run, moment, patched)
        go("it")
    shutil.rmtree(run)
    run.with_name("killed").rename(run)
    kept = load_newest_state(run / "checkpoints")
    assert all((run / "checkpoints" / name).is_file() for name in (kept["kept"]["best"] if kept else []))
    before = losses(run)
    caplog.set_level("INFO")
    caplog.clear()
    go("it", "resume=auto")
    assert "goes on at step" in caplog.text or "has finished already" in caplog.text
    assert losses(run)[:len(before)] == before
    assert same(never, run)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {p.name for p in (never / "checkpoints").iterdir()}


@pytest.mark.parametrize("validation", [2, 4])  # the last one is the fourth
def test_a_signal_during_validation_is_followed_by_that_validation(validation, go, outputs, monkeypatch):
    never, calls, validate = go("never", "train.trial_steps=0"), [], loop.validate

    def and_signal(*arguments, **options):
        calls.append(arguments)
        if len(calls) == validation:
            os.kill(os.getpid(), signal.SIGTERM)
        return validate(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "validate", and_signal)
        with pytest.raises(InterruptedRun, match="SIGTERM"):
            go("it", "train.trial_steps=0")
    run = outputs / "it/run"
    go("it", "train.trial_steps=0", "resume=auto")
    assert same(never, run)
    assert all(row["steps_per_second"] > 0 for row in RunDirectory(run).metrics() if "steps_per_second" in row)


def test_states_are_pruned_and_gone_when_the_run_has_ended(go, at_step, outputs):
    seen = []
    at_step(8, lambda: seen.extend(states(outputs / "it/run/checkpoints")))
    run = go("it", "train.keep_states=3")
    assert [int(path.name[6:14]) for path in seen] == [7, 6, 6]  # the end of epoch 2 has two: before and after validation
    assert not states(run / "checkpoints")


def test_a_run_killed_before_its_first_state_starts_over_in_its_folder(go, outputs):
    never = go("never")
    run = RunDirectory.create(outputs / "it/run", **{key: read_card(never)[key] for key in ("phase", "content", "lineage")})
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "train_loss": 3}\n{"st', encoding="utf-8")
    run.update(command=read_card(never)["command"])
    run.unlock()
    assert state_of(run.folder) == "killed"
    (run.folder / "config.yaml").write_text((never / "config.yaml").read_text(), encoding="utf-8")
    go("it", f"resume={run.folder}")
    assert same(never, run.folder)


def test_a_run_that_lives_is_left_alone(outputs):
    run = RunDirectory.create(outputs / "run", phase="4_2")
    assert state_of(run.folder) == "running"
    with pytest.raises(UserError, match=rf"is being trained by process {os.getpid()}"):
        RunDirectory.reopen(run.folder)
    with pytest.raises(UserError, match="holds a run already"):
        RunDirectory.create(run.folder)
    run.unlock()
    assert state_of(run.folder) == "killed"


def test_another_command_does_not_go_on_with_it(go, at_step, outputs):
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRun, match="SIGINT"):
        go("it")
    with pytest.raises(UserError, match="phase.lr: 0.003 / 0.5"):
        go("it", f"resume={outputs / 'it/run'}", "phase.lr=0.5")
    with pytest.raises(UserError, match="resume=nowhere: does not exist"):
        go("it", "resume=nowhere")
    with pytest.raises(UserError, match="holds a run already"):  # resume=auto finds no run of this seed
        go("it", "resume=auto", "train.seed=5")


def test_a_run_of_the_demo_of_0_1_goes_on_with_espeak_alone(tmp_path):
    """Its speech was espeak-ng's; data=demo is other speech today."""
    run = RunDirectory.create(tmp_path / "run", phase="4_2")
    stored = OmegaConf.to_container(compose(["data=espeak", f"outputs={tmp_path}"]), resolve=True)
    stored["data"] |= {"name": "demo", "kind": "demo"}
    OmegaConf.save(OmegaConf.create(stored), run.folder / "config.yaml")
    resuming = (f"outputs={tmp_path}", f"resume={run.folder}")
    assert run_to_resume(compose(["data=espeak", *resuming])) == run.folder
    with pytest.raises(UserError, match="data.kind: espeak / kokoro.*What data=demo was then is data=espeak today"):
        run_to_resume(compose(["data=demo", *resuming]))


def test_a_full_disk_says_so_and_the_states_before_stay(go, outputs, monkeypatch):
    never = go("never")
    begin, room = files._Watched.__init__, [6_000_000]

    class FullDisk:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            room[0] -= len(content)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(content)

        def flush(self):
            self.file.flush()

    monkeypatch.setattr(files._Watched, "__init__",
                        lambda self, file, **options: begin(self, FullDisk(file) if "state" in file.name else file, **options))
    with pytest.raises(UserError, match="the disk is full.*resume=auto"):
        go("it")
    run = outputs / "it/run"
    assert states(run / "checkpoints")
    assert state_of(run) == "failed"
    assert "the disk is full" in read_card(run)["reason"]
    assert not list(run.rglob("*.partial"))
    monkeypatch.undo()
    go("it", "resume=auto")
    assert same(never, run)


def test_a_real_full_disk(tmp_path, go):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        with pytest.raises(UserError, match="the disk is full"):
            go(str(disk / "it"))  # an absolute path replaces outputs/
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---- steps that teach nothing


def test_a_recording_that_is_no_number_is_skipped_counted_and_named(go, features, monkeypatch, caplog):
    broken, read = int(features.train[0]), FeatureSet.mels

    def mels(self, numbers):
        return torch.cat([read(self, [number]) * (float("nan") if number == broken else 1) for number in numbers])

    monkeypatch.setattr(FeatureSet, "mels", mels)
    run = go("it", "phase.batch_size=1", "train.epochs=2")
    name = features.utterance(broken)["id"]
    assert sum(f"utterances {name})" in record.message for record in caplog.records) >= 2
    assert read_card(run)["skipped_steps"] == 2
    assert all(torch.isfinite(weight).all() for weight in weights(run).values())
    rows = [row for row in RunDirectory(run).metrics() if "train_loss_epoch" in row]
    assert all(row["train_loss_epoch"] < 10 for row in rows)


def test_too_many_of_them_stop_the_run_with_the_evidence(go, outputs, monkeypatch):
    read = FeatureSet.mels
    monkeypatch.setattr(FeatureSet, "mels", lambda self, numbers: read(self, numbers) * float("inf"))
    with pytest.raises(UserError, match=r"3 steps in a row had no finite loss.*train_loss (nan|inf).*utterances r\d"):
        go("it", "train.max_skipped=3", "train.trial_steps=0")
    assert "3 steps in a row" in read_card(outputs / "it/run")["reason"]


# ---- memory


@pytest.fixture
def small_gpu(monkeypatch):
    """A forward pass of more than so many frames is out of memory, as a GPU says it."""
    def limit(frames: int):
        forward = Fase4.forward

        def tight(self, tokens, token_mask, mels, *more):
            if len(mels) > frames:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return forward(self, tokens, token_mask, mels, *more)

        monkeypatch.setattr(Fase4, "forward", tight)
        monkeypatch.setattr(validation, "BATCH", 1)

    return limit


def test_out_of_memory_makes_smaller_pieces_of_the_same_batch(go, small_gpu, caplog):
    never = go("never", "phase.batch_size=4", "train.trial_steps=0", "model.dropout=0")
    small_gpu(150)
    run = go("it", "phase.batch_size=4", "train.trial_steps=0", "model.dropout=0")
    assert "To start with that: hw.micro_batch_frames=" in caplog.text
    for (step, loss, *_), (step_in_micro_batches, loss_in_micro_batches, *_) in zip(losses(never), losses(run), strict=True):
        assert step == step_in_micro_batches
        assert loss_in_micro_batches == (loss and pytest.approx(loss, rel=1e-4))


def test_out_of_memory_on_one_utterance_ends_the_run(go, small_gpu):
    small_gpu(30)
    with pytest.raises(UserError, match="out of memory on one utterance, r.*data.max_seconds"):
        go("it", "train.trial_steps=0")


# ---- Weights & Biases


def test_a_run_that_goes_on_names_the_offline_run_it_continues(go, at_step, outputs):
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun):
        go("it", "train.wandb=offline")
    run = outputs / "it/run"
    first, = read_card(run)["wandb"]
    go("it", "train.wandb=offline", "resume=auto")
    before, second = read_card(run)["wandb"]
    assert before == first != second
    store, = (run / "wandb" / second).glob("*.wandb")
    end = time.monotonic() + 500  # its service writes on its own time
    while f"continues {first}".encode() not in store.read_bytes():
        assert time.monotonic() < end, f"{store} does not name {first}"
        time.sleep(0.1)


# ---- processes


def test_two_processes_have_the_losses_of_one(tmp_path, arguments, features):
    """Seven utterances a batch among two: unequal shares, and the last batch of one leaves a process idle."""
    common = arguments("phase=4_2", "model.dropout=0", "train.epochs=3", "phase.batch_size=7", "train.samples=0")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    runs = []
    for name, start in (("one", ["-m"]), ("two", ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m"])):
        result = subprocess.run([sys.executable, *start, "chatterbox_es.train", *common, f"hydra.run.dir={tmp_path / name}"],
                                cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        runs.append(RunDirectory(tmp_path / name).metrics())
    assert read_card(tmp_path / "two")["processes"] == 2
    assert [row["step"] for row in runs[0]] == [row["step"] for row in runs[1]]
    for one, two in zip(*runs, strict=True):
        for key in ("train_loss", "val_loss", "grad_norm_text", "train_loss_epoch"):
            assert (key in two) == (key in one)
            assert two.get(key, 0) == pytest.approx(one.get(key, 0), rel=1e-5)
    mine, theirs = (load_checkpoint(tmp_path / name / "checkpoints/final_text_encoder.pt").weights for name in ("one", "two"))
    assert all(torch.allclose(mine[name], theirs[name], rtol=1e-4, atol=1e-5) for name in mine)
    assert json.loads((tmp_path / "two/plan.json").read_text())["trained"] > 0
