"""How fast and in how much memory corpora are read.

    python scripts/bench_corpora.py [rows=482000] [kind=common_voice] [folder=DIR]

Writes an empty corpus of so many rows in the layout of `kind` (common_voice or folder) below `folder`, unless it is there,
reads it in a process of its own, and says seconds, rows a second and that process's peak memory.
"""

import dataclasses
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

from chatterbox_es import command_line
from chatterbox_es.config import compose
from chatterbox_es.corpus import Utterance, read_corpus
from chatterbox_es.errors import UserError

SENTENCE = "Una frase de la longitud que suelen tener las de las personas que leen en voz alta, número {}."


def peak_resident() -> int:
    """As `hardware.peak_resident`, which would bring torch with it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclasses.dataclass
class CorporaOptions:
    rows: int = dataclasses.field(default=482_000, metadata={"help": "of the corpus"})
    kind: str = dataclasses.field(default="common_voice", metadata={"help": "common_voice or folder"})
    folder: str = dataclasses.field(default="", metadata={"help": "where corpora are kept; none: a temporary one"})


def write(folder: Path, kind: str, rows: int) -> None:
    """The table, and an empty file a row: recordings are found and not opened."""
    clips = folder / ("clips" if kind == "common_voice" else "wavs")
    clips.mkdir(parents=True)
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale\tsegment\n"
    with (folder / ("validated.tsv" if kind == "common_voice" else "metadata.csv")).open("w", encoding="utf-8") as table:
        table.write(header if kind == "common_voice" else "")
        for number in range(rows):
            name, text = f"common_voice_es_{number:08d}", SENTENCE.format(number)
            (clips / f"{name}.mp3").touch()
            table.write(f"{number % 5000:0128d}\t{name}.mp3\t{text}\t2\t0\t\t\tMéxico\t\tes\t\n" if kind == "common_voice"
                        else f"{name}|{text}\n")


def measure(folder: Path, kind: str, answers) -> None:
    data = compose([f"data={kind}", f"data.path={folder}"]).data
    before, began, used = peak_resident(), time.perf_counter(), time.process_time()
    counts = [0, 0]
    for found in read_corpus(data):
        counts[isinstance(found, Utterance)] += 1
    answers.send((counts, time.perf_counter() - began, time.process_time() - used, before / 2**20, peak_resident() / 2**20))


def main() -> None:
    options = command_line.parse(CorporaOptions, sys.argv[1:], __doc__)
    if options.kind not in ("common_voice", "folder") or options.rows < 1:
        raise UserError("kind is common_voice or folder, rows is above 0")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary) / f"{options.kind}_{options.rows}"
        if not folder.is_dir():
            write(folder, options.kind, options.rows)
        context = multiprocessing.get_context("spawn")
        answers, there = context.Pipe(duplex=False)
        process = context.Process(target=measure, args=(folder, options.kind, there))
        process.start()
        there.close()  # so that a process that ends without an answer ends the waiting too
        (faults, utterances), seconds, cpu, before, peak = answers.recv()
        process.join()
        print(f"{options.kind}, {options.rows} rows: {utterances} utterances, {faults} faults in {seconds:.1f} s ({cpu:.1f} s "
              f"of CPU, {options.rows / seconds:.0f} rows a second); peak memory {peak:.0f} MB, {before:.0f} MB before reading")


if __name__ == "__main__":
    command_line.run(main)
