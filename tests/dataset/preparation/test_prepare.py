"""Preparing a corpus: every fault is listed and none stops it, too many do, and what was made is used again."""

import json
import os
import re
from collections import Counter

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError

FAULTS = {  # id: (text, reason)
    "gone": ("Falta el sonido.", "missing-audio"),
    "broken": ("Esto no es un sonido.", "unreadable-audio"),
    "empty": ("No hay nada dentro.", "zero-length"),
    "nosamples": ("Solo hay una cabecera.", "zero-length"),
    "notext": ("", "empty-text"),
    "r1": ("Otra vez el mismo.", "duplicate-id"),
    "marks": ("¿...? — 。", "no-speakable-symbol"),
    "script": ("Llegamos a 東京 de noche.", "unreadable-text"),
    "short": ("Esta frase es demasiado larga para lo poco que dura el sonido que la acompaña.", "too-short-for-phones"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, make_corpus):
    """Ten good rows, then one of each fault."""
    folder = make_corpus(tmp_path_factory.mktemp("faulty") / "corpus")
    wavs = folder / "wavs"
    (wavs / "broken.wav").write_bytes(b"RIFF nothing that follows is a sound file")
    (wavs / "empty.wav").write_bytes(b"")
    soundfile.write(wavs / "nosamples.wav", np.zeros(0), 24_000)
    for name in ("notext", "marks", "script"):
        soundfile.write(wavs / f"{name}.wav", np.sin(np.arange(24_000) / 20) / 2, 24_000)
    soundfile.write(wavs / "short.wav", np.sin(np.arange(7_200) / 20) / 2, 24_000)
    with (folder / "metadata.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{name}|{text}\n" for name, (text, _) in FAULTS.items())
    return folder


def lint_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, faulty, command):
    """`prepare` as a user runs it, with more faults than the default allows, in an empty folder."""
    folder = tmp_path_factory.mktemp("stopped")
    return folder, command("prepare", "data=folder", f"data.path={faulty}", "data.workers=1", cwd=folder)


def test_too_many_faults_stop_preparation_and_say_what_to_do(stopped, faulty):
    folder, result = stopped
    assert result.returncode == 2
    assert "Traceback" not in result.stderr + result.stdout
    assert "9 of 19 rows (47.4%) cannot be used, above the limit of 5%" in result.stderr
    assert "data.max_fault_share=0.48" in result.stderr
    listed = re.search(r"listed in (\S+\.jsonl)", result.stderr)
    assert Counter(fault["reason"] for fault in lint_of(folder / listed[1])) == Counter(r for _, r in FAULTS.values())
    assert not list(folder.glob("outputs/prepared/*/card.json"))
    assert not list(folder.glob("outputs/prepared/*partial*"))


def test_the_remedy_works_and_every_fault_is_listed_with_row_id_and_reason(stopped, faulty, config_of, capsys):
    folder, result = stopped
    share = re.search(r"data\.max_fault_share=[\d.]+", result.stderr)[0]
    features = prepare(config_of(share, f"data.prepared={folder}/outputs/prepared", corpus=faulty))
    faults = {fault["id"]: fault for fault in lint_of(features.folder / "lint.jsonl")}
    assert {name: (fault["row"], fault["reason"]) for name, fault in faults.items()} == {
        name: (row, reason) for row, (name, (_, reason)) in enumerate(FAULTS.items(), start=11)}
    assert all(fault["detail"] for fault in faults.values())
    screen = capsys.readouterr().out
    assert "9 rows left out" in screen
    for reason, count in Counter(reason for _, reason in FAULTS.values()).items():
        assert f"{count} {reason}" in screen
    assert [features.utterance(n)["id"] for n in range(len(features))] == [f"r{n}" for n in range(10)]
    assert features.card["left_out"] == Counter(reason for _, reason in FAULTS.values())


def test_the_good_rows_are_what_they_would_be_without_the_others(stopped, features):
    folder, _ = stopped
    among_faults = FeatureSet(next(folder.glob("outputs/prepared/*/card.json")).parent)
    assert among_faults.card["content"] == features.card["content"]


