"""Judge voices on held-out sentences, beside the recordings and their mel round trip. Phase 5.

    python -m chatterbox_es.evaluate run=outputs/4_3/TIME
    python -m chatterbox_es.evaluate run=outputs/best,outputs/4_3/TIME/checkpoints/best_….pt sentences=50
    python -m chatterbox_es.evaluate run=outputs/best peers=other:DIR recogniser=whisper:small

Writes sounds/, rows.jsonl (a line a sentence and system), summary.json and evaluation.html. docs/evaluation.md says what
the figures mean.
"""

import contextlib
import dataclasses
import datetime
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from chatterbox_es import command_line
from chatterbox_es.acoustics.audio import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.cepstra import MelCepstralDistortion, Pairs
from chatterbox_es.evaluation.naturalness import Dnsmos, Predictor
from chatterbox_es.evaluation.page import write_page
from chatterbox_es.evaluation.prosody import Prosody
from chatterbox_es.evaluation.results import SOUND, Results, Row, collect, table
from chatterbox_es.evaluation.sounds import Failure, Measure, Sound, on_all_cores
from chatterbox_es.evaluation.speaker_similarity import SpeakerSimilarity
from chatterbox_es.evaluation.speed import machine, speed_of
from chatterbox_es.evaluation.systems import (
    Recordings,
    RoundTrip,
    Sentence,
    Spoken,
    System,
    check_names,
    held_out,
    parse_peers,
)
from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.run_directory import commit
from chatterbox_es.select import features_of
from chatterbox_es.selection import check_comparable
from chatterbox_es.speech import Voice, chosen_from, newest_voice, voice_file

ALWAYS = ("cepstra", "prosody", "naturalness", "speed")
MEASURES = (*ALWAYS, "predictor", "speaker_similarity", "intelligibility", "dialect")
PAGE = "evaluation.html"


@dataclasses.dataclass
class EvaluateOptions:
    run: str = dataclasses.field(default="", metadata={"help": "runs or checkpoints, commas between; none: the newest"})
    sentences: str = dataclasses.field(default="all", metadata={"help": "how many held-out ones, evenly chosen, or all"})
    peers: str = dataclasses.field(default="", metadata={"help": "name:DIR of another system's files <id>.wav, with commas"})
    measures: str = dataclasses.field(default="", metadata={"help": f"of {', '.join(MEASURES)}; none: all that can be"})
    recogniser: str = dataclasses.field(default="", metadata={"help": "whisper[:MODEL], vosk:DIR or pocketsphinx:DIR"})
    predictor: str = dataclasses.field(default="", metadata={"help": "ONNX file that predicts naturalness"})
    predictor_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})
    speaker: str = dataclasses.field(default="", metadata={"help": "ONNX file that embeds speakers"})
    speaker_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})
    out: str = dataclasses.field(default="", metadata={"help": "folder [RUN/evaluation, or outputs/evaluation/TIME]"})
    outputs: str = dataclasses.field(default="outputs", metadata={"help": "where runs are looked for"})
    phase: str = dataclasses.field(default="5", metadata={"help": "what this command is; 5 and no other"})


def evaluate(systems: Sequence[System], sentences: Sequence[Sentence], measures: Sequence[Measure], folder: Path | None = None,
             say: object = print) -> Results:
    """Have systems say sentences, and measure what they say; with ``folder`` the sounds are written below it.

    Raises:
        UserError: none of the systems says anything; the sounds cannot be written.
    """
    with one_thread_each():
        said: dict[str, list[tuple[Row, Sound | None]]] = {}
        for system in systems:
            began = time.monotonic()
            sounds = on_all_cores(system, sentences)
            said[system.name] = [_row(system, sentence, sound, folder)
                                 for sentence, sound in zip(sentences, sounds, strict=True)]
            failed = sum(isinstance(sound, Failure) for sound in sounds)
            say(f"{system.name}: {len(sounds) - failed} sentences in {time.monotonic() - began:.1f} s"
                + (f"; {failed} failed, such as: {next(s.reason for s in sounds if isinstance(s, Failure))}" if failed else ""))
        if not any(sound for pairs in said.values() for _, sound in pairs):
            raise UserError("no system has said anything; see the reasons above")
        return collect(said, measures, lambda name: say(f"measuring: {name}"))


def _row(system: System, sentence: Sentence, sound: Sound | Failure, folder: Path | None) -> tuple[Row, Sound | None]:
    row = Row(system.name, sentence.utterance, sentence.words)
    if isinstance(sound, Failure):
        row.failures[SOUND] = sound.reason
        return row, None
    row.seconds = round(sound.seconds, 3)
    if folder is not None:
        row.sound = f"sounds/{file_name(system.name)}/{file_name(sentence.utterance)}.wav"
        write_audio(folder / row.sound, sound.samples, sound.rate)
    return row, sound


