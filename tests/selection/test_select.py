"""Selection: which checkpoint is best by which rule, how sure that is, and what is kept of it."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from chatterbox_es.dataset.feature_set import content_hash
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.validation import utterance_values
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.models.utterance_values import UtteranceValues
from chatterbox_es.runs.checkpoint_files import checkpoints_of
from chatterbox_es.runs.run_directory import RunDirectory, finished_runs, newest_run
from chatterbox_es.selection.choosing import choose, find
from chatterbox_es.selection.ranking import Candidate, Rule, check_comparable, rank
from chatterbox_es.training.ema import running_mean
from chatterbox_es.training.interruption import InterruptedRun
from chatterbox_es.training.run import run_phase
from chatterbox_es.training.run_writer import RunWriter

CPU = {"accelerator": "cpu", "threads": 1}


def candidate(name: str, losses: np.ndarray, frames: np.ndarray | None = None, minutes: float = 1.0, size: int = 10,
              **more: np.ndarray) -> Candidate:
    frames = np.full(len(losses), 100) if frames is None else frames
    values = UtteranceValues([f"u{number}" for number in range(len(losses))], frames, {"val_loss": losses, **more})
    return Candidate(Path(name), Path("run"), {"step": round(100 * minutes), "metrics": {"minutes": minutes}}, size, values)


def run_like(run: Path, folder: Path, files: dict[str, torch.Tensor | float], content: str | None = None) -> Path:
    """A copy of a run whose checkpoints have the final weights plus noise."""
    shutil.copytree(run, folder)
    final = load_checkpoint(next(folder.glob("checkpoints/final_*.pt")))
    shutil.rmtree(folder / "checkpoints")
    for name, noise in files.items():
        weights = {key: weight + noise * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
                   for key, weight in final.weights.items()}
        lineage = final.lineage | ({"content": content} if content else {})
        dataclasses.replace(final, weights=weights, lineage=lineage).save(folder / "checkpoints" / name)
    return folder


# ---- rules


@pytest.mark.parametrize(("written", "terms"), [
    ("val_loss", {"val_loss": 1}),
    ("val_loss+0.5*val_length_error", {"val_loss": 1, "val_length_error": 0.5}),
    (" 2 * a - .5*b + c ", {"a": 2, "b": -0.5, "c": 1}),
    ("-intelligibility", {"intelligibility": -1}),
    ("a+a", {"a": 2}),
])
def test_a_rule_is_a_weighted_sum(written, terms):
    assert Rule.parse(written).terms == terms


@pytest.mark.parametrize("written", ["", "0.5", "val_loss+", "val_loss 2", "val_loss*2", "a/b", "(a)", "a++b", "max(a)"])
def test_what_is_no_rule_is_said(written):
    with pytest.raises(UserError, match="weighted sum"):
        Rule.parse(written)


def test_a_figure_weighs_utterances_as_it_should():
    both = np.array([1.0, 2.0])
    values = UtteranceValues(["a", "b"], np.array([100, 300]), {"val_loss": both, "other": both})
    assert values.means() == {"val_loss": 1.75, "other": 1.5}
    assert Rule.parse("val_loss-2*other").value(values) == 1.75 - 3
    values.add("intelligibility", {"b": 0.5, "a": 1.0})
    assert values.values["intelligibility"].tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match="1 of 2 utterances, such as b"):
        values.add("naturalness", {"a": 4.0})


# ---- how sure a ranking is


def test_a_lowest_loss_that_is_noise_is_said_to_be_noise():
    """Ten checkpoints that are equally good: one has the lowest value, by chance, and that is what is said."""
    random = np.random.default_rng(0)
    sentences = random.gamma(4, 0.1, 60)
    candidates = [candidate(f"c{number}.pt", sentences + random.normal(0, 0.05, 60), minutes=number + 1)
                  for number in range(10)]
    ranking = rank(candidates, Rule.parse("val_loss"))
    values = [standing.value for standing in ranking.standings]
    assert values == sorted(values)
    assert len(ranking.like_best) >= 7
    said = " ".join(ranking.verdict())
    assert f"NOT DISTINGUISHABLE from {len(ranking.like_best)} others on 60 utterances" in said
    cheapest = min((s.candidate for s in [ranking.best, *ranking.like_best]), key=lambda c: c.minutes)
    assert cheapest.path == Path("c0.pt")
    assert "the cheapest of them: c0.pt" in said


def test_a_difference_on_the_same_sentences_counts_though_sentences_differ_more():
    """Paired: intervals of the values overlap widely, the interval of their difference does not reach 0."""
    random = np.random.default_rng(1)
    sentences = random.gamma(2, 0.3, 60)
    better = candidate("better.pt", sentences + random.normal(0, 0.01, 60))
    worse = candidate("worse.pt", sentences + 0.02 + random.normal(0, 0.01, 60))
    ranking = rank([worse, better], Rule.parse("val_loss"))
    assert ranking.best.candidate is better
    assert not ranking.like_best
    assert ranking.best.interval[1] > ranking.standings[1].interval[0]
    assert ranking.standings[1].behind == pytest.approx(0.02, abs=0.01)
    low, high = ranking.standings[1].behind_interval
    assert 0 < low < ranking.standings[1].behind < high
    assert "better than every other one" in " ".join(ranking.verdict())


def test_intervals_hold_what_they_promise():
    """The 95 % interval of a value covers the true one in some 95 % of samples (fewer: 40 utterances are not many)."""
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        standing = rank([candidate("a.pt", random.gamma(4, 0.25, 40))], Rule.parse("val_loss")).best
        covered += standing.interval[0] <= 1.0 <= standing.interval[1]
    assert 0.88 <= covered / 200 <= 0.99


def test_a_rule_orders_by_more_than_one_figure():
    short, long = (candidate(name, np.full(30, loss), val_length_error=np.full(30, error))
                   for name, loss, error in (("short.pt", 0.5, 0.4), ("long.pt", 0.6, 0.1)))
    assert rank([short, long], Rule.parse("val_loss")).best.candidate is short
    ranking = rank([short, long], Rule.parse("val_loss+0.5*val_length_error"))
    assert ranking.best.candidate is long
    assert ranking.best.value == pytest.approx(0.65)
    with pytest.raises(UserError, match="no metric nonsense; there are val_loss, val_length_error"):
        rank([short, long], Rule.parse("nonsense"))
    with pytest.raises(UserError, match=r"no number for lost\.pt"):
        rank([short, candidate("lost.pt", np.full(30, np.nan))], Rule.parse("val_loss"))


# ---- figures of utterances


def test_the_figures_of_utterances_make_those_of_training(road, features):
    """Whichever utterances are measured together, each has its own value, and together they are what training logged."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    checkpoint = load_checkpoint(next(road.whole_run.glob("checkpoints/final_*.pt")))
    values = utterance_values(fabric, checkpoint.build(), features)
    for name, value in values.means().items():
        assert value == pytest.approx(checkpoint.lineage["metrics"][name], rel=1e-4)
    assert len(values.utterances) == len(features.validation)
    for place, number in enumerate(features.validation):
        alone = utterance_values(fabric, checkpoint.build(), features, [number])
        place = values.utterances.index(alone.utterances[0])
        for name in values.values:
            assert alone.values[name][0] == pytest.approx(values.values[name][place], rel=1e-4)


