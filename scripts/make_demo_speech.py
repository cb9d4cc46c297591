"""The speech of data=demo, from Kokoro's reading of this project's sentences: chatterbox_es/corpus/demo/.

    python scripts/make_demo_speech.py corpus=DIR [minutes=12] [out=DIR]
    python scripts/make_demo_speech.py corpus=DIR judge=20             DistillMOS of twenty recordings and of their copies

``corpus`` holds `metadata.csv` and `audio/` with all of chatterbox_es/corpus/demo_sentences.txt, number N as `demo_N`, 24 kHz,
spoken by Kokoro-82M's voice ef_dora through espeak-ng's Castilian phonemes. The folder gets a choice of them as Ogg Opus, their
table and a card; the same recordings give the same bytes.
"""

import dataclasses
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from chatterbox_es import command_line
from chatterbox_es.corpus.espeak_demo import Sentence, read_sentences
from chatterbox_es.corpus.folder import read_folder
from chatterbox_es.corpus.sources import DEMO, DEMO_DIALECT
from chatterbox_es.evaluation.intervals import rate_interval
from chatterbox_es.text import FrontEnd

LENGTH_CLASSES = 16
COMPRESSION = 0.77  # of libsndfile: some 64 kbit/s of mono
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
CARD = """\
# The speech of `data=demo`

**SYNTHETIC. No person was recorded.** {count} of this project's own sentences (`demo_sentences.txt`), {minutes:.1f} minutes,
read by the text-to-speech model Kokoro-82M. Never quote what is measured on it as a result about human speech.

| | |
|---|---|
| model | [hexgrad/Kokoro-82M](https://huggingface.co/hexgrad/Kokoro-82M), an 8-bit ONNX export |
| voice | `ef_dora`, a woman's; one speaker |
| dialect | Castilian by the phonemes that the model was given (espeak-ng's voice `es`, with θ and ʎ) |
| licence | the model and the sentences: Apache-2.0; this speech: Apache-2.0, as the project |
| sound | Ogg Opus, mono, 24 kHz, {rate:.0f} kbit/s on average, made from 16-bit FLAC |
| table | `metadata.csv`, as LJSpeech's: id, text as written, text with its numbers in words |

Made by `scripts/make_demo_speech.py` from the model's reading of all {all} sentences. Chosen were, in proportion from each of
{classes} classes of length, those with the rarest pairs of phones a second: {pairs} of the {all_pairs} pairs of all sentences
occur. What the coding costs is measured in `docs/benchmarks.md`. This voice's θ is hardly a sound of its own, beside
its s: `docs/experiments.md`.
"""


@dataclasses.dataclass
class Options:
    corpus: str = command_line.path_field("the reading of all sentences", dataclasses.MISSING)
    minutes: float = dataclasses.field(default=12, metadata={"help": "at most so many are chosen"})
    out: str = command_line.path_field("the folder that is made anew", str(DEMO))
    judge: int = dataclasses.field(default=0, metadata={"help": "judge so many of the copies, and make nothing"})


class Recording(NamedTuple):
    """One sentence of the corpus; `pairs` are its neighbouring phones, marks and ends included."""

    id: str
    sentence: Sentence
    audio: Path
    seconds: float
    pairs: list[tuple[str, str]]


def read(corpus: Path) -> list[Recording]:
    utterances, faults = read_folder(corpus)
    front_end, known = FrontEnd(DEMO_DIALECT), {f"demo_{n:04d}": sentence for n, sentence in enumerate(read_sentences(), 1)}
    other = [found.id for found in utterances if found.id not in known or known[found.id].text != found.text]
    if faults or other or len(utterances) != len(known):
        raise SystemExit(f"{corpus} is not the reading of all sentences: {[*faults, *other][:5]}, {len(utterances)} rows")
    return [Recording(found.id, known[found.id], found.audio, soundfile.info(found.audio).duration,
                      list(pairwise(front_end.read(known[found.id].spoken).phonemes))) for found in utterances]


