"""How well a voice in Piper reads: espeak-ng's phones, as the exported graph reads them, against those of our front end.

    python scripts/bench_piper.py [texts=FILE] [dialects=castilian,latin_american] [run=RUN] [sentences=50] [out=FOLDER]

A text a line (what follows ``|`` is left out). Needs `piper-tts`, whose espeak-ng is asked in a process of its own. Prints, in
Markdown, a row a dialect: the share of phones and marks that differ, and of sentences that are the same; then the commonest
differences. With ``run`` also, of so many sentences whose tokens agree, without chance: how far the samples of Piper's graph
and of sherpa-onnx (where it is installed) are from those of our own engine, and the seconds of processor that one of speech
takes. ``out`` keeps these sounds, a list of each program's beside them (file<TAB>words) that a recogniser can be given.
"""

import collections
import difflib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from said_texts import keep

from chatterbox_es import command_line
from chatterbox_es.corpus.espeak_demo import SENTENCES, read_sentences
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.mel_vocoder import vocoder_for
from chatterbox_es.runs.checkpoint_files import vocoder_beside, voice_file
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import export_voice, is_expressive
from chatterbox_es.speech.onnx_voice import OnnxModel, start_session
from chatterbox_es.speech.piper_export import PIPER, SHERPA, TOKENS, export_piper, piper_voice
from chatterbox_es.speech.piper_export import run as run_graph
from chatterbox_es.text import FrontEnd, Reading, espeak
from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.symbols import PHONES, PUNCTUATION

PHONEMIZE = """
import json, sys
from piper.phonemize_espeak import EspeakPhonemizer
espeak = EspeakPhonemizer()
print(json.dumps([espeak.phonemize(sys.argv[1], text) for text in json.load(sys.stdin)]))
"""
COMMONEST = 12


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    texts = [sentence.text for sentence in read_sentences(Path(options.get("texts", SENTENCES)))]
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
        for dialect in dialects:
            out = Path(options["out"], dialect) if "out" in options else None
            print(sound(Path(options["run"]), texts, dialect, int(options.get("sentences", "50")), out))


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


def sound(run: Path, texts: Sequence[str], dialect: str, count: int, out: Path | None) -> str:
    """The sounds of Piper's graph, and of sherpa-onnx with its own, beside those of our engine: all without chance."""
    checkpoint = voice_file(run)
    loaded = load_checkpoint(checkpoint)
    vocoder = vocoder_for(loaded.contract, vocoder_beside(checkpoint))
    still = Manner(temperature=0.0, tau=0.0) if is_expressive(loaded) else Manner()
    lines = ["| program | sentences | seconds of speech | largest difference of a sample | of its median sentence | sentences "
             "above 1e-3 | processor, a second of speech |", "|---" * 7 + "|"]
    with tempfile.TemporaryDirectory() as folder:
        export_voice(checkpoint, Path(folder, "ours.onnx"), vocoder=vocoder)
        own, rate = OnnxModel(Path(folder, "ours.onnx"), 1), loaded.contract.sample_rate
        sentences = list(agreeing(texts, dialect, count))
        expected = [own(reading.ids, still)[2] for reading, _ in sentences]
        said = {"ours": expected}
        voice = piper_voice(checkpoint, vocoder, next(iter(loaded.model.get("speakers", ())), ""), dialect)
        for kind, speaker in ((PIPER, in_piper), (SHERPA, in_sherpa)):
            Path(folder, kind).mkdir()
            export_piper(voice, Path(folder, kind, "model.onnx"), kind)
            if (program := speaker(Path(folder, kind, "model.onnx"))) is None:
                continue
            name, say = program
            began = time.process_time()
            said[kind] = [say(reading.text, known) for reading, known in sentences]
            processor = time.process_time() - began
            apart = [float(np.abs(one - other).max()) if len(one) == len(other) else float("inf")
                     for one, other in zip(said[kind], expected, strict=True)]
            seconds = sum(map(len, said[kind])) / rate
            lines.append(f"| {name} | {len(apart)} | {seconds:.0f} | {max(apart):.1e} | {np.median(apart):.1e} | "
                         f"{sum(one > 1e-3 for one in apart)} | {processor / seconds:.3f} |")
        if out is not None:
            for program, sounds in said.items():
                keep(out, program, [(reading.words, samples) for (reading, _), samples in zip(sentences, sounds, strict=True)],
                     rate)
    return f"\n{dialect}, without chance:\n\n" + "\n".join(lines)


def agreeing(texts: Sequence[str], dialect: str, count: int) -> Iterator[tuple[Reading, list[str]]]:
    """So many texts of one sentence whose tokens agree: our reading, and espeak-ng's characters."""
    front_end, found = FrontEnd(dialect), 0
    for text, sentences in zip(texts, espeaks(texts, dialect), strict=True):
        reading = front_end.read(text)
        if found < count and len(sentences) == 1 and espeak.tokens_of(sentences[0], dialect) == reading.phonemes:
            found += 1
            yield reading, [character for character in sentences[0] if character in espeak.NUMBER]


Program = tuple[str, Callable[[str, list[str]], np.ndarray]]


def in_piper(model: Path) -> Program:
    """The graph as piper-tts runs it: in onnxruntime."""
    session = start_session(model, 1)
    return "Piper's graph in onnxruntime", lambda text, known: run_graph(session, known, (0, 1, 0))[0].squeeze()


def in_sherpa(model: Path) -> Program | None:
    """sherpa-onnx from version 2 on, which brings an onnxruntime of its own; none where it is not installed."""
    try:
        import sherpa_onnx as sherpa
    except ImportError:
        return None
    if int(sherpa.__version__.partition(".")[0]) < 2:
        return None
    of_model = sherpa.OfflineTtsVitsModelConfig(model=str(model), tokens=str(model.with_name(TOKENS)), noise_scale=0.0,
                                                noise_scale_w=0.0)
    speaker = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=of_model, num_threads=1)))

    def say(text: str, known: list[str]) -> np.ndarray:
        asked = sherpa.GenerationConfig()
        asked.silence_scale = 1.0  # it shortens pauses otherwise
        asked.phoneme_codepoints = [[ord(character) for character in known]]
        return np.array(speaker.generate(text, asked).samples, np.float32)

    return f"sherpa-onnx {sherpa.__version__}", say


if __name__ == "__main__":
    command_line.run(main)
