"""Torn and damaged files, settings that cannot be, corpora without rows: each is said, and left as it was."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chatterbox_es.errors import UserError
from chatterbox_es.speech.demo_voices import Shelf
from tests.conftest import REPOSITORY
from tests.faults.commands import COMMANDS, DATA, RUN, TRAIN, VOICE, Place, is_said
from tests.fork_server import Ended

# ---- torn files

def torn(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:len(content) // 2], "garbage": bytes(range(256)) * 64, "empty": b"",
                      "half a page": content[:2048],
                      "a page of zeros": content[:4096] + bytes(4096) + content[8192:]}[how])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "garbage", "empty", "half a page", "a page of zeros"])
def test_a_torn_study_is_said_and_left_alone(place_of: Callable[[str], Place], how: str):
    place = place_of("sweep")
    database = place.folder / "outputs/studies/4_2_folder/study.db"
    torn(database, how)
    before = database.read_bytes()
    said = place.refused(*COMMANDS["sweep"].arguments)
    assert "study.db" in said and ("damaged" in said or "holds runs of another study" in said), said
    assert how == "empty" or database.read_bytes() == before
    is_said(place.run("select", "outputs/studies/4_2_folder", "average=0"), 0)
    is_said(place.run("review", "outputs/studies"), 0)


@pytest.mark.slow
def test_the_database_of_another_program_is_no_study(place_of: Callable[[str], Place]):
    place = place_of("sweep")
    database = place.folder / "outputs/studies/4_2_folder/study.db"
    database.unlink()
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    assert "another program" in place.refused(*COMMANDS["sweep"].arguments)


@pytest.mark.parametrize("how", ["truncated", "garbage", "empty", "half a page", "a page of zeros"])
def test_torn_answers_are_said(place: Place, how: str):
    is_said(place.run("listening_test", "analyse", "test=test", "answers=answers.json"), 0)
    database = place.folder / "test/answers.sqlite"
    with sqlite3.connect(database) as answers:
        answers.execute("CREATE TABLE padding (value TEXT)")
        answers.executemany("INSERT INTO padding VALUES (?)", [("x" * 500,)] * 50)
    torn(database, how)
    ended = place.run("listening_test", "analyse", "test=test", "answers=answers.json")
    is_said(ended, 0, 2)
    assert ended.returncode == 0 or "answers.sqlite" in ended.said


def damaged(stored: dict, how: str, path: Path) -> None:
    """A checkpoint's file, damaged."""
    weights, name = stored["weights"], "text_encoder.embedding.weight"
    if how == "lacks a tensor":
        del weights[name]
    elif how == "holds NaN":
        weights[name][3, 2] = float("nan")
    elif how == "another shape":
        weights[name] = weights[name][:, :-1].clone()
    elif how == "another tensor":
        weights["nobody.weight"] = torch.zeros(3)
    elif how == "another model":
        stored["family"] = "chatterbox"
    elif how == "no model":
        stored["family"] = "nobody's"
    elif how == "lacks its symbols":
        del stored["symbols"]
    elif how == "a list":
        stored = [1, 2]
    torch.save(stored, path)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == "text":
        path.write_text("¡Hola!", encoding="utf-8")


DAMAGES = ("lacks a tensor", "holds NaN", "truncated", "another model", "another shape", "another tensor", "no model",
           "lacks its symbols", "a list", "text")
