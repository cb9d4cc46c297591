"""Does a recogniser rank systems as it must? Recordings, their mel round trip, voices from best to worst, the wrong text.

    python scripts/bench_intelligibility.py runs=TRAINED,HALF_TRAINED [recogniser=pocketsphinx:../shared/judge]
        [sentences=60] [prepared=outputs/prepared] [out=FILE.json]

Adds two systems of its own: an untrained voice (the first run's model with fresh weights, saved and loaded as any
checkpoint), and the first run's sounds held against the next sentence's text. Prints each system's rates with 95 %
intervals, and of each two neighbours the difference on the same resampled sentences (paired bootstrap).
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from chatterbox_es import command_line
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluate import name_of
from chatterbox_es.evaluation.comparison import one_thread_each
from chatterbox_es.evaluation.intelligibility import Intelligibility, corpus_rates
from chatterbox_es.evaluation.intervals import interval, resample
from chatterbox_es.evaluation.processes import on_all_cores
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import Failure, Sound
from chatterbox_es.evaluation.systems import Recordings, RoundTrip, Spoken, held_out
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.fase4.network import Fase4
from chatterbox_es.runs.checkpoint_files import voice_file
from chatterbox_es.runs.run_directory import commit
from chatterbox_es.speech.voices import load_voice


@dataclasses.dataclass
class Options:
    runs: str = dataclasses.field(metadata={"help": "run directories or checkpoints, the best first, divided by commas"})
    recogniser: str = dataclasses.field(default="pocketsphinx:../shared/judge", metadata={"help": "who listens"})
    sentences: int = dataclasses.field(default=60, metadata={"help": "held-out sentences"})
    prepared: str = dataclasses.field(default="outputs/prepared", metadata={"help": "where prepared sets are"})
    out: str = dataclasses.field(default="", metadata={"help": "a JSON file with all of it"})


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    runs = {name_of(Path(run)): voice_file(Path(run)) for run in options.runs.split(",")}
    first = next(iter(runs))
    features = prepared_set(load_checkpoint(runs[first]).lineage["content"], Path(options.prepared))
    rate, dialect = features.contract.sample_rate, features.card["dialect"]
    sentences = held_out(features, options.sentences)
    systems = [Recordings(rate), RoundTrip(features, GriffinLim(features.contract))]
    with tempfile.TemporaryDirectory() as scratch:
        runs["untrained"] = untrained(runs[first], Path(scratch))
        systems += [Spoken(name, load_voice(run), rate) for name, run in runs.items()]
    measure = Intelligibility(load_recogniser(options.recogniser, dialect), dialect)
    began = time.monotonic()
    with one_thread_each():
        said = {system.name: on_all_cores(system, sentences) for system in systems}
    said["shuffled text"] = shuffled(said[first])
    print(f"{len(said)} x {len(sentences)} sentences said in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    rows = listened(measure, said)
    print(f"heard in {time.monotonic() - began:.0f} s by {measure.recogniser.name}; task: {measure.recogniser.task}")
    report = ranking(rows)
    if options.out:
        report |= {"commit": commit(), "runs": {name: str(run) for name, run in runs.items()}}
        Path(options.out).write_text(json.dumps(report, indent=1), encoding="utf-8")


def prepared_set(content: str, folder: Path) -> FeatureSet:
    for card in folder.glob("*/card.json"):
        if json.loads(card.read_text(encoding="utf-8"))["content"] == content:
            return FeatureSet(card.parent)
    raise UserError(f"prepared={folder}: the prepared set of the first run (content {content[:12]}) is not there")


def untrained(run: Path, folder: Path) -> Path:
    """A checkpoint like ``run`` whose weights nobody has trained."""
    checkpoint, path = load_checkpoint(run), folder / "untrained.pt"
    torch.manual_seed(0)
    dataclasses.replace(checkpoint, weights=Fase4(**checkpoint.model).state_dict()).save(path)
    return path


def shuffled(sounds: Sequence[Sound | Failure]) -> list[Sound | Failure]:
    """The same sounds, each with the next one's text; what was not said stays a failure."""
    spoken = [sound for sound in sounds if isinstance(sound, Sound)]
    texts = iter(spoken[1:] + spoken[:1])
    return [sound if isinstance(sound, Failure) else
            dataclasses.replace(sound, system="shuffled text", words=(text := next(texts)).words, phonemes=text.phonemes)
            for sound in sounds]


def listened(measure: Intelligibility, said: dict[str, list[Sound | Failure]]) -> dict[str, list[dict[str, float] | Failure]]:
    """What the recogniser makes of each system's sentences; one that was not said is a failure."""
    heard = iter(measure([sound for sounds in said.values() for sound in sounds if isinstance(sound, Sound)]))
    return {system: [next(heard) if isinstance(sound, Sound) else sound for sound in sounds] for system, sounds in said.items()}


def ranking(rows: dict[str, list[dict[str, float] | Failure]]) -> dict:
    """Print, and return, each system's rates and how it stands to the one after it, on the sentences that none failed on."""
    systems = list(rows)
    failures = {system: sum(isinstance(row, Failure) for row in of) for system, of in rows.items()}
    places = [place for place, row in enumerate(zip(*rows.values(), strict=True))
              if not any(isinstance(entry, Failure) for entry in row)]
    kept = {system: [of[place] for place in places] for system, of in rows.items()}
    counts = resample(len(places))
    whole = {system: {name: float(value[0]) for name, value in corpus_rates(of).items()} for system, of in kept.items()}
    resampled = {system: corpus_rates(of, counts) for system, of in kept.items()}
    report: dict = {"n": len(places), "failures": failures, "systems": {}, "differences": []}
    for system in systems:
        figures = {name: [value, *interval(resampled[system][name])] for name, value in whole[system].items()}
        report["systems"][system] = figures
        print(f"{system}: n={len(places)}, {failures[system]} failed; "
              + "; ".join(f"{name} {value:.3f} [{low:.3f}, {high:.3f}]" for name, (value, low, high) in figures.items()))
    for name, sign in (("score", 1), ("wer", -1)):
        for better, worse in zip(systems, systems[1:], strict=False) if name in whole[systems[0]] else ():
            low, high = interval(sign * (resampled[better][name] - resampled[worse][name]))
            gap = sign * (whole[better][name] - whole[worse][name])
            report["differences"].append({"better": better, "worse": worse, "by": name, "gap": [gap, low, high]})
            verdict = "in order" if low > 0 else ("not told apart" if high > 0 else "OUT OF ORDER")
            print(f"by {name}, {better} over {worse}: {gap:+.3f} [{low:+.3f}, {high:+.3f}], {verdict}")
    return report


if __name__ == "__main__":
    command_line.run(main)
