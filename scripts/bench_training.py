"""What training gets out of this machine: share of the peak, time beside computing, states, padding, memory, processes.

    python scripts/bench_training.py data.path=DIR [steps=60] [outputs=DIR] [only=NAME,NAME]

Each line is a run of `python -m chatterbox_es.train` on that corpus; metrics are from its metrics.jsonl, plan.json and
run.json. Nothing else should run meanwhile.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WHOLE = ("phase=4_3", "phase.encoder_from=null", "model.decoder_start=random")
RUNS = {
    "4_3 batch 8": (*WHOLE, "phase.batch_size=8"),
    "4_3 batch 4": (*WHOLE, "phase.batch_size=4"),
    "4_2 batch 8": ("phase=4_2",),
    "4_3 batch 16": (*WHOLE, "phase.batch_size=16"),
    "4_3 batch 8 fp32": (*WHOLE, "phase.batch_size=8", "hw.precision=32-true"),
    "4_3 batch 32 in micro-batches": (*WHOLE, "phase.batch_size=32", "hw.micro_batch_frames=5000"),
}
PROCESSES = (*WHOLE, "phase.batch_size=4", "hw.precision=32-true", "model.dropout=0", "train.log_every=1", "hw.threads=1",
             "train.trial_steps=0")  # fmt: skip


def train(folder: Path, settings: tuple[str, ...], processes: int = 1) -> tuple[dict, dict, list[dict]]:
    """A run's card, plan and metrics."""
    start = ["-m"] if processes == 1 else ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "-m"]
    subprocess.run([sys.executable, *start, "chatterbox_es.train", *settings, f"hydra.run.dir={folder}"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    card, plan = (json.loads((folder / name).read_text()) for name in ("run.json", "plan.json"))
    return card, plan, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    steps, outputs = int(options.get("steps", 60)), Path(options.get("outputs", f"outputs/bench/{time.time():.0f}"))
    common = ("data=folder", f"data.path={options['data.path']}", f"train.max_steps={steps}", "train.samples=0",
              "train.state_minutes=0.25")  # fmt: skip
    chosen = options["only"].split(",") if "only" in options else [*RUNS, "processes"]
    print(f"{'run':24} s/step  of peak  loader  alignment  logging  s a state  (of 5 min)  padding  memory planned / peak")
    for number, name in enumerate(name for name in chosen if name in RUNS):
        card, plan, rows = train(outputs / f"training_{number}", (*common, *RUNS[name]))
        epochs = [row for row in rows if "share_of_peak" in row]
        weights = [row["epoch_time"] for row in epochs]

        def mean(key: str, epochs: list[dict] = epochs, weights: list[float] = weights) -> float:
            return float(np.average([row[key] for row in epochs], weights=weights))

        state = card["seconds"]["checkpoint"] / max(1, card["states_written"])
        # without the time of writing states, which here are twenty times as many as by default
        computing = 1 - mean("share_checkpoint")
        print(f"{name:24} {computing / mean('steps_per_second'):6.3f}  {mean('share_of_peak') / computing:7.1%}  "
              f"{mean('share_loader'):6.2%}  {mean('share_alignment'):9.2%}  {mean('share_logging'):7.2%}  {state:9.2f}  "
              f"{state / 300:10.2%}  {plan['padding']:7.1%}  {card['memory_planned_gb']:.2f} / {card['memory_peak_gb']:.2f} GB "
              f"({card['memory_planned_gb'] / card['memory_peak_gb'] - 1:+.1%})", flush=True)
    if "processes" in chosen:
        settings = (*common, *PROCESSES, "train.max_steps=50")
        rows = [train(outputs / f"processes_{count}", settings, count)[2] for count in (1, 2)]
        one, two = ([row["train_loss"] for row in of if "train_loss" in row] for of in rows)
        gap = max(abs(a - b) / a for a, b in zip(one, two, strict=True))
        print(f"one process and two (gloo), the same {len(one)} batches: largest relative difference of the loss {gap:.1e}")


if __name__ == "__main__":
    main()
