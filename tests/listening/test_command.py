"""The command line: what it makes, what it says, and what it says when something is wrong."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from chatterbox_es import listening_test
from chatterbox_es.errors import UserError
from chatterbox_es.listening.answers import AnswerStore
from chatterbox_es.listening.design import Design

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import bench_listening as bench  # noqa: E402


def options(sounds: Path, out: Path, **change: object) -> listening_test.BuildOptions:
    given = {"systems": f"one:{sounds}/one,two:{sounds}/two", "method": "mos", "out": str(out), "checks": 0}
    return listening_test.BuildOptions(**given | change)


def test_build_serve_and_analyse_as_a_user_types_them(sounds, tmp_path, command):
    (tmp_path / "texts.txt").write_text("".join(f"u{n}|¿Frase <{n}>?\n" for n in range(5)), encoding="utf-8")
    built = command("listening_test", "build", f"systems=one:{sounds}/one,two:{sounds}/two", f"reference={sounds}/reference",
                    "method=mos", "out=test", "items=3", "listeners=7", "checks=1", "texts=texts.txt",
                    "contact=ana@example.org", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    assert "3 sentences, conditions one, two, reference, anchor; a listener answers 13 questions (1 of them" in built.stdout
    assert "active level of -26.0 dBFS" in built.stdout and "7 listeners are not a multiple of 4; 1 more" in built.stdout
    page = (tmp_path / "test" / "test.html").read_text(encoding="utf-8")
    assert "¿Frase \\u003c" in page and "ana@example.org" in page and "De vez en cuando una voz" in page
    serving = subprocess.Popen([sys.executable, "-m", "chatterbox_es.listening_test", "serve", f"test={tmp_path}/test",
                                "port=0", "host=127.0.0.1"], stdout=subprocess.PIPE, text=True)
    try:
        address = serving.stdout.readline().strip()
        with urllib.request.urlopen(address) as response:
            assert response.read().decode() == page
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait() == 0
        serving.stdout.close()
    nothing = command("listening_test", "analyse", "test=test", cwd=tmp_path)
    assert nothing.returncode == 2 and "there are no answers yet" in nothing.stderr and "Traceback" not in nothing.stderr
    design = Design.read(tmp_path / "test")
    store, panel = AnswerStore(tmp_path / "test", design), bench.Panel(design, 0)
    for row in range(6):
        listener = panel.listener(row % len(design.orders), careful=row > 0)
        store.enter(listener.token)
        for answer in listener.answers.values():
            store.keep(listener.token, answer)
    store.close()
    output = command("listening_test", "analyse", "test=test", cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    assert "6 listeners answered" in output.stdout and re.search(r"one - two +-?\d\.\d{3}  \[", output.stdout)
    content = json.loads((tmp_path / "test" / "results" / "results.json").read_text())
    assert [estimate["name"] for estimate in content["all"]["conditions"]] == ["one", "two", "reference", "anchor"]
    assert sorted(path.name for path in (tmp_path / "test" / "results").iterdir()) == [
        "exclusions.csv", "means.csv", "ratings.csv", "results.html", "results.json"]


def test_an_evaluation_brings_its_systems_and_its_reference(sounds, tmp_path, command):
    for name, folder in {"recordings": "reference", "round trip": "reference", "outputs_4_3_a": "one", "b": "two"}.items():
        shutil.copytree(sounds / folder, tmp_path / "heard" / "sounds" / name)
    built = command("listening_test", "build", "evaluation=heard", "method=cmos", "out=test", "checks=0", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    design = Design.read(tmp_path / "test")
    assert set(design.conditions) == {"b", "outputs_4_3_a", "reference"} and len(design.items) == 5
    for wrong, words in ((["evaluation=nothing"], "voice's sounds"), (["evaluation=heard", "reference=a"], "leave out")):
        output = command("listening_test", "build", *wrong, "method=cmos", "out=other", cwd=tmp_path)
        assert output.returncode == 2 and words in output.stderr and not (tmp_path / "other").exists()


def test_verbs_and_help(command, tmp_path):
    assert "build systems=" in command("listening_test", "--help", cwd=tmp_path).stdout
    assert "pairs" in command("listening_test", "build", "--help", cwd=tmp_path).stdout
    for arguments in ((), ("run",)):
        output = command("listening_test", *arguments, cwd=tmp_path)
        assert output.returncode == 2 and "build, serve, analyse" in output.stderr


@pytest.mark.parametrize(("change", "words"), [
    ({"systems": "one"}, "write NAME:DIR"), ({"systems": "a:x,a:y"}, "there twice"), ({"systems": ""}, "write NAME:DIR"),
    ({"systems": "a:/nowhere/at/all"}, "is not a folder"), ({"format": "aac"}, "mp3, flac, wav"),
    ({"items": 99}, "there are 5"), ({"limit_mb": 0.01}, "more than limit_mb"), ({"texts": "/nowhere.txt"}, "cannot be read"),
    ({"missing": "no"}, "error or skip")])
def test_what_cannot_be_built_is_said_and_leaves_nothing(sounds, tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        listening_test.build(options(sounds, tmp_path / "out", **change))
    assert not (tmp_path / "out" / "design.json").exists()


def test_a_test_with_answers_is_not_built_over(sounds, tmp_path):
    listening_test.build(options(sounds, tmp_path))
    AnswerStore(tmp_path, Design.read(tmp_path)).close()
    with pytest.raises(UserError, match="earlier test"):
        listening_test.build(options(sounds, tmp_path))


def test_a_sentence_to_practise_on_is_spared_or_said_to_be_judged(sounds, tmp_path, capsys):
    listening_test.build(options(sounds, tmp_path / "all"))
    assert "practise on one that is judged" in capsys.readouterr().out
    listening_test.build(options(sounds, tmp_path / "some", items=2))
    assert "listeners practise" not in capsys.readouterr().out


def test_texts_as_synthesize_writes_them_and_missing_ones(sounds, tmp_path):
    (tmp_path / "index.tsv").write_text("".join(f"u{n}.wav\tuno {n}\n" for n in range(4)))
    with pytest.raises(UserError, match="no line id.text for u4"):
        listening_test.build(options(sounds, tmp_path / "out", texts=str(tmp_path / "index.tsv")))
    with (tmp_path / "index.tsv").open("a") as file:
        file.write("u4.wav\tuno 4\n")
    listening_test.build(options(sounds, tmp_path / "out", texts=str(tmp_path / "index.tsv")))
    assert Design.read(tmp_path / "out").texts["u3"] == "uno 3"


def test_a_port_in_use_and_no_test_are_said(sounds, tmp_path, serving):
    listening_test.build(options(sounds, tmp_path / "out"))
    port = int(serving(tmp_path / "out").rstrip("/").rpartition(":")[2])
    for given, words in (({"test": str(tmp_path / "out"), "port": port}, "choose another port"),
                         ({"test": str(tmp_path / "out"), "port": 70_000}, "from 0 to 65535"),
                         ({"test": str(tmp_path / "none")}, "make the test with")):
        with pytest.raises(UserError, match=words):
            listening_test.serve(listening_test.ServeOptions(host="127.0.0.1", **given))


def test_answer_files_that_are_not_there_are_said(sounds, tmp_path):
    listening_test.build(options(sounds, tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    for written in ("none.json", str(tmp_path / "empty")):
        with pytest.raises(UserError, match="no such file"):
            listening_test.analyse(listening_test.AnalyseOptions(test=str(tmp_path / "out"), answers=written))