def test_a_corpus_of_nothing_but_faults_is_an_error(tmp_path, config_of):
    (tmp_path / "metadata.csv").write_text("a|Hola.\nb|Adiós.\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"2 of 2 rows \(100.0%\) cannot be used, no row can be used"):
        prepare(config_of("data.max_fault_share=1", f"data.prepared={tmp_path}/prepared", corpus=tmp_path))


def test_mels_and_tokens_are_those_of_recording_and_text(tmp_path, make_corpus, config_of):
    folder = make_corpus(tmp_path / "corpus")
    features = prepare(config_of("data.trim_silence=false", "data.loudness=null", f"data.prepared={tmp_path}/p", corpus=folder))
    for number in (0, 9):
        samples, _ = soundfile.read(folder / f"wavs/r{number}.wav", dtype="float32")
        restored = features.statistics.restore(features.mel(number))
        np.testing.assert_allclose(restored, log_mel(samples), atol=0.02)  # float16 on disk
    assert features.symbols.symbols_of(features.token_ids(0).tolist()) == (
        "<s>", "l", "a", "k", "ˈa", "s", "a", "ˈe", "s", "ˈa", "l", "t", "a", ".", "</s>")
    assert features.utterance(4)["words"] == "hay dos mesas."
    assert features.card["synthetic"] is False


def test_a_second_run_uses_what_is_there(features, config_of, capsys):
    before = {path: path.stat().st_mtime_ns for path in features.folder.iterdir()}
    again = prepare(config_of("data.max_fault_share=0.5"))  # not part of what the content depends on
    assert "reused" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in again.folder.iterdir()} == before


def test_the_split_is_stored_and_made_the_same_again(tmp_path, features, config_of):
    again = prepare(config_of(f"data.prepared={tmp_path}"))
    assert again.card["content"] == features.card["content"]
    assert again.validation.tolist() == features.validation.tolist()


@pytest.mark.parametrize("change", ["data.dialect=latin_american", "mel.hop=240", "data.split_seed=1", "data.loudness=-20"])
def test_another_dialect_contract_or_treatment_is_another_set(change, tmp_path, features, config_of):
    other = prepare(config_of(change, f"data.prepared={tmp_path}"))
    assert other.folder.name != features.folder.name
    assert other.card["content"] != features.card["content"]


def test_recordings_that_change_are_prepared_again_through_a_link_too(tmp_path, make_corpus, config_of):
    real, linked = make_corpus(tmp_path / "real"), tmp_path / "linked"
    linked.mkdir()
    os.symlink(real / "wavs", linked / "wavs")
    os.symlink(linked, real / "wavs" / "back")  # in a circle
    (linked / "metadata.csv").write_bytes((real / "metadata.csv").read_bytes())
    config = config_of(f"data.prepared={tmp_path}/prepared", corpus=linked)
    before = prepare(config)
    soundfile.write(real / "wavs/r0.wav", np.sin(np.arange(48_000) / 20) / 2, 24_000)
    after = prepare(config)
    assert after.folder != before.folder
    assert after.index["frames"][0] > before.index["frames"][0]


def test_no_text_stands_on_both_sides(tmp_path, make_corpus, config_of):
    sentences = ("Hola, Ana.", "hola ana", "¡Hola; Ana!", "Son 2.", "Son dos.", "Adiós.", "Buenas.", "Ya.", "Ven acá.", "Sí.")
    features = prepare(config_of(f"data.prepared={tmp_path}/p", corpus=make_corpus(tmp_path / "c", sentences)))

    def texts(side) -> set[str]:
        return {" ".join(re.findall(r"\w+", features.utterance(n)["words"].lower())) for n in side}

    assert len(texts(range(len(features)))) == 7
    assert texts(features.train).isdisjoint(texts(features.validation))
    assert len(features.validation)


@pytest.mark.parametrize(("written", "said"), [
    (["data=folder"], "data.path"),
    (["data=folder", "data.path=nowhere"], "nowhere"),
    (["data=folder", "data.path=.", "data.dialect=klingon"], "castilian"),
    (["data.dialekt=castilian"], "dialekt"),
])
def test_what_is_missing_or_misspelt_is_named(written, said, tmp_path, monkeypatch, capsys):
    from chatterbox_es import command_line
    from chatterbox_es.prepare import main

    (tmp_path / "metadata.csv").write_text("a|Hola.\nb|Adiós.\n", encoding="utf-8")
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.sin(np.arange(24_000) / 20) / 2, 24_000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["prepare", *written])
    with pytest.raises(SystemExit) as ended:
        command_line.run(main)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
