"""The commands with what they read and write, a place to run them in, and what is demanded of how they end."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from tests.conftest import TINY
from tests.fork_server import Ended, ForkServer

DATA = ("data=folder", "data.path=corpus", "data.workers=1")
RUN, ENCODER = "outputs/4_3/run", "outputs/4_2/run"
VOICE = f"{RUN}/checkpoints/final_full_model.pt"
TRAIN = ("train", *DATA, *TINY, "train.epochs=1")
IGNORED = (".lock", "train.log")  # files that say nothing of a result


class Command(NamedTuple):
    """A command as it is typed, the paths that it reads, and where it writes."""

    arguments: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


COMMANDS = {
    "prepare": Command(("prepare", *DATA, "data.prepared=new"), ("corpus", "corpus/metadata.csv", "corpus/wavs/r1.wav"),
                       ("new",)),
    "lint": Command(("lint", *DATA, f"run={RUN}", "out=new/lint.html"),
                    ("corpus/metadata.csv", VOICE, "outputs/prepared/*/index.npy", "outputs/prepared/*/quality.npy"), ("new",)),
    "lint json": Command(("lint", *DATA, "format=json", "out=new/worst.jsonl"), ("outputs/prepared/*/card.json",), ("new",)),
    "phonemize": Command(("phonemize", "text=El niño está. 北", "lexicon=lexicon.tsv"), ("lexicon.tsv",), ()),
    "train 4_2": Command((*TRAIN, "phase=4_2", "data.lexicon=lexicon.tsv"), ("corpus/metadata.csv", "lexicon.tsv"),
                         ("outputs/4_2", "outputs/prepared")),
    "train 4_3": Command((*TRAIN, "phase=4_3"), ("outputs/prepared/*/statistics.json", "outputs/prepared/*/mels/00000.f16",
                         f"{ENCODER}/checkpoints", f"{ENCODER}/checkpoints/final_text_encoder.pt"), ("outputs/4_3",)),
    "sweep": Command((*TRAIN, "-m", "sweep=4_2", "sweep.n_trials=2"), ("outputs/studies/4_2_folder/study.db",),
                     ("outputs/studies/4_2_folder",)),
    "synthesize": Command(("synthesize", "text=¿Qué tal estás, niño?", f"run={RUN}", "out=new/hola.wav"), (VOICE,), ("new",)),
    "synthesize file": Command(("synthesize", "file=sentences.txt", f"run={RUN}", "out=spoken"), ("sentences.txt", VOICE),
                               ("spoken",)),
    "synthesize onnx": Command(("synthesize", "text=Hola.", "run=voice.onnx", "out=new/hola.wav"), ("voice.onnx",), ("new",)),
    "export": Command(("export", f"run={RUN}", "out=new/other.onnx"), (f"{RUN}/checkpoints", VOICE), ("new",)),
    "evaluate": Command(("evaluate", f"run={RUN}", "measures=mcd", "sentences=all", "out=judged"),
                        (VOICE, f"{RUN}/config.yaml", "outputs/prepared/*/utterances.jsonl"), ("judged",)),
    "refine": Command(("refine", f"evaluation={RUN}/evaluation", "text=sentences.txt", "out=refined"),
                      (f"{RUN}/evaluation/rows.jsonl", "sentences.txt"), ("refined",)),
    "listening_test build": Command(
        ("listening_test", "build", "systems=a:sounds/a,b:sounds/b", "method=ab", "checks=0", "out=asked", "format=wav"),
        ("sounds/a", "sounds/b/r1.wav"), ("asked",)),
    "listening_test serve": Command(("listening_test", "serve", "test=test", "port=0"), ("test/design.json", "test/test.html"),
                                    ()),
    "listening_test analyse": Command(("listening_test", "analyse", "test=test", "answers=answers.json", "out=results"),
                                      ("test/design.json", "answers.json"), ("results",)),
    "review": Command(("review", RUN), (), ()),
    "review html": Command(("review", RUN, "format=html", "out=report.html"), (), ("report.html",)),
    "select": Command(("select", RUN, "average=0"), (RUN, f"{RUN}/config.yaml", VOICE), ("outputs/selected", "outputs")),
    "demo": Command(("demo", "port=1"), ("outputs", f"{RUN}/checkpoints"), ()),
}
COSTLY = ("sweep", "synthesize onnx")  # what they need takes long to make
FAST = ("prepare", "synthesize file", "listening_test build", "refine", "review html", "train 4_2")


class Place:
    """A copy of the folder that all commands find something in, and the server that runs them there."""

    def __init__(self, made: Path, server: ForkServer, folder: Path):
        self.server, self.folder = server, folder
        shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True)
        self.before = self.contents()

    def contents(self) -> dict[str, bytes]:
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in self.folder.rglob("*")
                if path.is_file() and not path.name.endswith(IGNORED) and path.parent.name != "listings"
                and not path.name.startswith("alignment-")}  # of which the last two are kept for the next time

    def run(self, *arguments: str, **how: object) -> Ended:
        return self.server.run(*arguments, cwd=self.folder, **how)

    def refused(self, *arguments: str, **how: object) -> str:
        """What a command says that must be refused, which leaves nothing behind that looks like a result."""
        ended = self.run(*arguments, **how)
        is_said(ended, 2)
        return ended.said

    def only_whole_files(self) -> None:
        """What is there is as it was, or can be read to its end."""
        for name, content in self.contents().items():
            if self.before.get(name) != content:
                check_whole(self.folder / name)


def make_accessible(folder: Path) -> None:
    """So that it can be removed by whoever is not root."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)


def is_said(ended: Ended, *codes: int) -> None:
    assert "Traceback" not in ended.said and "Exception ignored" not in ended.said, ended.said
    assert "Logging error" not in ended.said, ended.said
    assert ended.returncode in codes, (ended.returncode, ended.said)
    if ended.returncode == 2:
        sentence = ended.said.strip().splitlines()[-1]
        assert len(sentence) > 20 and "Errno" not in sentence, ended.said


def check_whole(path: Path) -> None:
    """A file can be read to its end, as what its name says."""
    assert "partial" not in path.name, path
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".jsonl": lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()],
        ".wav": soundfile.read, ".npy": np.load, ".npz": np.load, ".png": lambda path: Image.open(path).load(),
        ".pt": lambda path: torch.load(path, weights_only=True),
        ".html": lambda path: ends_with(path, "</html>"), ".csv": lambda path: ends_with(path, "\n"),
        ".tsv": lambda path: ends_with(path, "\n"), ".md": lambda path: ends_with(path, "\n"),
        ".yaml": lambda path: ends_with(path, "\n"),
    }
    if read := readers.get(path.suffix):
        read(path)


def ends_with(path: Path, end: str) -> None:
    assert path.read_text(encoding="utf-8").rstrip(" \n").endswith(end.strip("\n")), path


def cases(part: str, fast: tuple[str, ...] = FAST) -> list:
    """Each command, or each path of a part of it; those that take long are marked."""
    found = []
    for name, command in COMMANDS.items():
        for path in getattr(command, part):
            marks = () if name in fast else pytest.mark.slow
            found.append(pytest.param(name, path, id=f"{name}-{path}", marks=marks))
    return found
