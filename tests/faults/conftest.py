"""What the tests of faults share: a server that runs commands, and a folder in which all of them have something to do."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import write_corpus
from tests.faults.commands import COSTLY, DATA, ENCODER, RUN, TRAIN, Place, make_accessible
from tests.fork_server import ForkServer


@pytest.fixture(scope="session")
def server(fork_server: ForkServer) -> ForkServer:
    return fork_server


@pytest.fixture(scope="session")
def made(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all commands have something to work with."""
    folder = tmp_path_factory.mktemp("made")
    write_corpus(folder / "corpus")
    (folder / "sentences.txt").write_text("La casa es alta.\nEl niño come pan.\n", encoding="utf-8")
    (folder / "lexicon.tsv").write_text("weekend\tuíken\n", encoding="utf-8")
    for system in ("a", "b"):
        (folder / "sounds" / system).mkdir(parents=True)
        for number in range(3):
            shutil.copy(folder / f"corpus/wavs/r{number}.wav", folder / "sounds" / system)
    for asked in (("prepare", *DATA), (*TRAIN, "phase=4_2", f"hydra.run.dir={ENCODER}"),
                  (*TRAIN, "phase=4_3", f"hydra.run.dir={RUN}"),
                  ("evaluate", f"run={RUN}", "measures=mcd", "sentences=all"),
                  ("listening_test", "build", "systems=a:sounds/a,b:sounds/b", "method=ab", "checks=0", "out=test",
                   "format=wav")):
        ended = server.run(*asked, cwd=folder)
        assert ended.returncode == 0, ended.said
    design = json.loads((folder / "test/design.json").read_text(encoding="utf-8"))
    trial = next(iter(design["trials"]))
    answers = {"test": design["test"], "listener": "0" * 32, "row": 0, "answers": {trial: {"value": 1}}}
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def costly(made: Path, server: ForkServer) -> Path:
    """The same, with what takes long to make."""
    study = (*TRAIN, "-m", "sweep=4_2", "sweep.n_trials=1", "sweep.select=false")
    for asked in (("export", f"run={RUN}", "out=voice.onnx"), study):
        ended = server.run(*asked, cwd=made)
        assert ended.returncode == 0, ended.said
    return made


@pytest.fixture
def place(made: Path, server: ForkServer, tmp_path: Path) -> Iterator[Place]:
    yield Place(made, server, tmp_path / "place")
    make_accessible(tmp_path)


@pytest.fixture
def place_of(request: pytest.FixtureRequest, server: ForkServer, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Where a command has what it needs."""
    def make(name: str, folder: Path = tmp_path / "place") -> Place:
        return Place(request.getfixturevalue("costly" if name in COSTLY else "made"), server, folder)

    yield make
    make_accessible(tmp_path)
