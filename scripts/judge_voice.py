"""How intelligible a voice is to an independent recogniser, beside the recordings and their mel round trip.

    python scripts/judge_voice.py RUN [RUN …] [judge=../shared/judge/judge.py] [sentences=20] [picture=FILE.png]

A RUN is a run directory (its final checkpoint) or a checkpoint's file; all of them share a prepared set. Speaks held-out
sentences of it with the model's own durations and prints one JSON object a line: recordings, round trip (their own mels
through the vocoder), and each run. `picture` draws the scores against the minutes of training, both phases counted.
"""

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import read_audio, write_audio
from chatterbox_es.acoustics.vocoder import GriffinLim
from chatterbox_es.checkpoints import Checkpoint, load_checkpoint
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.run_directory import final_checkpoint
from chatterbox_es.speech import Voice


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    runs = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    judge = Path(options.get("judge", "../shared/judge/judge.py"))
    if not runs or not judge.is_file():
        raise UserError(f"needs runs and a judge (looked for {judge})\n{__doc__}")
    checkpoints = {run: load_checkpoint(final_checkpoint(run)) for run in runs}
    features = prepared_set_of(checkpoints[runs[0]])
    spread = features.validation[np.linspace(0, len(features.validation) - 1, int(options.get("sentences", 20))).astype(int)]
    held_out = [(int(number), features.utterance(int(number))) for number in spread]
    rate, vocoder = features.contract.sample_rate, GriffinLim(features.contract)
    with tempfile.TemporaryDirectory() as scratch:
        hear = functools.partial(report, held_out=held_out, rate=rate, judge=judge, scratch=Path(scratch))
        ceilings = {"recordings": hear("recordings", [read_audio(utterance["audio"], rate) for _, utterance in held_out])}
        mels = [features.statistics.restore(features.mel(number)).numpy() for number, _ in held_out]
        ceilings["round trip"] = hear("round trip", [vocoder(mel) for mel in mels])
        points = []
        for run, checkpoint in checkpoints.items():
            voice = Voice(checkpoint, str(run))
            score = hear(str(run), [voice.speak(u["words"]).samples for _, u in held_out])
            points.append((minutes_of(checkpoint.lineage), score))
    if "picture" in options:
        draw(Path(options["picture"]), points, ceilings)


def prepared_set_of(checkpoint: Checkpoint) -> FeatureSet:
    """The prepared set a checkpoint was trained on."""
    for card in Path("outputs/prepared").glob("*/card.json"):
        if json.loads(card.read_text(encoding="utf-8"))["content"] == checkpoint.lineage["content"]:
            return FeatureSet(card.parent)
    raise UserError(f"the prepared set of {checkpoint.lineage['run']} is not in outputs/prepared")


def minutes_of(lineage: dict) -> float:
    """Minutes of training behind a checkpoint, those of the run it started from included."""
    return lineage["metrics"]["minutes"] + (minutes_of(lineage["of"]) if "of" in lineage else 0.0)


def draw(path: Path, points: list[tuple[float, float]], ceilings: dict[str, float]) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(*zip(*sorted(points), strict=True), marker="o", label="model, its own durations")
    for (name, score), style in zip(ceilings.items(), ("--", ":"), strict=True):
        axes.axhline(score, linestyle=style, color="gray", label=name)
    axes.set_xlabel("minutes of training, both phases")
    axes.set_ylabel("score of the judge (0: babble)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def report(name: str, sounds: list[np.ndarray], held_out: list[tuple[int, dict]], rate: int, judge: Path,
           scratch: Path) -> float:
    """Have the judge hear some sounds, print what it says, and return the score."""
    rows = []
    for (_, utterance), samples in zip(held_out, sounds, strict=True):
        file = scratch / f"{utterance['id'].replace('/', '_')}.wav"
        write_audio(file, samples, rate)
        rows.append(f"{file}\t{utterance['words']}\n")
    (scratch / "list.tsv").write_text("".join(rows), encoding="utf-8")
    done = subprocess.run([sys.executable, judge, scratch / "list.tsv"], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    print(json.dumps({"system": name} | said), flush=True)
    return said["score"]


if __name__ == "__main__":
    torch.set_num_threads(2)
    command_line.run(main)
