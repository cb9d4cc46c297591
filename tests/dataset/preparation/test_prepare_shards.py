"""Preparing in shards: the same bytes whoever makes them and however often it was ended, here or behind fsspec."""

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.waveform import AudioError
from chatterbox_es.corpus import Fault, Utterance
from chatterbox_es.corpus.hub import HubRecording, HubSource
from chatterbox_es.corpus.utterance import EmbeddedRecording
from chatterbox_es.dataset.batches import Batches
from chatterbox_es.dataset.feature_set import FeatureSet, content_hash
from chatterbox_es.dataset.preparation import listing
from chatterbox_es.dataset.preparation.listing import listing_digest
from chatterbox_es.dataset.preparation.manifest import (
    manifest_places,
    read_manifest,
    read_portion,
    write_manifest,
    write_portion,
)
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.batches import collate

REPOSITORY = Path(__file__).resolve().parents[3]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def texts_of(corpus: Path) -> list[str]:
    return [line.partition("|")[2] for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory, config_of):
    """The corpus in shards of three, made in this process."""
    return prepare(config_of(f"data.prepared={tmp_path_factory.mktemp('shards')}", "prepare.shard=3"))


def test_shards_of_any_size_hold_the_same(in_shards, features):
    assert [shard["utterances"] for shard in in_shards.card["shards"]] == [3, 3, 3, 1]
    assert in_shards.card["content"] == features.card["content"] == content_hash(in_shards.folder)
    for number in range(10):
        assert np.array_equal(in_shards.stored_mel(number), features.stored_mel(number))
        assert in_shards.utterance(number) == features.utterance(number)
    assert in_shards.utterance(-1)["id"] == "r9"
    assert not (in_shards.folder / "work").exists()
    sizes = {name: len(content) for name, content in files_of(in_shards.folder).items() if name.startswith("mels/")}
    assert sum(sizes.values()) == int(in_shards.index["frames"].sum()) * 80 * 2  # nothing but the mels


def test_processes_make_the_same_bytes(in_shards, tmp_path, config_of):
    config = config_of(f"data.prepared={tmp_path}", "prepare.shard=3", "prepare.workers=3")
    assert files_of(prepare(config).folder) == files_of(in_shards.folder)


