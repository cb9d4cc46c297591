"""The page and its answers over HTTP, for listeners on the same network.

The standard library's server, a thread for each connection: it is there with Python, which is all that the organiser's
computer is asked for, and a panel sends a few short answers a second at most. It speaks no TLS and limits no
rates; on the open internet it belongs behind a server that does.

    GET  /                                    the page
    PUT  /api/listeners/TOKEN                 enter, or come back: the order and the answers so far
    PUT  /api/listeners/TOKEN/form            {"device": …, "consent": true}
    PUT  /api/listeners/TOKEN/answers/TRIAL   {"value": …, "milliseconds": …, "plays": …, "revision": …}

All are idempotent. 200 means: it is on the disk.
"""

import contextlib
import gzip
import json
import re
import socket
import sqlite3
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chatterbox_es.errors import UserError
from chatterbox_es.files import errors_are_said
from chatterbox_es.listening.answers import Answer, AnswerError, AnswerStore
from chatterbox_es.listening.design import PAGE_FILE, Design

LARGEST_BODY = 64_000  # bytes; a page of MUSHRA is under one thousand
PIECE = 65_536  # bytes; the time limit is of each, so that a slow phone may take long for the whole page
IDLE_SECONDS = 30  # a connection that says nothing for so long is closed
PATHS = re.compile(r"/api/listeners/([0-9a-f]{32})(?:/(form)|/answers/([A-Za-z0-9]{1,16}))?")


class Server(ThreadingHTTPServer):
    """Serves one test until it is told to stop; ``port=0`` takes a free one."""

    daemon_threads = True
    request_queue_size = 256  # connections that wait to be taken, so that a class that begins at once finds room
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, folder: Path, host: str, port: int):
        self.design = Design.read(folder)
        self.test = self.design.test
        with errors_are_said(folder / PAGE_FILE):
            self.page = (folder / PAGE_FILE).read_bytes()
        self.packed_page = gzip.compress(self.page, 6)  # base64 shrinks by a quarter
        self.store = AnswerStore(folder, self.design)
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise UserError(f"host={host} port={port} cannot be used ({error.strerror}): choose another port") from error
        except OverflowError as error:
            raise UserError(f"port={port}: must be from 0 to 65535") from error

    def addresses(self) -> list[str]:
        """Where the page is found: on this machine and, unless only this one is served, on the network."""
        host, port = map(str, self.server_address[:2])
        if host in ("0.0.0.0", "::"):
            return [f"http://localhost:{port}/", *(f"http://{address}:{port}/" for address in _network_addresses())]
        return [f"http://{host}:{port}/"]

    def handle_error(self, request: object, client_address: object) -> None:
        """A phone that goes out of reach is no fault of ours; anything else is shown, without the address."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"a request failed: {error!r}", file=sys.stderr, flush=True)


class _NotHereError(Exception):
    """Answered with ``status``."""

    def __init__(self, status: HTTPStatus, reason: str):
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "listening-test", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            packed = "gzip" in self.headers.get("Accept-Encoding", "")
            self._send(HTTPStatus.OK, self.server.packed_page if packed else self.server.page, "text/html; charset=utf-8",
                       {"Content-Encoding": "gzip"} if packed else {})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here; the test is at /")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        try:
            content = self._body()
        except AnswerError as error:
            self.close_connection = True  # what is left of the body must not be read as a request
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        try:
            self._answer(self._keep(PATHS.fullmatch(self.path), content))
        except _NotHereError as error:
            self._refuse(error.status, str(error))
        except AnswerError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except sqlite3.Error as error:  # the page keeps the answer and sends it again
            print(f"an answer could not be kept: {error}", file=sys.stderr, flush=True)
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the answer could not be kept; send it again")

    def _keep(self, path: re.Match | None, content: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; what is returned is sent when it is on the disk."""
        if path is None:
            raise _NotHereError(HTTPStatus.NOT_FOUND, "there is nothing here")
        if content.pop("test", None) != self.server.test:
            raise _NotHereError(HTTPStatus.CONFLICT, "this page belongs to another test: load it again")
        token, form, trial = path.groups()
        if form:
            self.server.store.keep_form(token, content)
        elif trial:
            self.server.store.keep(token, Answer.of(trial, content, self.server.design))
        else:
            listener = self.server.store.enter(token)
            return {"row": listener.row, "form": listener.form,
                    "answers": {name: answer.content() for name, answer in listener.answers.items()}}
        return {"kept": True}

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LARGEST_BODY:
            raise AnswerError(f"a body of at most {LARGEST_BODY} bytes and its Content-Length are wanted")
        try:
            content = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise AnswerError("the body is not JSON") from None
        if not isinstance(content, dict):
            raise AnswerError("the body must be an object")
        return content

    def _answer(self, content: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer({"error": reason}, status)

    def _send(self, status: HTTPStatus, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store",
                   "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        for name, value in (headers | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(content), PIECE):
                self.wfile.write(content[start:start + PIECE])

    def log_message(self, *_: object) -> None:
        """Nothing: addresses of listeners are personal data."""


def _network_addresses() -> list[str]:
    """The addresses under which others see this machine; the one towards the outside first."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # of UDP: sends nothing
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return [address for address in dict.fromkeys(found) if not address.startswith("127.")]
