"""Runs that listen to their voice: the whole road by the real command with real ears, and what must hold with any ears."""

import importlib.util
import json
import re
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from chatterbox_es.audio.waveform import AudioError
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.ears import Ears
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.runs.run_directory import RunDirectory, read_card
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.listening import SHARE, Listening
from chatterbox_es.training.progress import Progress
from chatterbox_es.training.run import run_phase

FIGURES = {"listen_distillmos", "listen_similarity", "recordings_distillmos", "recordings_similarity"}
FEW = ("phase=4_2", "train.epochs=4", "phase.batch_size=3", "train.samples=0", "train.listen=2", "model.dropout=0.1")


class Guess:
    """Ears of a moment: they draw random numbers, as real ones do when they are made, and hear how loud the ends are."""

    name = "guess"
    metrics: Mapping[str, Metric] = {"distillmos": Metric("1-5", "higher", "a guess"),
                                     "similarity": Metric("", "higher", "a guess")}

    def __init__(self) -> None:
        torch.randn(3)

    def __call__(self, sounds: Sequence[Sound]) -> list[dict[str, float] | Failure]:
        torch.randn(3)
        return [{"distillmos": 1 + 4 * float(np.abs(sound.samples[-2000:]).mean()), "similarity": 0.5}
                if np.any(sound.samples) else Failure("it is silent") for sound in sounds]


@pytest.fixture
def guessing(monkeypatch):
    """Ears that cost nothing, whenever they are asked for."""
    monkeypatch.setattr(Ears, "load", classmethod(lambda cls, dialect, recogniser=None: cls([Guess()])))
    monkeypatch.setattr("chatterbox_es.training.listening.SHARE", 1e9)


@pytest.fixture
def go(config_of, features, tmp_path) -> Callable[..., Path]:
    def train(name: str, *more: str) -> Path:
        run_phase(config_of(*FEW, f"outputs={tmp_path / name}", *more), tmp_path / name / "run")
        return tmp_path / name / "run"

    return train


def losses(run: Path) -> list[tuple]:
    return [(row["step"], row.get("train_loss"), row.get("val_loss"), row.get("grad_norm_text"))
            for row in RunDirectory(run).metrics()]


def same_weights(first: Path, second: Path) -> bool:
    mine, theirs = (load_checkpoint(run / "checkpoints/final_text_encoder.pt").weights for run in (first, second))
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# ---- the whole road


