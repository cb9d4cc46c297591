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
from pathlib import Path

import numpy as np
import torch

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import read_audio
from chatterbox_es.acoustics.vocoder import GriffinLim
from chatterbox_es.checkpoints import load_checkpoint
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.intelligibility import Intelligibility, corpus_rates
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import Failure, Sound
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.model.fase4 import Fase4
from chatterbox_es.run_directory import commit, final_checkpoint
from chatterbox_es.speech import Voice

RESAMPLES = 4000


@dataclasses.dataclass
class Options:
    runs: str = dataclasses.field(metadata={"help": "run directories or checkpoints, the best first, divided by commas"})
    recogniser: str = dataclasses.field(default="pocketsphinx:../shared/judge", metadata={"help": "who listens"})
    sentences: int = dataclasses.field(default=60, metadata={"help": "held-out sentences"})
    prepared: str = dataclasses.field(default="outputs/prepared", metadata={"help": "where prepared sets are"})
    out: str = dataclasses.field(default="", metadata={"help": "a JSON file with all of it"})


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    runs = [final_checkpoint(Path(run)) for run in options.runs.split(",")]
    features = prepared_set(load_checkpoint(runs[0]).lineage["content"], Path(options.prepared))
    count = min(options.sentences, len(features.validation))
    numbers = [int(number) for number in features.validation[np.linspace(0, len(features.validation) - 1, count).astype(int)]]
    measure = Intelligibility(load_recogniser(options.recogniser, features.card["dialect"]), features.card["dialect"])
    began = time.process_time()
    sounds = natural(features, numbers)
    with tempfile.TemporaryDirectory() as scratch:
        for run in [*runs, untrained(runs[0], Path(scratch))]:
            sounds += spoken(run, features, numbers)
            print(f"{run} has spoken, {time.process_time() - began:.0f} s of processor time so far", flush=True)
    sounds += shuffled([sound for sound in sounds if sound.system == str(runs[0])])
    began = time.monotonic()
    rows = measure(sounds)
    print(f"heard in {time.monotonic() - began:.0f} s by {measure.recogniser.name}; task: {measure.recogniser.task}")
    report = ranking(sounds, rows)
    if options.out:
        Path(options.out).write_text(json.dumps(report | {"commit": commit(), "runs": list(map(str, runs))}, indent=1))


def prepared_set(content: str, folder: Path) -> FeatureSet:
    for card in folder.glob("*/card.json"):
        if json.loads(card.read_text(encoding="utf-8"))["content"] == content:
            return FeatureSet(card.parent)
    raise UserError(f"prepared={folder}: the prepared set of the first run (content {content[:12]}) is not there")


def natural(features: FeatureSet, numbers: list[int]) -> list[Sound]:
    """The recordings, and their mels through the vocoder."""
    rate, vocoder = features.contract.sample_rate, GriffinLim(features.contract)
    sounds = {"recordings": [], "round trip": []}
    for number in numbers:
        said, phonemes = features.utterance(number), features.symbols.symbols_of(features.token_ids(number).tolist())
        mel = features.statistics.restore(features.mel(number)).numpy()
        for system, samples in (("recordings", read_audio(said["audio"], rate)), ("round trip", vocoder(mel))):
            sounds[system].append(Sound(system, said["id"], said["words"], phonemes, samples, rate))
    return [*sounds["recordings"], *sounds["round trip"]]


def spoken(run: Path, features: FeatureSet, numbers: list[int]) -> list[Sound]:
    voice, sounds = Voice.load(run), []
    for number in numbers:
        said = features.utterance(number)
        speech = voice.speak(said["words"])
        system = "untrained" if run.name == "untrained.pt" else str(run)
        sounds.append(Sound(system, said["id"], said["words"], speech.reading.phonemes, speech.samples, speech.rate))
    return sounds


def untrained(run: Path, folder: Path) -> Path:
    """A checkpoint like ``run`` whose weights nobody has trained."""
    checkpoint, path = load_checkpoint(run), folder / "untrained.pt"
    torch.manual_seed(0)
    dataclasses.replace(checkpoint, weights=Fase4(**checkpoint.model).state_dict()).save(path)
    return path


def shuffled(sounds: list[Sound]) -> list[Sound]:
    """The same sounds, each with the next one's text."""
    texts = sounds[1:] + sounds[:1]
    return [dataclasses.replace(sound, system="shuffled text", words=text.words, phonemes=text.phonemes)
            for sound, text in zip(sounds, texts, strict=True)]


def ranking(sounds: list[Sound], rows: list[dict[str, float] | Failure]) -> dict:
    """Print, and return, each system's rates and how it stands to the one after it, on the sentences that none failed on."""
    systems = list(dict.fromkeys(sound.system for sound in sounds))
    by_system = {system: [row for sound, row in zip(sounds, rows, strict=True) if sound.system == system] for system in systems}
    failures = {system: sum(isinstance(row, Failure) for row in of) for system, of in by_system.items()}
    places = [place for place, row in enumerate(zip(*by_system.values(), strict=True))
              if not any(isinstance(entry, Failure) for entry in row)]
    kept = {system: [of[place] for place in places] for system, of in by_system.items()}
    n = len(places)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
    whole = {system: {name: float(value[0]) for name, value in corpus_rates(of).items()} for system, of in kept.items()}
    resampled = {system: corpus_rates(of, counts) for system, of in kept.items()}
    report: dict = {"n": n, "failures": failures, "systems": {}, "differences": []}
    for system in systems:
        figures = {name: [value, *interval(resampled[system][name])] for name, value in whole[system].items()}
        report["systems"][system] = figures
        print(f"{system}: n={n}, {failures[system]} failed; "
              + "; ".join(f"{name} {value:.3f} [{low:.3f}, {high:.3f}]" for name, (value, low, high) in figures.items()))
    for name, sign in (("score", 1), ("wer", -1)):
        for better, worse in zip(systems, systems[1:], strict=False) if name in whole[systems[0]] else ():
            low, high = interval(sign * (resampled[better][name] - resampled[worse][name]))
            gap = sign * (whole[better][name] - whole[worse][name])
            report["differences"].append({"better": better, "worse": worse, "by": name, "gap": [gap, low, high]})
            verdict = "in order" if low > 0 else ("not told apart" if high > 0 else "OUT OF ORDER")
            print(f"by {name}, {better} over {worse}: {gap:+.3f} [{low:+.3f}, {high:+.3f}], {verdict}")
    return report


def interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command_line.run(main)