def file_name(name: str) -> str:
    """A name as that of one file."""
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name).strip(". ") or "_"


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """While many sentences are said at once, torch takes one thread for each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def build_measures(options: EvaluateOptions, dialect: str) -> list[Measure]:
    """The measures that were asked for, or all that what was given allows.

    Raises:
        UserError: an unknown one, or one whose package or model is missing.
    """
    asked = [name.strip() for name in options.measures.split(",") if name.strip()]
    unknown = [name for name in asked if name not in MEASURES]
    if unknown:
        raise UserError(f"measures={options.measures}: there is no measure {unknown[0]}; there are {', '.join(MEASURES)}")
    given = {"predictor": options.predictor, "speaker_similarity": options.speaker, "intelligibility": options.recogniser,
             "dialect": options.recogniser}
    for name, key in (("predictor", "predictor"), ("speaker_similarity", "speaker"), ("intelligibility", "recogniser")):
        if name in asked and not given[name]:
            raise UserError(f"measures={options.measures}: {name} needs {key}=… (see --help)")
    wanted = asked or [*ALWAYS, *(name for name, value in given.items() if value)]
    measures: list[Measure] = []
    if {"cepstra", "prosody"} & set(wanted):
        pairs = Pairs()
        measures += [kind(pairs) for name, kind in (("cepstra", MelCepstralDistortion), ("prosody", Prosody)) if name in wanted]
    if "naturalness" in wanted:
        measures.append(Dnsmos())
    if "predictor" in wanted:
        measures.append(Predictor(Path(options.predictor), options.predictor_rate))
    if "speaker_similarity" in wanted:
        measures.append(SpeakerSimilarity(Path(options.speaker), options.speaker_rate))
    return measures + _heard(options, wanted, dialect)


def _heard(options: EvaluateOptions, wanted: Sequence[str], dialect: str) -> list[Measure]:
    """The measures that a recogniser makes."""
    if "intelligibility" not in wanted:
        return []
    from chatterbox_es.evaluation.intelligibility import Intelligibility
    from chatterbox_es.evaluation.recognisers import load_recogniser

    return [Intelligibility(load_recogniser(options.recogniser, dialect), dialect)]


def folder_of(run: Path) -> Path:
    """The run directory of a run or of a checkpoint in one."""
    if not run.is_file():
        return run
    return run.parent.parent if run.parent.name == "checkpoints" else run.parent


def name_of(run: Path) -> str:
    """What a run or a checkpoint is called in tables: the ends of its path."""
    name = "/".join(folder_of(run).absolute().parts[-2:])
    return f"{name}/{run.stem}" if run.is_file() else name


def main() -> None:
    options = command_line.parse(EvaluateOptions, sys.argv[1:], __doc__)
    if options.phase != "5":
        raise UserError(f"phase={options.phase}: this command is phase 5; the others are python -m chatterbox_es.train phase=…")
    outputs = Path(options.outputs)
    runs = [Path(part.strip()) for part in options.run.split(",") if part.strip()] or [newest_voice(outputs)]
    count = _count(options.sentences)
    voices = {name_of(run): Voice.load(run) for run in runs}
    if len(voices) < len(runs):
        raise UserError(f"run={options.run}: give every run once, and runs whose paths end alike one at a time")
    check_comparable([voice_file(run) for run in runs])
    first = next(iter(voices.values()))
    features = features_of(folder_of(runs[0]), first.checkpoint.lineage.get("content", "unknown"))
    for name, voice in voices.items():
        voice.checkpoint.check_fits(features, name)
    rate = features.contract.sample_rate
    systems: list[System] = [Recordings(rate), RoundTrip(features, first.vocoder)]
    systems += [Spoken(name, voice, rate) for name, voice in voices.items()]
    systems += parse_peers(options.peers, rate)
    check_names(systems)
    measures = build_measures(options, first.front_end.dialect.name)
    folder = Path(options.out) if options.out else _folder(runs, outputs)
    for run in runs:
        print(f"voice: {run}{chosen_from(run)}")
    began = time.monotonic()
    sentences = held_out(features, count)
    results = evaluate(systems, sentences, measures, folder)
    if not options.measures or "speed" in options.measures:
        print("measuring: speed")
        results.speeds = {name: dataclasses.asdict(speed_of(voice, _texts(results, name))) for name, voice in voices.items()
                          if _texts(results, name)}
    results.card = _card(features, runs, voices, sentences, time.monotonic() - began)
    results.write(folder)
    write_page(results, folder, folder / PAGE)
    print(f"\n{table(results)}\n")
    _say_failures(results)
    if results.card["synthetic"]:
        print("its recordings are SYNTHETIC: these figures say nothing about a voice from a person's recordings")
    print(f"{folder}: {PAGE}, rows.jsonl, summary.json and sounds/, in {time.monotonic() - began:.0f} s")


def _count(written: str) -> int | None:
    if written == "all":
        return None
    if not written.isdecimal() or not int(written):
        raise UserError(f"sentences={written}: write how many, or all")
    return int(written)


def _folder(runs: Sequence[Path], outputs: Path) -> Path:
    if len(runs) == 1 and runs[0].is_dir():
        return runs[0] / "evaluation"
    return outputs / "evaluation" / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"


def _texts(results: Results, system: str) -> list[str]:
    return [row.words for row in results.of(system) if SOUND not in row.failures]


def _card(features: FeatureSet, runs: Sequence[Path], voices: dict[str, Voice], sentences: Sequence[Sentence],
          seconds: float) -> dict:
    checkpoints = {name: str(voice_file(run)) for name, run in zip(voices, runs, strict=True)}
    return {"made": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "commit": commit(),
            "machine": machine(), "seconds": round(seconds, 1), "prepared": str(features.folder),
            "content": features.card["content"], "corpus": features.card["corpus"], "dialect": features.card["dialect"],
            "synthetic": bool(features.card.get("synthetic")), "sentences": len(sentences),
            "held_out": len(features.validation), "checkpoints": checkpoints}


def _say_failures(results: Results) -> None:
    for system, measures in results.failures().items():
        for measure, reasons in measures.items():
            for reason, times in sorted(reasons.items(), key=lambda pair: -pair[1])[:5]:
                print(f"{system}: {times} without {measure}: {reason}")


if __name__ == "__main__":
    command_line.run(main)