def choose(recordings: list[Recording], seconds: float) -> list[Recording]:
    """Greedily, from the class of length that is furthest behind: the sentence with the rarest pairs of phones a second."""
    chosen: list[Recording] = []
    counts: Counter[tuple[str, str]] = Counter()
    by_length = sorted(recordings, key=lambda one: (one.seconds, one.id))
    edges = [len(by_length) * number // LENGTH_CLASSES for number in range(LENGTH_CLASSES + 1)]
    waiting = [by_length[start:end] for start, end in pairwise(edges)]
    lengths = [sum(one.seconds for one in group) for group in waiting]

    def worth(one: Recording) -> float:
        return sum(1 / (1 + counts[pair]) for pair in one.pairs) / one.seconds

    while any(waiting):
        group = max(range(LENGTH_CLASSES), key=lambda n: sum(one.seconds for one in waiting[n]) / lengths[n])
        best = max(waiting[group], key=worth)
        if sum(one.seconds for one in chosen) + best.seconds > seconds:
            break
        waiting[group].remove(best)
        chosen.append(best)
        counts.update(best.pairs)
    return sorted(chosen)


def encode(recording: Path, target: Path, serial: int) -> None:
    """Ogg Opus with a serial number of the stream that is not drawn by chance."""
    samples, rate = soundfile.read(recording)
    soundfile.write(target, samples, rate, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    target.write_bytes(b"".join(_renumbered(page, serial) for page in _pages(target.read_bytes())))


def _pages(content: bytes) -> Iterator[bytearray]:
    """The pages of an Ogg stream (RFC 3533)."""
    while content:
        segments = content[26]
        size = 27 + segments + sum(content[27:27 + segments])
        yield bytearray(content[:size])
        content = content[size:]


def _renumbered(page: bytearray, serial: int) -> bytes:
    """The page with another serial number and its sum: zlib's polynomial, the bits in the other order, from and to 0."""
    page[14:18], page[22:26] = serial.to_bytes(4, "little"), bytes(4)
    crc = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    page[22:26] = crc.to_bytes(4, "little").translate(REVERSED)[::-1]
    return bytes(page)


def judge(recordings: list[Recording], out: Path, number: int) -> None:
    """DistillMOS of recordings that are spread over the chosen ones, of their copies, and the difference."""
    from chatterbox_es.evaluation.predictors import DistillMos  # optional packages

    predictor = DistillMos()
    pairs = [(one.audio, out / "audio" / f"{one.id}.opus") for one in recordings[::len(recordings) // number][:number]]
    scores = np.array([[predictor.score(*soundfile.read(file, dtype="float32"))["distillmos"] for file in pair]
                       for pair in pairs])
    means, differences = scores.mean(0), scores[:, 1] - scores[:, 0]
    low, high = rate_interval(differences, np.ones(len(differences)))
    print(f"DistillMOS of {len(pairs)}: recordings {means[0]:.3f}, copies {means[1]:.3f}; "
          f"difference {differences.mean():+.3f} [{low:+.3f}, {high:+.3f}], the worst {differences.min():+.3f}")


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    everything, out = read(Path(options.corpus)), Path(options.out)
    chosen = choose(everything, 60 * options.minutes)
    if options.judge:
        judge(chosen, out, options.judge)
        return
    shutil.rmtree(out, ignore_errors=True)
    (out / "audio").mkdir(parents=True)
    for one in chosen:
        encode(one.audio, out / "audio" / f"{one.id}.opus", int(one.id.removeprefix("demo_")))
    rows = [f"{one.id}|{one.sentence.text}|{one.sentence.spoken}\n" for one in chosen]
    (out / "metadata.csv").write_text("".join(rows), encoding="utf-8", newline="\n")
    seconds = sum(one.seconds for one in chosen)
    size = sum(file.stat().st_size for file in (out / "audio").iterdir())
    pairs, all_pairs = (len({pair for one in group for pair in one.pairs}) for group in (chosen, everything))
    card = CARD.format(count=len(chosen), minutes=seconds / 60, rate=8 * size / seconds / 1000, all=len(everything),
                       classes=LENGTH_CLASSES, pairs=pairs, all_pairs=all_pairs)
    (out / "README.md").write_text(card, encoding="utf-8", newline="\n")
    print(f"{out}: {len(chosen)} sentences, {seconds / 60:.2f} min, {size / 1e6:.2f} MB, "
          f"{pairs} of {all_pairs} pairs of phones")


if __name__ == "__main__":
    command_line.run(main)
