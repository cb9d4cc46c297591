"""Random settings, within their ranges and outside them, of a training of one step: a sentence or a run, never a traceback."""

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatterbox_es.config import compose
from chatterbox_es.config.checks import settings as settings_of
from chatterbox_es.config.schema import declared
from tests.conftest import TINY, write_corpus
from tests.fork_server import ForkServer

# What would leave the folder, the machine or the seconds that a first step takes.
LEFT_ALONE = ("data.path", "data.prepared", "data.name", "outputs", "prepare.engine", "prepare.address", "prepare.cache",
              "train.wandb", "model.name", "model.weights", "model.fetch", "data.sources", "sweep.storage", "hw.compile")
CPU_SECONDS, MEMORY = 60, 8 << 30  # of one example, beyond which it runs, or has too little memory
TOO_LONG = (-9, -24)  # SIGKILL, SIGXCPU: it was running


def keys() -> dict[str, Any]:
    """Each key with its value, whose type says what else there can be."""
    return {key: value for key, value in settings_of(compose(["phase=4_2", "data=folder"])) if key not in LEFT_ALONE}


def within(key: str, value: Any) -> st.SearchStrategy:
    """Values that a key may have."""
    known = declared(key)
    if known and known.choices:
        return st.sampled_from(known.choices)
    if isinstance(value, bool):
        return st.booleans()
    bounds = known.bounds if known else {}
    low = bounds.get("at_least", bounds.get("above", 0))
    high = bounds.get("at_most", bounds.get("below", low + 40))
    if isinstance(value, int) or value is None and bounds:
        return st.integers(int(low), int(low) + 12) | st.integers(int(low), int(high))
    if isinstance(value, float):
        return FLOATS(low, high)
    if isinstance(value, list) or hasattr(value, "_content"):
        one = st.integers(int(low), int(low) + 40) if "hidden" in key else FLOATS(low, high)
        return st.lists(one, max_size=4)
    return st.sampled_from(["null", "castilian", "4_2", "x"])


# Some library of another test may have switched numbers below 1e-308 off in this process.
FLOATS = functools.partial(st.floats, allow_subnormal=False)
ANY = st.one_of(st.integers(-3, 3), st.integers(), FLOATS(), FLOATS(0, 1), st.booleans(),
                st.sampled_from(["null", "", "???", "[1]", "[]", "{}", "choice(1,2)", "1,2"]),
                st.lists(FLOATS(0, 1.1), max_size=3), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8))


def setting() -> st.SearchStrategy[str]:
    """``key=value``, twice as often within its range as anything."""
    def of(item: tuple[str, Any]) -> st.SearchStrategy[str]:
        key, value = item
        return st.one_of(within(key, value), within(key, value), ANY).map(lambda drawn: f"{key}={written(drawn)}")

    return st.sampled_from(sorted(keys().items(), key=lambda item: item[0])).flatmap(of)


def written(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    write_corpus(folder / "corpus")
    return folder


def is_said_or_runs(server: ForkServer, folder: Path, drawn: list[str]) -> int:
    ended = server.run("train", "phase=4_2", "data=folder", "data.path=corpus", *TINY, "data.prepared=prepared", 
                       "train.epochs=1", "train.max_steps=1", "train.trial_steps=0", "outputs=outputs", *drawn, cwd=folder,
                       cpu_seconds=CPU_SECONDS, memory=MEMORY)
    assert "Traceback" not in ended.said and "Exception ignored" not in ended.said, (drawn, ended.said)
    assert ended.returncode in (0, 2, *TOO_LONG), (drawn, ended)
    if ended.returncode == 2:
        assert len(ended.said.strip().splitlines()[-1]) > 20, (drawn, ended.said)
    return ended.returncode


LISTS = st.lists(st.deferred(setting), min_size=1, max_size=3)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@given(LISTS)
@settings(max_examples=8, suppress_health_check=QUIET)
def test_a_random_setting_is_refused_by_a_sentence_or_trained_with(server, folder, drawn):
    is_said_or_runs(server, folder, drawn)


@pytest.mark.slow
@pytest.mark.timeout(0)
@given(LISTS)
@settings(max_examples=2000, derandomize=False, suppress_health_check=QUIET)
def test_random_settings_are_refused_by_a_sentence_or_trained_with(server, folder, drawn):
    is_said_or_runs(server, folder, drawn)


