"""What benchmarks of speech share: texts to say, and sounds with the list of them that a recogniser is given."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from chatterbox_es.audio.waveform import write_audio

DEMO = Path(__file__).resolve().parent.parent / "chatterbox_es/corpus/demo_sentences.txt"


def texts_of(file: str | Path) -> list[str]:
    """A text a line; what follows ``|``, and lines that begin with ``#``, are left out."""
    lines = (line.partition("|")[0].strip() for line in Path(file).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def keep(folder: Path, name: str, said: Iterable[tuple[str, np.ndarray]], rate: int) -> None:
    """Write sounds, each with its words, to FOLDER/NAME/, and the list of them, FOLDER/NAME.tsv (file<TAB>words)."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (words, samples) in enumerate(said):
        file = folder / name / f"{number:03d}.wav"
        write_audio(file, samples, rate)
        lines.append(f"{file}\t{words}\n")
    (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
