"""Train by minutes in two processes, each state written a second too slowly, and compare the replicas' weights bit by bit.

    python scripts/two_processes.py runs=20 [seconds=8] [slow=1] [limit=400] [out=two_processes.json] [KEY=VALUE of the run …]

A state is written every two seconds and at each validation, so that the processes' own clocks would often decide otherwise at
an epoch's or the run's end. A run hangs if it has not ended after ``limit`` seconds. Compared are all weights of both
processes when training has ended. torchrun starts this file again as the two processes, with the delay put in.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = ("phase=4_3", "data=espeak", "data.validation_minimum=4", "data.validation_maximum=4", "train.finetune=null",
            "model.width=64", "model.heads=2", "model.layers=1", "model.feedforward=128", "phase.encoder_from=null",
            "model.decoder_start=random",
            "model.decoder_hidden=[64]", "hw=cpu", "hw.threads=1", "train.epochs=100000", "phase.batch_size=32",
            "phase.lr=1e-3", "train.log_every=1", "train.samples=0", "train.state_minutes=0.03",
            "train.wandb=disabled")  # fmt: skip
OWN = {"runs": "20", "seconds": "8", "slow": "1", "limit": "400", "out": ""}


def process(slow: float, folder: Path) -> None:
    """One of the two: trains with slow states, and leaves its weights' hash and last rate in ``folder``."""
    from chatterbox_es import train
    from chatterbox_es.models.weights import weights_digest
    from chatterbox_es.training import loop, run, session, state

    def save_slowly(*arguments):
        time.sleep(slow)
        return state.save_state(*arguments)

    def train_and_tell(fabric, recipe, model, features, config, run, *more):
        best = loop.train(fabric, recipe, model, features, config, run, *more)
        (folder / f"weights_{fabric.global_rank}").write_text(weights_digest(model.state_dict()))
        return best

    session.save_state, run.train = save_slowly, train_and_tell
    train.main()


def train_once(number: int, folder: Path, options: dict[str, str], settings: list[str]) -> dict:
    """One run of two processes, and what came of it."""
    outputs = folder / f"run_{number:03d}"
    outputs.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={29600 + number % 100}",
              __file__, "process", options["slow"], str(outputs), *settings, f"outputs={outputs}",
              f"train.max_minutes={float(options['seconds']) / 60}", f"train.seed={number}"]
    began = time.monotonic()
    with (folder / f"run_{number:03d}.log").open("w") as log:
        both = subprocess.Popen(launch, stdout=log, stderr=log)
        try:
            code = both.wait(float(options["limit"]))
        except subprocess.TimeoutExpired:
            both.terminate()  # torchrun ends the processes that it started, by force after half a minute
            both.wait()
            return {"run": number, "hung": True}
    digests = {path.read_text() for path in outputs.glob("weights_*")}
    card = next((json.loads(path.read_text()) for path in outputs.glob("4_*/*/run.json")), {})
    rows = [json.loads(line) for path in outputs.glob("4_*/*/metrics.jsonl") for line in path.read_text().splitlines()]
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    return {"run": number, "hung": False, "exit": code, "state": card.get("state"), "identical": len(digests) == 1,
            "steps": len(rates), "states": card.get("states_written"), "last_rate": rates[-1] if rates else None,
            "seconds": 3600 * card.get("hours", 0), "wall": round(time.monotonic() - began, 1)}


def main() -> None:
    given = {key: value for key, _, value in (argument.partition("=") for argument in sys.argv[1:]) if key in OWN}
    options = OWN | given
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="two_processes_") as name:
        folder = Path(name)
        settings = [*SETTINGS, *(argument for argument in sys.argv[1:] if argument.partition("=")[0] not in OWN),
                    f"data.prepared={folder}/prepared", f"data.path={folder}/espeak"]
        results = []
        for number in range(int(options["runs"])):
            results.append(train_once(number, folder, options, settings))
            print(json.dumps(results[-1]), flush=True)
            if results[-1].get("exit"):
                print((folder / f"run_{number:03d}.log").read_text()[-3000:], flush=True)
    hung = sum(result["hung"] for result in results)
    same = sum(result.get("state") == "finished" and result["identical"] for result in results)
    print(f"{hung} of {len(results)} hung; in {same} the replicas are bit-identical")
    if options["out"]:
        Path(options["out"]).write_text(json.dumps(results, indent=1))
    sys.exit(bool(hung) or same != len(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["process"]:
        slow, folder = float(sys.argv[2]), Path(sys.argv[3])
        del sys.argv[1:4]
        process(slow, folder)
    else:
        main()