READERS = {
    "synthesize": ("synthesize", "text=Hola.", "run=broken.pt", "out=hola.wav"),
    "export": ("export", "run=broken.pt", "out=new.onnx"),
    "lint": ("lint", *DATA, "run=broken.pt"),
    "finetune": (*TRAIN, "phase=4_3", "train.finetune=broken.pt"),
    "evaluate": ("evaluate", f"run={RUN}/checkpoints/broken.pt", "measures=mcd", "sentences=all", "out=judged"),
    "select": ("select", f"{RUN}/checkpoints/broken.pt", "average=0"),
    "encoder": (*TRAIN, "phase=4_3", "train.encoder=broken.pt"),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("reader", [pytest.param(name, marks=() if name in ("synthesize", "select") else pytest.mark.slow)
                                    for name in READERS])
def test_a_damaged_checkpoint_is_said(place: Place, reader: str, how: str):
    for path in (place.folder / "broken.pt", place.folder / RUN / "checkpoints/broken.pt"):
        damaged(torch.load(place.folder / VOICE, weights_only=True), how, path)
    place.before = place.contents()
    assert "broken.pt" in place.refused(*READERS[reader])
    place.only_whole_files()


def test_the_demo_says_which_voices_are_damaged(made: Path, tmp_path: Path):
    for number, how in enumerate(DAMAGES):
        run = tmp_path / f"outputs/4_3/{number}"
        shutil.copytree(made / RUN, run)
        damaged(torch.load(made / VOICE, weights_only=True), how, run / "checkpoints/final_full_model.pt")
    offers = Shelf(tmp_path / "outputs", None, "torch").offers()
    assert len(offers) == len(DAMAGES)
    for offer in offers:
        if not offer.reason:  # what is not seen without its weights is said when it is to speak
            with pytest.raises(UserError, match="final_full_model"):
                Shelf(tmp_path / "outputs", None, "torch").voice(offer.name, "")


@pytest.mark.parametrize("name", ["card.json", "statistics.json", "index.npy", "tokens.npy"])
@pytest.mark.parametrize("how", ["truncated", "empty", "garbage"])
def test_a_damaged_prepared_set_is_said(place: Place, name: str, how: str):
    (file,) = place.folder.glob(f"outputs/prepared/*/{name}")
    torn(file, how)
    said = place.refused("lint", *DATA)
    assert "damaged" in said and file.parent.name in said


# ---- settings

@pytest.mark.parametrize("setting", ["phase.batch_size=0", "phase.lr=-1", "model.dropout=2", "train.seed=-1", "mel.hop=0",
                                     "phase.betas=[2,2]", "phase.clip=-1", "hw.precision=16-mixed", "model.heads=3",
                                     "train.max_minuts=3", "train.max_minutes=0,5"])
@pytest.mark.parametrize("module", [("train", "phase=4_2"), ("prepare",), ("lint",)])
def test_a_setting_out_of_range_is_named(place: Place, module: tuple[str, ...], setting: str):
    said = place.refused(module[0], *DATA, *module[1:], setting)
    assert setting.partition("=")[0].partition(".")[2] in said
    place.only_whole_files()
    assert place.contents().keys() == place.before.keys()


@pytest.mark.parametrize(("asked", "sentence"), [
    (("sweep=4_2", "phase.lr=interval(1e-3,1e-4)"), "phase.lr"),
    (("sweep=4_2", "phase.lr=interval(-1,1)"), "phase.lr=-1"),
    (("sweep=4_2", "hydra/launcher=nobody"), "hydra/launcher"),
    (("phase=4_2", "resume=nowhere"), "resume=nowhere: does not exist"),
    (("phase=4_2", "train.wandb=false"), "train.wandb"),
])
def test_what_a_training_is_told_and_cannot_do_is_said(place: Place, asked: tuple[str, ...], sentence: str):
    multirun = ("-m",) if any("sweep" in argument for argument in asked) else ()
    assert sentence in place.refused(*TRAIN, *multirun, *asked)


def test_a_table_with_its_header_alone_is_said(place: Place):
    folder = place.folder / "cv"
    (folder / "clips").mkdir(parents=True)
    (folder / "validated.tsv").write_text("client_id\tpath\tsentence\n")
    for module in (("prepare",), ("lint",), ("train", "phase=4_2")):
        assert "has no rows" in place.refused(module[0], "data=common_voice", "data.path=cv", *module[1:])
    assert not list((place.folder / "outputs/prepared").glob("common*/card.json"))


# ---- the script

@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no folder", "no table", "header alone", "no rights", "no room"])
def test_the_script_of_the_whole_road_says_what_is_wrong(place: Place, fault: str):
    corpus = place.folder / "mi voz=1 (ñ)"
    if fault != "no folder":
        shutil.copytree(place.folder / "corpus", corpus)
    if fault == "no table":
        (corpus / "metadata.csv").unlink()
    if fault == "header alone":
        (corpus / "metadata.csv").write_text("id|text\n")
    if fault == "no rights":
        (corpus / "metadata.csv").chmod(0)
    limit = "ulimit -f 1; " if fault == "no room" else ""
    script = f'{limit}exec "{REPOSITORY}/scripts/train_voice.sh" "$0" 0.01 0.01 data.workers=1 train.wandb=disabled'
    done = subprocess.run([sys.executable, "-c", "import os, sys; from tests.fork_server import drop_rights; drop_rights(); "
                           "os.execvp('bash', ['bash', '-c', *sys.argv[1:]])", script, corpus.name], cwd=place.folder,
                          capture_output=True, text=True, encoding="utf-8", errors="replace",
                          env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"})
    is_said(Ended(done.returncode, "", done.stderr), 2)
    assert {"no room": "written"}.get(fault, "mi voz=1") in done.stderr
