"""What listeners answered: kept in SQLite while they answer, read from there and from the files that they send.

Every answer is keyed by listener and trial and counted up by the page, so that sending one twice, or an old one late,
changes nothing.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatterbox_es.errors import UserError
from chatterbox_es.files import read_utf8
from chatterbox_es.listening.design import Design
from chatterbox_es.listening.scales import fault_of

DATABASE = "answers.sqlite"
TOKEN = re.compile(r"[0-9a-f]{32}")
"""A listener's name: 128 random bits, made by the page. Nothing else is known of a person."""
FORM_KEYS = {"device": ("auriculares", "altavoces", "telefono"), "consent": (True,)}
SCHEMA = """
CREATE TABLE IF NOT EXISTS test (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS listeners (token TEXT PRIMARY KEY, row INTEGER NOT NULL, form TEXT NOT NULL DEFAULT '{}',
                                      started TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (token TEXT NOT NULL REFERENCES listeners, trial TEXT NOT NULL, value TEXT NOT NULL,
                                    milliseconds INTEGER NOT NULL, plays INTEGER NOT NULL, revision INTEGER NOT NULL,
                                    received TEXT NOT NULL, PRIMARY KEY (token, trial)) WITHOUT ROWID;
"""


class AnswerError(ValueError):
    """What was sent is no answer of this test; the message says why."""


@dataclass(frozen=True)
class Answer:
    """To one trial. ``value``: see `scales`; of MUSHRA stimulus id → score. ``milliseconds`` from its appearance."""

    trial: str
    value: Any
    milliseconds: int = 0
    plays: int = 0
    revision: int = 0

    @classmethod
    def of(cls, trial: str, content: Any, design: Design) -> "Answer":
        """Checked, of what a page sends.

        Raises:
            AnswerError: it does not fit the design.
        """
        if trial not in design.trials:
            raise AnswerError(f"there is no trial {trial!r} in this test")
        if not isinstance(content, dict):
            raise AnswerError("an answer must be an object")
        numbers = {key: content.get(key, 0) for key in ("milliseconds", "plays", "revision")}
        if not all(isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
                   for number in numbers.values()):
            raise AnswerError("milliseconds, plays and revision must be whole numbers from 0")
        fault = fault_of(design.method, content.get("value"), design.trials[trial].stimuli)
        if fault:
            raise AnswerError(f"trial {trial}: {fault}")
        return cls(trial, content["value"], **numbers)

    def content(self) -> dict[str, Any]:
        return {"value": self.value, "milliseconds": self.milliseconds, "plays": self.plays, "revision": self.revision}