# ---- the command


@pytest.fixture
def choose_from(road, monkeypatch, tmp_path):
    monkeypatch.chdir(road.folder)
    return lambda runs, average=0: choose({run: checkpoints_of(run) for run in runs}, "val_loss", average, tmp_path, **CPU)


def test_the_command_keeps_the_best_and_synthesize_uses_it(road, command, tmp_path):
    result = command("select", str(road.encoder_run), str(road.whole_run), f"outputs={tmp_path}", "threads=1",
                     "accelerator=cpu", cwd=road.folder)
    assert result.returncode == 0, result.stderr
    best = tmp_path / "best"
    selection = json.loads((best / "selection.json").read_text(encoding="utf-8"))
    winner = selection["ranking"][0]
    values = [place["val_loss"] for place in selection["ranking"]]
    assert values == sorted(values)
    assert f"best by val_loss: {winner['checkpoint']}" in result.stdout
    chosen = load_checkpoint(best / "voice.pt")
    original = load_checkpoint(road.folder / winner["checkpoint"])
    assert all(torch.equal(weight, original.weights[name]) for name, weight in chosen.weights.items())
    assert {path.name for path in best.iterdir()} == {
        "voice.pt", "config.yaml", "symbols.json", "statistics.json", "selection.json", "MODEL_CARD.md"}
    assert json.loads((best / "statistics.json").read_text())["mean"] == chosen.statistics.mean.tolist()

    spoken = command("synthesize", "text=Hola.", "out=hola.wav", f"outputs={tmp_path}", cwd=tmp_path)
    assert spoken.returncode == 0, spoken.stderr
    assert f"voice: {best} (selected by val_loss: {winner['checkpoint']})" in spoken.stdout
    assert (tmp_path / "hola.wav").is_file()


