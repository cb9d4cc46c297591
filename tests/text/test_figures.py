"""The figures that the benchmark prints, on the shared lists; skipped where they are absent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CHATTERBOX_ES_SHARED", PROJECT.parent / "shared"))
pytestmark = pytest.mark.skipif(
    not (SHARED / "text").is_dir(), reason=f"{SHARED}/text is absent (CHATTERBOX_ES_SHARED)"
)


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(PROJECT / "scripts"))
    import bench_front_end

    yield bench_front_end
    sys.path.pop(0)


def test_words_are_read_as_the_key_has_them(bench):
    assert bench.measure_words(SHARED)["percent"] >= 97


def test_phones_are_those_of_the_gold_lists(bench):
    figures = bench.measure_phones(SHARED)
    assert figures["castilian"]["per"] <= 0.08
    assert figures["latin_american"]["per"] <= 0.12


def test_the_benchmark_says_what_it_misses(tmp_path):
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts/bench_front_end.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and str(tmp_path) in done.stderr
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)
