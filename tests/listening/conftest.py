"""What the tests of listening tests share: sounds, built tests, a server, a browser."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatterbox_es import listening_test
from chatterbox_es.listening.server import Server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import bench_listening as bench  # noqa: E402


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders one, two and reference, with the same five short tones."""
    folder = tmp_path_factory.mktemp("sounds")
    bench.write_sounds(folder, ("reference", "one", "two"), items=5, seconds=0.15)
    return folder


@pytest.fixture(scope="session")
def build(sounds: Path) -> Callable[..., None]:
    """``listening_test build`` of systems one and two with their reference; later arguments win."""
    def built(out: Path, **more: Any) -> None:
        given = {"systems": f"one:{sounds}/one,two:{sounds}/two", "reference": f"{sounds}/reference", "method": "mos",
                 "checks": 0, "out": str(out)}
        listening_test.build(listening_test.BuildOptions(**given | more))

    return built


@pytest.fixture(scope="session")
def tests_of(build: Callable, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small test of each method, built once; nobody may answer in it (copy it)."""
    folder, known = tmp_path_factory.mktemp("tests"), {}

    def test_of(method: str) -> Path:
        if method not in known:
            # As little to hear as there can be: some of these are listened to in real time.
            pairs = {"pairs": "reference"} if method in ("ab", "cmos") else {}
            items = 1 if method in ("mos", "mushra") else 2
            build(folder / method, method=method, items=items, anchor=method == "mushra", **pairs)
            known[method] = folder / method
        return known[method]

    return test_of


@pytest.fixture
def serving() -> Iterator[Callable[[Path], str]]:
    """Serve a test's folder in this process until the test ends; its address."""
    servers = []

    def serve(folder: Path) -> str:
        servers.append(Server(folder, "127.0.0.1", 0))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return servers[-1].addresses()[0]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
        server.store.close()


@pytest.fixture(scope="session")
def browser(start_browser: Callable) -> Iterator:
    browser = start_browser("mute-audio")
    yield browser
    browser.quit()
