"""python -m chatterbox_es.evaluate as a user calls it, on a tiny voice; and its metrics in a selection."""

import importlib.util
import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

if importlib.util.find_spec("pyworld") is None:  # one that is there and cannot be imported is a fault, not a reason to skip
    pytest.skip("pyworld is not installed", allow_module_level=True)

from chatterbox_es.errors import UserError  # noqa: E402
from chatterbox_es.evaluation import budget  # noqa: E402
from chatterbox_es.evaluation.budget import sentences_that_fit  # noqa: E402
from chatterbox_es.evaluation.measures import MeasureOptions, build_measures, measure_of  # noqa: E402
from chatterbox_es.evaluation.sounds import Failure, Sound  # noqa: E402
from chatterbox_es.evaluation.systems import Peer, Recordings, held_out, parse_peers, treat  # noqa: E402
from chatterbox_es.runs.checkpoint_files import checkpoints_of  # noqa: E402
from chatterbox_es.selection.choosing import choose, rule_of  # noqa: E402


class Evaluated(NamedTuple):
    output: str
    rows: list[dict]
    summary: dict
    folder: Path


@pytest.fixture(scope="module")
def evaluated(road, features, command, tmp_path_factory) -> Evaluated:
    """A voice beside another system that has one of its sentences, and one file that is no sound."""
    scratch = tmp_path_factory.mktemp("evaluate")
    first, second, *_ = (features.utterance(number)["id"] for number in features.validation)
    shutil.copy(features.utterance(features.validation[0])["audio"], scratch / f"{first}.wav")
    (scratch / f"{second}.wav").write_bytes(b"no sound")
    done = command("evaluate", f"run={road.whole_run}", f"peers=other:{scratch}", "measures=mcd,prosody,variance,speed",
                   "phase=5", f"out={scratch / 'out'}", cwd=road.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (scratch / "out/rows.jsonl").read_text(encoding="utf-8").splitlines()]
    summary = json.loads((scratch / "out/summary.json").read_text(encoding="utf-8"))
    return Evaluated(done.stdout, rows, summary, scratch / "out")


def test_every_system_has_a_row_for_every_held_out_sentence(evaluated, features):
    ids = [features.utterance(number)["id"] for number in features.validation]
    assert len(ids) >= 2
    systems = list(dict.fromkeys(row["system"] for row in evaluated.rows))
    assert systems[:2] == ["recordings", "round trip"]
    assert systems[3] == "other"
    assert [(row["system"], row["utterance"]) for row in evaluated.rows] == [(s, u) for s in systems for u in ids]
    assert evaluated.summary["sentences"] == len(ids)
    assert f"sentences: {len(ids)} of {len(ids)} held-out ones" in evaluated.output
    assert evaluated.summary["chosen"] in evaluated.output


def test_recordings_are_perfect_against_themselves_and_others_are_not(evaluated):
    metrics = {system: found["metrics"] for system, found in evaluated.summary["systems"].items()}
    recordings, round_trip, voice, other = metrics.values()
    assert recordings["mcd"]["mean"] == other["mcd"]["mean"] == 0
    assert min(round_trip["mcd"]["mean"], voice["mcd"]["mean"]) > 0
    assert recordings["mel_variance"]["mean"] == other["mel_variance"]["mean"] == recordings["f0_range_ratio"]["mean"] == 1
    assert voice["mel_variance"]["mean"] < 0.8  # trained for two epochs: an average
    assert 0 < recordings["voiced"]["mean"] <= 1
    assert all(found["mcd"]["low"] <= found["mcd"]["mean"] <= found["mcd"]["high"] for found in metrics.values())


def test_missing_and_broken_sounds_of_a_peer_are_counted_with_their_reasons(evaluated, features):
    other = evaluated.summary["systems"]["other"]
    assert (other["sentences"], other["spoken"]) == (len(features.validation), 1)
    reasons = other["failures"]["sound"]
    assert sum(reasons.values()) == len(features.validation) - 1
    assert any(reason.startswith("unreadable-audio") for reason in reasons)
    assert "other: 1 without sound" in evaluated.output


