"""Published corpora, each in its own layout: who speaks, in which dialect, what is left out and why."""

import functools
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.config import DataConfig, compose
from chatterbox_es.corpus import Fault, Utterance, read_corpus
from chatterbox_es.errors import UserError

ANDINO = "Andino-Pacífico: Colombia, Perú, Ecuador, oeste de Bolivia y Venezuela andina"
CARIBE = ("Caribe: Cuba, Venezuela, Puerto Rico, República Dominicana, Panamá, Colombia caribeña, México caribeño, "
          "Costa del golfo de México")
SUR = "España: Sur peninsular (Andalucia, Extremadura, Murcia)"
CENTRO = "España: Centro-Sur peninsular (Madrid, Toledo, Castilla-La Mancha)"


def sound(path: Path) -> None:
    """A tenth of a second of noise, in the format that the name's extension says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 2400)
    extension = path.suffix.lower()
    formats = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}, ".flac": {"format": "FLAC"}}
    soundfile.write(path, noise, 24_000, **formats.get(extension, {"format": "WAV"}))


@functools.cache
def composed(choice: str) -> DataConfig:
    return compose([choice, "data.path=x"]).data


def read(choice: str, *arguments: str) -> tuple[list[Utterance], list[Fault]]:
    """Utterances and faults of `data=KIND data.KEY=VALUE …`; composing once a kind saves most of the time."""
    given = OmegaConf.from_dotlist([argument.removeprefix("data.") for argument in arguments])
    found = list(read_corpus(OmegaConf.merge(composed(choice), given)))
    return [one for one in found if isinstance(one, Utterance)], [one for one in found if isinstance(one, Fault)]


def why(faults: list[Fault]) -> dict[str, tuple[str, bool]]:
    assert all(fault.detail and fault.row for fault in faults)
    return {fault.id: (fault.reason, fault.excluded) for fault in faults}


HEADERS = {
    6: "client_id path sentence up_votes down_votes age gender accent locale segment",
    8: "client_id path sentence up_votes down_votes age gender accents locale segment",
    13: "client_id path sentence up_votes down_votes age gender accents variant locale segment",
    17: "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment",
}


def common_voice(folder: Path, rows: list[dict], release: int = 17, part: str = "validated", end: str = "\n",
                 mark: str = "") -> Path:
    """A Common Voice folder; a row's keys are columns, and those left out are empty, but for two up votes."""
    columns = HEADERS[release].split()
    lines = ["\t".join(columns), *("\t".join(({"up_votes": "2", "down_votes": "0"} | row).get(column, "") for column in columns)
                                   for row in rows)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.tsv").write_bytes((mark + end.join(lines) + end).encode())
    return folder


@pytest.mark.parametrize("release", HEADERS)
def test_common_voice_of_several_releases(tmp_path, release):
    accent = {"accent": "caribe"} if release == 6 else {"accents": CARIBE}
    folder = common_voice(tmp_path / "es", [
        {"path": "common_voice_es_1.mp3", "sentence": 'Dijo "hola', "client_id": "x" * 128, **accent},
        {"path": "common_voice_es_2.mp3", "sentence": "Uno.", "client_id": "y"}], release)
    for number in (1, 2):
        sound(folder / f"clips/common_voice_es_{number}.mp3")
    utterances, faults = read("data=common_voice", f"data.path={folder}")
    assert faults == []
    assert [(u.id, u.text, u.speaker, u.dialect, u.row) for u in utterances] == [
        ("common_voice_es_1", 'Dijo "hola', "x" * 128, "caribbean", 2), ("common_voice_es_2", "Uno.", "y", "", 3)]
    assert len(read_audio(utterances[0].audio)) > 2000  # MP3 is decoded


ACCENTS = {
    SUR: "andalusian", CENTRO: "castilian", CARIBE: "caribbean", ANDINO: "latin_american", "México": "mexican",
    "España: Islas Canarias": "andalusian", "Chileno: Chile, Cuyo": "latin_american", "América central": "latin_american",
    "Rioplatense: Argentina, Uruguay, este de Bolivia, Paraguay": "rioplatense", "Español de Filipinas": "",
    f"{ANDINO}|Acento costeño de Lima Perú": "latin_american", f"{SUR},catalan": "andalusian", f"{CENTRO}|México": "",
    f"{CENTRO},{SUR}": "", "surpeninsular": "andalusian", "nortepeninsular": "castilian", "mexicano": "mexican",
    "Muy marcado": "", "": "", "méxico": "mexican",
}  # fmt: skip


def test_accents_are_told_apart(tmp_path):
    rows = [{"path": f"{number}.mp3", "sentence": "Uno.", "accents": accent} for number, accent in enumerate(ACCENTS)]
    folder = common_voice(tmp_path, rows)
    for row in rows:
        (folder / "clips").mkdir(exist_ok=True)
        (folder / "clips" / row["path"]).touch()
    utterances, faults = read("data=common_voice", f"data.path={folder}")
    assert faults == []
    assert {accent: u.dialect for accent, u in zip(ACCENTS, utterances, strict=True)} == ACCENTS


def test_votes_exclude_and_are_no_faults(tmp_path):
    votes = {"good": ("3", "0"), "few": ("2", "0"), "disliked": ("5", "1"), "bad": ("many", "0")}
    folder = common_voice(tmp_path / "cv" / "es", [
        {"path": f"{name}.mp3", "sentence": "Uno.", "up_votes": up, "down_votes": down} for name, (up, down) in votes.items()])
    for name in votes:
        sound(folder / "clips" / f"{name}.mp3")
    utterances, faults = read("data=common_voice", f"data.path={tmp_path}/cv", "data.min_up_votes=3", "data.max_down_votes=0")
    assert [u.id for u in utterances] == ["good"]
    assert why(faults) == {"few": ("few-up-votes", True), "disliked": ("down-votes", True), "bad": ("bad-row", False)}
    assert len(read("data=common_voice", f"data.path={folder}")[0]) == 4  # without limits the votes are not read


def test_odd_things_of_real_tables(tmp_path):
    decomposed = unicodedata.normalize("NFD", "niño.mp3")
    rows = [{"path": "a.mp3", "sentence": "Con \0 dentro."}, {"path": "gone.mp3", "sentence": "No está."},
            {"path": "B.mp3", "sentence": "Mayúsculas."}, {"path": "niño.mp3", "sentence": "Tilde."},
            {"path": "c.mp3", "sentence": "Convertida."}, {"path": "../secret.mp3", "sentence": "Fuera."},
            {"path": "empty.mp3", "sentence": "  "}, {"path": "a.mp3", "sentence": "Otra vez."},
            {"path": "d\0.mp3", "sentence": "Cero."}, {"path": "", "sentence": "Sin."}, {"path": "old", "sentence": "Antigua."}]
    folder = common_voice(tmp_path / "es", rows, end="\r\n", mark="\ufeff")
    with (folder / "validated.tsv").open("ab") as file:
        file.write(b"uno\tdos\r\n\r\nx\tma\xf1ana.mp3\r\n")
    for name in ("a.mp3", "B.MP3", decomposed, "c.wav", "empty.mp3", "old.mp3"):
        sound(folder / "clips" / name)
    sound(tmp_path / "secret.mp3")
    utterances, faults = read("data=common_voice", f"data.path={folder}")
    assert [u.id for u in utterances] == ["a", "B", "niño", "c", "old"]
    assert [u.audio.name for u in utterances] == ["a.mp3", "B.MP3", decomposed, "c.wav", "old.mp3"]
    assert sorted((fault.row, fault.reason) for fault in faults) == [
        (3, "missing-audio"), (7, "outside-folder"), (8, "empty-text"), (9, "duplicate-id"), (10, "missing-audio"),
        (11, "bad-row"), (13, "bad-row"), (15, "bad-encoding")]
    assert len(utterances) + len(faults) == 13


def test_parts_and_what_lies_in_two_of_them(tmp_path):
    row = {"path": "a.mp3", "sentence": "Uno."}
    folder = common_voice(tmp_path, [row, {"path": "b.mp3", "sentence": "Dos."}])
    common_voice(folder, [row], part="train")
    for name in "ab":
        sound(folder / f"clips/{name}.mp3")
    utterances, faults = read("data=common_voice", f"data.path={folder}", "data.parts=[validated,train]")
    assert [u.id for u in utterances] == ["a", "b"] and why(faults) == {"a": ("duplicate-id", True)}
    assert [u.id for u in read("data=common_voice", f"data.path={folder}", "data.parts=[train]")[0]] == ["a"]
    with pytest.raises(UserError, match=r"dev.tsv does not exist.*train, validated.*data.parts"):
        read("data=common_voice", f"data.path={folder}", "data.parts=[train,dev]")


@pytest.mark.parametrize("ending", ["flac", "opus"])
def test_mls(tmp_path, ending):
    for part, name in (("train", "10246_9893_000001"), ("dev", "20_30_000002")):
        speaker, book, _ = name.split("_")
        sound(tmp_path / part / "audio" / speaker / book / f"{name}.{ending}")
        (tmp_path / part / "transcripts.txt").write_text(f"{name}\tuna frase sin puntos\n", encoding="utf-8")
    with (tmp_path / "dev" / "transcripts.txt").open("a", encoding="utf-8") as file:
        file.write("20_30_000003\tno está\n20_30_000004\nsin_fin\ttexto\n")
    utterances, faults = read("data=mls", f"data.path={tmp_path}", "data.parts=[train,dev]")
    assert [(u.id, u.speaker, u.text) for u in utterances] == [
        ("train/10246_9893_000001", "10246", "una frase sin puntos"), ("dev/20_30_000002", "20", "una frase sin puntos")]
    assert read_audio(utterances[0].audio).size
    assert [fault.reason for fault in faults] == ["missing-audio", "bad-row", "bad-row"]
    with pytest.raises(UserError, match=r"test.transcripts.txt does not exist"):
        read("data=mls", f"data.path={tmp_path}")


def test_cml_tts(tmp_path):
    header = "wav_filename|wav_filesize|transcript|transcript_wav2vec|levenshtein|duration|num_words|client_id\n"
    rows = ["train/audio/1/2/1_2_000001.wav|9|¿Dónde está?|donde esta|0.97|1.2|2|1",
            "train/audio/1/2/1_2_000002.wav|9|Otra cosa.|nada que ver|0.60|1.2|2|1",
            "train/audio/1/2/1_2_000003.wav|9|No está.|no esta|0.99|1.2|2|1",
            "train/audio/1/2/1_2_000004.wav|9|Con | barra.|con barra|0.99|1.2|2|1"]
    (tmp_path / "train.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    for number in (1, 2, 4):
        sound(tmp_path / f"train/audio/1/2/1_2_00000{number}.wav")
    utterances, faults = read("data=cml_tts", f"data.path={tmp_path}", "data.parts=[train]", "data.min_similarity=0.9")
    assert [(u.id, u.speaker, u.text) for u in utterances] == [("train/audio/1/2/1_2_000001", "1", "¿Dónde está?")]
    assert [(fault.reason, fault.excluded) for fault in faults] == [
        ("unlike-text", True), ("missing-audio", False), ("bad-row", False)]


COUNTRIES = {"arf": "rioplatense", "clm": "latin_american", "cof": "latin_american", "pem": "latin_american",
             "prf": "caribbean", "vem": "caribbean"}  # fmt: skip


def test_openslr_all_archives_in_one_folder(tmp_path):
    for prefix in COUNTRIES:
        folder = tmp_path / f"es_{prefix[:2]}_{'female' if prefix[2] == 'f' else 'male'}"
        lines = [f"{prefix}_00295_0000{number}\tFrase {number}." for number in (1, 2)]
        for line in lines:
            sound(folder / f"{line.partition(chr(9))[0]}.wav")
        (folder / "line_index.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "line_index_female.tsv").write_text("arf_00295_00001\tFrase 1.\nar_00001\tEl tiempo.\narf_00295_9\tNo.\n",
                                                    encoding="utf-8")
    sound(tmp_path / "weather" / "ar_00001.wav")
    utterances, faults = read("data=openslr", f"data.path={tmp_path}")
    assert {u.speaker: u.dialect for u in utterances if u.speaker} == {f"{p}_00295": d for p, d in COUNTRIES.items()}
    assert [(u.id, u.dialect) for u in utterances if not u.speaker] == [("ar_00001", "")]
    assert len(utterances) == 13
    assert why(faults) == {"arf_00295_00001": ("listed-twice", True), "arf_00295_9": ("missing-audio", False)}


def test_css10(tmp_path):
    sound(tmp_path / "19demarzo/19demarzo_0000.wav")
    (tmp_path / "transcript.txt").write_text(
        "19demarzo/19demarzo_0000.wav|En 1873.|En mil ochocientos setenta y tres.|5.1\nx/gone.wav|No.|No.|1\nx|y\n",
        encoding="utf-8")
    utterances, faults = read("data=css10", f"data.path={tmp_path}")
    assert [(u.id, u.text, u.spoken, u.speaker) for u in utterances] == [
        ("19demarzo/19demarzo_0000", "En 1873.", "En mil ochocientos setenta y tres.", "")]
    assert [fault.reason for fault in faults] == ["missing-audio", "bad-row"]


def test_mailabs(tmp_path):
    books = {"female/karen_savage/angelina": "karen_savage", "male/tux/bailen": "tux", "mix/don_quijote": ""}
    for book in books:
        folder = tmp_path / "by_book" / book
        sound(folder / "wavs" / "f_000001.wav")
        folder.joinpath("metadata.csv").write_text("f_000001|En 1605.|en mil seiscientos cinco\nf_2|No.|no\n", encoding="utf-8")
    utterances, faults = read("data=mailabs", f"data.path={tmp_path}")
    assert {u.id: u.speaker for u in utterances} == {f"{book}/f_000001": speaker for book, speaker in books.items()}
    assert {u.spoken for u in utterances} == {"en mil seiscientos cinco"}
    assert [fault.reason for fault in faults] == ["missing-audio"] * 3


def layout_of(kind: str, folder: Path) -> None:
    files: dict[str, Callable[[], str] | str] = {
        "common_voice": "validated.tsv", "mls": "train/transcripts.txt", "cml_tts": "train.csv",
        "openslr": "es_ar_female/line_index.tsv", "css10": "transcript.txt", "mailabs": "by_book/male/tux/a/metadata.csv",
        "hf": "data/train-00000-of-00001.parquet"}
    path = folder / files[kind]
    path.parent.mkdir(parents=True)
    path.touch()


@pytest.mark.parametrize("kind", ["common_voice", "mls", "cml_tts", "openslr", "css10", "mailabs", "hf"])
def test_a_folder_of_another_layout_says_which(tmp_path, kind):
    layout_of(kind, tmp_path / "corpus")
    with pytest.raises(UserError, match=f"data={kind} data.path="):
        read("data=folder", f"data.path={tmp_path / 'corpus'}")


@pytest.mark.parametrize("kind", ["common_voice", "mls", "cml_tts", "openslr", "css10", "mailabs"])
def test_an_empty_folder_and_none_are_errors(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        with pytest.raises(UserError, match=folder):
            read(f"data={kind}", f"data.path={tmp_path / folder}")


def test_a_table_without_the_needed_columns_is_an_error(tmp_path):
    (tmp_path / "validated.tsv").write_text("client_id\tpath\ttext\nx\ta.mp3\tUno.\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column sentence"):
        read("data=common_voice", f"data.path={tmp_path}")


def test_only_some_speakers_and_dialects(tmp_path):
    folder = common_voice(tmp_path, [
        {"path": "a.mp3", "sentence": "Uno.", "client_id": "eva", "accents": "México"},
        {"path": "b.mp3", "sentence": "Dos.", "client_id": "paz", "accents": "México"},
        {"path": "c.mp3", "sentence": "Tres.", "client_id": "eva"}])
    for name in "abc":
        sound(folder / f"clips/{name}.mp3")
    utterances, faults = read("data=common_voice", f"data.path={folder}", "data.speakers=[eva]", "data.dialects=[mexican]")
    assert [u.id for u in utterances] == ["a"]
    assert why(faults) == {"b": ("other-speaker", True), "c": ("other-dialect", True)}
    assert [u.id for u in read("data=common_voice", f"data.path={folder}", "data.dialects=[latin_american]")[0]] == ["c"]


def test_dialects_of_a_folder_are_ours_or_faults(tmp_path):
    for name in "abc":
        sound(tmp_path / f"{name}.wav")
    (tmp_path / "metadata.csv").write_text("id|text|dialect\na|Uno.|mexican\nb|Dos.|klingon\nc|Tres.|\n", encoding="utf-8")
    utterances, faults = read("data=folder", f"data.path={tmp_path}")
    assert [(u.id, u.dialect) for u in utterances] == [("a", "mexican"), ("c", "")]
    assert why(faults) == {"b": ("unknown-dialect", False)}
