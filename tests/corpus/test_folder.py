"""Reading corpus folders: every layout, every place of audio, every bad row."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.corpus import Fault, Utterance, read_folder
from chatterbox_es.errors import UserError


def corpus(folder: Path, metadata: str | bytes, *audio: str, name: str = "metadata.csv") -> Path:
    """A corpus folder with this metadata and these sound files, each a tenth of a second of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    for file in audio:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / file, np.random.default_rng(0).normal(0, 0.1, 1600), 16000)
    return folder


def triples(utterances: list[Utterance]) -> list[tuple[str, str, str]]:
    return [(utterance.id, utterance.text, utterance.speaker) for utterance in utterances]


def only_fault(folder: Path) -> Fault:
    _, faults = read_folder(folder)
    assert len(faults) == 1, faults
    return faults[0]


LAYOUTS = {
    "ljspeech of two columns": ("a|Hola, Ana.\nb|Son 2.\n", "", ["", ""]),
    "ljspeech of three": ("a|Hola, Ana.|hola, ana.\nb|Son 2.|son dos.\n", "", ["hola, ana.", "son dos."]),
    "ljspeech, third column left out": ("a|Hola, Ana.|hola, ana.\nb|Son 2.|\n", "", ["hola, ana.", ""]),
    "piper": ("a|eva|Hola, Ana.\nb|eva|Son 2.\n", "eva", ["", ""]),
    "coqui": ("audio_file|text|speaker_name\nwavs/a.wav|Hola, Ana.|eva\nwavs/b.wav|Son 2.|eva\n", "eva", ["", ""]),
    "coqui without header": ("a|Hola, Ana.|eva\nb|Son 2.|eva\n", "eva", ["", ""]),
    "header in another order": (
        "Speaker|Text|Normalized Text|Id\neva|Hola, Ana.|x|a\neva|Son 2.|y|b\n",
        "eva",
        ["x", "y"],
    ),
    "header with a column unknown here": ("id|emotion|text\na|calm|Hola, Ana.\nb|calm|Son 2.\n", "", ["", ""]),
    "byte order mark": ("\ufeffa|Hola, Ana.\nb|Son 2.\n", "", ["", ""]),
    "byte order mark before a header": ("\ufeffid|text\na|Hola, Ana.\nb|Son 2.\n", "", ["", ""]),
    "carriage returns": ("a|Hola, Ana.\r\nb|Son 2.\r\n", "", ["", ""]),
    "old Mac line ends": ("a|Hola, Ana.\rb|Son 2.\r", "", ["", ""]),
    "no line end, blank lines and spaces": ("\n a | Hola, Ana. \n\n  \nb|Son 2.", "", ["", ""]),
    "tabs": ("a\tHola, Ana.\nb\tSon 2.\n", "", ["", ""]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    metadata, speaker, spoken = LAYOUTS[layout]
    utterances, faults = read_folder(corpus(tmp_path, metadata, "wavs/a.wav", "wavs/b.wav"))
    assert faults == []
    assert triples(utterances) == [("a", "Hola, Ana.", speaker), ("b", "Son 2.", speaker)]
    assert [utterance.spoken for utterance in utterances] == spoken
    assert [utterance.audio for utterance in utterances] == [tmp_path / "wavs/a.wav", tmp_path / "wavs/b.wav"]


def test_utf16_with_its_mark_is_read(tmp_path):
    utterances, faults = read_folder(corpus(tmp_path, "a|¿Mañana?\n".encode("utf-16"), "a.wav"))
    assert triples(utterances) == [("a", "¿Mañana?", "")] and faults == []


@pytest.mark.parametrize("name", ["metadata.txt", "metadata.tsv"])
def test_metadata_may_have_another_extension(tmp_path, name):
    assert triples(read_folder(corpus(tmp_path, "a\tUno.\n", "a.wav", name=name))[0]) == [("a", "Uno.", "")]


def test_a_tsv_may_have_bars_in_its_texts(tmp_path):
    folder = corpus(tmp_path, "a\tUno | dos.\nb\tTres.\n", "a.wav", "b.wav", name="metadata.tsv")
    assert read_folder(folder)[0][0].text == "Uno | dos."


def test_dialect_column_and_row_numbers(tmp_path):
    utterances, _ = read_folder(corpus(tmp_path, "id|text|dialect\n\na|Uno.|mexican\n", "a.wav"))
    assert (utterances[0].dialect, utterances[0].row) == ("mexican", 3)


@pytest.mark.parametrize("text", ['"Hola", dijo.', 'Dijo "hola', "'", "Una, dos; tres", "uno\u2028dos", "a\x85b"])
def test_quotes_and_odd_characters_are_text(tmp_path, text):
    utterances, faults = read_folder(corpus(tmp_path, f"a|{text}\nb|Otra.\n", "a.wav", "b.wav"))
    assert faults == [] and utterances[0].text == text


THREE_COLUMNS = {
    "one row with a speaker": ([("eva", "Hola, Ana.")], "piper"),
    "every row another speaker": ([("eva", "Hola, Ana."), ("paz", "Buenos días.")], "piper"),
    "numbers as speakers": ([("0", "Uno dos."), ("1", "Tres cuatro."), ("0", "Cinco."), ("1", "Seis.")], "piper"),
    "speakers with spaces": ([("Eva Gil", "Uno."), ("Eva Gil", "Dos."), ("Eva Gil", "Tres.")], "piper"),
    "two speakers of the same texts": ([("eva", "Uno."), ("paz", "Uno."), ("eva", "Dos."), ("paz", "Dos.")] * 1
                                      + [("eva", "Tres."), ("paz", "Tres.")], "piper"),
    "single words": ([("Uno", "uno"), ("Dos", "dos")], "ljspeech"),
    "digits and their reading": ([("1984", "mil novecientos ochenta y cuatro"), ("21", "veintiuno")], "ljspeech"),
    "one sentence recorded many times": ([("Hola, Ana.", "hola ana")] * 5, "ljspeech"),
    "one word recorded many times": ([("Hola", "hola")] * 5 + [("Sí", "sí")] * 5, "ljspeech"),
}  # fmt: skip


@pytest.mark.parametrize("case", THREE_COLUMNS)
def test_three_columns_are_told_apart(tmp_path, case):
    pairs, layout = THREE_COLUMNS[case]
    names = [f"r{number}" for number in range(len(pairs))]
    metadata = "".join(f"{name}|{second}|{third}\n" for name, (second, third) in zip(names, pairs, strict=True))
    folder = corpus(tmp_path, metadata, *(f"wavs/{name}.wav" for name in names))
    utterances, faults = read_folder(folder)
    assert faults == []
    assert utterances == read_folder(folder, layout=layout)[0]
    assert bool(utterances[0].speaker) == (layout == "piper")


def test_layout_can_be_given(tmp_path):
    folder = corpus(tmp_path, "a|eva|Hola, Ana.\nb|eva|Son 2.\n", "a.wav", "b.wav")
    utterances, _ = read_folder(folder, layout="ljspeech")
    assert [(utterance.text, utterance.spoken) for utterance in utterances] == [
        ("eva", "Hola, Ana."),
        ("eva", "Son 2."),
    ]
    mixed = corpus(tmp_path / "mixed", "a|Hola.\nb|Hola.\nc|Son 2.|Son dos.\n", "a.wav", "b.wav", "c.wav")
    assert only_fault(mixed).reason == "bad-row"
    assert [utterance.spoken for utterance in read_folder(mixed, layout="ljspeech")[0]] == ["", "", "Son dos."]


@pytest.mark.parametrize(
    ("name", "file", "id"),
    [
        ("a", "wavs/a.wav", "a"),
        ("a", "audio/a.ogg", "a"),
        ("a", "clips/a.flac", "a"),
        ("a", "a.WAV", "a"),
        ("a.wav", "wavs/a.flac", "a"),
        ("wavs/a.wav", "wavs/a.wav", "a"),
        ("./wavs\\a.wav", "wavs/a.wav", "a"),
        ("eva/a", "wavs/eva/a.wav", "eva/a"),
        ("eva/a.wav", "eva/a.wav", "eva/a"),
        ("a", "wavs/eva/a.wav", "eva/a"),
        ("v1.5_a", "wavs/v1.5_a.wav", "v1.5_a"),
        ("a.b.wav", "wavs/a.b.wav", "a.b"),
        ("ni\u00f1o", "wavs/nin\u0303o.wav", "ni\u00f1o"),
    ],
)
def test_audio_is_found(tmp_path, name, file, id):
    utterances, faults = read_folder(corpus(tmp_path, f"{name}|Uno.\n", file))
    assert faults == []
    assert utterances[0].id == id and utterances[0].audio.samefile(tmp_path / file)


def test_absolute_paths_inside_the_folder_are_found(tmp_path):
    folder = corpus(tmp_path, f"{tmp_path}/wavs/a.wav|Uno.\n", "wavs/a.wav")
    assert read_folder(folder)[0][0].id == "a"


def test_of_several_formats_the_named_one_is_taken_and_else_wav(tmp_path):
    folder = corpus(tmp_path, "a|Uno.\nb.flac|Dos.\n", "wavs/a.flac", "wavs/a.wav", "wavs/b.flac", "wavs/b.wav")
    assert [utterance.audio.name for utterance in read_folder(folder)[0]] == ["a.wav", "b.flac"]


def test_links_to_folders_are_followed_even_in_a_circle(tmp_path):
    corpus(tmp_path / "store", "", "a.wav")
    folder = corpus(tmp_path / "corpus", "a|Uno.\n")
    os.symlink(tmp_path / "store", folder / "wavs")
    os.symlink(folder, folder / "again")
    assert read_folder(folder)[0][0].audio == folder / "wavs" / "a.wav"


BAD_ROWS = {
    "missing audio": ("z|Hola.", "z", "missing-audio"),
    "audio of another sub-folder": ("paz/a|Hola.", "paz/a", "missing-audio"),
    "a name in two sub-folders": ("twice|Hola.", "twice", "ambiguous-audio"),
    "a format that is not read": ("phone|Hola.", "phone", "unreadable-audio"),
    "empty text": ("a|", "a", "empty-text"),
    "text of spaces": ("a|   ", "a", "empty-text"),
    "duplicate": ("ok|Otra vez.", "ok", "duplicate-id"),
    "duplicate with extension": ("wavs/ok.wav|Otra vez.", "ok", "duplicate-id"),
    "out of the folder": ("../secret|Hola.", "../secret", "outside-folder"),
    "out by a detour": ("wavs/../../secret.wav|Hola.", "wavs/../../secret.wav", "outside-folder"),
    "absolute and elsewhere": ("/etc/a.wav|Hola.", "/etc/a.wav", "outside-folder"),
    "one field": ("a", "a", "bad-row"),
    "too many fields": ("a|Hola|que|tal", "a", "bad-row"),
    "no id": ("|Hola.", "", "bad-row"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_listed_and_the_others_stay(tmp_path, case):
    row, id, reason = BAD_ROWS[case]
    audio = ("wavs/ok.wav", "wavs/a.wav", "wavs/fin.wav", "wavs/x/twice.wav", "wavs/y/twice.wav")
    folder = corpus(tmp_path / "corpus", f"ok|Bien.\n{row}\nfin|Fin.\n", *audio)
    (folder / "wavs" / "phone.m4a").write_bytes(b"\0")
    corpus(tmp_path, "", "secret.wav")
    utterances, faults = read_folder(folder)
    assert [utterance.id for utterance in utterances] == ["ok", "fin"]
    assert [(fault.row, fault.id, fault.reason) for fault in faults] == [(2, id, reason)]
    assert faults[0].detail


def test_a_directory_is_no_recording(tmp_path):
    folder = corpus(tmp_path, "a|Uno.\n")
    (folder / "wavs" / "a.wav").mkdir(parents=True)
    fault = only_fault(folder)
    assert fault.reason == "unreadable-audio" and "is a folder" in fault.detail


def test_one_damaged_line_is_a_fault(tmp_path):
    metadata = "a|Mañana.\n".encode() + b"b|Ma\xf1ana.\n"
    folder = corpus(tmp_path, metadata, "a.wav", "b.wav")
    assert (only_fault(folder).row, only_fault(folder).reason) == (2, "bad-encoding")


def test_a_table_in_another_encoding_is_an_error_that_says_how_to_convert_it(tmp_path):
    with pytest.raises(UserError, match="not UTF-8.*line 2.*iconv"):
        read_folder(corpus(tmp_path, "a|Uno.\nb|Mañana.\n".encode("cp1252"), "a.wav", "b.wav"))


def test_rows_neither_vanish_nor_multiply(tmp_path):
    rows = [f"{number % 40}|{'' if number % 7 == 0 else 'Texto.'}" for number in range(60)]
    folder = corpus(tmp_path, "\n".join(rows), *(f"wavs/{number}.wav" for number in range(0, 40, 2)))
    utterances, faults = read_folder(folder)
    assert sorted([utterance.row for utterance in utterances] + [fault.row for fault in faults]) == list(range(1, 61))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("", "no rows"),
        ("\n \n", "no rows"),
        ("id|text\n", "header and no rows"),
        ("a,Hola\nb,Adiós\n", "separated by `,`"),
        ("a;Hola\nb;Adiós\n", "separated by `;`"),
        ("Hola\nAdiós\n", "1 field separated by `|`"),
        ("file_name,text\na.wav,Hola\n", "data=hf"),
        ("a|b|c|d\na|b|c|d\n", "4 fields.*header"),
        (b"\xff\xfea", "UTF-16"),
    ],
)
def test_tables_that_are_none(tmp_path, metadata, message):
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        read_folder(corpus(tmp_path, metadata))


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match="does not exist.*data.path"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no metadata.csv, metadata.txt or metadata.tsv in .*it holds song.wav"):
        (tmp_path / "song.wav").touch()
        read_folder(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        read_folder(tmp_path / "song.wav")


SHARED = Path(__file__).parents[3] / "shared" / "corpora"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpora are not beside the project")
@pytest.mark.parametrize(("name", "count"), [("dona", 176), ("ahotts_es", 1200)])
def test_real_corpora_are_read_whole(name, count):
    utterances, faults = read_folder(SHARED / name)
    assert len(utterances) == count and faults == []