def test_sounds_lie_where_the_rows_say_and_speed_is_that_of_the_voice(evaluated):
    for row in evaluated.rows:
        assert bool(row["sound"]) == ("sound" not in row["failures"])
        if row["sound"]:
            assert soundfile.info(evaluated.folder / row["sound"]).duration == pytest.approx(row["seconds"], abs=0.01)
    speeds = {system: found.get("speed") for system, found in evaluated.summary["systems"].items()}
    timed = [system for system, speed in speeds.items() if speed]
    assert len(timed) == 1
    assert 0 < speeds[timed[0]]["rtf_mel"] < speeds[timed[0]]["rtf"]
    assert evaluated.summary["machine"]
    page = (evaluated.folder / "evaluation.html").read_text(encoding="utf-8")
    assert len(page) < 10_000_000
    assert 'aria-label="F0 over time' in page and 'aria-label="Variance of the mel bins' in page


@pytest.mark.parametrize(("given", "said"), [
    (("phase=4_3",), "phase 5"), (("measures=taste",), "there is no measure taste"), (("sentences=few",), "sentences=few"),
    (("minutes=0",), "minutes=0"),
    (("measures=predictor",), "predictor=…"), (("peers=nothing",), "NAME:DIR"), (("peers=other:nowhere",), "no such folder"),
    (("predictor=nowhere.onnx",), "no such file"), (("run=nowhere",), "nowhere"),
])
def test_what_cannot_be_is_said_in_one_sentence(road, given, said, monkeypatch):
    from chatterbox_es import evaluate

    monkeypatch.chdir(road.folder)
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={road.whole_run}", *given])
    with pytest.raises(UserError) as error:
        evaluate.main()
    assert said in str(error.value)


def test_phase_5_of_training_is_the_evaluation(road, command, tmp_path):
    done = command("train", "phase=5", f"run={road.whole_run}", "measures=prosody", "sentences=2", f"out={tmp_path / 'out'}",
                   cwd=road.folder)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out/rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 6  # two sentences of the recordings, the round trip and the voice


def test_phase_5_of_training_without_a_voice_says_what_to_do(command, tmp_path):
    done = command("train", "phase=5", cwd=tmp_path)
    assert done.returncode == 2
    assert "no finished run" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


# ---- systems


def test_sentences_are_chosen_evenly(features):
    everything = [sentence.utterance for sentence in held_out(features)]
    assert [sentence.utterance for sentence in held_out(features, 2)] == [everything[0], everything[-1]]
    assert len(held_out(features, 1000)) == len(everything)


def test_a_peers_sounds_are_found_by_id_and_treated_like_recordings(features, tmp_path):
    sentence = held_out(features)[0]
    samples = np.concatenate([np.zeros(12_000), 0.05 * sentence.recording, np.zeros(24_000)])
    soundfile.write(tmp_path / f"{sentence.utterance}.flac", samples, 24_000)
    found, recorded = Peer("p", tmp_path, 24_000)(sentence), Recordings(24_000)(sentence)
    assert isinstance(found, Sound)
    assert found.seconds == pytest.approx(recorded.seconds, abs=0.15)  # a margin of 50 ms of silence on both sides
    assert np.sqrt(np.square(found.samples).mean()) == pytest.approx(np.sqrt(np.square(recorded.samples).mean()), rel=0.15)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(9000), np.full(9000, np.nan), np.ones(3)])
def test_a_sound_that_is_none_is_a_failure(samples):
    assert isinstance(treat(samples.astype(np.float32), 24_000), Failure)


def test_peers_are_names_and_folders(tmp_path):
    (tmp_path / "a").mkdir()
    assert [(peer.name, peer.folder) for peer in parse_peers(f"one:{tmp_path}, two:{tmp_path}/a", 24_000)] == [
        ("one", tmp_path), ("two", tmp_path / "a")]


