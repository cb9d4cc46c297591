"""How well a voice in Piper reads: espeak-ng's phones, as the exported graph reads them, against those of our front end.

    python scripts/bench_piper.py [texts=FILE] [dialects=castilian,latin_american] [run=RUN] [sentences=50]

A text a line (what follows ``|`` is left out). Needs `piper-tts`, whose espeak-ng is asked in a process of its own. Prints, in
Markdown, a row a dialect: the share of phones and marks that differ, and of sentences that are the same; then the commonest
differences. With ``run`` also: the largest difference between the sounds of Piper's graph and of our own, without noise, of so
many sentences whose tokens agree, and the seconds of processor that one of speech takes.
"""

import collections
import difflib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.mel_vocoder import vocoder_for
from chatterbox_es.runs.checkpoint_files import vocoder_beside, voice_file
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import export_voice, is_expressive
from chatterbox_es.speech.onnx_voice import OnnxModel, start_session
from chatterbox_es.speech.piper_export import export_piper, piper_voice
from chatterbox_es.speech.piper_export import run as run_graph
from chatterbox_es.text import FrontEnd, espeak
from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.symbols import PHONES, PUNCTUATION

TEXTS = Path(__file__).resolve().parent.parent / "chatterbox_es/corpus/demo_sentences.txt"
PHONEMIZE = """
import json, sys
from piper.phonemize_espeak import EspeakPhonemizer
espeak = EspeakPhonemizer()
print(json.dumps([espeak.phonemize(sys.argv[1], text) for text in json.load(sys.stdin)]))
"""
COMMONEST = 12


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    file = Path(options.get("texts", TEXTS))
    lines = (line.partition("|")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    texts = [line for line in lines if line and not line.startswith("#")]
    dialects = options.get("dialects", ",".join(DIALECTS)).split(",")
    found = {dialect: compared(texts, dialect) for dialect in dialects}
    print("| dialect | espeak-ng's | phones | differ | marks | differ | sentences that are the same |\n" + "|---" * 7 + "|")
    for dialect, (counts, _) in found.items():
        print(f"| {dialect} | `{espeak.voice_of(DIALECTS[dialect])}` | {counts['phones']:,} | "
              f"{counts['phones differ'] / counts['phones']:.2%} | {counts['marks']:,} | {counts['marks differ']} | "
              f"{counts['same']} of {len(texts)} |")
    for dialect, (_, differences) in found.items():
        print(f"\n{dialect}: " + "; ".join(f"{ours or '–'} → {theirs or '–'} ({count}: {example})"
                                             for (ours, theirs), (count, example) in differences))
    if "run" in options:
        print(sound(Path(options["run"]), texts, dialects[0], int(options.get("sentences", "50"))))


def espeaks(texts: Sequence[str], dialect: str) -> list[list[list[str]]]:
    """What espeak-ng writes: of each text, of each sentence, the characters."""
    command = [sys.executable, "-c", PHONEMIZE, espeak.voice_of(DIALECTS[dialect])]
    output = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True)
    if output.returncode:
        raise UserError(f"espeak-ng cannot be asked; is piper-tts installed? {output.stderr.strip().splitlines()[-1]}")
    return json.loads(output.stdout)


def compared(texts: Sequence[str], dialect: str) -> tuple[collections.Counter, list]:
    """Counts, and the commonest differences with how many there are and one in its place."""
    front_end, counts = FrontEnd(dialect), collections.Counter()
    differences: collections.Counter = collections.Counter()
    places: dict[tuple[str, str], str] = {}
    for text, sentences in zip(texts, espeaks(texts, dialect), strict=True):
        ours = front_end.read(text).phonemes[1:-1]
        theirs = tuple(token for sentence in sentences for token in espeak.tokens_of(sentence, dialect)[1:-1])
        counts["same"] += ours == theirs
        for kind, symbols in (("phones", PHONES), ("marks", frozenset(PUNCTUATION))):
            mine, other = ([token for token in some if token in symbols] for some in (ours, theirs))
            counts[kind] += len(mine)
            for one, two, place in differing(mine, other):
                counts[f"{kind} differ"] += max(len(one), len(two))
                if kind == "phones":
                    pair = "".join(one), "".join(two)
                    differences[pair] += 1
                    places.setdefault(pair, "".join(mine[max(0, place - 4):place + 5]))
    return counts, [(pair, (count, places[pair])) for pair, count in differences.most_common(COMMONEST)]


def differing(one: list[str], two: list[str]) -> Iterator[tuple[list[str], list[str], int]]:
    """Where two rows differ: what stands in each, and the place in the first."""
    for kind, start, end, begin, stop in difflib.SequenceMatcher(None, one, two, False).get_opcodes():
        if kind != "equal":
            yield one[start:end], two[begin:stop], start


def sound(run: Path, texts: Sequence[str], dialect: str, count: int) -> str:
    """The sounds of the graph of Piper and of our own, without noise."""
    checkpoint = voice_file(run)
    loaded = load_checkpoint(checkpoint)
    vocoder = vocoder_for(loaded.contract, vocoder_beside(checkpoint))
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.onnx"), Path(folder, "piper.onnx")
        export_voice(checkpoint, ours, vocoder=vocoder)
        voice = piper_voice(checkpoint, vocoder, next(iter(loaded.model.get("speakers", ())), ""), dialect)
        export_piper(voice, theirs)
        own, session = OnnxModel(ours, 1), start_session(theirs, 1)
        front_end = FrontEnd(dialect)
        still = Manner(temperature=0.0, tau=0.0) if is_expressive(loaded) else Manner()
        apart, said, samples_in_all, processor = 0.0, 0, 0, 0.0
        for text, sentences in zip(texts, espeaks(texts, dialect), strict=True):
            reading = front_end.read(text)
            if len(sentences) != 1 or espeak.tokens_of(sentences[0], dialect) != reading.phonemes:
                continue
            known = [character for character in sentences[0] if character in espeak.NUMBER]
            began = time.process_time()
            samples = run_graph(session, known, (0, 1, 0))[0].squeeze()
            processor += time.process_time() - began
            apart = max(apart, float(np.abs(samples - own(reading.ids, still)[2]).max()))
            said, samples_in_all = said + 1, samples_in_all + len(samples)
            if said == count:
                break
    seconds = samples_in_all / loaded.contract.sample_rate
    return (f"\n{said} sentences whose tokens agree, {seconds:.0f} s of speech: samples at most {apart:.1e} apart; "
            f"{processor / seconds:.3f} s of processor a second, one thread")


if __name__ == "__main__":
    command_line.run(main)
