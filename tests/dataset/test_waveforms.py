"""Waveforms and F0 beside a prepared set: they belong to its mels, whoever makes them, however often it was ended."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.f0 import f0_of_frames
from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.config import compose
from chatterbox_es.dataset.f0 import F0
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.dataset.waveforms import Waveforms
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract

CONTRACT = MelContract()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def config(tmp_path, config_of):
    """The corpus of ten tones, to be prepared in shards of three in a folder of its own."""
    return config_of(f"data.prepared={tmp_path}/prepared", "prepare.shard=3")


@pytest.fixture
def made(config):
    features = prepare(config)
    return features, Waveforms.of(features, config.data)


def test_the_samples_have_the_mels_of_the_set(made):
    features, waveforms = made
    for number in range(len(features)):
        stored = features.stored_mel(number)
        samples = waveforms.samples(number)
        assert samples.dtype == np.float32 and len(samples) == len(stored) * 480
        again = log_mel(samples, CONTRACT).numpy().astype(np.float16)
        # the last two windows reach into what was cut off behind the last whole frame
        difference = np.abs(again.astype(np.float32) - stored.astype(np.float32))[:-2]
        assert difference.mean() < 1e-3 and difference.max() < 0.05  # fp16's step there is 0.008, int16's noise is at -98 dB


def test_a_part_of_an_utterance_is_read_alone(made):
    _, waveforms = made
    whole = waveforms.samples(4)
    assert np.array_equal(waveforms.samples(4, 7, 5), whole[7 * 480:12 * 480])
    assert np.array_equal(waveforms.samples(-1), waveforms.samples(9))
    with pytest.raises(ValueError, match="frames"):
        waveforms.samples(4, len(whole) // 480 - 4, 5)


def test_the_set_stays_what_it_was(config):
    features = prepare(config)
    before = files_of(features.folder)
    F0.of(features, config.data)
    after = files_of(features.folder)
    assert {name: content for name, content in after.items() if name.split("-")[0] not in ("waveforms", "f0")} == before
    assert prepare(config).card["content"] == features.card["content"]
    assert sorted(name.partition("/")[2] for name in after if name.startswith("f0-") and not name.endswith(".lock")) == [
        f"{shard:05d}.f32" for shard in range(4)]


def test_processes_make_the_same_bytes_and_what_is_done_stays(config, capsys):
    features = prepare(config)
    here = F0.of(features, config.data, workers=1).folder
    first = files_of(here), files_of(Waveforms(features).folder)
    times = {path: path.stat().st_mtime_ns for path in Waveforms(features).folder.iterdir()}
    (Waveforms(features).folder / "00002.i16").write_bytes(b"short")
    (Waveforms(features).folder / "00001.i16").unlink()
    (here / "00000.f32").unlink()
    capsys.readouterr()
    F0.of(features, config.data, workers=2)
    said = capsys.readouterr().out
    assert (files_of(here), files_of(Waveforms(features).folder)) == first
    assert said.count("made") == 2 and "4 of 10 rows were done before" in said
    again = [path.name for path, changed in times.items() if path.stat().st_mtime_ns != changed]
    assert sorted(again) == ["00001.i16", "00002.i16"]
    F0.of(features, config.data)
    assert capsys.readouterr().out == f"f0 {here}: reused\n"


def test_a_set_that_drops_utterances_shares_them(config, tmp_path, config_of):
    whole = prepare(config)
    (tmp_path / "ids.txt").write_text("r0\nr4\n")
    few = prepare(config_of(f"data.prepared={tmp_path}/prepared", "prepare.shard=3", f"data.drop_list={tmp_path}/ids.txt"))
    assert len(few) == 8
    some = F0.of(few, config.data), Waveforms.of(few, config.data)
    all_ = F0(whole), Waveforms(whole)
    assert [track.folder for track in some] == [track.folder for track in all_]
    places = {whole.utterance(number)["id"]: number for number in range(10)}
    for number in range(8):
        there = places[few.utterance(number)["id"]]
        assert np.array_equal(some[1].samples(number), all_[1].samples(there))
        assert np.array_equal(some[0].hertz(number), all_[0].hertz(there))


def test_a_set_behind_fsspec(tmp_path, config_of):
    config = config_of("data.prepared=memory://waveforms", f"prepare.cache={tmp_path}", "prepare.shard=3")
    features = prepare(config)
    waveforms = Waveforms.of(features, config.data, workers=2)
    assert [len(waveforms.samples(number)) // 480 for number in range(10)] == features.index["frames"].tolist()


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_recordings_inside_a_data_set(corpus, tmp_path, made, streaming):
    datasets = pytest.importorskip("datasets", reason="pip install 'chatterbox-es[hf]'")
    rows = [line.split("|") for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    sounds = [{"bytes": (corpus / f"wavs/{name}.wav").read_bytes(), "path": None} for name, _ in rows]
    sounds[3] = {"bytes": b"none", "path": None}  # a fault: the set has other numbers than the corpus
    table = datasets.Dataset.from_dict({"text": [text for _, text in rows], "audio": sounds})
    table.cast_column("audio", datasets.Audio()).save_to_disk(tmp_path / "set")
    config = compose(["data=hf", f"data.path={tmp_path}/set", f"data.prepared={tmp_path}/embedded", "prepare.shard=3",
                      "data.max_fault_share=0.5", "data.workers=2", f"data.streaming={streaming}"])
    features = prepare(config)
    waveforms = Waveforms.of(features, config.data)
    assert len(features) == 9
    for number in range(9):
        assert np.array_equal(waveforms.samples(number), made[1].samples(number + (number > 2)))
    assert not (waveforms.folder / "work").exists()


def copied(config_of, corpus: Path, tmp_path: Path):
    """A corpus of its own, to be damaged, and its set."""
    shutil.copytree(corpus, tmp_path / "mine")
    config = config_of(f"data.prepared={tmp_path}/prepared", "prepare.shard=3", corpus=tmp_path / "mine")
    return config, prepare(config), tmp_path / "mine/wavs/r4.wav"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_recording_that_has_changed_is_named(config_of, corpus, tmp_path, workers):
    config, features, file = copied(config_of, corpus, tmp_path)
    samples, rate = soundfile.read(file)
    for changed in (samples[::-1], samples[:-2400]):
        soundfile.write(file, changed, rate)
        with pytest.raises(UserError, match=r"r4\.wav.* has changed since the set was prepared"):
            Waveforms.of(features, config.data, workers)
    soundfile.write(file, samples, rate)
    Waveforms.of(features, config.data, workers)  # what was done stays, the rest is made


def test_a_recording_that_is_gone_is_named(config_of, corpus, tmp_path):
    config, features, file = copied(config_of, corpus, tmp_path)
    file.unlink()
    with pytest.raises(UserError, match=r"r4 could be read.* r4\.wav does not exist|r4 could be read.*r4\.wav does not exist"):
        Waveforms.of(features, config.data)


def test_a_damaged_file_is_an_error_that_names_it(made):
    features, waveforms = made
    (waveforms.folder / "00003.i16").write_bytes(b"ab")
    with pytest.raises(UserError, match=r"00003\.i16 is damaged"):
        waveforms.samples(9)


def test_f0_of_a_glide_is_that_of_the_middle_of_each_frame():
    time = np.arange(2 * 24_000) / 24_000
    pitch = 100 * 2 ** time  # an octave a second
    phase = 2 * np.pi * np.cumsum(pitch) / 24_000
    sound = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12)) * 0.1
    silence = np.zeros(12_000)
    found = f0_of_frames(np.concatenate([silence, sound, silence]).astype(np.float32), CONTRACT)
    assert found.shape == (150,) and found.dtype == np.float32
    assert not found[:23].any() and not found[-23:].any()
    middle = 100 * 2 ** ((np.arange(100) + 0.5) / 50)
    voiced = found[25:125] > 0
    assert voiced[2:-2].all()
    cents = 1200 * np.log2(found[25:125][voiced] / middle[voiced])
    assert np.abs(cents[2:-2]).max() < 6  # half a frame away it would be 12


def test_f0_of_the_shortest_sound():
    assert f0_of_frames(np.zeros(480, np.float32), CONTRACT).tolist() == [0]