@dataclass
class Listener:
    """A listener and what was answered, trial → answer."""

    token: str
    row: int  # of the design's orders
    form: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Keep an answer unless a later one to the same trial is there."""
        if answer.trial not in self.answers or self.answers[answer.trial].revision <= answer.revision:
            self.answers[answer.trial] = answer


def check_form(form: Any) -> dict[str, Any]:
    """What a listener said of the circumstances: ``device`` and ``consent``, no more."""
    if not isinstance(form, dict) or any(key not in FORM_KEYS or value not in FORM_KEYS[key] for key, value in form.items()):
        raise AnswerError("the form takes device and consent only")
    return form


class AnswerStore:
    """The database of a served test. What a method has returned is on the disk, whatever happens then."""

    def __init__(self, folder: Path, design: Design):
        self.design = design
        self._test = design.test
        self._lock = threading.Lock()
        try:
            # One connection for all threads, one at a time: SQLite writes one transaction at a time in any case.
            self._database = sqlite3.connect(folder / DATABASE, timeout=30, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")  # each transaction is on the disk before it is answered
            self._database.executescript(SCHEMA)
            with self:
                kept = self._database.execute("SELECT id FROM test").fetchone()
                if kept is None:
                    self._database.execute("INSERT INTO test VALUES (?)", (self._test,))
        except sqlite3.Error as error:
            raise UserError(f"{folder / DATABASE} cannot be used ({error})") from error
        if kept is not None and kept[0] != self._test:
            raise UserError(f"{folder / DATABASE} holds answers to another test than {folder}/design.json")

    def __enter__(self) -> "AnswerStore":
        """A transaction of this thread alone."""
        self._lock.acquire()
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self._database.execute("COMMIT")
        finally:
            # Nothing stays half open; where the disk is full, SQLite has rolled back by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._lock.release()

    def enter(self, token: str) -> Listener:
        """A listener, who is given an order at the first call: the one that fewest have, the first of these.

        Raises:
            AnswerError: the token is none.
        """
        if not TOKEN.fullmatch(token):
            raise AnswerError("a listener's token has 32 hexadecimal digits")
        with self:
            known = self._read(token)
            if known is not None:
                return known
            taken = dict(self._database.execute("SELECT row, COUNT(*) FROM listeners GROUP BY row"))
            row = min(range(len(self.design.orders)), key=lambda row: (taken.get(row, 0), row))
            self._database.execute("INSERT INTO listeners (token, row, started) VALUES (?, ?, ?)", (token, row, _now()))
        return Listener(token, row)

    def find(self, token: str) -> Listener | None:
        with self:
            return self._read(token)

    def keep_form(self, token: str, form: Any) -> None:
        """Raises AnswerError: unknown listener, or more than the form asks."""
        text = json.dumps(check_form(form))
        with self:
            changed = self._database.execute("UPDATE listeners SET form = ? WHERE token = ?", (text, token)).rowcount
        if not changed:
            raise AnswerError("this listener is not known here")

    def keep(self, token: str, answer: Answer) -> None:
        """Keep an answer, in place of an earlier one to the same trial; an older one changes nothing.

        Raises:
            AnswerError: unknown listener.
        """
        with self:
            if self._database.execute("SELECT 1 FROM listeners WHERE token = ?", (token,)).fetchone() is None:
                raise AnswerError("this listener is not known here")
            self._database.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token, trial) DO UPDATE SET "
                "value = excluded.value, milliseconds = excluded.milliseconds, plays = excluded.plays, "
                "revision = excluded.revision, received = excluded.received WHERE excluded.revision > revision",
                (token, answer.trial, json.dumps(answer.value), answer.milliseconds, answer.plays, answer.revision, _now()))

    def listeners(self) -> list[Listener]:
        """All, in the order in which they came."""
        with self:
            tokens = [token for token, in self._database.execute("SELECT token FROM listeners ORDER BY started, token")]
            return [listener for token in tokens if (listener := self._read(token)) is not None]

    def close(self) -> None:
        self._database.close()

    def _read(self, token: str) -> Listener | None:
        found = self._database.execute("SELECT row, form FROM listeners WHERE token = ?", (token,)).fetchone()
        if found is None:
            return None
        rows = self._database.execute("SELECT trial, value, milliseconds, plays, revision FROM answers WHERE token = ?",
                                      (token,))
        answers = {trial: Answer(trial, json.loads(value), *numbers) for trial, value, *numbers in rows}
        return Listener(token, found[0], json.loads(found[1]), answers)


def read_file(path: Path, design: Design) -> tuple[Listener, list[str]]:
    """A listener of the JSON file that the page gives, and what in it was no answer.

    Raises:
        UserError: the file is not one, or belongs to another test.
    """
    try:
        content = json.loads(read_utf8(path, "answers"))
        test, token, row = content["test"], content["listener"], content["row"]
        answers = content["answers"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"answers: {path} is not a file of answers ({error}): ask the listener to send it again") from error
    if test != design.test:
        raise UserError(f"answers: {path} belongs to another test ({test}), not to this one ({design.test})")
    if not isinstance(token, str) or not TOKEN.fullmatch(token) or row not in range(len(design.orders)):
        raise UserError(f"answers: {path} names no listener of this test")
    listener, faults = Listener(token, row), []
    try:
        listener.form = check_form(content.get("form", {}))
    except AnswerError as error:
        faults.append(f"{path}: {error}")
    for trial, value in answers:
        try:
            listener.add(Answer.of(trial, value, design))
        except AnswerError as error:
            faults.append(f"{path}: {error}")
    return listener, faults


def gather(folder: Path, design: Design, files: Iterable[Path]) -> tuple[list[Listener], list[str]]:
    """Every listener of the database and of ``files``, each once, and the faults in the files."""
    listeners: dict[str, Listener] = {}
    faults: list[str] = []
    if (folder / DATABASE).exists():
        store = AnswerStore(folder, design)
        try:
            listeners = {listener.token: listener for listener in store.listeners()}
        except (sqlite3.Error, ValueError) as error:
            raise UserError(f"{folder / DATABASE} is damaged ({error}): restore a copy of it, or read the files that listeners "
                            "have sent in a copy of the test's folder without it") from error
        finally:
            store.close()
    for path in files:
        listener, more = read_file(path, design)
        faults += more
        known = listeners.setdefault(listener.token, listener)
        for answer in listener.answers.values():
            known.add(answer)
    return list(listeners.values()), faults


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
