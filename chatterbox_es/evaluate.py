"""Judge voices on held-out sentences, beside the recordings and their mel round trip. Phase 5.

    python -m chatterbox_es.evaluate run=outputs/4_3/TIME
    python -m chatterbox_es.evaluate run=outputs/best,outputs/4_3/TIME/checkpoints/best_….pt sentences=50
    python -m chatterbox_es.evaluate run=outputs/best peers=other:DIR recogniser=whisper:small sentences=all
    python -m chatterbox_es.evaluate run=outputs/4_3/TIME,base

Takes as many sentences as fit into two minutes (minutes=), and says how many; sentences= takes others. Writes
sounds/, rows.jsonl (a line a sentence and system), summary.json and evaluation.html. docs/evaluation.md says what the
metrics mean.
"""

import dataclasses
import datetime
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatterbox_es import command_line, config
from chatterbox_es.audio.vocoder import GriffinLim
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.budget import PROBED, sentences_that_fit
from chatterbox_es.evaluation.comparison import evaluate
from chatterbox_es.evaluation.measures import MEASURES, MeasureOptions, build_measures
from chatterbox_es.evaluation.page import write_page
from chatterbox_es.evaluation.recognisers import recogniser_of
from chatterbox_es.evaluation.results import SOUND, Results, table
from chatterbox_es.evaluation.sounds import GRIFFIN_LIM, REFERENCES
from chatterbox_es.evaluation.speed import machine, speed_of
from chatterbox_es.evaluation.systems import Recordings, RoundTrip, Sentence, Spoken, System, check_names, held_out, parse_peers
from chatterbox_es.evaluation.verdicts import verdicts
from chatterbox_es.models.families import features_of
from chatterbox_es.runs.checkpoint_files import BASE, is_base, run_of, voice_file
from chatterbox_es.runs.run_directory import commit
from chatterbox_es.selection.ranking import check_comparable
from chatterbox_es.speech.options import AUTO, VOCODER_HELP, MannerOptions, VoiceOptions
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import chosen_from, load_voice, newest_voice

PAGE = "evaluation.html"


@dataclasses.dataclass
class EvaluateOptions(MeasureOptions, MannerOptions):
    run: str = dataclasses.field(default="", metadata={"help": "runs or checkpoints, commas between; none: the newest"})
    sentences: str = dataclasses.field(default="", metadata={
        "help": "how many held-out ones, evenly chosen, or all; nothing: as many as fit into minutes="})
    minutes: float = dataclasses.field(default=2.0, metadata={"help": "time for the evaluation where sentences= says nothing"})
    measures: str = dataclasses.field(default="", metadata={"help": f"of {', '.join(MEASURES)}; none: all that can be"})
    peers: str = dataclasses.field(default="", metadata={"help": "name:DIR of another system's files <id>.wav, with commas"})
    out: str = command_line.path_field("folder [RUN/evaluation, or outputs/evaluation/TIME]")
    outputs: str = command_line.path_field("where runs are looked for", default="outputs")
    vocoder: str = command_line.path_field(VOCODER_HELP, default=AUTO)
    griffin_lim: bool = dataclasses.field(default=False, metadata={
        "help": "the round trip by Griffin-Lim too, beside that by the voices' vocoder"})
    weights: str = command_line.path_field("folder of Resemble's files, for hift or chatterbox")
    codec: str = dataclasses.field(default="", metadata={"help": "chatterbox: of voices of another codec than Resemble's"})
    phase: str = dataclasses.field(default="5", metadata={"help": "what this command is; 5 and no other"})


def name_of(run: Path) -> str:
    """What a run or a checkpoint is called in tables: the ends of its path."""
    if is_base(run):
        return BASE
    name = "/".join(run_of(run).absolute().parts[-2:])
    return f"{name}/{run.stem}" if run.is_file() else name


def main() -> None:
    began = time.monotonic()
    options = command_line.parse(EvaluateOptions, sys.argv[1:], __doc__)
    options.recogniser = recogniser_of(options.recogniser)
    if options.phase != "5":
        raise UserError(f"phase={options.phase}: this command is phase 5; the others are python -m chatterbox_es.train phase=…")
    asked = [name.strip() for name in options.measures.split(",") if name.strip()]
    wanted, outputs = _count(options), Path(options.outputs)
    runs = command_line.listed_paths(options.run) or [newest_voice(outputs, or_base=False)]
    said = {field.name: getattr(options, field.name) for field in dataclasses.fields(MannerOptions)}
    voices = load_voices(runs, VoiceOptions(vocoder=options.vocoder, weights=options.weights, codec=options.codec, **said))
    first, features = next(iter(voices.values())), features_for(runs, voices, options.codec)
    systems = _systems(features, voices, options)
    expected = min(wanted or len(features.validation), len(features.validation))
    measures = build_measures(options, first.front_end.dialect.name, asked, voices, expected)
    folder = Path(options.out) if options.out else _folder(runs, outputs)
    for run, voice in zip(runs, voices.values(), strict=True):
        print(f"voice: {run}{chosen_from(run)}" + (f", sound by {voice.sounds_by}" if voice.sounds_by else ""))
    if wanted is None and len(features.validation) > PROBED:
        sentences, chosen = sentences_that_fit(features, systems, measures, 60 * options.minutes - (time.monotonic() - began))
    else:
        sentences = held_out(features, wanted)
        chosen = f"sentences: {len(sentences)} of {len(features.validation)} held-out ones, evenly over their order"
    print(chosen)
    results = evaluate(systems, sentences, measures, folder)
    if not asked or "speed" in asked:
        _time(results, voices)
    results.card = _card(features, runs, voices, sentences, options) | {
        "chosen": chosen, "seconds": round(time.monotonic() - began, 1)}
    results.write(folder)
    write_page(results, folder, folder / PAGE)
    print(f"\n{table(results)}\n")
    print(*verdicts(results, [name for name in (*REFERENCES, *voices) if name in results.systems]), "", sep="\n")
    _say_failures(results)
    if results.card["synthetic"]:
        print("its recordings are SYNTHETIC: these figures say nothing about a voice from a person's recordings")
    print(f"{folder}: {PAGE}, rows.jsonl, summary.json and sounds/, in {time.monotonic() - began:.0f} s")


