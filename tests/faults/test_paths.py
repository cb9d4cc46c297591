"""Paths as people have them, bare behind the ``=`` of every command: accents, spaces and signs, ``~`` for the home folder."""

import shutil
from pathlib import Path

import pytest

from chatterbox_es.command_line import listed_paths, named_folders
from chatterbox_es.errors import UserError
from tests.faults.commands import DATA, ENCODER, RUN, TRAIN, is_said
from tests.fork_server import ForkServer

ODD = "mis voces ~#1 (ñ)=b, c"
HERE = f"~/{ODD}"


@pytest.fixture(scope="module")
def odd(made: Path, server: ForkServer) -> Path:
    shutil.copytree(made, server.home / ODD)
    return server.home / ODD


@pytest.mark.parametrize(("arguments", "written"), [
    (("prepare", "data=folder", f"data.path={HERE}/corpus", "data.workers=1", f"data.prepared={HERE}/new"), "new/*/card.json"),
    (("lint", "data=folder", f"data.path={HERE}/corpus", f"data.prepared={HERE}/outputs/prepared", f"run={HERE}/{RUN}",
      f"out={HERE}/lint.html"), "lint.html"),
    (("phonemize", "text=weekend", f"lexicon={HERE}/lexicon.tsv"), ""),
    (("synthesize", "text=Hola.", f"run={HERE}/{RUN}", f"out={HERE}/hola.wav"), "hola.wav"),
    (("synthesize", f"file={HERE}/sentences.txt", f"outputs={HERE}/outputs", f"out={HERE}/spoken"), "spoken/index.tsv"),
    (("evaluate", f"run={HERE}/{RUN}", f"peers=one:{HERE}/sounds/a,two:{HERE}/sounds/b", "measures=mcd", "sentences=all",
      f"out={HERE}/judged"), "judged/summary.json"),
    (("refine", f"evaluation={HERE}/{RUN}/evaluation", f"text={HERE}/sentences.txt", f"out={HERE}/refined"),
     "refined/refinement.md"),
    (("listening_test", "build", f"systems=a:{HERE}/sounds/a,b:{HERE}/sounds/b", f"reference={HERE}/sounds/a", "method=ab",
      "checks=0", f"out={HERE}/asked", "format=wav"), "asked/design.json"),
    (("listening_test", "analyse", f"test={HERE}/test", f"answers={HERE}/answers.json", f"out={HERE}/results"),
     "results/results.json"),
    (("review", "HOME/outputs", "format=html", f"out={HERE}/report.html"), "report.html"),
    (("select", f"HOME/{RUN}", "average=0", f"outputs={HERE}/outputs"), "outputs/best/voice.pt"),
    (("train", *TRAIN[1:], "phase=4_3", f"data.path={HERE}/corpus", f"data.prepared={HERE}/outputs/prepared",
      f"train.encoder={HERE}/{ENCODER}", f"hydra.run.dir={HERE}/trained"), "trained/run.json"),
    pytest.param(("export", f"run={HERE}/{RUN}", f"out={HERE}/voz.onnx"), "voz.onnx", marks=pytest.mark.slow),
])
def test_a_path_is_taken_as_it_is_typed(server: ForkServer, odd: Path, tmp_path: Path, arguments: tuple[str, ...],
                                        written: str):
    arguments = tuple(argument.replace("HOME", str(odd)) for argument in arguments)  # which the shell has expanded
    is_said(server.run(*arguments, cwd=tmp_path), 0)
    assert not written or list(odd.glob(written))
    assert not list(tmp_path.glob("*~*"))


def test_a_path_that_is_not_there_is_named_in_full(server: ForkServer, tmp_path: Path):
    for arguments in (("demo", "run=~/nada"), ("synthesize", "text=Hola.", "run=~/nada"), ("evaluate", "run=~/nada"),
                      ("export", "run=~/nada"), ("prepare", *DATA, "data.path=~/nada")):
        ended = server.run(*arguments, cwd=tmp_path)
        is_said(ended, 2)
        assert str(server.home / "nada") in ended.said


def test_commas_separate_paths_unless_they_are_in_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/eva")
    (tmp_path / "a,b").mkdir()
    assert listed_paths("a,b") == [Path("a,b")] and listed_paths("a, ~/c") == [Path("a"), Path("/home/eva/c")]
    assert listed_paths("") == []
    assert named_folders("systems", "uno:a,b/c, dos:~/d") == {"uno": Path("a,b/c"), "dos": Path("/home/eva/d")}
    for wrong in ("uno", "uno:", ":a", "uno:a,uno:b"):
        with pytest.raises(UserError, match="systems="):
            named_folders("systems", wrong)


def test_a_name_that_is_no_utf8_is_said(server: ForkServer, made: Path, tmp_path: Path):
    name = "caf\udce9"  # é in Latin-1
    for arguments in (("prepare", "data=folder", f"data.path={name}"), (*TRAIN, f"outputs={name}")):
        ended = server.run(*arguments, cwd=tmp_path)
        is_said(ended, 2)
        assert "no UTF-8" in ended.said
    is_said(server.run("synthesize", "text=Hola.", f"run={made / RUN}", f"out={name}.wav", cwd=tmp_path), 0)
