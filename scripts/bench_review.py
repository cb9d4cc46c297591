"""How fast runs are listed and a report is written, and what becomes of damaged run directories.

    python scripts/bench_review.py [runs=1000]

Makes run directories in a temporary folder and calls the command line on them, Python's start included. It leaves with
exit code 1 when listing 1,000 runs takes more than 1 s, a report more than 5 s or 10 MB, or damage is not named.
"""

import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from chatterbox_es import command_line
from chatterbox_es.runs.plots import draw_mels

LIST_SECONDS, REPORT_SECONDS, REPORT_BYTES = 1.0, 5.0, 10_000_000
REPEATS = 5
CONFIG = "phase:\n  name: '4_3'\n  lr: {lr}\n  batch_size: 4\ndata:\n  name: folder\n  prepared: outputs/prepared\n"


@dataclass
class BenchOptions:
    """The arguments of the command."""

    runs: int = field(default=1000, metadata={"help": "run directories to list"})


def write_run(folder: Path, number: int = 0, state: str = "finished", steps: int = 2000, validations: int = 15) -> Path:
    """A run directory as training leaves it, without checkpoints: made-up figures, a row every ten steps."""
    folder.mkdir(parents=True)
    made_up = random.Random(number)
    floor, every = made_up.uniform(0.2, 0.9), max(1, steps // validations)
    rows = []
    for step in range(10, steps + 1, 10):
        loss = floor + 0.7 * math.exp(-step / steps * 5) + made_up.gauss(0, 0.02)
        minutes = step / 90
        rows.append({"step": step, "train_loss": loss, "train_token_loss": loss * 1.1, "train_duration_loss": -loss,
                     "learning_rate": 1e-3 * (1 - step / steps), "grad_norm_text": made_up.random(),
                     "grad_norm_vocoder": made_up.random(), "epoch": 1 + step // every, "minutes": minutes,
                     "gpu_memory_gb": 0.0})
        if step % every < 10 or step == steps:
            rows.append({"step": step, "epoch": step // every, "train_loss_epoch": loss, "epoch_time": 60.0,
                         "steps_per_second": 1.5, "share_of_peak": 0.4, "val_loss": loss, "val_own_durations": loss * 1.02,
                         "val_length_error": 0.02, "baseline": 1.014, "minutes": minutes})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = {"ended": f"2026-11-{1 + number % 22:02d}T09:30:00+00:00"} if state != "running" else {}
    card = {"state": state, "started": f"2026-11-{1 + number % 22:02d}T08:{number % 60:02d}:00+00:00", "phase": "4_3",
            "data": "folder", "corpus": f"/corpora/voice{number % 7}", "synthetic": False, "content": "0" * 64, "hw": "cpu",
            "precision": "bf16-mixed", "seed": number, "lineage": {}, **ended,
            "parameters": {"text_encoder": 23_272_960, "mel_decoder": 4_804_688, "duration_predictor": 591_617},
            "frozen": {"parts": [], "sha256_before": "0" * 64, "sha256_after": "0" * 64}}
    if state == "finished":
        card["best_val_loss"] = min(row["val_loss"] for row in rows if "val_loss" in row)
    (folder / "run.json").write_text(json.dumps(card, indent=1))
    (folder / "config.yaml").write_text(CONFIG.format(lr=made_up.choice((1e-3, 3e-4))))
    for name in ("train.log", "run.lock"):
        (folder / name).touch()
    for name in ("checkpoints", "samples"):
        (folder / name).mkdir()
    return folder


def write_samples(run: Path, epochs: int, sentences: int = 3, seconds: float = 6.0) -> None:
    """Sounds and pictures of a long training: noise of changing loudness, which is harder to make small than speech."""
    noise = np.random.default_rng(0)
    time_axis = np.arange(round(seconds * 24_000)) / 24_000
    sound = noise.normal(0, 0.05, len(time_axis)) * (1 + np.sin(2 * np.pi * 3 * time_axis))
    mel = noise.normal(size=(round(seconds * 50), 80))
    durations = np.full(60, len(mel) / 60)
    first = run / "samples" / "first"
    draw_mels(first.with_suffix(".png"), mel, mel, ["a"] * 60, durations, durations, 50, "a sentence of noise")
    soundfile.write(first.with_suffix(".wav"), sound, 24_000)
    for folder in ("recordings", *(f"epoch_{epoch:04d}" for epoch in range(1, epochs + 1))):
        (run / "samples" / folder).mkdir()
        for sentence in range(sentences):
            shutil.copy(first.with_suffix(".wav"), run / "samples" / folder / f"s{sentence}.wav")
            if folder != "recordings":
                shutil.copy(first.with_suffix(".png"), run / "samples" / folder / f"s{sentence}.png")
    for suffix in (".png", ".wav"):
        first.with_suffix(suffix).unlink()


def _change(run: Path, **values: object) -> None:
    card = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(card | values))


