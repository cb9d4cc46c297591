"""Answers: kept once, on the disk when acknowledged, whoever sends what and how often."""

import http.client
import json
import os
import shutil
import socket
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.listening.answers import DATABASE, Answer, AnswerError, AnswerStore, gather, read_file
from chatterbox_es.listening.design import Design, plan

TOKEN, OTHER = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture
def design() -> Design:
    return plan("mos", ["a", "b"], ["u0", "u1", "u2"], checks=1)


@pytest.fixture
def store(tmp_path: Path, design: Design):
    store = AnswerStore(tmp_path, design)
    yield store
    store.close()


def test_an_answer_sent_twice_is_kept_once_and_an_old_one_changes_nothing(store, tmp_path, design):
    store.enter(TOKEN)
    for revision, value in ((3, 4), (3, 4), (2, 1), (3, 5)):  # the last: same count, other value, as no page sends it
        store.keep(TOKEN, Answer("t0000", value, 1000, 1, revision))
    assert store.find(TOKEN).answers["t0000"] == Answer("t0000", 4, 1000, 1, 3)
    store.keep(TOKEN, Answer("t0000", 2, 1000, 1, 4))
    again = AnswerStore(tmp_path, design)  # another process reads what this one has acknowledged
    assert again.find(TOKEN).answers == {"t0000": Answer("t0000", 2, 1000, 1, 4)}
    again.close()


def test_orders_go_to_those_that_fewest_have_also_from_many_threads(store, design):
    tokens = [f"{number:032x}" for number in range(len(design.orders) * 5 + 1)]
    threads = [threading.Thread(target=lambda some=tokens[start::8]: [store.enter(token) for token in some * 2])
               for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = Counter(listener.row for listener in store.listeners())
    assert sorted(rows) == list(range(len(design.orders))) and sorted(rows.values())[-2:] == [5, 6] and min(rows.values()) == 5


def test_who_comes_back_finds_order_and_answers(store):
    row = store.enter(TOKEN).row
    store.enter(OTHER)
    store.keep(TOKEN, Answer("t0001", 3, revision=1))
    store.keep_form(TOKEN, {"consent": True, "device": "telefono"})
    back = store.enter(TOKEN)
    assert (back.row, list(back.answers), back.form["device"]) == (row, ["t0001"], "telefono")


def test_what_is_no_answer_is_refused(store, design):
    store.enter(TOKEN)
    with pytest.raises(AnswerError, match="no trial"):
        Answer.of("t9999", {"value": 3}, design)
    for content in ({"value": 6}, {"value": True}, {"value": 3.5}, {"value": None}, [], {"value": 3, "plays": -1},
                    {"value": 3, "milliseconds": "1"}, {"value": 3, "revision": 2**60}):
        with pytest.raises(AnswerError):
            Answer.of("t0000", content, design)
    with pytest.raises(AnswerError):
        store.keep(OTHER, Answer("t0000", 3))
    for token in ("", "g" * 32, "0" * 31, "0" * 32 + "\n", "' OR 1=1 --"):
        with pytest.raises(AnswerError):
            store.enter(token)
    for form in ([], {"name": "Ana"}, {"device": "oreja"}):
        with pytest.raises(AnswerError):
            store.keep_form(TOKEN, form)


@pytest.mark.parametrize(("method", "good", "bad"), [
    ("ab", [-1, 0, 1], [2, "1"]), ("cmos", [-3, 0, 3], [4, -4]), ("mos", [1, 5], [0, 6])])
def test_values_of_each_scale(method, good, bad):
    design = plan(method, ["a", "b"], ["u"], checks=0)
    for value in good:
        assert Answer.of("t0000", {"value": value}, design).value == value
    for value in bad:
        with pytest.raises(AnswerError):
            Answer.of("t0000", {"value": value}, design)


def test_mushra_wants_a_score_for_each_sound():
    design = plan("mushra", ["a"], ["u"], reference=True)
    whole = {stimulus: 50 for stimulus in design.trials["t0000"].stimuli}
    assert Answer.of("t0000", {"value": whole}, design).value == whole
    for change in ({"other": 3}, {next(iter(whole)): 101}, {next(iter(whole)): None}):
        with pytest.raises(AnswerError):
            Answer.of("t0000", {"value": whole | change}, design)


def test_the_database_of_another_test_or_no_database_is_said(tmp_path, design):
    AnswerStore(tmp_path, design).close()
    with pytest.raises(UserError, match="another test"):
        AnswerStore(tmp_path, plan("mos", ["a", "b"], ["u0"], checks=1))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / DATABASE).write_bytes(os.urandom(4096))
    with pytest.raises(UserError, match="cannot be used"):
        AnswerStore(tmp_path / "broken", design)


def test_a_full_disk_loses_what_was_not_acknowledged_only(store, design):
    store.enter(TOKEN)
    store.keep(TOKEN, Answer("t0000", 3, revision=1))
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for number in range(10_000):
            store.enter(f"{number:032x}")
    store._database.execute("PRAGMA max_page_count = 100000")
    store.keep(TOKEN, Answer("t0001", 4, revision=2))
    assert {trial: answer.value for trial, answer in store.find(TOKEN).answers.items()} == {"t0000": 3, "t0001": 4}


# Files that listeners send --------------------------------------------------------------------------------------------


