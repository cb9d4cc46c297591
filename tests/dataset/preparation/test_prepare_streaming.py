"""Preparing a data set while it is fetched: the same set as from the disk, with a few portions there at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from chatterbox_es.config import compose
from chatterbox_es.corpus import hub
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation import local_engine, streaming
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError

datasets = pytest.importorskip("datasets", reason="pip install 'chatterbox-es[hf]'")


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory, corpus) -> Path:
    """The tests' corpus with its sounds inside a data set, three times under other texts; the first row has no text."""
    rows = [line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    rows = [("r0", "")] + [(name, f"{text} Vez {time}.") for time in ("una", "dos", "tres") for name, text in rows]
    content = {"text": [text for _, text in rows], "speaker_id": [f"s{number % 4}" for number in range(len(rows))],
               "audio": [{"bytes": (corpus / f"wavs/{name}.wav").read_bytes(), "path": None} for name, _ in rows]}
    folder = tmp_path_factory.mktemp("hub") / "set"
    datasets.Dataset.from_dict(content).cast_column("audio", datasets.Audio()).save_to_disk(folder)
    return folder


@pytest.fixture
def config_for(hub_folder, tmp_path):
    def make(streaming: bool, *more: str):
        return compose(["data=hf", f"data.path={hub_folder}", f"data.streaming={str(streaming).lower()}", "prepare.shard=4",
                        "data.max_fault_share=0.5", f"data.prepared={tmp_path}/{streaming}", *more])

    return make


def files_of(features: FeatureSet) -> dict[str, bytes]:
    found = {str(path.relative_to(features.folder)): path.read_bytes() for path in features.folder.rglob("*") if path.is_file()}
    card = json.loads(found.pop("card.json"))
    return found | {"card": json.dumps({name: value for name, value in card.items() if name != "corpus"})}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("split", ["text", "speaker"])
def test_streamed_is_the_same_set(config_for, workers, split):
    more = (f"prepare.workers={workers}", f"data.split={split}")
    streamed, whole = prepare(config_for(True, *more)), prepare(config_for(False, *more))
    assert files_of(streamed) == files_of(whole)
    assert len(streamed) == 30 and list((streamed.folder / "recordings").iterdir())
    assert not (streamed.folder / "work").exists()


def test_few_portions_and_sounds_are_on_the_disk_at_once(config_for, monkeypatch):
    seen = []
    make = streaming.Stream.settle_all

    def settling(stream):
        before = [name for name in stream.storage.sizes("work") if name.endswith(".rows")]
        make(stream)
        seen.append((len(before), len(stream.storage.sizes("work/kept"))))

    monkeypatch.setattr(streaming.Stream, "settle_all", settling)
    features = prepare(config_for(True, "data.validation_maximum=3", "prepare.workers=2"))
    portions, sounds = np.array(seen).T
    assert len(seen) == 8 and portions.max() <= 4 < 8 and sounds.max() <= 6
    assert sum(1 for _ in (features.folder / "recordings").iterdir()) == len(features.validation) == 3
    assert all(len(features.recording(int(number))) for number in features.validation)


@pytest.mark.parametrize("settled", [True, False])
def test_ended_half_way_it_goes_on(config_for, monkeypatch, settled, capsys):
    make, calls = streaming.Stream.settle_all, []

    def ending(stream):
        if settled:
            make(stream)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(streaming.Stream, "settle_all", ending)
        prepare(config_for(True, "prepare.workers=1"))
    assert "what is done is kept" in capsys.readouterr().out
    mels, = (path for path in Path(config_for(True).data.prepared).glob("*/mels/00001.f16"))
    if settled:
        mels.write_bytes(b"damaged")
    made = []
    treat = local_engine.make_shard
    monkeypatch.setattr(local_engine, "make_shard", lambda *given: made.append(given[2]) or treat(*given))
    streamed = prepare(config_for(True, "prepare.workers=1"))
    assert made == ([1, 3, 4, 5, 6, 7] if settled else [3, 4, 5, 6, 7])
    assert files_of(streamed) == files_of(prepare(config_for(False)))


def test_a_stream_that_breaks_off_keeps_what_is_done(config_for, monkeypatch):
    rows = hub._streamed

    def breaking(*given):
        for number, found in enumerate(rows(*given)):
            if number == 20:
                raise UserError("cannot be read beyond row 20")
            yield found

    with monkeypatch.context() as patched, pytest.raises(UserError, match="beyond row 20"):
        patched.setattr(hub, "_streamed", breaking)
        prepare(config_for(True, "prepare.workers=2"))
    assert files_of(prepare(config_for(True, "prepare.workers=2"))) == files_of(prepare(config_for(False)))


def test_a_set_that_was_fetched_whole_is_not_fetched_again(config_for, monkeypatch):
    with pytest.raises(UserError, match="data.max_fault_share"):
        prepare(config_for(True, "data.max_fault_share=0"))
    monkeypatch.setattr(hub, "_streamed", lambda *_: pytest.fail("fetched again"))
    assert files_of(prepare(config_for(True))) == files_of(prepare(config_for(False)))


def test_half_done_by_streaming_it_goes_on_without(config_for, monkeypatch, tmp_path):
    rows = hub._streamed
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(hub, "_streamed", lambda *given: (found if number < 20 else broken() for number, found in
                                                          enumerate(rows(*given))))
        prepare(config_for(True, "prepare.workers=1"))
    (begun,) = tmp_path.glob("True/*/work")
    features = prepare(config_for(False, f"data.prepared={tmp_path}/True"))
    assert features.folder == begun.parent
    assert files_of(features) == files_of(prepare(config_for(False)))


def broken():
    raise RuntimeError


def test_held_out_recordings_that_were_not_kept_are_counted(config_for, monkeypatch, capsys):
    monkeypatch.setattr(streaming, "SPARE", 0)
    features = prepare(config_for(True))
    held_out = len(features.validation)
    assert f"{held_out} of {held_out} held-out recordings were not kept" in capsys.readouterr().out
    assert not (features.folder / "recordings").exists()