def _instead(path: Path, put: Callable[[Path], object]) -> None:
    """Put something else in the place of a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    put(path)


def _cut_lines(path: Path, lines: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))


# What happens to run directories; each is done to a whole one.
DAMAGES: dict[str, Callable[[Path], object]] = {
    "torn_json": lambda run: os.truncate(run / "run.json", 200),
    "no_run_json": lambda run: (run / "run.json").unlink(),
    "no_metrics": lambda run: (run / "metrics.jsonl").unlink(),
    "file_for_folder": lambda run: _instead(run / "checkpoints", Path.touch),
    "file_for_run": lambda run: _instead(run, Path.touch),
    "folder_for_file": lambda run: _instead(run / "run.json", Path.mkdir),
    "unreadable_json": lambda run: (run / "run.json").chmod(0),
    "unreadable_folder": lambda run: run.chmod(0),
    "garbage_json": lambda run: (run / "run.json").write_bytes(random.Random(0).randbytes(2000)),
    "garbage_metrics": lambda run: (run / "metrics.jsonl").write_bytes(random.Random(0).randbytes(2000)),
    "empty_json": lambda run: os.truncate(run / "run.json", 0),
    "empty_metrics": lambda run: os.truncate(run / "metrics.jsonl", 0),
    "empty_folder": lambda run: _instead(run, Path.mkdir),
    "wrong_type": lambda run: _change(run, best_val_loss="low"),
    "no_object": lambda run: (run / "run.json").write_text("[1, 2]"),
    "wrong_date": lambda run: _change(run, started="yesterday"),
    "ended_before": lambda run: _change(run, ended="2001-01-01T00:00:00+00:00"),
    "future": lambda run: _change(run, started="2999-01-01T00:00:00+00:00", ended=None),
    "unknown_state": lambda run: _change(run, state="sleeping"),
    "link_in_circles": lambda run: _instead(run, lambda path: path.symlink_to(path.name)),
    "link_to_above": lambda run: _instead(run, lambda path: path.symlink_to("..")),
    "link_to_nothing": lambda run: _instead(run, lambda path: path.symlink_to("nothing")),
    "json_in_circles": lambda run: _instead(run / "run.json", lambda path: path.symlink_to(path.name)),
    "short_metrics": lambda run: _cut_lines(run / "metrics.jsonl", 20),
    "half_metrics": lambda run: os.truncate(run / "metrics.jsonl", (run / "metrics.jsonl").stat().st_size // 2),
}  # fmt: skip


def review(*arguments: str) -> subprocess.CompletedProcess:
    """The command as a user calls it; root may read what is unreadable, so root's right to that is taken away."""
    call = [sys.executable, "-m", "chatterbox_es.review", *arguments]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        call = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *call]
    return subprocess.run(call, capture_output=True, encoding="utf-8")


def timed(*arguments: str) -> tuple[list[float], str]:
    """Seconds of some calls, and what the last one printed."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        done = review(*arguments)
        seconds.append(time.perf_counter() - began)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return seconds, done.stdout


def main() -> int:
    """Print the figures; 1 when a bar is missed."""
    options = command_line.parse(BenchOptions, sys.argv[1:], doc=__doc__)
    missed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "outputs")
        states = ["finished"] * 8 + ["failed", "running"]
        for number in range(options.runs):
            write_run(folder / "4_3" / f"{number:04d}", number, states[number % len(states)])
        for form in ("table", "json"):
            seconds, printed = timed(str(folder), f"format={form}")
            print(f"{form} of {options.runs} run directories: median {statistics.median(seconds):.2f} s, "
                  f"slowest {max(seconds):.2f} s of {REPEATS}, {printed.count(chr(10))} lines")
            if statistics.median(seconds) > LIST_SECONDS:
                missed.append(form)

        run = write_run(Path(temporary, "long"), steps=100_000, validations=40)
        write_samples(run, epochs=40)
        page = Path(temporary, "report.html")
        for name, source in (("report of a run of 100,000 steps, 120 samples", run), ("report of all runs", folder)):
            seconds, _ = timed(str(source), "format=html", f"out={page}")
            print(f"{name}: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s of {REPEATS}, "
                  f"{page.stat().st_size / 1e6:.2f} MB")
            if source == run and statistics.median(seconds) > REPORT_SECONDS or page.stat().st_size > REPORT_BYTES:
                missed.append(name)

        broken = Path(temporary, "broken")
        write_run(broken / "4_3" / "0_whole")
        for number, (name, damage) in enumerate(DAMAGES.items(), 1):
            damage(write_run(broken / "4_3" / f"{number}_{name}", number))
        found = {Path(record["folder"]).name.partition("_")[2]: record
                 for record in map(json.loads, review(str(broken), "format=json").stdout.splitlines())}
        for name in ("whole", *DAMAGES):
            record = found.get(name, {"state": "not listed", "reason": ""})
            print(f"{name:18} {record['state']:9} {record['reason']}")
            if (record["state"], bool(record["reason"])) != (("finished", False) if name == "whole" else ("damaged", True)):
                missed.append(name)
        for path in broken.glob("4_3/*_unreadable_folder"):
            path.chmod(0o700)
    print("missed: " + ", ".join(missed) if missed else "all bars are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    command_line.run(main)
