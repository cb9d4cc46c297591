"""Are seseo and distinción heard where they are known to be?

    python scripts/bench_contrasts.py run=RUN [recogniser=pocketsphinx:../shared/judge] [sentences=40]
    python scripts/bench_contrasts.py corpus=DIR also=DIR,DIR … [sentences=40]

One trained Castilian voice speaks the held-out sentences and the minimal pairs as Castilian and as Latin American Spanish;
espeak-ng speaks the project's sentences and the pairs with its voices es and es-419, and with es where some phonemes are
exchanged: ʃ for every ll and y, [h] or nothing for every s that no vowel follows. In each half the classifier learns from
recordings with distinción: the corpus's own, and espeak-ng's es.

The second form asks recordings alone: what the voices of the folders ``also`` do, by a classifier that learns from ``corpus``,
whose speaker keeps all contrasts apart. Folders are LJSpeech's (metadata.csv, sounds in wavs/ or audio/).
"""

import ctypes
import dataclasses
import functools
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch

from chatterbox_es import command_line
from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.corpus.espeak_demo import Espeak, read_sentences
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.contrasts import Contrasts
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sounds import RECORDINGS, Failure, Sound
from chatterbox_es.models.families import features_of, load_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint, run_of
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import load_voice

RATE = 24_000
FINAL_S = r"s(?! ?[',]*[aeiouwjI])"  # in espeak-ng's notation, where no vowel or glide follows
UTF8_WITH_PHONEMES = 0x101  # of espeak-ng: what stands in double brackets is phonemes


@dataclasses.dataclass
class Options:
    run: str = dataclasses.field(default="", metadata={"help": "run directory or checkpoint of a Castilian voice"})
    corpus: str = dataclasses.field(default="", metadata={"help": "recordings to learn from, in place of a run's"})
    also: str = dataclasses.field(default="", metadata={"help": "folders of other recordings"})
    recogniser: str = dataclasses.field(default="pocketsphinx:../shared/judge", metadata={"help": "who aligns"})
    sentences: int = dataclasses.field(default=40, metadata={"help": "held-out ones, as many as there are, and the project's"})


class Said(NamedTuple):
    samples: np.ndarray
    rate: int


class Synthesiser:
    """espeak-ng as a voice."""

    def __init__(self, name: str):
        self.name = name

    @functools.cache  # noqa: B019
    def speak(self, text: str) -> Said:
        with Espeak(self.name) as voice:
            return Said(soxr.resample(self.say(voice, text), voice.rate, RATE), RATE)

    def say(self, voice: Espeak, text: str) -> np.ndarray:
        return voice.speak(text)


class Altered(Synthesiser):
    """espeak-ng's Castilian voice that says some phonemes as others: ``pattern`` and ``instead`` are in its own notation."""

    def __init__(self, pattern: str, instead: str):
        super().__init__("es")
        self.pattern, self.instead = re.compile(pattern), instead

    def say(self, voice: Espeak, text: str) -> np.ndarray:
        library, given, clauses = voice._library, ctypes.create_string_buffer(text.encode()), []
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        place = ctypes.c_char_p(ctypes.addressof(given))
        while place:  # it reads a clause and moves on; 1: UTF-8, 0: its own notation
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(place), 1, 0).decode())
        phonemes = " ".join(self.pattern.sub(self.instead, clause) for clause in clauses)
        content = f"[[{phonemes}]]".encode() + b"\0"
        voice._blocks.clear()
        library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, UTF8_WITH_PHONEMES, None, None)
        library.espeak_Synchronize()
        return np.concatenate(voice._blocks).astype(np.float32) / 32768


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    aligner = load_recogniser(options.recogniser)
    if options.corpus:
        folders = [Path(folder) for folder in options.also.split(",") if folder]
        named = {RECORDINGS: Path(options.corpus)} | {folder.name: folder for folder in folders}
        hear(aligner, [sound for name, folder in named.items() for sound in recorded(name, folder, options.sentences)], {}, [])
        return
    if not options.run:
        raise UserError("needs run=RUN, or corpus=DIR")
    run = final_checkpoint(Path(options.run))
    content = load_checkpoint(run).lineage["content"]
    features = features_of(run_of(run), content)
    count = min(options.sentences, len(features.validation))
    numbers = features.validation[np.linspace(0, len(features.validation) - 1, count).astype(int)]
    held_out = [features.utterance(int(number)) for number in numbers]
    natural = [Sound(RECORDINGS, row["id"], row["words"], (), read_audio(row["audio"], RATE), RATE) for row in held_out]
    voices = {dialect: load_voice(run, dialect) for dialect in ("castilian", "latin_american")}
    hear(aligner, natural, voices, [(row["id"], row["words"]) for row in held_out])
    texts = [(f"demo-{number}", sentence.spoken) for number, sentence in enumerate(read_sentences()[:options.sentences])]
    espeak = {f"espeak-ng {name}": Synthesiser(name) for name in ("es", "es-419")}
    espeak |= {"es with ʃ for ll and y": Altered(r"l\^|J\^?", "S"), "es with [h] for final s": Altered(FINAL_S, "h"),
               "es without final s": Altered(FINAL_S, "")}
    first = next(iter(espeak.values()))
    hear(aligner, say(RECORDINGS, first, texts), espeak, texts)


def recorded(system: str, folder: Path, count: int) -> list[Sound]:
    """So many recordings of a folder, evenly over its table."""
    rows = [line.split("|")[:2] for line in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    found = {path.stem: path for part in ("wavs", "audio") for path in (folder / part).glob("*")}
    return [Sound(system, f"{system} {name}", text, (), read_audio(found[name], RATE), RATE) for name, text in chosen]


def say(system: str, voice: Voice | Synthesiser, texts: list[tuple[str, str]]) -> list[Sound]:
    said = [(utterance, text, voice.speak(text)) for utterance, text in texts]
    return [Sound(system, utterance, text, (), speech.samples, speech.rate) for utterance, text, speech in said]


def hear(aligner: object, natural: list[Sound], voices: dict, texts: list[tuple[str, str]]) -> None:
    sounds = natural + [sound for name, voice in voices.items() for sound in say(name, voice, texts)]
    measure, began = Contrasts(aligner, "castilian", voices), time.process_time()
    failures = sum(isinstance(row, Failure) for row in measure(sounds))
    print(f"{len(sounds)} sounds, {failures} that could not be aligned, {time.process_time() - began:.0f} s of processor time")
    print(*measure.findings, sep="\n", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command_line.run(main)
