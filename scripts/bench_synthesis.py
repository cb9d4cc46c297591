"""How fast a voice speaks on this machine: real-time factor, time to the first sound, agreement of the engines.

    python scripts/bench_synthesis.py run=outputs/4_3/TIME [threads=2] [sentences=20] [repeats=5] [engines=torch,onnx]

A real-time factor is seconds of work by the clock for a second of sound; 0.1 is ten times as fast as speech. `mels` is text to
log-mels alone, `sound` the vocoder as well, sentence by sentence, the median of `repeats` rounds; `processor` the same in
seconds of processor time, which other work on the machine disturbs less. `first sound` is from the call to the first samples
of a text of 400 letters, `start` from nothing to a loaded voice. Prints rows for docs/benchmarks.md. Nothing else should
run meanwhile.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from chatterbox_es import command_line
from chatterbox_es.corpus.espeak_demo import read_sentences
from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import commit
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import compare
from chatterbox_es.speech.options import GRIFFIN_LIM, VoiceOptions
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import ENGINES, load_voice

LONG = 400  # characters


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    if "run" not in options:
        raise UserError(f"which voice? run=PATH\n{__doc__}")
    torch.set_num_threads(int(options.get("threads", 2)))
    sentences = [sentence.text for sentence in read_sentences()]
    texts = [sentences[place] for place in np.linspace(0, len(sentences) - 1, int(options.get("sentences", 20))).astype(int)]
    print(f"commit {commit()}, {torch.get_num_threads()} threads, load before: {os.getloadavg()[0]:.1f}, "
          f"{len(texts)} sentences")
    print("| engine | start | mels (bar: ≤ 0.01) | processor | sound (bar: ≤ 0.1) | processor | first sound |")
    print("|---|---|---|---|---|---|---|")
    voices = {}
    for engine in options.get("engines", ",".join(ENGINES)).split(","):
        load_voice(Path(options["run"]), engine=engine)  # the export, where it was not made before, is no start
        began = time.perf_counter()
        voices[engine] = voice = load_voice(Path(options["run"]), engine=engine)
        start = time.perf_counter() - began
        mute = load_voice(Path(options["run"]), engine=engine, options=VoiceOptions(vocoder=GRIFFIN_LIM))
        print(row(engine, voice, mute, start, texts, " ".join(sentences)[:LONG], int(options.get("repeats", 5))), flush=True)
    if len(voices) == len(ENGINES):
        print(compare(voices["torch"], voices["onnx"].acoustic, texts))


def row(engine: str, voice: Voice, mute: Voice, start: float, texts: Sequence[str], long: str, repeats: int) -> str:
    """A row of the table; of the graph of ``mute`` the mels come out alone."""
    ids = [voice.front_end.read(text).ids for text in texts]
    hop_seconds = 1 / voice.checkpoint.contract.frames_per_second
    mels = factors(lambda: sum(len(mute.acoustic(one, Manner())[0]) for one in ids) * hop_seconds, repeats)
    sound = factors(lambda: sum(len(voice.speak(text).mel) for text in texts) * hop_seconds, repeats)
    return (f"| {engine} | {start:.2f} s | **{mels[0]:.4f}** | {mels[1]:.4f} | **{sound[0]:.4f}** | {sound[1]:.4f} "
            f"| {statistics.median(first_sound(voice, long) for _ in range(repeats)):.2f} s |")


def factors(work: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Seconds by the clock and of the processor for a second of sound; ``work`` returns the seconds of sound it made."""
    work()
    rounds = []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        seconds = work()
        rounds.append(((time.perf_counter() - clock) / seconds, (time.process_time() - processor) / seconds))
    return tuple(map(statistics.median, zip(*rounds, strict=True)))


def first_sound(voice: Voice, text: str) -> float:
    """Seconds from the call to the first samples."""
    began = time.perf_counter()
    next(voice.sounds(text))
    return time.perf_counter() - began


if __name__ == "__main__":
    command_line.run(main)
