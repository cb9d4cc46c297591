"""Kill training with SIGKILL at random instants, go on with resume=auto, and compare with a run that was never killed.

    python scripts/kill_and_resume.py kills=50 [seed=0] [out=kill_and_resume.json] [KEY=VALUE of the run …]
    python scripts/kill_and_resume.py kills=25 last=1 …               each kill within the last second of its run

Each of the kills is a run of its own: the command `chatterbox_es.train … resume=auto`, killed once between its first sign of
life and its end, and started again. Its processes are forked from this one, which spares them the seconds of importing. A
state is written after every step, so that kills also fall into writing. Compared are all losses, the order of the utterances
(by the losses of every step, and as the state has the epoch and batch) and every weight of the final and the best checkpoint,
bit by bit. A run is trained anew if its second command begins at step 0; all must end finished, with no state left.

The last second is found in the run that is never killed: it begins with the line of metrics that was the last one a second
before the end (or with whatever ``last=`` says), and ends 0.2 s after the run is said to have finished. In the others it begins
with the same line. Runs that were over before their kill are compared too, and others are killed in their place.
"""

import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import librosa.sequence  # noqa: F401, validation needs it
import scipy.optimize  # noqa: F401, the plan does
import torch

from chatterbox_es import train

SETTINGS = ("phase=4_2", "data=espeak", "data.validation_minimum=4", "data.validation_maximum=4",
            "model.width=128", "model.heads=4", "model.layers=2", "model.feedforward=256", "model.decoder_hidden=[128]",
            "hw=cpu", "hw.threads=1", "train.max_steps=60", "phase.validate_every=1", "phase.batch_size=16",
            "train.log_every=1", "train.samples=1", "train.state_minutes=0", "train.wandb=disabled")  # fmt: skip
COMPARED = ("train_loss", "train_token_loss", "train_duration_loss", "learning_rate", "grad_norm_text", "grad_norm_vocoder",
            "train_loss_epoch", "val_loss", "val_own_durations", "val_length_error", "epoch")  # fmt: skip


def command(outputs: Path, settings: tuple[str, ...]) -> multiprocessing.Process:
    """Start the command; what it says goes into a file beside its outputs."""
    def run() -> None:
        said = os.open(outputs.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["train", *settings, f"outputs={outputs}", "resume=auto"]
        train.main()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def losses(outputs: Path) -> list[dict]:
    """What was logged at every step and epoch, without times."""
    metrics, = outputs.glob("4_*/*/metrics.jsonl")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{"step": row["step"]} | {key: row[key] for key in COMPARED if key in row} for row in rows]


def weights(outputs: Path) -> dict[str, dict]:
    """All checkpoints by name."""
    files = sorted(outputs.glob("4_*/*/checkpoints/*.pt"))
    return {path.name: torch.load(path, weights_only=True)["weights"] for path in files}


def differences(reference: Path, outputs: Path) -> list[str]:
    """What is not the same, bit by bit, in two runs."""
    found = []
    if losses(reference) != losses(outputs):
        found.append("losses")
    before, after = weights(reference), weights(outputs)
    if before.keys() != after.keys():
        return [*found, f"checkpoints {sorted(before)} / {sorted(after)}"]
    return found + [f"{name}: {key}" for name in before for key in before[name]
                    if not torch.equal(before[name][key], after[name][key])]


def lines(outputs: Path) -> int:
    """How many lines of metrics there are by now; -1 before a run has begun."""
    if not list(outputs.glob("4_*/*/run.json")):
        return -1
    return sum(path.read_bytes().count(b"\n") for path in outputs.glob("4_*/*/metrics.jsonl"))


def never_killed(outputs: Path, settings: tuple[str, ...], last: float) -> tuple[float, int]:
    """Train to the end; how many seconds a kill may choose from, and after how many lines of metrics they begin."""
    seen, process = [], command(outputs, settings)
    while process.is_alive():
        if (now := lines(outputs)) >= 0:
            seen.append((time.time(), now))
        time.sleep(0.01)
    if process.exitcode:
        raise SystemExit(f"{outputs} ended with {process.exitcode}: {outputs.with_suffix('.log').read_text()}")
    run, = outputs.glob("4_*/*/run.json")
    end = run.stat().st_mtime  # when it was said to have finished
    begin = max(seen[0][0], end - last) if last else seen[0][0]
    count = max(count for moment, count in seen if moment <= begin)
    return end + 0.2 - next(moment for moment, now in seen if now == count), count


def kill_once(number: int, reference: Path, folder: Path, window: tuple[float, int], settings: tuple[str, ...],
              chance: random.Random) -> dict:
    """One run, killed once at a random instant of the ``window`` (see `never_killed`), and finished."""
    outputs, (seconds, begin) = folder / f"run_{number:03d}", window
    instant = chance.uniform(0, seconds)
    process = command(outputs, settings)
    while process.is_alive() and lines(outputs) < begin:
        time.sleep(0.005)
    time.sleep(instant)
    process.kill()
    process.join()
    killed = process.exitcode == -signal.SIGKILL
    partial = [path.name for path in outputs.glob("4_*/*/**/.*.partial")]
    at = len(losses(outputs)) if list(outputs.glob("4_*/*/metrics.jsonl")) else 0
    card, = (json.loads(path.read_text()) for path in outputs.glob("4_*/*/run.json"))
    again = command(outputs, settings)
    again.join()
    said = outputs.with_suffix(".log").read_text()
    wrong = differences(reference, outputs) if again.exitcode == 0 else [f"exit code {again.exitcode}", said[-500:]]
    wrong += [f"left over: {path.name}" for path in outputs.glob("4_*/*/checkpoints/state_*")]
    goes_on = re.search(r"goes on at step (\d+)", said)
    step = "finished already" if "has finished already" in said else int(goes_on[1]) if goes_on else 0
    return {"run": number, "instant": round(instant, 3), "killed": killed, "state": card["state"], "rows_before": at,
            "half_written": partial, "goes_on_at": step, "differences": wrong}


def main() -> None:
    options = {"kills": "50", "last": "0", "seed": "0", "out": ""}
    own = {key: value for key, _, value in (argument.partition("=") for argument in sys.argv[1:]) if key in options}
    options |= own
    given = tuple(argument for argument in sys.argv[1:] if argument.partition("=")[0] not in options)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)  # a process with threads is not forked
    with tempfile.TemporaryDirectory(prefix="kill_and_resume_") as name:
        folder = Path(name)
        settings = (*SETTINGS, f"data.prepared={folder}/prepared", f"data.path={folder}/espeak", *given)
        reference = folder / "reference"
        window = never_killed(reference, settings, float(options["last"]))
        print(f"never killed: {len(losses(reference))} rows; kills come within {window[0]:.1f} s after row {window[1]}",
              flush=True)
        chance = random.Random(int(options["seed"]))
        results, killed = [], 0
        while killed < int(options["kills"]):
            results.append(kill_once(len(results), reference, folder, window, settings, chance))
            killed += results[-1]["killed"]
            print(json.dumps(results[-1]), flush=True)
    same = sum(not result["differences"] for result in results)
    writing = sum(bool(result["half_written"]) for result in results)
    anew = sum(result["goes_on_at"] == 0 for result in results)
    print(f"{same} of {len(results)} bit-identical, {anew} trained anew; {killed} were killed while they ran, {writing} of them"
          " while writing")
    if options["out"]:
        Path(options["out"]).write_text(json.dumps(results, indent=1))
    sys.exit(same != len(results) or bool(anew and float(options["last"])))  # others may be killed before the first state


if __name__ == "__main__":
    main()