def test_the_card_says_where_the_voice_comes_from(road, features, choose_from, tmp_path):
    choose_from([road.whole_run])
    card = (tmp_path / "best/MODEL_CARD.md").read_text(encoding="utf-8")
    parent = next(road.encoder_run.glob("checkpoints/final_*.pt")).relative_to(road.folder)
    for said in (content_hash(features.folder), "phase 4_3", "text encoder from", str(parent), "commit ", "How it was chosen"):
        assert said in card
    assert "synthetic" not in card  # the corpus of the tests is not


def test_the_same_weights_are_ranked_once(road, choose_from):
    ranking, _ = choose_from([road.whole_run])
    assert len(checkpoints_of(road.whole_run)) == 2  # best and final, of one epoch
    assert len(ranking.standings) == 1


def test_a_mean_is_kept_only_if_it_wins(road, choose_from, tmp_path):
    around = run_like(road.whole_run, tmp_path / "around", {"best_a.pt": 0.05, "best_b.pt": -0.05})
    ranking, notes = choose_from([around], average=2)
    assert ranking.best.candidate.mean is not None
    assert "is better by" in " ".join(notes)
    kept = load_checkpoint(tmp_path / "best/voice.pt")
    middle = load_checkpoint(next(road.whole_run.glob("checkpoints/final_*.pt")))
    assert all(torch.allclose(weight, middle.weights[name], atol=1e-5) for name, weight in kept.weights.items())
    assert len(kept.lineage["mean_of"]) == 2

    beside = run_like(road.whole_run, tmp_path / "beside", {"best_a.pt": 0.0, "best_b.pt": 0.1})
    ranking, notes = choose_from([beside], average=2)
    assert ranking.best.candidate.path.name == "best_a.pt"
    assert ranking.best.candidate.mean is None
    assert "not better by more than chance" in " ".join(notes)

    _, notes = choose_from([road.whole_run], average=2)
    assert "no mean was tried" in " ".join(notes)


def test_runs_on_different_data_are_not_compared(road, tmp_path):
    other = run_like(road.whole_run, tmp_path / "other", {"final_full_model.pt": 0.0}, content="f" * 64)
    files = [*checkpoints_of(road.whole_run), *checkpoints_of(other)]
    with pytest.raises(UserError, match="different prepared data") as error:
        check_comparable(files)
    assert str(files[0]) in str(error.value)
    assert str(files[-1]) in str(error.value)
    assert "ffffffffffff" in str(error.value)


def test_data_that_has_changed_since_is_said(road, choose_from, tmp_path):
    other = run_like(road.whole_run, tmp_path / "other", {"final_full_model.pt": 0.0}, content="f" * 64)
    with pytest.raises(UserError, match="has changed since"):
        choose_from([other])
    assert not (tmp_path / "best").exists()


def test_a_new_choice_replaces_the_old_one_whole(road, choose_from, tmp_path):
    choose_from([road.encoder_run])
    first = (tmp_path / "best").resolve()
    _, notes = choose_from([road.whole_run])
    assert "in place of the one (selected by val_loss: " in notes[-1]
    assert "final_text_encoder" in notes[-1] or "best_text_encoder" in notes[-1]
    second = (tmp_path / "best").resolve()
    assert first != second
    assert not first.exists()
    assert load_checkpoint(tmp_path / "best/voice.pt").phase == "4_3"
    assert len(os.listdir(tmp_path / "selected")) == 1
    (tmp_path / "best").unlink()
    (tmp_path / "best").mkdir()
    with pytest.raises(UserError, match="move it out of the way"):
        choose_from([road.encoder_run])


def test_what_cannot_be_chosen_from_is_said(tmp_path, road, choose_from):
    with pytest.raises(UserError, match="does not exist"):
        find([str(tmp_path / "none")], tmp_path)
    with pytest.raises(UserError, match="holds no run"):
        find([str(tmp_path)], tmp_path)
    with pytest.raises(UserError, match="no finished run"):
        find([], tmp_path)
    empty = run_like(road.whole_run, tmp_path / "empty", {})
    with pytest.raises(UserError, match="no checkpoint"):
        choose_from([empty])
    assert find([str(road.folder)], tmp_path).keys() == {road.encoder_run, road.whole_run}
    assert find([], road.folder / "outputs").keys() == {road.encoder_run, road.whole_run}