def test_as_many_sentences_are_taken_as_fit_into_the_time(features, monkeypatch):
    class Slow:
        name, metrics, said = "slow", {}, ()

        def __call__(self, sounds):
            self.said = (*self.said, *(sound.utterance for sound in sounds))
            time.sleep(0.02 * len(sounds))
            return [{} for _ in sounds]

    class Whole(Slow):
        name = "dialect"  # which costs the same for one sentence and for many

    measure, whole, everything = Slow(), Whole(), [sentence.utterance for sentence in held_out(features)]
    monkeypatch.setattr(budget, "PROBED", 1)
    systems = [Recordings(features.contract.sample_rate)]
    few, said = sentences_that_fit(features, systems, [measure, whole], 0.0)
    assert [sentence.utterance for sentence in few] == [sentence.utterance for sentence in held_out(features, 1)]
    assert said.startswith(f"sentences: 1 of {len(everything)} held-out ones") and "the time is too short" in said
    assert "sentences=all takes" in said
    assert len(measure.said) == 2 and not whole.said  # one to begin with, one that is timed
    enough, said = sentences_that_fit(features, systems, [measure], 600.0)
    assert [sentence.utterance for sentence in enough] == everything and said.startswith(f"sentences: all {len(everything)}")


# ---- metrics in a selection


def test_figures_belong_to_measures():
    names = ("mcd", "f0_rmse", "distillmos", "dnsmos_ovrl", "similarity", "mel_variance", "wer", "predictor_x", "val_loss",
             "taste")
    assert [measure_of(name) for name in names] == ["mcd", "prosody", "distillmos", "dnsmos", "speaker_similarity", "variance",
                                                    "intelligibility", "predictor", None, None]
    assert [measure.name for measure in build_measures(MeasureOptions(), "castilian", ["prosody"])] == ["prosody"]


def test_checkpoints_can_be_chosen_by_a_figure_of_the_evaluation(road, monkeypatch, tmp_path):
    monkeypatch.chdir(road.folder)
    paths = {road.whole_run: checkpoints_of(road.whole_run)}
    ranking, _ = choose(paths, "mcd+0.001*val_loss", 0, tmp_path / "outputs", "cpu", 1)
    values = ranking.best.candidate.values
    assert values.mean("mcd") > 0
    assert ranking.best.value == pytest.approx(values.mean("mcd") + 0.001 * values.mean("val_loss"))
    with pytest.raises(UserError, match="there is no metric taste"):
        choose(paths, "taste", 0, tmp_path / "outputs", "cpu", 1)


def test_a_metric_by_itself_knows_which_way_is_better():
    assert rule_of("distillmos").terms == rule_of("-distillmos").terms == {"distillmos": -1}
    assert rule_of("wer").terms == {"wer": 1}
    assert rule_of("2*similarity").terms == {"similarity": -2}
    assert rule_of("val_loss-0.5*distillmos").terms == {"val_loss": 1, "distillmos": -0.5}
    with pytest.raises(UserError, match="write -distillmos"):
        rule_of("wer+distillmos")
    with pytest.raises(UserError, match="mel_variance is best at the recordings'"):
        rule_of("mel_variance")


def test_checkpoints_can_be_chosen_by_distillmos(road, monkeypatch, tmp_path):
    pytest.importorskip("xls_r_sqa", reason="distillmos is not installed")
    monkeypatch.chdir(road.folder)
    ranking, notes = choose({road.whole_run: checkpoints_of(road.whole_run)}, "distillmos", 0, tmp_path / "outputs", "cpu", 1)
    assert 1 <= ranking.best.candidate.values.mean("distillmos") <= 5
    assert ranking.best.value == pytest.approx(-ranking.best.candidate.values.mean("distillmos"))
    assert notes[0].startswith("best by -distillmos")
