"""``scripts/gpu_check.py``, small and on the CPU; and what it does where a part fails, hangs, or the time is over."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "scripts"))
import gpu_check  # noqa: E402


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, REPOSITORY / "scripts/gpu_check.py", "device=cpu", "small=true", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.timeout(1200)
def test_small_and_on_the_cpu_everything_is_measured(tmp_path):
    pytest.importorskip("peft", reason="pip install -e '.[chatterbox]'")
    done = run("minutes=60", f"out={tmp_path}/out.json", cwd=tmp_path)
    result, head, _, row = done.stdout.splitlines()
    result = json.loads(result)
    assert result == json.loads((tmp_path / "out.json").read_text())
    assert result["errors"] == {} and result["left_out"] == [] and result["missing"] == []
    assert head.count("|") == row.count("|") and "small: of no use" in row
    parts = result["parts"]
    assert list(parts) == ["machine", "losses", "t3_4_2", "share", "resume", "t3_4_3", "synthesis", "t3_losses"]
    for losses in (parts["losses"], parts["t3_losses"]):
        assert set(losses) == {"fp32", "bf16"} and losses["fp32"] != losses["bf16"]
        assert all(row["skipped"] == 0 for row in losses.values())
        assert losses["bf16"]["train_loss"] == pytest.approx(losses["fp32"]["train_loss"], rel=0.05)
    assert set(parts["share"]) == {f"{phase}_{batch}_bf16" for phase in ("4_2", "4_3") for batch in (4, 8)}
    for row in parts["share"].values():
        assert 0 < row["share_of_peak"] < 1.5 and row["memory_gb"] > 0
    for phase in ("t3_4_2", "t3_4_3"):
        assert parts[phase]["steps_per_second"] > 0 and parts[phase]["planned_gb"] > 0
    assert parts["t3_4_2"]["speech_tokens"]["tokens_per_second"] > 0 and parts["synthesis"]["seconds_per_second"] > 0
    assert parts["resume"]["verdict"] == "bit-identical" and parts["resume"]["killed_at"] > 0
    assert result["bars"]["memory_t3_4_2"]["holds"] is None, "on a CPU nothing is 16-mixed"
    assert done.returncode == int(any(bar["holds"] is False for bar in result["bars"].values()))
    assert not list(tmp_path.glob("*/")), "nothing but the JSON is left"


def test_parts_that_no_time_is_left_for_are_named(tmp_path):
    done = run("minutes=0.01", cwd=tmp_path)
    result = json.loads(done.stdout.splitlines()[0])
    assert len(result["left_out"]) == 8 and result["parts"] == result["errors"] == {} and done.returncode == 0


@pytest.mark.parametrize(("arguments", "said"), [
    (["only=loses"], "use some of machine, losses"), (["device=gpu"], "use cuda or cpu"), (["minute=3"], "one of: minutes")])
def test_a_mistake_is_said(tmp_path, arguments, said):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def raises(check, tell):
    tell("before", 1)
    raise ValueError("this one")


def crashes(check, tell):
    tell("before", 1)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(check, tell):
    tell("before", 1)
    subprocess.run(["sleep", "1000"], check=True)


@pytest.mark.parametrize(("part", "error"), [(raises, "ValueError: this one (test_gpu_check.py:"), (crashes, "exit code -9"),
                                             (hangs, "not done in")])
def test_a_part_that_fails_leaves_the_others_and_what_it_had_found(part, error):
    result = {"parts": {}, "errors": {}, "left_out": [], "seconds": {}}
    minutes = (time.monotonic() - gpu_check.STARTED) / 60 + 2
    parts = (("bad", part, 5 if part is hangs else 200), ("good", lambda check, tell: tell("after", 2), 200))
    gpu_check.run_parts(gpu_check.Options(minutes=minutes), None, parts, result)
    assert error in result["errors"].pop("bad") and result["errors"] == {}
    assert result["parts"] == {"bad": {"before": 1}, "good": {"after": 2}}


def test_bars_are_judged():
    parts = {"losses": {"fp32": {"train_loss": 0.287}, "fp16": {"train_loss": 0.779}},
             "share": {"4_3_256_fp16": {"share_of_peak": 0.4}, "4_3_256_bf16": {"share_of_peak": 0.3},
                       "4_3_64_fp16": {"share_of_peak": 0.1}},
             "t3_4_2": {"precision": "16-mixed", "memory_gb": 14.9}}
    found = {name: bar["holds"] for name, bar in gpu_check.bars(parts).items()}
    assert found == {"losses": False, "t3_losses": None, "share_4_3_256": False, "memory_t3_4_2": True}
    assert not any(bar["holds"] for bar in gpu_check.bars({}).values())


def test_what_is_not_installed_is_named(monkeypatch):
    version = importlib.metadata.version

    def lacking(name: str) -> str:
        if name == "hydra-core":
            raise importlib.metadata.PackageNotFoundError
        return "2.11.0" if name == "torch" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", lacking)
    found = gpu_check.packages()
    assert found["missing"] == ["hydra-core"] and found["other_versions"] == ["torch 2.11.0 (torch>=2.13,<2.14)"]