def _systems(features: FeatureSet, voices: Mapping[str, Voice], options: EvaluateOptions) -> list[System]:
    rate = features.contract.sample_rate
    systems: list[System] = [Recordings(rate), RoundTrip(features, next(iter(voices.values())).vocoder)]
    if options.griffin_lim:
        systems.append(RoundTrip(features, GriffinLim(features.contract), GRIFFIN_LIM))
    for name, voice in voices.items():
        voice.checkpoint.check_fits(features, name, statistics=False)  # what is compared is sound
        systems.append(Spoken(name, voice, rate))
    systems += parse_peers(options.peers, rate)
    check_names(systems)
    return systems


def load_voices(runs: Sequence[Path], options: VoiceOptions | None = None) -> dict[str, Voice]:
    """The voices of runs or checkpoints, by name.

    Raises:
        UserError: one is named twice, or they are of different data.
    """
    voices = {name_of(run): load_voice(run, options=options) for run in runs}
    if len(voices) < len(runs):
        raise UserError(f"run={','.join(map(str, runs))}: two of them are called alike; name each once")
    if trained := [voice_file(run) for run in runs if not is_base(run)]:
        check_comparable(trained)
    return voices


def features_for(runs: Sequence[Path], voices: Mapping[str, Voice], codec: str = "") -> FeatureSet:
    """The set whose held-out sentences are said: that of the first voice that was trained here; of the base voice alone, the
    speech that comes along.

    Raises:
        UserError: as `features_of`.
    """
    for run, voice in zip(runs, voices.values(), strict=True):
        if not is_base(run):
            return features_of(run_of(run), voice.checkpoint.lineage.get("content", "unknown"), codec)
    print("the base voice is judged on sentences of data=demo, whose speech it may have learnt from")
    return prepare(config.compose(["data=demo"]))


def _time(results: Results, voices: Mapping[str, Voice]) -> None:
    """How fast each voice speaks that has said anything."""
    print("measuring: speed")
    for name, voice in voices.items():
        texts = [row.words for row in results.of(name) if SOUND not in row.failures]
        if texts:
            results.speeds[name] = dataclasses.asdict(speed_of(voice, texts))


def _count(options: EvaluateOptions) -> int | None:
    """How many sentences; None: as many as fit into the time."""
    if not 0 < options.minutes < float("inf"):
        raise UserError(f"minutes={options.minutes}: must be above 0")
    if options.sentences in ("", "all"):
        return sys.maxsize if options.sentences else None
    if not options.sentences.isdecimal() or not int(options.sentences):
        raise UserError(f"sentences={options.sentences}: write how many, or all")
    return int(options.sentences)


def _folder(runs: Sequence[Path], outputs: Path) -> Path:
    if len(runs) == 1 and runs[0].is_dir():
        return runs[0] / "evaluation"
    return outputs / "evaluation" / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"


def _card(features: FeatureSet, runs: Sequence[Path], voices: Mapping[str, Voice], sentences: Sequence[Sentence],
          options: EvaluateOptions) -> dict:
    checkpoints = {name: str(voice_file(run)) for name, run in zip(voices, runs, strict=True)}
    return {"made": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "commit": commit(),
            "machine": machine(), "prepared": str(features.folder.resolve()), "content": features.card["content"],
            "corpus": features.card["corpus"], "dialect": next(iter(voices.values())).front_end.dialect.name,
            "synthetic": bool(features.card.get("synthetic")), "sentences": len(sentences),
            "held_out": len(features.validation), "recogniser": options.recogniser, "checkpoints": checkpoints,
            "vocoder": "; ".join(dict.fromkeys(voice.vocoder.name for voice in voices.values()))}


def _say_failures(results: Results) -> None:
    for system, measures in results.failures().items():
        for measure, reasons in measures.items():
            for reason, times in sorted(reasons.items(), key=lambda pair: -pair[1])[:5]:
                print(f"{system}: {times} without {measure}: {reason}")


if __name__ == "__main__":
    command_line.run(main)
