"""The table of runs: what it says of each, filters and sorting, and that no damaged run keeps the others from being seen."""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_es.review import table
from chatterbox_es.runs.summary import find_runs, summarise

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_review.py"


def load_bench() -> ModuleType:
    """The benchmark, which makes run directories and damages them."""
    spec = importlib.util.spec_from_file_location("bench_review", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = load_bench()
CANNOT_BE_KEPT_OUT = os.geteuid() == 0 and not shutil.which("setpriv")


def change(run: Path, **values: object) -> Path:
    card = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(card | values))
    return run


def listed(output: subprocess.CompletedProcess) -> list[dict]:
    assert output.returncode == 0, output.stderr
    return [json.loads(line) for line in output.stdout.splitlines()]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four runs: two phases, three states, two corpora."""
    folder = tmp_path / "outputs"
    for number, (phase, state, corpus) in enumerate((("4_2", "finished", "ana"), ("4_3", "finished", "ana"),
                                                     ("4_3", "failed", "eva"), ("4_3", "stopped", "eva"))):
        run = bench.write_run(folder / phase / f"2026-11-0{number + 1}_10-00-00", number, state, steps=100, validations=2)
        change(run, phase=phase, corpus=f"/corpora/{corpus}", reason="SIGTERM" if state == "stopped" else "the disk is full")
    return folder


def test_a_trained_run_is_listed_with_its_figures(road, command):
    shown = command("review", cwd=road.folder)
    assert shown.returncode == 0, shown.stderr
    head, *rows = [line.split() for line in shown.stdout.splitlines() if line]
    records = listed(command("review", "format=json", cwd=road.folder))
    assert len(records) == 2
    for run, record, row in zip((road.encoder_run, road.whole_run), records, rows, strict=False):
        card = json.loads((run / "run.json").read_text())
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert record["folder"] == str(run.relative_to(road.folder))
        assert {key: record[key] for key in ("state", "phase", "hw", "best_val_loss", "baseline", "epochs", "started")} == {
            "state": "finished", "phase": card["phase"], "hw": "cpu", "best_val_loss": card["best_val_loss"],
            "baseline": last["baseline"], "epochs": last["epoch"], "started": card["started"]}
        assert record["of_baseline"] == pytest.approx(card["best_val_loss"] / last["baseline"])
        assert record["data"] == Path(card["corpus"]).name
        cells = dict(zip(head, row, strict=False))
        assert cells["best_val_loss"] == f"{card['best_val_loss']:.4f}" and cells["state"] == "finished"


def test_the_table_needs_no_torch_and_no_plots(runs):
    code = ("import sys; sys.argv = ['review', sys.argv[1]]; from chatterbox_es import review; review.main(); "
            "print([name for name in ('torch', 'numpy', 'matplotlib', 'jinja2') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code, runs], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("arguments", "expected"), [
    ((), ["01", "02", "03", "04"]),
    (("reverse=true",), ["04", "03", "02", "01"]),
    (("phase=4_3",), ["02", "03", "04"]),
    (("state=failed,stopped",), ["03", "04"]),
    (("data=a*",), ["01", "02"]),
    (("data=folder", "phase=4_2"), ["01"]),
    (("limit=2",), ["01", "02"]),
    (("hw=t4",), []),
])  # fmt: skip
def test_filters_and_order(runs, command, arguments, expected):
    records = listed(command("review", str(runs), "format=json", *arguments, cwd=runs))
    assert [Path(record["folder"]).name[8:10] for record in records] == expected


def test_sorting_by_loss_puts_runs_without_one_last(runs, command):
    (runs / "4_3/2026-11-03_10-00-00/metrics.jsonl").unlink()  # failed before it had any
    for reverse in ("false", "true"):
        records = listed(command("review", str(runs), "format=json", "sort=best_val_loss", f"reverse={reverse}", cwd=runs))
        losses = [record["best_val_loss"] for record in records]
        assert losses[-1] is None
        assert losses[:-1] == sorted(losses[:-1], reverse=reverse == "true") and None not in losses[:-1]


def test_reasons_and_what_is_not_shown_stand_below_the_table(runs, command):
    shown = command("review", str(runs), "phase=4_3", cwd=runs).stdout
    assert "3 runs: 1 finished, 1 failed, 1 stopped; 1 more are not shown (filters, limit)" in shown
    assert "stopped: 4_3/2026-11-04_10-00-00: SIGTERM" in shown
    assert "failed: 4_3/2026-11-03_10-00-00: the disk is full" in shown


@pytest.mark.parametrize(("arguments", "message"), [
    (("srot=phase",), "'srot=phase' is not one of this command's arguments"),
    (("sort=loss",), "sort=loss is not known; use one of run, phase"),
    (("state=done",), "state=done is not known; use some of running, finished"),
    (("format=xml",), "format=xml: must be table | json | html"),
    (("limit=0",), "limit=0 must be 1 or more"),
    (("nowhere",), "there is no folder nowhere"),
    (("out=x.html",), "out= is for format=html"),
    (("hw=t4",), "none of the 4 runs in outputs fits the filters"),
    (("empty",), "there is no run in empty"),
])  # fmt: skip
def test_mistakes_are_named(runs, command, arguments, message):
    (runs.parent / "empty").mkdir()
    output = command("review", *arguments, cwd=runs.parent)
    assert output.returncode == 2
    assert output.stderr.startswith("error: ") and message in output.stderr and "Traceback" not in output.stderr


def test_a_run_lives_as_long_as_its_lock_is_held(tmp_path, command):
    run = bench.write_run(tmp_path / "run", state="running", steps=100)
    with (run / "run.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert listed(command("review", str(run), "format=json", cwd=tmp_path))[0]["state"] == "running"
    assert listed(command("review", str(run), "format=json", cwd=tmp_path))[0]["state"] == "killed"
    (run / "run.lock").unlink()  # a run of an earlier version
    assert summarise(run).state == "killed"


def test_what_a_killed_run_has_written_is_kept_but_its_torn_row(tmp_path):
    run = bench.write_run(tmp_path / "run", state="running", steps=1000, validations=5)
    metrics = run / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    with metrics.open("a") as file:
        file.write('{"step": 1010, "val_loss": 0.0000')
    summary = summarise(run)
    assert summary.state == "killed"
    assert summary.best_val_loss == min(row["val_loss"] for row in rows if "val_loss" in row)
    assert summary.epochs == rows[-1]["epoch"] and summary.minutes == rows[-1]["minutes"]


def test_losses_that_are_no_number_are_null(tmp_path, command):
    run = bench.write_run(tmp_path / "run", state="failed", steps=100)
    (run / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "val_loss": NaN, "baseline": Infinity, "minutes": 2}\n')
    record = listed(command("review", str(run), "format=json", cwd=tmp_path))[0]
    assert (record["best_val_loss"], record["baseline"], record["minutes"]) == (None, None, 2)
    finished = change(bench.write_run(tmp_path / "other", steps=100), best_val_loss=float("inf"))
    assert summarise(finished).best_val_loss is None and summarise(finished).state == "finished"


def test_a_run_that_went_on_does_not_say_why_it_was_stopped_before(tmp_path):
    assert summarise(change(bench.write_run(tmp_path / "run", steps=100), reason="SIGTERM")).reason == ""


def test_cost_is_that_of_the_card_or_price_times_time(tmp_path):
    run = bench.write_run(tmp_path / "run", state="stopped", steps=5400)  # an hour, at 90 steps a minute
    assert summarise(change(run, price_per_hour=0.35)).cost == pytest.approx(0.35)
    assert summarise(change(run, cost=2)).cost == 2


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """A folder with a whole run and one of each damage, as the command lists it, by name."""
    folder = tmp_path_factory.mktemp("broken")
    bench.write_run(folder / "4_3" / "0_whole", steps=2000)
    for number, (name, damage) in enumerate(bench.DAMAGES.items(), 1):
        damage(bench.write_run(folder / "4_3" / f"{number}_{name}", number, steps=2000))
    records = listed(bench.review(str(folder), "format=json"))
    for path in folder.glob("4_3/*_unreadable_folder"):
        path.chmod(0o700)
    return {Path(record["folder"]).name.partition("_")[2]: record for record in records}


@pytest.mark.parametrize("name", bench.DAMAGES)
def test_a_damaged_run_is_listed_with_the_reason(broken, name):
    if name.startswith("unreadable") and CANNOT_BE_KEPT_OUT:
        pytest.skip("root reads everything, and there is no setpriv to take that right away")
    assert broken[name]["state"] == "damaged"
    assert len(broken[name]["reason"]) > 10, broken[name]


def test_whole_runs_among_damaged_ones_are_shown(broken):
    assert broken["whole"]["state"] == "finished" and broken["whole"]["reason"] == ""
    assert len(broken) == len(bench.DAMAGES) + 1


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                     max_leaves=5)


@given(st.dictionaries(st.sampled_from(("state", "started", "ended", "phase", "data", "corpus", "hw", "best_val_loss", "hours",
                                        "cost", "price_per_hour", "reason", "lineage")), _JSON),
       st.lists(st.dictionaries(st.sampled_from(("step", "epoch", "val_loss", "baseline", "minutes")), _JSON), max_size=3))
def test_whatever_stands_in_a_run_it_is_summed_up(tmp_path_factory, values, rows):
    run = bench.write_run(tmp_path_factory.mktemp("any") / "run", steps=20, validations=1)
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    summary = summarise(change(run, **values))
    assert summary.state in ("running", "finished", "failed", "stopped", "killed", "damaged")
    assert (summary.state == "damaged") <= bool(summary.reason)
    json.dumps(summary.record(), allow_nan=False)
    table([summary])


def test_a_narrow_terminal_loses_columns_and_is_told(runs):
    summaries = find_runs(runs)
    whole, narrow = table(summaries), table(summaries, width=80)
    assert max(map(len, whole)) > 80 >= max(map(len, narrow))
    dropped = [name for name in whole[0].split() if name not in narrow[0].split()]
    assert dropped and all(name in narrow[-1] for name in dropped)
    assert {"run", "state", "best_val_loss", "of_baseline"} <= set(narrow[0].split())


def test_links_are_followed_and_a_run_is_listed_once(runs, tmp_path, command):
    run = "4_2/2026-11-01_10-00-00"
    (tmp_path / "other").mkdir()
    shutil.move(runs / run, tmp_path / "other" / "run")
    (runs / run).symlink_to(tmp_path / "other" / "run")
    (runs / "latest").symlink_to(runs / "4_3/2026-11-02_10-00-00")
    records = listed(command("review", str(runs), str(runs / run), "format=json", cwd=tmp_path))
    assert sorted(record["state"] for record in records) == ["failed", "finished", "finished", "stopped"]


def test_folders_beside_runs_are_not_taken_for_runs(runs, command):
    (runs / "prepared" / "demo-0").mkdir(parents=True)
    (runs / "prepared" / "demo-0" / "card.json").write_text("{}")
    (runs / "demo_corpus" / "wavs").mkdir(parents=True)
    (runs / "4_3" / "report.html").touch()
    (runs / "best").symlink_to("nothing")
    assert len(listed(command("review", str(runs), "format=json", cwd=runs))) == 4


def test_help_names_every_argument(tmp_path, command: Callable[..., subprocess.CompletedProcess]):
    shown = command("review", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    for name in ("sort", "reverse", "phase", "data", "hw", "state", "limit", "format", "out"):
        assert f"\n  {name} " in shown.stdout