def test_phase_4_3_starts_from_the_encoder_that_was_selected(road, features, config_of, choose_from, tmp_path):
    config = config_of("phase=4_3", f"outputs='{tmp_path}'")
    choose_from([road.encoder_run])
    assert encoder_checkpoint(config, features) == tmp_path / "best/voice.pt"
    choose_from([road.whole_run])  # no text encoder's phase any more
    with pytest.raises(UserError, match="no finished 4_2 run"):
        encoder_checkpoint(config, features)


def test_a_plain_run_goes_before_the_trials_of_studies(tmp_path):
    for name, study in (("plain", None), ("studies/s/trials/0", "s")):
        RunDirectory.create(tmp_path / name, phase="4_2", content="c", study=study).end("finished")
    assert [run.name for run in finished_runs(tmp_path)] == ["0", "plain"]
    assert newest_run(tmp_path, "4_2", "c") == tmp_path / "plain"


# ---- the running mean of the weights, which training keeps as one more candidate


def test_a_running_mean_is_the_exponential_one():
    layer = torch.nn.Linear(1, 1, bias=False)
    mean = running_mean(layer, 0.1)
    expected = None
    for value in (1.0, 2.0, 5.0, -3.0):
        layer.weight.data.fill_(value)
        mean.update_parameters(layer)
        expected = value if expected is None else 0.1 * expected + 0.9 * value
        assert mean.module.weight.item() == pytest.approx(expected)
    slow = running_mean(layer, 0.999)
    for value in (100.0, *[0.0] * 50):  # what was first is forgotten long before 1,000 steps
        layer.weight.data.fill_(value)
        slow.update_parameters(layer)
    assert abs(slow.module.weight.item()) < 1
    for decay in (0.0, 1.0, 99.9):
        with pytest.raises(UserError, match=f"train.ema={decay}"):
            running_mean(layer, decay)


def test_a_running_mean_survives_a_stop(config_of, tmp_path, monkeypatch):
    def final_of(folder: Path) -> dict[str, torch.Tensor]:
        kept = load_checkpoint(folder / "checkpoints/ema_text_encoder.pt")
        assert kept.lineage["step"] == 4
        assert kept.lineage["metrics"].keys() == {"minutes", "val_loss"}  # the other figures are not its own
        return kept.weights

    settings = ("train.ema=0.8", "train.epochs=4")
    run_phase(config_of(*settings), tmp_path / "whole")
    keep_mean = RunWriter.keep_mean

    def stop_at_the_second(self, mean, loss):
        keep_mean(self, mean, loss)
        if self.last["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched, pytest.raises(InterruptedRun):
        patched.setattr(RunWriter, "keep_mean", stop_at_the_second)
        run_phase(config_of(*settings), tmp_path / "stopped")
    run_phase(config_of(*settings, f"resume={tmp_path / 'stopped'}"), tmp_path / "unused")
    whole, gone_on = final_of(tmp_path / "whole"), final_of(tmp_path / "stopped")
    assert all(torch.equal(weight, gone_on[name]) for name, weight in whole.items())
    assert len(checkpoints_of(tmp_path / "whole")) == 3


def test_the_better_of_weights_and_running_mean_is_kept(config_of, tmp_path):
    for decay, mean_wins in ((0.5, None), (0.9999, False)):  # the second has hardly left the first steps behind
        folder = tmp_path / str(decay)
        best = run_phase(config_of(f"train.ema={decay}", "train.epochs=6", "phase.lr=3e-3"), folder)
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        validated = [row for row in rows if "val_loss" in row]
        assert all(row["val_loss"] == min(row["val_loss_weights"], row["val_loss_mean"]) for row in validated)
        assert best == min(row["val_loss"] for row in validated)
        end, chosen = validated[-1], min(validated, key=lambda row: row["val_loss"])
        mean, final = (load_checkpoint(folder / f"checkpoints/{kind}_text_encoder.pt") for kind in ("ema", "final"))
        assert mean.lineage["metrics"]["val_loss"] == end["val_loss_mean"]
        assert final.lineage["step"] == chosen["step"] and final.lineage["metrics"]["val_loss"] == best
        if chosen is end:
            is_mean = all(torch.equal(weight, mean.weights[name]) for name, weight in final.weights.items())
            assert is_mean == (end["val_loss_mean"] < end["val_loss_weights"])
            assert mean_wins in (None, is_mean)
