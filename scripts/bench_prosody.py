"""Does a voice do with melody what it is asked to? F0 is measured in its sound by Harvest (Morise 2017).

    python scripts/bench_prosody.py [run=base] [speaker=] [sentences=20] [texts=FILE] [pitch=3] [seeds=10] [out=FOLDER]

Says so many sentences (a text a line; what follows ``|`` is left out) once as usual and once ``pitch`` semitones higher, both
without chance, and prints by how many F0 is higher: the median over the frames that are voiced in both, then mean and deviation
over the sentences. Says the first of them with so many seeds and prints how far the contours are apart: of each pair, the root
mean square over the tokens that are voiced in both of the difference of their mean F0. ``out`` keeps the sounds, and a list of
each setting's beside them (file<TAB>words) that a recogniser can be given.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
from said_texts import keep

from chatterbox_es import command_line
from chatterbox_es.audio.f0 import world
from chatterbox_es.corpus.espeak_demo import SENTENCES, read_sentences
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voices import load_voice

FEWEST_WORDS = 6  # of a sentence that has a melody


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    voice = load_voice(Path(options.get("run", "base")), speaker=options.get("speaker", ""))
    higher, seeds = float(options.get("pitch", "3")), int(options.get("seeds", "10"))
    texts = [sentence.text for sentence in read_sentences(Path(options.get("texts", SENTENCES)))
             if len(sentence.text.split()) >= FEWEST_WORDS]
    texts = [texts[place] for place in np.linspace(0, len(texts) - 1, int(options.get("sentences", "20"))).astype(int)]
    usual = [voice.speak(text, manner=Manner(temperature=0.0)) for text in texts]
    moved = [voice.speak(text, manner=Manner(temperature=0.0, pitch=higher)) for text in texts]
    steps = np.array([raised(one, other) for one, other in zip(usual, moved, strict=True)])
    print(f"pitch={higher:g}: F0 of {len(steps)} sentences is {steps.mean():.2f} semitones higher (deviation "
          f"{steps.std():.2f}, from {steps.min():.2f} to {steps.max():.2f})")
    sayings = [voice.speak(texts[0], manner=Manner(seed=seed)) for seed in range(seeds)]
    apart = [distance(one, other) for one, other in itertools.combinations(map(contour, sayings), 2)]
    print(f"{seeds} seeds: F0 contours of each two are {np.mean(apart):.2f} semitones apart in the mean, {min(apart):.2f} at "
          "least")
    if "out" in options:
        for name, said in (("usual", usual), ("moved", moved), ("seeds", sayings)):
            keep(Path(options["out"]), name, [(speech.reading.words, speech.samples) for speech in said], said[0].rate)


def semitones(speech: Speech) -> np.ndarray:
    """F0 of each mel frame above 1 Hz, not a number where it is unvoiced: (frames,)."""
    frames, seconds = len(speech.mel), len(speech.samples) / speech.rate / len(speech.mel)
    f0, times = world().harvest(speech.samples.astype(np.float64), speech.rate, frame_period=5.0)
    at = np.clip(np.searchsorted(times, (np.arange(frames) + 0.5) * seconds), 0, len(f0) - 1)
    return 12 * np.log2(np.where(f0[at] > 0, f0[at], np.nan))


def raised(one: Speech, other: Speech) -> float:
    """By how many semitones the second is higher; both have the same frames."""
    return float(np.nanmedian(semitones(other) - semitones(one)))


def contour(speech: Speech) -> np.ndarray:
    """Mean F0 of each token in semitones, not a number where most of it is unvoiced: (tokens,)."""
    parts = np.split(semitones(speech), np.cumsum(speech.durations)[:-1])
    return np.array([np.nanmean(part) if np.isfinite(part).mean() > 0.5 else np.nan for part in parts])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean((one - other) ** 2)))


if __name__ == "__main__":
    command_line.run(main)