def written(folder: Path, design: Design, name: str = "a.json", **change: object) -> Path:
    answers = {"t0000": {"value": 3, "milliseconds": 5000, "plays": 1, "revision": 1}}
    content = {"test": design.test, "listener": TOKEN, "row": 1, "form": {"device": "altavoces"}, "answers": answers} | change
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_files_and_database_are_one(tmp_path, design, store):
    row = store.enter(TOKEN).row
    store.keep(TOKEN, Answer("t0000", 5, revision=2))
    answers = {"t0000": {"value": 1, "revision": 1}, "t0001": {"value": 2, "revision": 3}}
    files = [written(tmp_path, design, "a.json", answers=answers), written(tmp_path, design, "b.json", listener=OTHER)]
    listeners, faults = gather(tmp_path, design, files * 2)
    assert faults == [] and [(one.token, len(one.answers)) for one in listeners] == [(TOKEN, 2), (OTHER, 1)]
    assert listeners[0].row == row and listeners[0].answers["t0000"].value == 5


def test_what_in_a_file_is_no_answer_is_listed_and_the_rest_read(tmp_path, design):
    answers = {"t0000": {"value": 3}, "t0001": {"value": 99}, "x": {"value": 1}}
    listener, faults = read_file(written(tmp_path, design, answers=answers, form={"name": "Ana"}), design)
    assert list(listener.answers) == ["t0000"] and len(faults) == 3 and listener.form == {}


@pytest.mark.parametrize(("change", "words"), [
    ({"test": "x"}, "another test"), ({"listener": "Ana"}, "names no listener"), ({"row": 10_000}, "names no listener"),
    ({"answers": []}, "not a file of answers")])
def test_files_that_cannot_be_used_are_said(tmp_path, design, change, words):
    with pytest.raises(UserError, match=words):
        read_file(written(tmp_path, design, **change), design)


def test_no_file_of_answers_is_said(tmp_path, design):
    (tmp_path / "x.json").write_text("[")
    for name, said in (("x.json", "not a file of answers"), ("none.json", "does not exist")):
        with pytest.raises(UserError, match=said):
            read_file(tmp_path / name, design)


# Over HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ask(tests_of, serving, tmp_path):
    """Ask the server; status and content."""
    folder = Path(shutil.copytree(tests_of("mos"), tmp_path / "test"))
    host, port = serving(folder).split("/")[2].split(":")
    test = Design.read(folder).test

    def asked(method: str, path: str, body: object = None, headers: dict | None = None, raw: bytes | None = None) -> tuple:
        connection = http.client.HTTPConnection(host, int(port), timeout=300)
        data = raw if raw is not None else json.dumps({"test": test} | body).encode() if body is not None else None
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        return response.status, response.read()

    asked.address = (host, int(port))
    return asked


def test_the_server_gives_the_page_and_takes_answers(ask):
    status, page = ask("GET", "/")
    assert status == 200 and page.startswith(b"<!doctype html>")
    status, content = ask("PUT", f"/api/listeners/{TOKEN}", {})
    assert status == 200 and json.loads(content) == {"row": 0, "form": {}, "answers": {}}
    for _ in range(2):
        assert ask("PUT", f"/api/listeners/{TOKEN}/answers/t0000", {"value": 4, "revision": 1})[0] == 200
    assert json.loads(ask("PUT", f"/api/listeners/{TOKEN}", {})[1])["answers"] == {
        "t0000": {"value": 4, "milliseconds": 0, "plays": 0, "revision": 1}}


def test_the_server_gives_nothing_else(ask):
    for path in ("/design.json", "/answers.sqlite", "/../design.json", "/%2e%2e/design.json", "/test.html/../design.json",
                 "//etc/passwd", "/api/listeners", f"/api/listeners/{TOKEN}"):
        status, content = ask("GET", path)
        assert status == 404 and b"anchor" not in content, path
    for path in ("/", "/api/listeners/../../x", f"/api/listeners/{TOKEN}/answers/../form", f"/api/listeners/{TOKEN}/answers/"):
        assert ask("PUT", path, {})[0] == 404, path
    assert ask("POST", "/", {})[0] == 501


def test_what_the_server_cannot_use_is_refused_with_the_reason(ask):
    assert ask("PUT", f"/api/listeners/{TOKEN}/answers/t0000", {"value": 4})[0] == 400  # has not entered
    ask("PUT", f"/api/listeners/{TOKEN}", {})
    assert ask("PUT", f"/api/listeners/{TOKEN}/answers/t0000", {"value": 4, "test": "x"})[0] == 409
    assert ask("PUT", f"/api/listeners/{TOKEN}/answers/t9999", {"value": 4})[0] == 400
    assert ask("PUT", f"/api/listeners/{TOKEN}/form", {"name": "Ana"})[0] == 400
    for raw in (b"", b"[", b"[]", b"\xff", b"[" * 60_000, b'{"value": NaN}'):
        assert ask("PUT", f"/api/listeners/{TOKEN}/answers/t0000", raw=raw)[0] in (400, 409), raw
    assert ask("PUT", f"/api/listeners/{TOKEN}/form", raw=b"x" * 64_001)[0] == 400
    assert ask("PUT", f"/api/listeners/{TOKEN}", headers={"Content-Length": "-1"})[0] == 400
    assert ask("GET", "/")[0] == 200  # and it goes on


def test_garbage_and_hang_ups_do_not_stop_the_server(ask):
    for line in (b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff" * 100, b"PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc",
                 b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000):
        with socket.create_connection(ask.address, timeout=300) as connection:
            connection.sendall(line)
    assert ask("GET", "/")[0] == 200
