"""How good and how intelligible voices are to predictors and recognisers, beside the recordings and their mel round trip.

    python scripts/judge_voice.py RUN [RUN …] [judge=../shared/judge/judge.py] [sentences=20] [picture=FILE.png]
                                  [recogniser=pocketsphinx:../shared/judge] [also=whisper:base] [out=FOLDER]
                                  [vocoders=RUN,RUN,…] [vocoder=auto]
    python scripts/judge_voice.py prepared=FOLDER … [vocoders=base,RUN,…]

A RUN is a run directory (its final checkpoint) or a checkpoint's file; all of them share a prepared set. They speak held-out
sentences of it (``sentences=all``: all of them) with their own durations, by ``vocoder``. Of a prepared set without runs, its
recordings and their round trip are judged alone. ``vocoders`` say the recordings' own mels as well: runs of phase=vocoder,
their checkpoints, or "base", the one that comes along. Prints a JSON object a system, with what the independent judge says of
it; then, in Markdown, DistillMOS, DNSMOS, score and word error rate of every system with 95 % intervals (``also``: the word
error rate by another recogniser), and how each differs from the one before, sentence by sentence (paired bootstrap). ``out``
keeps the sounds, and an evaluation.html. ``picture`` draws the judge's scores against the minutes of training, both phases
counted.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib import pyplot

from chatterbox_es import command_line
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.comparison import evaluate
from chatterbox_es.evaluation.measures import MeasureOptions, build_measures
from chatterbox_es.evaluation.page import write_page
from chatterbox_es.evaluation.results import Results, shown_value
from chatterbox_es.evaluation.sounds import RECORDINGS, ROUND_TRIP
from chatterbox_es.evaluation.systems import Recordings, RoundTrip, Spoken, System, held_out
from chatterbox_es.evaluation.verdicts import verdicts
from chatterbox_es.models.families import features_of, load_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint, run_of, vocoder_beside
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voice import MelVoice

MEASURES = ("distillmos", "dnsmos", "intelligibility", "speaker_similarity", "prosody", "variance")
COLUMNS = {"distillmos": "DistillMOS", "dnsmos_ovrl": "DNSMOS overall", "wer": "WER", "similarity_to_speaker": "similarity",
           "f0_range_ratio": "range of F0 over the recording's", "mel_variance": "variance of mels over the recording's"}


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    runs = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    judge = Path(options.get("judge", "../shared/judge/judge.py"))
    if not (runs or "prepared" in options) or not judge.is_file():
        raise UserError(f"needs runs or a prepared set, and a judge (looked for {judge})\n{__doc__}")
    checkpoints = {run: load_checkpoint(final_checkpoint(run)) for run in runs}
    features = (FeatureSet(Path(options["prepared"])) if "prepared" in options else
                features_of(run_of(runs[0]), checkpoints[runs[0]].lineage["content"]))
    spoken_by = VoiceOptions(options.get("vocoder", "auto"))
    voices = {str(run): MelVoice(checkpoint, str(run), vocoder=spoken_by.mel_vocoder(checkpoint.contract,
                                                                                  vocoder_beside(final_checkpoint(run))))
              for run, checkpoint in checkpoints.items()}
    rate = features.contract.sample_rate
    systems: list[System] = [Recordings(rate), RoundTrip(features, GriffinLim(features.contract))]
    systems += [RoundTrip(features, VoiceOptions(name).mel_vocoder(features.contract),
                          f"vocoder {name}") for name in filter(None, options.get("vocoders", "").split(","))]
    systems += [Spoken(name, voice, rate) for name, voice in voices.items()]
    chosen = options.get("sentences", "20")
    sentences = held_out(features, None if chosen == "all" else int(chosen))
    dialect = features.card["dialect"]
    measures = build_measures(MeasureOptions(recogniser=options.get("recogniser", f"pocketsphinx:{judge.parent}")),
                              dialect, MEASURES, sentences=len(sentences))
    with contextlib.ExitStack() as stack:
        folder = Path(options.get("out") or stack.enter_context(tempfile.TemporaryDirectory()))
        results = evaluate(systems, sentences, measures, folder, say=lambda text: print(text, file=sys.stderr))
        results.card = {"sentences": len(sentences), "checkpoints": dict.fromkeys(voices, "")}
        scores = {system: hear(system, results, folder, judge) for system in results.systems}
        if "also" in options:
            other = build_measures(MeasureOptions(recogniser=options["also"]), dialect, ("intelligibility",))
            heard = evaluate(systems, sentences, other, say=lambda text: None)
            print(f"\n{options['also']}\n\n{table(heard)}\n\n{steps(heard)}")
        if "out" in options:
            results.write(folder)
            write_page(results, folder, folder / "evaluation.html")
    print(f"\n{table(results)}\n\n{steps(results)}")
    if "picture" in options:
        points = [(minutes_of(checkpoint.lineage), scores[str(run)]) for run, checkpoint in checkpoints.items()]
        draw(Path(options["picture"]), points, {name: scores[name] for name in (RECORDINGS, ROUND_TRIP)})


def hear(system: str, results: Results, folder: Path, judge: Path) -> float:
    """Have the judge hear what a system has said, print what it says, and return the score."""
    rows = [f"{(folder / row.sound).absolute()}\t{row.words}\n" for row in results.of(system) if row.sound]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as listing:
        listing.writelines(rows)
        listing.flush()
        done = subprocess.run([sys.executable, judge, listing.name], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    print(json.dumps({"system": system} | said), flush=True)
    return said["score"]


def table(results: Results) -> str:
    """The systems' metrics with intervals, in Markdown."""
    names = [name for name in COLUMNS if name in results.shown()]
    scores, estimates = results.scores(), results.estimates()
    lines = ["| | " + " | ".join(COLUMNS[name] for name in names) + " | score |", "|---" * (len(names) + 2) + "|"]
    for system in results.systems:
        found = [*(estimates[system].get(name) for name in names), scores.get(system)]
        cells = ["" if one is None else f"{shown_value(one.mean, one.mean)} [{shown_value(one.low, one.mean)}, "
                 f"{shown_value(one.high, one.mean)}]" for one in found]
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def steps(results: Results) -> str:
    """What may be said of each system beside the one before it, in Markdown."""
    systems: Sequence[str] = results.systems
    pairs = list(zip(systems[1:], systems, strict=False))
    lines = ["| one / the one before | quality | intelligibility | WER | score |", "|---|---|---|---|---|"]
    for verdict in verdicts(results, systems[::-1]):
        if (verdict.first, verdict.second) in pairs:
            differences = (results.difference("wer", verdict.first, verdict.second),
                           results.score_difference(verdict.first, verdict.second))
            cells = ["" if one is None else f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in differences]
            lines.append(f"| {verdict.first} / {verdict.second} | {verdict.quality} | {verdict.intelligibility} | "
                         f"{' | '.join(cells)} |")
    return "\n".join(lines)


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


if __name__ == "__main__":
    torch.set_num_threads(2)
    command_line.run(main)
