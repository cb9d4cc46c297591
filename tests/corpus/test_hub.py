"""Data sets of the Hugging Face library, made here and read from the disk: nothing is fetched."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.waveform import AudioError, read_audio
from chatterbox_es.config import compose
from chatterbox_es.corpus import Fault, Utterance, read_corpus
from chatterbox_es.dataset.preparation.manifest import decode_row, encode_row
from chatterbox_es.errors import UserError

datasets = pytest.importorskip("datasets", reason="needs the extra hf")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def encoded(pitch: float, format: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(4800) * pitch) / 2, 24_000, format=format)
    return file.getvalue()


def table() -> "datasets.Dataset":
    rows = {"audio": [{"bytes": encoded(0.1), "path": "a.wav"}, {"bytes": encoded(0.3, "FLAC"), "path": None},
                      {"bytes": encoded(0.5), "path": "c.wav"}, None],
            "sentence": ["Uno.", "Dos.", " ", "Cuatro."], "speaker_id": [1, 0, 1, 1], "accent": ["México", "", "", ""],
            "up_votes": [2, 1, 2, 2], "down_votes": [0, 0, 0, 0]}
    made = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(sampling_rate=16_000))
    return made.cast_column("speaker_id", datasets.ClassLabel(names=["eva", "paz"]))


def saved(folder: Path) -> Path:
    table().save_to_disk(folder)
    return folder


def saved_splits(folder: Path) -> Path:
    datasets.DatasetDict(train=table(), test=table()).save_to_disk(folder)
    return folder


def parquet(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    table().to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def read(folder: Path, *arguments: str) -> tuple[list[Utterance], list[Fault]]:
    found = list(read_corpus(compose(["data=hf", f"data.path={folder}", *arguments]).data))
    return [one for one in found if isinstance(one, Utterance)], [one for one in found if isinstance(one, Fault)]


@pytest.mark.parametrize("streaming", ["false", "true"])
@pytest.mark.parametrize("make", [saved, saved_splits, parquet])
def test_forms_on_the_disk(tmp_path, make, streaming):
    utterances, faults = read(make(tmp_path / "set"), f"data.streaming={streaming}")
    assert [(u.id, u.text, u.speaker, u.dialect, u.row) for u in utterances] == [
        ("0000001", "Uno.", "paz", "mexican", 1), ("0000002", "Dos.", "eva", "", 2)]
    assert [(fault.row, fault.reason) for fault in faults] == [(3, "empty-text"), (4, "missing-audio")]
    for utterance, pitch in zip(utterances, (0.1, 0.3), strict=True):
        sent = decode_row(encode_row(utterance)).audio  # to a worker
        np.testing.assert_allclose(read_audio(sent), np.sin(np.arange(4800) * pitch) / 2, atol=1e-4)
        assert str(utterance.row) in str(sent)


def test_another_process_opens_the_set_again(tmp_path):
    utterance = read(parquet(tmp_path / "set"))[0][1]
    record = encode_row(utterance)
    assert len(record) < 1000  # it refers to the sound and does not hold it
    (tmp_path / "sent.record").write_bytes(record)
    code = ("import sys, datasets, pathlib; datasets.config.HF_DATASETS_CACHE = pathlib.Path(sys.argv[2]);"
            "from chatterbox_es.dataset.preparation.manifest import decode_row;"
            "print(len(decode_row(open(sys.argv[1], 'rb').read()).audio.read_bytes()))")
    said = subprocess.run([sys.executable, "-c", code, tmp_path / "sent.record", tmp_path / "cache"], capture_output=True,
                          text=True, check=True)
    assert int(said.stdout) == len(encoded(0.3, "FLAC"))


def test_columns_are_named_or_recognised(tmp_path):
    folder = tmp_path / "set"
    table().rename_column("sentence", "dicho").rename_column("audio", "sonido").save_to_disk(folder)
    with pytest.raises(UserError, match=r"data.text_column=NAME; its columns are sonido, dicho"):
        read(folder)
    assert [u.text for u in read(folder, "data.text_column=dicho")[0]] == ["Uno.", "Dos."]
    assert [u.speaker for u in read(folder, "data.text_column=dicho", "data.speaker_column=accent")[0]] == ["México", ""]
    with pytest.raises(UserError, match=r"no column 'nada' \(data.text_column\)"):
        read(folder, "data.text_column=nada")


def test_votes_are_read_where_a_limit_is_set(tmp_path):
    utterances, faults = read(saved(tmp_path / "set"), "data.min_up_votes=2")
    assert [u.text for u in utterances] == ["Uno."]
    assert [(fault.row, fault.excluded) for fault in faults] == [(2, True), (3, False), (4, False)]


@pytest.mark.parametrize(("path", "arguments", "said"), [
    ("nobody/nothing", (), r"nobody/nothing:train cannot be had"),
    ("set", ("data.hf_split=trian",), r"no split 'trian' \(data.hf_split\); it has train, test"),
    ("parquet", ("data.hf_split=trian",), "trian"),
    ("parquet", ("data.config=es",), "'es' not found"),
])  # fmt: skip
def test_what_cannot_be_had_is_said_in_one_sentence(tmp_path, path, arguments, said):
    saved_splits(tmp_path / "set")
    parquet(tmp_path / "parquet")
    with pytest.raises(UserError, match=said):
        read(tmp_path / path if (tmp_path / path).exists() else Path(path), *arguments)


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
    folder = saved(tmp_path / "set")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'chatterbox-es\[hf\]'"):
        read(folder)


@pytest.mark.parametrize(("name", "content"), [
    ("metadata.csv", 'file_name,transcription,speaker_id\na.wav,"Uno, ""dos"".",eva\nb.wav,Tres.,paz\nz.wav,No.,paz\nb.wav,\n'),
    ("metadata.jsonl", '{"file_name": "a.wav", "transcription": "Uno, \\"dos\\".", "speaker_id": "eva"}\n'
     '{"file_name": "b.wav", "transcription": "Tres.", "speaker_id": "paz"}\n'
     '{"file_name": "z.wav", "transcription": "No.", "speaker_id": "paz"}\n{"file_name"\n'),
])  # fmt: skip
def test_a_folder_of_sound_files(tmp_path, monkeypatch, name, content):
    monkeypatch.setitem(sys.modules, "datasets", None)  # it is not needed
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name).write_text(content, encoding="utf-8")
    for sound in "ab":
        (tmp_path / "train" / f"{sound}.wav").write_bytes(encoded(0.1))
    utterances, faults = read(tmp_path)
    assert [(u.id, u.text, u.speaker) for u in utterances] == [("a", 'Uno, "dos".', "eva"), ("b", "Tres.", "paz")]
    assert [fault.reason for fault in faults] == ["missing-audio", "bad-row"]


def test_a_damaged_sound_says_where_it_is(tmp_path):
    rows = {"audio": [{"bytes": b"RIFF nothing", "path": None}, {"bytes": b"", "path": None}], "text": ["Uno.", "Dos."]}
    datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio()).save_to_disk(tmp_path / "set")
    for utterance, reason in zip(read(tmp_path / "set")[0], ("unreadable-audio", "zero-length"), strict=True):
        with pytest.raises(AudioError, match=f"#{utterance.row}") as error:
            read_audio(utterance.audio)
        assert error.value.reason == reason
