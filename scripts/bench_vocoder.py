"""How good are vocoders on recordings' mels? No texts are needed, so any folder of sound will do.

    python scripts/bench_vocoder.py FOLDER [FOLDER …] [vocoders=griffin_lim,base] [sounds=10] [out=FOLDER]

Of each folder (a voice, say) so many sound files, evenly over their names, are brought to log-mels and said again by each
vocoder: griffin_lim, base (the one that comes along), a run of phase=vocoder or its checkpoint. Prints DistillMOS and DNSMOS of
the recordings and of every vocoder, and how each vocoder differs from the first one on the same sounds (paired bootstrap, 95 %
intervals), in Markdown, a row a folder; with several folders also of all together. ``out`` keeps the sounds.
"""

import sys
from pathlib import Path

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.comparison import evaluate
from chatterbox_es.evaluation.measures import MeasureOptions, build_measures
from chatterbox_es.evaluation.results import Results
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Sound
from chatterbox_es.evaluation.systems import Recordings, Sentence, System, sound_of, treat
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.speech.options import VoiceOptions

METRICS = {"distillmos": "DistillMOS", "dnsmos_ovrl": "DNSMOS"}
CONTRACT = MelContract()


class SaidAgain:
    """A vocoder says what a recording's mels are."""

    def __init__(self, name: str, vocoder: Vocoder):
        self.name, self.vocoder = name, vocoder

    def __call__(self, sentence: Sentence) -> Sound | Failure:
        assert isinstance(sentence.recording, np.ndarray)
        mel = log_mel(sentence.recording, CONTRACT).numpy()
        return sound_of(self.name, sentence, treat(self.vocoder(mel), CONTRACT.sample_rate), CONTRACT.sample_rate)


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    folders = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    names = options.get("vocoders", "griffin_lim,base").split(",")
    if not folders:
        raise UserError(f"needs folders of recordings\n{__doc__}")
    systems: list[System] = [Recordings(CONTRACT.sample_rate)]
    systems += [SaidAgain(name, VoiceOptions(name).mel_vocoder(CONTRACT)) for name in names]
    sentences = {folder: recordings_of(folder, int(options.get("sounds", "10"))) for folder in folders}
    measures = build_measures(MeasureOptions(), "castilian", ("distillmos", "dnsmos"))
    out = Path(options["out"]) if "out" in options else None
    results = evaluate(systems, [one for many in sentences.values() for one in many], measures, out,
                       say=lambda text: print(text, file=sys.stderr))
    heads = [f"{label}: {name}" for label in METRICS.values() for name in (RECORDINGS, *names)]
    heads += [f"{name} less {names[0]}: {label}" for name in names[1:] for label in METRICS.values()]
    print(f"| | sounds | {' | '.join(heads)} |\n" + "|---" * (len(heads) + 2) + "|")
    for folder, said in [*sentences.items(), *([(Path("all"), sum(sentences.values(), []))] if len(folders) > 1 else [])]:
        print(f"| {folder.name} | {len(said)} | {' | '.join(cells(results, names, {one.utterance for one in said}))} |")


def recordings_of(folder: Path, count: int) -> list[Sentence]:
    """Some recordings of a folder, treated as those that are compared with voices.

    Raises:
        UserError: there is no sound file.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac", ".ogg", ".opus", ".mp3"))
    if not files:
        raise UserError(f"{folder} holds no .wav, .flac, .ogg, .opus or .mp3")
    found = []
    for place in np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)):
        samples = treat(read_audio(files[place], CONTRACT.sample_rate), CONTRACT.sample_rate)
        if isinstance(samples, Failure):
            print(f"{files[place]}: {samples.reason}", file=sys.stderr)
        else:
            found.append(Sentence(f"{folder.name}/{files[place].stem}", "", recording=samples))
    return found


def cells(results: Results, names: list[str], utterances: set[str]) -> list[str]:
    some = Results([row for row in results.rows if row.utterance in utterances], results.metrics, results.rates)
    estimates = some.estimates()
    values = [estimates[system][metric] for metric in METRICS for system in (RECORDINGS, *names)]
    steps = [some.difference(metric, name, names[0]) for name in names[1:] for metric in METRICS]
    return [f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in values] + [
        "" if one is None else f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]" for one in steps]


if __name__ == "__main__":
    command_line.run(main)
