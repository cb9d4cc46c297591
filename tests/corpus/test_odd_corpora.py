"""Tables and sound files as people have them: read, or refused by a sentence that names what is wrong and what to do.

Of each kind a small file is made here; where the collected ones lie beside the project, they are read too.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.audio.waveform import AudioError, read_audio, read_source
from chatterbox_es.config import compose
from chatterbox_es.corpus import Fault, Utterance, read_corpus
from chatterbox_es.corpus.folder import read_folder
from chatterbox_es.errors import UserError

CASES = Path(__file__).parents[3] / "shared" / "cases"
TEXTS = ["Buenos días.", "¡Hasta mañana!", "¿Quién es?", "De nada."]
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the collected cases are not beside the project")


def corpus(folder: Path, table: str | bytes, name: str = "metadata.csv", places: tuple[str, ...] = ("wavs",)) -> Path:
    """A folder with a table and recordings demo_0001 to demo_0004."""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for number in range(1, 5):
            soundfile.write(folder / place / f"demo_000{number}.wav", np.sin(np.arange(2400) / 9), 24_000)
    (folder / name).write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def rows(form: str, header: str = "") -> str:
    return header + "".join(f"{form.format(id=f'demo_000{number}', text=text)}\n" for number, text in enumerate(TEXTS, 1))


@pytest.mark.parametrize(("table", "name"), [
    (rows("{id}|{text}", "archivo|texto\n"), "metadata.csv"),
    (rows("wavs/{id}.wav|{text}|ana", "path|normalized_text|name\n"), "metadata.csv"),
    (rows("ana|wavs/{id}.wav|{text}", "nombre|fichero|frase\n"), "metadata.csv"),
    (rows("{id}|{text}", "name|text\n"), "metadata.csv"),
    (rows("{id}|{text}").encode("utf-16-le"), "metadata.csv"),
    (rows("{id}|{text}").encode("utf-16-be"), "metadata.csv"),
    (rows("{id}|{text}").encode("utf-16"), "metadata.csv"),
    (rows("{id}\t{text}"), "metadata.csv"),
])
def test_a_table_is_read_as_it_is_meant(tmp_path, table, name):
    utterances, faults = read_folder(corpus(tmp_path, table, name))
    assert faults == [] and [utterance.text for utterance in utterances] == TEXTS
    named = isinstance(table, str) and ("|ana" in table or "ana|" in table)
    assert {utterance.speaker for utterance in utterances} == {"ana" if named else ""}


def test_a_bar_in_a_text_of_a_table_with_tabs_is_text(tmp_path):
    utterances, faults = read_folder(corpus(tmp_path, rows("{id}\t{text}").replace("días.", "días.|nota")))
    assert faults == [] and utterances[0].text == "Buenos días.|nota"


@pytest.mark.parametrize(("table", "sentence"), [
    (rows('{id}.wav,"{text}"', "file_name,text\n"), r"Hugging Face.*data=hf data\.path="),
    (rows("{id};{text}"), "separated by `;`"),
    (rows("{id}|{text}").encode("cp1252"), "not UTF-8.*iconv -f WINDOWS-1252"),
    ("archivo|texto\n", "a header and no rows"),
])
def test_a_table_that_cannot_be_read_is_refused_for_what_it_is(tmp_path, table, sentence):
    with pytest.raises(UserError, match=sentence):
        read_folder(corpus(tmp_path, table))


def test_the_table_of_a_hugging_face_folder_is_read_where_the_sentence_sends_to(tmp_path):
    folder = corpus(tmp_path, rows('{id}.wav,"{text}"', "file_name,text\n"), places=("",))
    assert [row.text for row in rows_of("hf", folder)] == TEXTS


def rows_of(kind: str, folder: Path, *more: str) -> list[Utterance | Fault]:
    return list(read_corpus(compose([f"data={kind}", f"data.path={folder}", *more]).data))


COMMON_VOICE = "client_id\tpath\tsentence\tup_votes\tdown_votes\taccents\n"


def test_a_table_of_common_voice_without_rows_is_said(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path} has no rows.*header"):
        rows_of("common_voice", corpus(tmp_path, COMMON_VOICE, "validated.tsv", ("clips",)))


def test_common_voice_with_one_list_alone_says_how_it_is_read(tmp_path):
    folder = corpus(tmp_path, rows("a\t{id}.wav\t{text}\t2\t0\t", COMMON_VOICE), "train.tsv", ("clips",))
    with pytest.raises(UserError, match=r"no validated\.tsv; it has train\.tsv.*data\.parts=\[train\]"):
        rows_of("common_voice", folder)
    assert [row.text for row in rows_of("common_voice", folder, "data.parts=[train]")] == TEXTS
    with pytest.raises(UserError, match="layout of Common Voice"):
        rows_of("folder", folder)


def test_a_corpus_of_a_mix_without_rows_is_named(tmp_path):
    corpus(tmp_path / "eva", rows("{id}|{text}"))
    corpus(tmp_path / "cv", COMMON_VOICE, "validated.tsv", ("clips",))
    with pytest.raises(UserError, match=r"the corpus cv \(.*cv\) has no rows"):
        list(read_corpus(compose(["data=mix", f"+data.sources={{eva:{{kind:folder,path:{tmp_path}/eva}},"
                                  f"cv:{{kind:common_voice,path:{tmp_path}/cv}}}}"]).data))


# ---- sound

def wave(path: Path, samples: np.ndarray, size: int | None = None, behind: bytes = b"") -> Path:
    """16-bit PCM; ``size`` is what the header says of its bytes."""
    soundfile.write(path, samples, 24_000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    if size is not None:
        content[place:place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content + behind)
    return path


TONE = np.sin(np.arange(24_000) / 9) / 2


@pytest.mark.parametrize("strict", [False, True])
def test_a_header_that_gives_no_length_does_not_hide_the_sound(tmp_path, strict):
    read = read_source(wave(tmp_path / "a.wav", TONE, size=0), strict=strict)
    assert len(read.samples) == 24_000 and read.rate == 24_000
    np.testing.assert_allclose(read.samples[:, 0], TONE, atol=1e-4)


@pytest.mark.parametrize("behind", [b"", b"LIST\x04\0\0\0INFO"])
def test_a_file_without_sound_has_none(tmp_path, behind):
    with pytest.raises(AudioError, match="no samples") as error:
        read_audio(wave(tmp_path / "a.wav", np.zeros(0), behind=behind))
    assert error.value.reason == "zero-length"


def test_a_long_file_without_a_length_is_too_long(tmp_path):
    with pytest.raises(AudioError, match="longer than 0.5 s"):
        read_audio(wave(tmp_path / "a.wav", TONE, size=0), max_seconds=0.5)


def test_channels_that_cancel_out_are_not_called_silent(tmp_path):
    with pytest.raises(AudioError, match="each other's opposite") as error:
        read_audio(wave(tmp_path / "a.wav", np.stack([TONE, -TONE], 1)))
    assert error.value.reason == "opposite-channels"
    with pytest.raises(AudioError, match="is silent"):
        read_audio(wave(tmp_path / "b.wav", np.zeros((2400, 2))))
    read_audio(wave(tmp_path / "c.wav", np.stack([TONE, 0 * TONE], 1)))


# ---- the collected ones

def collected(name: str, tmp_path: Path) -> Path:
    """A collected table, in a folder with the recordings that it names."""
    table = (CASES / name).read_bytes()
    folder = corpus(tmp_path, table, places=())
    (folder / "wavs").mkdir()
    text = table.decode("utf-16-le" if b"\0" in table[:4] else "utf-8")
    for found in sorted(set(re.findall(r"demo_\d+", text))):
        soundfile.write(folder / "wavs" / f"{found}.wav", TONE, 24_000)
    return folder


@needs_cases
@pytest.mark.parametrize("name", ["utf16le_nobom", "header_es", "coqui1130_header", "tab_with_one_pipe"])
def test_collected_tables_are_read_whole(tmp_path, name):
    folder = collected(f"tables/{name}.csv", tmp_path)
    utterances, faults = read_folder(folder)
    assert faults == [] and len(utterances) == len(list((folder / "wavs").iterdir())) > 5


@needs_cases
def test_the_collected_table_of_hugging_face_is_said_and_read(tmp_path):
    folder = collected("tables/hf_metadata.csv", tmp_path)
    with pytest.raises(UserError, match="data=hf"):
        read_folder(folder)
    shutil.move(folder / "wavs", folder / "gone")
    for file in (folder / "gone").iterdir():
        shutil.move(file, folder / file.name)
    assert all(isinstance(row, Utterance) for row in rows_of("hf", folder))


@needs_cases
def test_the_collected_table_of_common_voice_is_said():
    with pytest.raises(UserError, match="has no rows"):
        rows_of("common_voice", CASES / "cv_header_only")


@needs_cases
@pytest.mark.parametrize(("name", "outcome"), [("data_size_0", None), ("opposite_channels", "opposite-channels")])
def test_collected_sounds_are_read_or_said(name, outcome):
    path = CASES / "wav_headers" / f"{name}.wav"
    if outcome is None:
        assert np.abs(read_audio(path)).max() > 0.01
        return
    with pytest.raises(AudioError) as error:
        read_audio(path)
    assert error.value.reason == outcome


@needs_cases
def test_collected_texts_are_repaired_or_said(tmp_path):
    """Mojibake and HTML are what they were; letters of another script are a fault, not silence."""
    from chatterbox_es.text import FrontEnd

    front_end = FrontEnd("castilian")
    read = {folder: [front_end.read(line.partition("|")[2]) for line in
                     (CASES / folder / "metadata.csv").read_text(encoding="utf-8").splitlines()]
            for folder in ("mojibake", "html_and_foreign_letters")}
    assert [reading.words.strip("¡.!") for reading in read["mojibake"]] == ["buenos días", "hasta mañana"]
    foreign, html = read["html_and_foreign_letters"]
    assert foreign.unknown and not html.unknown and "cómo dice" in html.words


def find_case_files() -> list[str]:
    return sorted(path.relative_to(CASES).as_posix() for path in CASES.rglob("*") if path.is_file())


@needs_cases
def test_every_collected_case_is_tried_here():
    tried = Path(__file__).read_text(encoding="utf-8")
    assert all(Path(name).stem in tried or Path(name).parent.name in tried for name in find_case_files())


