"""What a run's first plan on a fresh machine says, against what the run takes.

    python scripts/plan_against_run.py [clock=cpu] [KEY=VALUE of the run …]

Fresh: without the caches of Python, numba and matplotlib, so that everything that is compiled or drawn for the first time is.
Compared are the hours of plan.json and of run.json: from the first step to the end of the last validation, of which the cost
is made. Where other work takes an unsteady share of the machine, ``clock=cpu hw.threads=1`` goes by the seconds that the
process had of the processor, in plan and run; waiting for the disk is then left out. Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

SETTINGS = ("phase=4_2", "data=espeak", "train.epochs=5", "train.wandb=disabled")
CACHES = ("NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX", "MPLCONFIGDIR", "XDG_CACHE_HOME")


def process(clock: str) -> None:
    """The command itself, by a clock."""
    from chatterbox_es import train
    from chatterbox_es.training import loop, progress, run_writer, state

    if clock == "cpu":
        for module in (loop, progress, run_writer, state):
            module.time = SimpleNamespace(monotonic=time.process_time, perf_counter=time.process_time)
    train.main()


def main() -> None:
    clock = "cpu" if "clock=cpu" in sys.argv else "wall"
    given = [argument for argument in sys.argv[1:] if not argument.startswith("clock=")]
    with tempfile.TemporaryDirectory(prefix="plan_against_run_") as name:
        caches = {variable: f"{name}/{variable.lower()}" for variable in CACHES}
        run = Path(name, "run")
        subprocess.run([sys.executable, __file__, "process", clock, *SETTINGS, f"data.path={name}/espeak",
                        f"data.prepared={name}/prepared", *given, f"hydra.run.dir={run}"], check=True,
                       env=os.environ | caches, stdout=sys.stderr)
        plan, card = (json.loads((run / file).read_text()) for file in ("plan.json", "run.json"))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if "epoch_time" in row]
    trained, steps = sum(row["epoch_time"] for row in epochs), rows[-1]["step"]
    validations = sum("val_loss" in row for row in epochs)
    seconds = {"plan": 3600 * plan["hours"], "run": 3600 * card["hours"]}
    print(json.dumps({
        "clock": clock, "steps": steps, "validations": validations,
        "plan_s": round(seconds["plan"], 1), "run_s": round(seconds["run"], 1),
        "off": round(seconds["plan"] / seconds["run"] - 1, 3),
        "step_s": [round(plan["seconds_per_step"], 4), round(trained / steps, 4)],
        "validation_s": [round(plan["seconds_per_validation"], 2), round((seconds["run"] - trained) / validations, 2)]}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["process"]:
        chosen = sys.argv[2]
        del sys.argv[1:3]
        process(chosen)
    else:
        main()