def test_what_is_done_is_kept_when_the_process_is_killed(in_shards, tmp_path, arguments, config_of):
    written = arguments(f"data.prepared={tmp_path}", "prepare.shard=1", "prepare.workers=2")
    process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.prepare", *written], cwd=tmp_path, start_new_session=True,
                               env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.DEVNULL)
    while len(list(tmp_path.glob("*/work/*.shard"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/mels/*.f16")}
    assert 2 <= len(done) < 10 or not list(tmp_path.glob("*/card.json"))
    (folder,) = {path.parent.parent for path in done}
    with pytest.raises(UserError, match="holds no prepared set"):
        FeatureSet(folder)
    (folder / "mels/mels-killed.partial").write_bytes(b"half")
    again = prepare(config_of(f"data.prepared={tmp_path}", "prepare.shard=4"))  # goes on with shards of one
    kept = [path for path, changed in done.items() if path.stat().st_mtime_ns == changed]
    assert len(kept) >= 2
    assert again.card["content"] == in_shards.card["content"]
    assert not list(folder.rglob("*partial*"))


def test_a_damaged_shard_is_made_again(in_shards, tmp_path, config_of, make_corpus, monkeypatch):
    config = config_of(f"data.prepared={tmp_path}", "prepare.shard=3")
    from chatterbox_es.dataset.preparation import prepare as preparing

    def fails(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(preparing, "assemble", fails)
        prepare(config)
    (folder,) = tmp_path.glob("folder-????????????")
    (folder / "work/00000.shard").write_bytes(b"damaged")
    (folder / "mels/00001.f16").write_bytes(b"short")
    (folder / "mels/00002.f16").unlink()
    assert files_of(prepare(config).folder) == files_of(in_shards.folder)


class Hostile:
    """What a pickle can do where one is read."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_code_of_a_set_is_run(in_shards, tmp_path, config_of, monkeypatch, workers):
    """Whoever can write to the folder or bucket in which a set is made puts a pickle in the place of each of its files."""
    from chatterbox_es.dataset.preparation import prepare as preparing

    config = config_of(f"data.prepared={tmp_path}", "prepare.shard=3", f"prepare.workers={workers}")

    def fails(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(preparing, "assemble", fails)
        prepare(config)
    (folder,) = tmp_path.glob("folder-????????????")
    mark = tmp_path / "mark"
    pickled = pickle.dumps(Hostile(mark))
    pickle.loads(pickled)
    assert mark.exists()  # it would be seen
    mark.unlink()
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("work/*") if path.is_file())
    assert names == ["work/00000.shard", "work/00001.shard", "work/00002.shard", "work/00003.shard", "work/manifest.places.npy",
                     "work/manifest.records", "work/shard.json"]
    for name in names[:5]:
        (folder / name).write_bytes(pickled)
    again = prepare(config)
    assert files_of(again.folder) == files_of(in_shards.folder) and not mark.exists()


def test_rows_are_written_down_as_they_are(tmp_path):
    storage = Storage(tmp_path)
    rows = [Utterance("a", "¿Qué?", Path("/x/á.wav"), "qué", "eva", "mexican", 3, "uno"), Fault(4, "b", "empty-text", "nichts"),
            Utterance("c", "Sí.", Path(os.fsdecode(b"/x/\xff.wav"))), Fault(5, "d", "votes", "2", "uno", excluded=True),
            Utterance("e", "No.", EmbeddedRecording("part:1", bytes(range(256)) + b"\n\n"), row=9),
            Utterance("f", "", HubRecording(HubSource("who/what", None, "train"), "audio", 7))]
    assert write_manifest(storage, rows) == 6
    assert list(read_manifest(storage, manifest_places(storage), 0, 6)) == rows
    assert list(read_manifest(storage, manifest_places(storage), 2, 5)) == rows[2:5]
    write_portion(storage, 3, rows)
    assert read_portion(storage, 3) == rows and read_portion(storage, 4) is None
    (tmp_path / "work/manifest.records").write_bytes(pickle.dumps(rows) * 9)
    with pytest.raises(UserError, match="manifest.records is damaged"):
        list(read_manifest(storage, manifest_places(storage), 0, 6))


def test_a_worker_that_always_dies_ends_it(tmp_path, config_of, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    config = config_of(f"data.prepared={tmp_path}", "prepare.shard=3", "prepare.workers=2")
    with pytest.raises(UserError, match=r"rows \d+ to \d+ of the corpus.*3 times without an answer"):
        prepare(config)


def test_a_set_in_an_object_store_is_copied_shard_by_shard(in_shards, tmp_path, config_of):
    arguments = ("data.prepared=memory://sets", "prepare.shard=3", f"prepare.cache={tmp_path}/cache")
    remote = prepare(config_of(*arguments))
    assert remote.card == in_shards.card
    assert remote.folder.is_relative_to(tmp_path / "cache")
    assert not list(remote.folder.glob("mels/*"))
    assert np.array_equal(remote.stored_mel(4), in_shards.stored_mel(4))
    assert [path.name for path in remote.folder.glob("mels/*")] == ["00001.f16"]
    assert remote.baseline() == in_shards.baseline()
    stored = next(name for name in fsspec.filesystem("memory").find("/sets") if name.endswith("00003.f16"))
    fsspec.filesystem("memory").pipe_file(stored, b"\0" * len(fsspec.filesystem("memory").cat_file(stored)))
    with pytest.raises(UserError, match=r"00003.f16 is damaged"):
        remote.mel(9)


@pytest.fixture
def s3(monkeypatch, tmp_path):
    """A bucket of moto's server, a process that speaks S3's protocol. It may have an environment of its own: MOTO_PYTHON."""
    pytest.importorskip("s3fs", reason="pip install s3fs")
    python = os.environ.get("MOTO_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import moto.server, flask"], capture_output=True, check=False).returncode:
        pytest.skip("pip install 'moto[server,s3]', here or in the environment whose Python MOTO_PYTHON names")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([python, "-m", "moto.server", "-p", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        bucket = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
        bucket.mkdir("voices")
        yield bucket
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_a_set_in_s3_is_the_local_one_though_preparing_was_killed(in_shards, s3, tmp_path, arguments):
    written = arguments("data.prepared=s3://voices/sets", "prepare.shard=1", "prepare.workers=2",
                        f"prepare.cache={tmp_path}/cache")
    command = [sys.executable, "-m", "chatterbox_es.prepare", *written]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    while not [name for name in s3.find("voices") if name.endswith(".shard")]:
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    stored = s3.find("voices")
    assert not [name for name in stored if "partial" in name or "/work/" in name]
    card = next(name for name in stored if name.endswith("card.json"))
    assert json.loads(s3.cat_file(card))["content"] == in_shards.card["content"]
    command[2:3] = ["chatterbox_es.train", "phase=4_2", "train.epochs=1"]
    trained = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert list((tmp_path / "cache").rglob("*.f16"))  # read from the bucket, shard by shard


def test_a_url_without_its_package_is_an_error(tmp_path, config_of):
    with pytest.raises(UserError, match="data.prepared=nowhere://sets cannot be opened"):
        prepare(config_of("data.prepared=nowhere://sets"))


@pytest.mark.parametrize(("change", "said"), [
    ("prepare.engine=spark", "prepare.engine=spark: must be local"), ("data.split=half", "data.split=half: must be text"),
    ("prepare.check=no", "prepare.check=no: must be quick"),
    ("prepare.shard=0", "prepare.shard=0: must be at least 1"),
])  # fmt: skip
def test_what_is_not_known_is_named(change, said, config_of):
    with pytest.raises(UserError, match=said):
        prepare(config_of(change))


def test_without_ray_the_error_says_what_to_install(tmp_path, config_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'chatterbox-es\[ray\]'"):
        prepare(config_of("prepare.engine=ray", f"data.prepared={tmp_path}"))


def test_sets_of_the_earlier_version_are_named(features, tmp_path):
    card = {key: value for key, value in features.card.items() if key != "shards"}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="earlier version"):
        FeatureSet(tmp_path)


# ---- speakers, dialects, recordings


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, make_corpus):
    """Five speakers of two sentences each, some of them in another dialect."""
    folder = make_corpus(tmp_path_factory.mktemp("spoken") / "corpus")
    lines = ["id|text|speaker|dialect"]
    lines += [f"r{n}|{text}|{'edcba'[n // 2]}|{'mexican' if n < 4 else ''}" for n, text in enumerate(texts_of(folder))]
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_speakers_and_dialects_are_numbered_by_name(spoken, tmp_path, config_of):
    sets = [prepare(config_of(f"data.prepared={tmp_path}/{size}", f"prepare.shard={size}", corpus=spoken)) for size in (3, 512)]
    features = sets[0]
    assert sets[1].card["content"] == features.card["content"]
    assert features.names("speaker") == ["a", "b", "c", "d", "e"]
    assert features.names("dialect") == ["castilian", "mexican"]
    assert features.ids("speaker", range(10)).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert features.ids("dialect", range(10)).tolist() == [1] * 4 + [0] * 6
    batch = next(Batches(features, features.train, 3, 0, collate).steps(1)).micro_batches[0]
    assert batch.speakers.tolist() == features.ids("speaker", batch.utterances).tolist()
    said = features.symbols.symbols_of(features.token_ids(3).tolist())  # «cruza»: the mexican z is an s
    assert "s" in said and "θ" not in said


def test_a_split_by_speaker_has_nobody_on_both_sides(spoken, tmp_path, config_of, corpus):
    features = prepare(config_of("data.split=speaker", f"data.prepared={tmp_path}", corpus=spoken))
    sides = [set(features.ids("speaker", side).tolist()) for side in (features.train, features.validation)]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[1]) == 1
    assert len(features.validation) == 2
    with pytest.raises(UserError, match="data.split=speaker needs two speakers at least"):
        prepare(config_of("data.split=speaker", f"data.prepared={tmp_path}/none", corpus=corpus))


def test_recordings_inside_a_data_set_are_kept_where_they_are_held_out(features, corpus, tmp_path, config_of, monkeypatch):
    from chatterbox_es.dataset.preparation import prepare as preparing

    def rows(data):
        for number, text in enumerate(texts_of(corpus)):
            content = (corpus / f"wavs/r{number}.wav").read_bytes()
            yield Utterance(f"r{number}", text, EmbeddedRecording(f"part-0.parquet:{number}", content), row=number + 1)

    monkeypatch.setattr(preparing, "read_corpus", rows)
    embedded = prepare(config_of(f"data.prepared={tmp_path}/p"))
    assert embedded.card["content"] == features.card["content"]
    held_out, trained = int(embedded.validation[0]), int(embedded.train[0])
    expected, _ = soundfile.read(corpus / f"wavs/r{held_out}.wav", dtype="float32")
    for one in (embedded, features):
        np.testing.assert_array_equal(one.recording(held_out), expected)
    assert embedded.utterance(trained)["audio"] == f"part-0.parquet:{trained}"
    with pytest.raises(AudioError):
        embedded.recording(trained)


# ---- whether a corpus has changed


@pytest.fixture
def listed(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "wavs").mkdir(parents=True)
    for number in range(20):
        (folder / f"wavs/{number}.wav").write_bytes(bytes(number))
    (folder / "metadata.csv").write_text("0|Hola.\n")
    old = time.time() - 3600
    for path in (folder, folder / "wavs"):
        os.utime(path, (old, old))
    return folder


def test_a_listing_is_relied_on_while_nothing_changes(listed, tmp_path, monkeypatch):
    first = listing_digest({"": listed}, tmp_path / "kept")
    monkeypatch.setattr(listing, "_walk", None)  # it is not walked again
    assert listing_digest({"": listed}, tmp_path / "kept") == first


@pytest.mark.parametrize("change", ["new", "gone", "renamed", "longer", "table"])
def test_a_change_is_found(change, listed, tmp_path):
    before = listing_digest({"": listed}, tmp_path / "kept")
    wavs = listed / "wavs"
    if change == "new":
        (wavs / "new.wav").write_bytes(b"1")
    elif change == "gone":
        (wavs / "3.wav").unlink()
    elif change == "renamed":
        (wavs / "3.wav").rename(wavs / "33.wav")
    elif change == "longer":
        (wavs / "3.wav").write_bytes(b"12345")
    else:
        (listed / "metadata.csv").write_text("0|Adiós.\n")
    after = listing_digest({"": listed}, tmp_path / "kept")
    assert after != before
    assert after == listing_digest({"": listed}, tmp_path / "another", full=True)


def test_of_a_large_corpus_a_replaced_file_is_found_by_the_full_check(listed, tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SAMPLE", 1)
    monkeypatch.setattr(listing.random, "sample", lambda numbers, count: [0])
    before = listing_digest({"": listed}, tmp_path / "kept")
    (listed / "wavs/3.wav").write_bytes(b"12345")
    assert listing_digest({"": listed}, tmp_path / "kept") == before
    assert listing_digest({"": listed}, tmp_path / "kept", full=True) != before


def test_a_table_that_is_written_again_as_it_was_is_no_change(listed, tmp_path):
    before = listing_digest({"": listed}, tmp_path / "kept")
    os.utime(listed / "metadata.csv", (1, 1))
    assert listing_digest({"": listed}, tmp_path / "kept") == before


# ---- Ray


DEADLY = """
import os
from pathlib import Path

from chatterbox_es.corpus.utterance import EmbeddedRecording

read = EmbeddedRecording.read_bytes

def deadly(recording):
    mark = Path(os.environ["DEADLY_MARK"])
    if recording.name == "deadly" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return read(recording)

EmbeddedRecording.read_bytes = deadly
"""


@pytest.fixture
def deadly(tmp_path, corpus, monkeypatch):
    """The corpus with a recording in the second shard of three that kills the first process that is started and reads it; the
    file that says whether it has."""
    from chatterbox_es.dataset.preparation import prepare as preparing

    mark = tmp_path / "killed"
    (tmp_path / "sitecustomize.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(REPOSITORY))))
    monkeypatch.setenv("DEADLY_MARK", str(mark))

    def rows(data):
        for number, text in enumerate(texts_of(corpus)):
            audio = corpus / f"wavs/r{number}.wav"
            yield Utterance(f"r{number}", text, EmbeddedRecording("deadly", audio.read_bytes()) if number == 4 else audio,
                            row=number + 1)

    monkeypatch.setattr(preparing, "read_corpus", rows)
    return mark


def test_ray_makes_the_same_bytes_though_a_worker_is_killed(deadly, in_shards, tmp_path, config_of, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # it is 15, and waits for ever on a busy machine
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        assert sum(node["Alive"] for node in ray.nodes()) == 2
        on_ray = prepare(config_of(f"data.prepared={tmp_path}/ray", "prepare.shard=3", "prepare.engine=ray"))
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert deadly.exists()
    here = prepare(config_of(f"data.prepared={tmp_path}/here", "prepare.shard=3"))
    assert files_of(on_ray.folder) == files_of(here.folder)
    assert on_ray.card["content"] == in_shards.card["content"]


def test_a_process_that_a_recording_kills_is_replaced(deadly, in_shards, tmp_path, config_of, capsys):
    features = prepare(config_of(f"data.prepared={tmp_path}/p", "prepare.shard=3", "prepare.workers=2"))
    assert features.card["content"] == in_shards.card["content"]
    assert "the shard is made again" in capsys.readouterr().out
