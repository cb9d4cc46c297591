"""How intelligible a run's voice is to an independent recogniser, beside the recordings and their mel round trip.

    python scripts/judge_voice.py RUN [RUN …] [judge=../shared/judge/judge.py] [sentences=20]

Speaks held-out sentences of the run's prepared set with the model's own durations and prints one JSON object a line:
recordings, round trip (their own mels through the vocoder), and each run. All runs must share a prepared set.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import read_audio, write_audio
from chatterbox_es.acoustics.vocoder import GriffinLim
from chatterbox_es.errors import UserError
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.run_directory import read_card
from chatterbox_es.speech import Voice


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    runs = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    judge = Path(options.get("judge", "../shared/judge/judge.py"))
    if not runs or not judge.is_file():
        raise UserError(f"needs runs and a judge (looked for {judge})\n{__doc__}")
    features = prepared_set_of(runs[0])
    spread = features.validation[np.linspace(0, len(features.validation) - 1, int(options.get("sentences", 20))).astype(int)]
    held_out = [(int(number), features.utterance(int(number))) for number in spread]
    rate, vocoder = features.contract.sample_rate, GriffinLim(features.contract)
    with tempfile.TemporaryDirectory() as scratch:
        recordings = [read_audio(utterance["audio"], rate) for _, utterance in held_out]
        report("recordings", recordings, held_out, rate, judge, Path(scratch))
        mels = [features.statistics.restore(features.mel(number)).numpy() for number, _ in held_out]
        report("round trip", [vocoder(mel) for mel in mels], held_out, rate, judge, Path(scratch))
        for run in runs:
            voice = Voice.load(run)
            report(str(run), [voice.speak(u["words"]).samples for _, u in held_out], held_out, rate, judge, Path(scratch))


def prepared_set_of(run: Path) -> FeatureSet:
    """The prepared set a run was trained on."""
    content = (read_card(run) or {}).get("content")
    for card in Path("outputs/prepared").glob("*/card.json"):
        if json.loads(card.read_text(encoding="utf-8"))["content"] == content:
            return FeatureSet(card.parent)
    raise UserError(f"the prepared set of {run} is not in outputs/prepared")


def report(name: str, sounds: list[np.ndarray], held_out: list[tuple[int, dict]], rate: int, judge: Path,
           scratch: Path) -> None:
    """Have the judge hear some sounds, and print what it says."""
    rows = []
    for (_, utterance), samples in zip(held_out, sounds, strict=True):
        file = scratch / f"{utterance['id'].replace('/', '_')}.wav"
        write_audio(file, samples, rate)
        rows.append(f"{file}\t{utterance['words']}\n")
    (scratch / "list.tsv").write_text("".join(rows), encoding="utf-8")
    done = subprocess.run([sys.executable, judge, scratch / "list.tsv"], capture_output=True, text=True, check=True)
    print(json.dumps({"system": name} | json.loads(done.stdout)), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    command_line.run(main)
