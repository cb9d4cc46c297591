"""How right the times of words are: a voice's own durations against a forced alignment of its sound by PocketSphinx.

    python scripts/bench_times.py recogniser=pocketsphinx:DIR [run=base] [sentences=100] [speaker=NAME]

The recogniser has nothing of the voice: it hears the sound, and is told the phones. It finds edges to 10 ms, and itself errs by
some 20 ms, so that the figure is an upper bound. Prints a row for docs/benchmarks.md.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.corpus.espeak_demo import read_sentences
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.evaluation.sphinx import Sphinx
from chatterbox_es.runs.run_directory import commit
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voices import load_voice


@dataclasses.dataclass
class Options:
    recogniser: str = command_line.path_field("pocketsphinx:DIR, a Spanish model's folder")
    run: str = command_line.path_field("the voice", default="base")
    speaker: str = dataclasses.field(default="", metadata={"help": "of a voice with several"})
    sentences: int = dataclasses.field(default=100, metadata={"help": "how many of the demo's sentences"})


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    voice = load_voice(Path(options.run), speaker=options.speaker)
    sphinx = load_recogniser(options.recogniser, voice.front_end.dialect.name)
    if not isinstance(sphinx, Sphinx):
        raise UserError(f"recogniser={options.recogniser}: only PocketSphinx aligns; write pocketsphinx:DIR")
    sentences = [sentence.text for sentence in read_sentences()]
    texts = [sentences[place] for place in np.linspace(0, len(sentences) - 1, options.sentences).astype(int)]
    away, failed = [], 0
    for text in texts:
        try:
            away.append(differences(voice.speak(text), sphinx))
        except ValueError:  # no alignment
            failed += 1
    starts, ends = (1000 * part for part in np.concatenate(away).T)
    print(f"commit {commit()}, {voice.name}, {len(texts)} sentences, {failed} of them could not be aligned")
    print("| words | starts: median, 90 % of them within | ends: likewise | bias of starts, ends |\n|---|---|---|---|")
    print(f"| {len(starts)} | **{np.median(abs(starts)):.0f}**, {np.quantile(abs(starts), 0.9):.0f} ms "
          f"| **{np.median(abs(ends)):.0f}**, {np.quantile(abs(ends), 0.9):.0f} ms "
          f"| {np.median(starts):+.0f}, {np.median(ends):+.0f} ms |")


def differences(speech: Speech, sphinx: Sphinx) -> np.ndarray:
    """(words, 2): how many seconds later each word begins and ends by its times than by the alignment."""
    spans = sphinx.align(speech.samples, speech.rate, speech.reading.phonemes)
    found = []
    for word, spoken in zip(speech.times.words, speech.reading.spoken, strict=True):
        heard = spans[spoken.first:spoken.last]
        if len(heard) and not np.isnan(heard).any():
            found.append((word.start - heard[0, 0], word.end - heard[-1, 1]))
    return np.array(found).reshape(-1, 2)


if __name__ == "__main__":
    command_line.run(main)