def test_a_study_maximises_what_is_heard_and_everything_shows_it(command, arguments, features, tmp_path):
    """Two trials by real ears: metrics, card, table, report and page of the study, and a selection that says nothing again."""
    for package in ("xls_r_sqa", "resemblyzer", "jiwer"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    written = arguments("phase.lr=choice(1e-3,1e-2)", "train.listen=2", "sweep.objective=distillmos", "sweep.n_trials=2",
                        "sweep.pruner=none", "train.keep_best=3", "train.wandb=offline")
    result = command("train", "-m", "sweep=4_2", *written, cwd=tmp_path)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    folder = tmp_path / "outputs/studies/4_2_folder"
    study = optuna.load_study(study_name="4_2_folder", storage=f"sqlite:///{folder}/study.db")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    values = {}
    for slot in (0, 1):
        run = folder / f"trials/{slot}"
        card, rows = read_card(run), RunDirectory(run).metrics()
        last = rows[-1]
        assert last.keys() > FIGURES and 1 <= last["listen_distillmos"] <= 5
        assert 0 < last["share_listening"] <= 1 and card["seconds"]["listening"] > 0
        ids = sorted(features.utterance(number)["id"] for number in features.validation)
        assert sorted(card["listening"]["sentences"]) == ids
        assert card["listening"]["recordings"]["distillmos"] == last["recordings_distillmos"]
        assert card["objective"] == "distillmos"
        values[slot] = card["best_objective"]
        assert values[slot] == max(row["listen_distillmos"] for row in rows if "listen_distillmos" in row)
        best = load_checkpoint(run / "checkpoints" / card["best"][-1])  # kept for what the study asks for
        heard = [row["distillmos"] for row in best.lineage["heard"]["sentences"].values()]
        assert np.mean(heard) == pytest.approx(values[slot])
        assert b"listen_distillmos" in next(run.glob("wandb/offline-run-*/*.wandb")).read_bytes()
    assert {trial.user_attrs["slot"]: trial.value for trial in study.trials} == pytest.approx(values)
    assert study.best_trial.value == max(values.values())
    page = (folder / "study.html").read_text(encoding="utf-8")
    recording = last["recordings_distillmos"]
    assert f"The best distillmos is <b>{max(values.values()):.4f}</b>" in page
    assert f"the recording scores <b>{recording:.4f}</b>" in page
    assert page.count(f"the recording scores {recording:.4g}") == 2  # in both plots, in words for those who do not see them
    assert "val_loss" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    assert "by what was heard of 2 held-out sentences" in said

    chosen = json.loads((tmp_path / "outputs/best/selection.json").read_text(encoding="utf-8"))
    assert (chosen["by"], chosen["utterances"]) == ("-distillmos", 2)
    assert chosen["ranking"][0]["distillmos"] == pytest.approx(max(values.values()))

    table = command("review", "outputs", cwd=tmp_path).stdout
    assert f"{last['listen_distillmos']:.2f}/{recording:.2f}" in table and re.search(r"distillmos +[\d.]+/", table)
    records = [json.loads(line) for line in command("review", "outputs", "format=json", cwd=tmp_path).stdout.splitlines()]
    assert {record["objective"] for record in records} == {"distillmos"}
    assert all(record["recordings"]["similarity"] == last["recordings_similarity"] for record in records)
    report = command("review", str(folder / "trials/1"), "format=html", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    page = (folder / "trials/1/report.html").read_text(encoding="utf-8")
    assert f"the recording scores {recording:.4g}" in page and "objective of its study</th><td>distillmos" in page
    both = command("review", "outputs", "format=html", "out=both.html", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    assert "recordings_distillmos</button>" in (tmp_path / "both.html").read_text(encoding="utf-8")

    other = command("train", "-m", "sweep=4_2", *written, "sweep.objective=similarity", cwd=tmp_path)
    assert other.returncode == 2
    assert "sweep.objective: distillmos there, similarity here" in other.stdout + other.stderr


# ---- it changes nothing of the training


def test_losses_are_the_same_bit_by_bit_whether_anybody_listens(guessing, go):
    quiet, heard = go("quiet", "train.listen=0"), go("heard")
    assert losses(quiet) == losses(heard) and same_weights(quiet, heard)
    rows = RunDirectory(heard).metrics()
    assert sum("listen_distillmos" in row for row in rows) == 4  # each validation, where it costs nothing
    assert not any("listen_distillmos" in row or "share_listening" in row for row in RunDirectory(quiet).metrics())


def test_a_run_that_goes_on_ends_as_if_it_never_was_stopped(guessing, go, tmp_path, at_step):
    def stop():
        raise InterruptedRun(15)

    never = go("never")
    at_step(4, stop)
    with pytest.raises(InterruptedRun):
        go("it")
    run = go("it", f"resume={tmp_path / 'it/run'}")
    assert losses(run) == losses(never) and same_weights(run, never)
    mine, theirs = ([row.get("listen_distillmos") for row in RunDirectory(one).metrics()] for one in (run, never))
    assert mine == theirs


def test_a_voice_that_says_nothing_counts_as_the_worst(features):
    ears = Ears([Guess()])
    ears.choose(features, 2)
    assert ears.hear_recordings().figures["distillmos"] > 1
    name = ears.sentences[0].utterance
    heard = ears.hear({name: (ears.sentences[0].recording, ears.rate)})  # the other one is not said
    assert heard.sentences[ears.sentences[1].utterance] == {"distillmos": 1.0, "similarity": 0.0}
    assert heard.figures["similarity"] == 0.25
    assert list(heard.failures) == [ears.sentences[1].utterance]


# ---- what it may cost


@pytest.mark.parametrize(("minutes", "cost"), [(10, 8.0), (60, 8.0), (3, 2.0), (10, 1.0)])
def test_it_takes_at_most_its_share_and_the_last_validation_is_always_heard(minutes, cost, monkeypatch, features, config_of):
    """Simulated: a validation every twenty seconds of a run, by a clock that hearing moves."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    listening = Listening(Ears([Guess()]), config_of("train.listen=2"), types.SimpleNamespace(device=torch.device("cpu")))
    listening.ears.choose(features, 2)
    listening.cost = cost
    progress = Progress(10**9, minutes, started=0.0)
    heard = []

    def speak(numbers):
        now[0] += cost
        return {}

    while not progress.is_over():
        now[0] += 20
        progress.step, progress.now = progress.step + 1, progress.elapsed()
        if listening.is_due(progress, progress.is_over()):
            listening(speak, progress, progress.is_over())
            heard.append(now[0])
            assert listening.spent <= SHARE * now[0] * 1.0001 or progress.is_over()
    assert heard[-1] == now[0]
    assert listening.spent <= SHARE * now[0] * 1.0001
    assert listening.spent > SHARE / 3 * now[0] or cost < 1.5  # and it is used


def test_a_run_too_short_to_listen_is_heard_once_and_told(guessing, go, monkeypatch, caplog):
    monkeypatch.setattr("chatterbox_es.training.listening.SHARE", 1e-9)
    caplog.set_level("INFO")
    rows = RunDirectory(go("short")).metrics()
    assert ["listen_distillmos" in row for row in rows if "val_loss" in row] == [False, False, False, True]
    assert caplog.text.count("this validation is not listened to") == 1
    assert "which is too short for train.listen=2" in caplog.text


# ---- what is missing is said before anything begins


@pytest.mark.parametrize("package", ["distillmos", "resemblyzer"])
def test_ears_that_are_not_installed_are_asked_for_before_anything_begins(package, command, arguments, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / f"without/{package}.py").write_text("raise ImportError('it is not here')\n")
    result = command("train", *arguments(f"data.prepared={tmp_path / 'prepared'}", "train.listen=1"), cwd=tmp_path,
                     PYTHONPATH=str(tmp_path / "without"))
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    assert f"{package} cannot be imported" in said and "make ears" in said and "train.listen=0" in said
    assert "Traceback" not in said
    assert not (tmp_path / "prepared").exists() and not list(tmp_path.glob("outputs/*/*/run.json"))


def test_a_recogniser_that_is_not_there_is_named_by_its_key(tmp_path):
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("xls_r_sqa")
    with pytest.raises(UserError, match=r"^train\.recogniser=pocketsphinx:.*there is no such folder"):
        Ears.load("castilian", f"pocketsphinx:{tmp_path / 'none'}")


def test_a_recording_that_cannot_be_read_is_named_before_the_first_step(guessing, go, features, tmp_path, monkeypatch):
    def gone(self, number):
        raise AudioError("missing-audio", "it was moved away")

    monkeypatch.setattr(FeatureSet, "recording", gone)
    name = features.utterance(features.validation[0])["id"]
    with pytest.raises(UserError, match=f"^train.listen=2: .* that of {name} cannot be had: missing-audio: it was moved away"):
        go("gone")
    assert not (tmp_path / "gone/run/metrics.jsonl").exists()


@pytest.mark.parametrize(("more", "said"), [
    (("sweep.objective=distillmos",), "train.listen=6"),
    (("sweep.objective=wer", "train.listen=2"), "train.recogniser=whisper:base"),
    (("sweep.objective=loudness",), "val_loss | distillmos | similarity | wer"),
])
def test_an_objective_that_nobody_would_hear_is_refused(more, said, config_of):
    with pytest.raises(UserError, match=re.escape(said)):
        config_of(*more)
