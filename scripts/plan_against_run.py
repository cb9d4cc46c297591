"""What a run's first plan on a fresh machine says, against what the run takes.

    python scripts/plan_against_run.py [KEY=VALUE of the run …]

Fresh: without the caches of Python, numba and matplotlib, so that everything that is compiled or drawn for the first time is.
Compared are the hours of plan.json and of run.json: from the first step to the end of the last validation, of which the cost
is made. Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = ("phase=4_2", "data=demo", "train.epochs=5", "train.wandb=disabled")
CACHES = ("NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX", "MPLCONFIGDIR", "XDG_CACHE_HOME")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="plan_against_run_") as name:
        caches = {variable: f"{name}/{variable.lower()}" for variable in CACHES}
        run = Path(name, "run")
        subprocess.run([sys.executable, "-m", "chatterbox_es.train", *SETTINGS, f"data.path={name}/demo",
                        f"data.prepared={name}/prepared", *sys.argv[1:], f"hydra.run.dir={run}"], check=True,
                       env=os.environ | caches, stdout=sys.stderr)
        plan, card = (json.loads((run / file).read_text()) for file in ("plan.json", "run.json"))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if "epoch_time" in row]
    trained, steps = sum(row["epoch_time"] for row in epochs), rows[-1]["step"]
    validations = sum("val_loss" in row for row in epochs)
    seconds = {"plan": 3600 * plan["hours"], "run": 3600 * card["hours"]}
    print(json.dumps({
        "steps": steps, "validations": validations, "plan_s": round(seconds["plan"], 1), "run_s": round(seconds["run"], 1),
        "off": round(seconds["plan"] / seconds["run"] - 1, 3),
        "step_s": [round(plan["seconds_per_step"], 4), round(trained / steps, 4)],
        "validation_s": [round(plan["seconds_per_validation"], 2), round((seconds["run"] - trained) / validations, 2)]}))


if __name__ == "__main__":
    main()
