"""The losses of the first 50 steps of every phase, to the last bit: a change of shape must not change them.

    python scripts/golden_losses.py out=before.json          on the tree as it was
    python scripts/golden_losses.py against=before.json      on the tree as it is: exit code 1 where a loss differs

Trains phases 4_2 and 4_3 of the full size on espeak-ng's corpus, and both phases of a tiny T3 of random weights (its codec is
the tests' stand-in), on one thread in 32-true; also compares the content hash of the prepared sets.
Losses are the same bits only on one kind of processor with one version of torch: compare on one machine. Minutes: about 5.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FASE4 = ("phase.batch_size=4",)
CHATTERBOX = ("model=chatterbox", "model.codec=standin_codec:load", "model.rank=4", "phase.batch_size=3", "phase.lr=3e-3")
COMMON = ("data=espeak", "hw.threads=1", "hw.precision=32-true", "train.wandb=disabled", "train.samples=0", "train.log_every=1",
          "train.trial_steps=0", "train.max_steps=50", "train.epochs=1000", "phase.validate_every=1000",
          "train.seed=3")  # fmt: skip


def environment() -> dict[str, str]:
    paths = [str(REPOSITORY), str(REPOSITORY / "tests/t3"), str(REPOSITORY / "tests/models/t3")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
                         "PYTHONIOENCODING": "utf-8"}

RANDOM = {("fase4", "4_3"): ("model.decoder_start=random",)}  # the default when the first losses were written down


def run(*arguments: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment(), text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def losses(folder: Path, phase: str, arguments: tuple[str, ...]) -> dict:
    """Train one phase and read what it logged."""
    run("-m", "chatterbox_es.train", f"phase={phase}", *arguments, *COMMON, cwd=folder)
    card, = (json.loads(file.read_text(encoding="utf-8")) for file in folder.glob(f"outputs/{phase}/*/run.json"))
    lines = [json.loads(line) for line in next(folder.glob(f"outputs/{phase}/*/metrics.jsonl")).open(encoding="utf-8")]
    return {"content": card["content"],
            "train_loss": [line["train_loss"].hex() for line in lines if "train_loss" in line],
            "val_loss": [line["val_loss"].hex() for line in lines if "val_loss" in line]}


def main() -> int:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for family in ("fase4", "chatterbox"):
            folder = Path(temporary, family)
            folder.mkdir()
            arguments = FASE4
            if family == "chatterbox":
                weights = folder / "weights"
                run("-c", f"import sys; sys.path.insert(0, {str(tests_of_t3())!r})\nfrom pathlib import Path\n"
                    f"from conftest import write_weights\nwrite_weights(Path({str(weights)!r}))", cwd=folder)
                arguments = (*CHATTERBOX, f"model.weights={weights}")
            for phase in ("4_2", "4_3"):
                found[f"{family} {phase}"] = losses(folder, phase, (*arguments, *RANDOM.get((family, phase), ())))
                print(f"{family} {phase}: {len(found[f'{family} {phase}']['train_loss'])} losses, the last "
                      f"{float.fromhex(found[f'{family} {phase}']['train_loss'][-1]):.6f}", flush=True)
    if "out" in options:
        Path(options["out"]).write_text(json.dumps(found, indent=1), encoding="utf-8")
    if "against" not in options:
        return 0
    before = json.loads(Path(options["against"]).read_text(encoding="utf-8"))
    differing = [f"{run} {what}" for run in found for what in found[run] if found[run][what] != before[run][what]]
    print("differing: " + ", ".join(differing) if differing else "all losses and content hashes are the same bits")
    return 1 if differing else 0


def tests_of_t3() -> Path:
    """Where the tests keep the stand-in codec and tiny weights."""
    return next(file.parent for file in REPOSITORY.glob("tests/**/standin_codec.py"))


if __name__ == "__main__":
    sys.exit(main())
