"""Sounds that benchmarks of speech keep, with the list of them that a recogniser is given."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from chatterbox_es.audio.waveform import write_audio


def keep(folder: Path, name: str, said: Iterable[tuple[str, np.ndarray]], rate: int) -> None:
    """Write sounds, each with its words, to FOLDER/NAME/, and the list of them, FOLDER/NAME.tsv (file<TAB>words)."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (words, samples) in enumerate(said):
        file = folder / name / f"{number:03d}.wav"
        write_audio(file, samples, rate)
        lines.append(f"{file}\t{words}\n")
    (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
