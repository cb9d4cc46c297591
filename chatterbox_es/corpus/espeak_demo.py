"""A synthetic corpus that needs no download: this project's own sentences, spoken by espeak-ng."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.text.dialects import DIALECTS

VOICES = {name: "es" if dialect.has_theta else "es-419" for name, dialect in DIALECTS.items()}
"""The espeak-ng voice of each dialect, or the nearest there is: it has one with /θ/ and one without."""

SENTENCES = Path(__file__).with_name("demo_sentences.txt")
WORDS_PER_MINUTE = 160

SYNTHETIC = """\
This corpus is SYNTHETIC. No person was recorded.

The sentences were written for the chatterbox_es project (Apache-2.0) and spoken by espeak-ng {version},
voice `{voice}`, at {rate} words a minute. It serves to try the whole road without a download. Never quote
what is measured on it as a result about human speech.
"""

# From espeak-ng's speak_lib.h.
_RETRIEVAL = 1
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE_PARAMETER = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Sentence(NamedTuple):
    """A sentence as written, and as spoken: the same unless it has digits."""

    text: str
    spoken: str


def read_sentences(file: Path = SENTENCES) -> list[Sentence]:
    """The project's sentences in order, or those of another file; blank lines and lines that begin with `#` are none."""
    lines = file.read_text(encoding="utf-8").splitlines()
    parts = [line.strip().partition("|") for line in lines if line.strip() and not line.startswith("#")]
    return [Sentence(text, spoken or text) for text, _, spoken in parts]


def make_espeak_corpus(folder: Path | str, dialect: str = "castilian", sentences: list[Sentence] | None = None) -> None:
    """Make the corpus: `metadata.csv` (`id|text|spoken`), `wavs/` and `SYNTHETIC.txt`, which says what it is.

    The same sentences and dialect give the same files, byte for byte. The folder appears whole or not at all; one
    that is there already is kept as it is, also when another process made it meanwhile. `sentences`
    replaces the project's own (`read_sentences`).

    Raises UserError for an unknown dialect, and for a folder that is there and is no such corpus.
    """
    folder = Path(folder)
    if dialect not in VOICES:
        raise UserError(f"data=espeak has no dialect {dialect!r}: use one of {', '.join(VOICES)}")
    if _is_made(folder, dialect):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        made = partial / "corpus"  # a folder of its own, since mkdtemp's can be read by its owner alone
        _write_corpus(made, dialect, read_sentences() if sentences is None else sentences)
        os.replace(made, folder)
    except OSError:
        if not _is_made(folder, dialect):  # another process may have been first, with the same files
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_made(folder: Path, dialect: str) -> bool:
    """Whether the folder is this corpus already; UserError when it is something else."""
    note = folder / "SYNTHETIC.txt"
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not note.is_file():
        raise UserError(f"{folder} is not empty and is no corpus of data=espeak: name another folder, or remove it")
    if f"`{VOICES[dialect]}`" not in note.read_text(encoding="utf-8"):
        raise UserError(f"{folder} holds espeak-ng's speech in another dialect than {dialect}: remove it, or name another")
    return True


def _write_corpus(folder: Path, dialect: str, sentences: list[Sentence]) -> None:
    rows = []
    with Espeak(VOICES[dialect]) as voice:
        for number, sentence in enumerate(sentences, start=1):
            name = f"demo_{number:04d}"
            write_audio(folder / "wavs" / f"{name}.wav", voice.speak(sentence.spoken), voice.rate)
            rows.append(f"{name}|{sentence.text}|{sentence.spoken}\n")
        note = SYNTHETIC.format(version=voice.version, voice=voice.name, rate=WORDS_PER_MINUTE)
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8", newline="\n")
    (folder / "SYNTHETIC.txt").write_text(note, encoding="utf-8", newline="\n")


class Espeak:
    """espeak-ng from the `espeakng_loader` wheel, speaking with one voice inside a `with` block.

    The library keeps the phase of its pitch flutter and the like in global variables that nothing resets, so what it
    says depends on what it said before. Each `Espeak` therefore loads a copy of the library of its own: the same
    texts in the same order then give the same samples.
    """

    def __init__(self, name: str, words_per_minute: int = WORDS_PER_MINUTE):
        # Imported here, so that reading other corpora does not need the wheel.
        import espeakng_loader

        self.name = name
        self._library = _fresh_library(Path(espeakng_loader.get_library_path()))
        self._data = espeakng_loader.get_data_path()
        self._words_per_minute = words_per_minute
        self._blocks: list[np.ndarray] = []
        self._callback: Callable = _CALLBACK(self._receive)

    def __enter__(self) -> Self:
        # The data path that was compiled into the wheel's library is one of the machine that built it.
        self.rate: int = self._library.espeak_Initialize(_RETRIEVAL, 0, self._data.encode(), _DONT_EXIT)
        if self.rate <= 0:
            raise UserError(
                f"espeak-ng does not start with its data in {self._data}: install the package again with "
                "`pip install --force-reinstall espeakng-loader`"
            )
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version = self._library.espeak_Info(None).decode()
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(self.name.encode()) != 0:
            raise UserError(f"espeak-ng has no voice {self.name!r}")
        self._library.espeak_SetParameter(_RATE_PARAMETER, self._words_per_minute, 0)
        return self

    def __exit__(self, *error: object) -> None:
        self._library.espeak_Terminate()

    def speak(self, text: str) -> np.ndarray:
        """The text as float32 samples (samples,) in [-1, 1] at `rate` Hz."""
        self._blocks.clear()
        content = text.encode() + b"\0"
        status = self._library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, _UTF8, None, None)
        if status == 0:
            status = self._library.espeak_Synchronize()
        samples = np.concatenate([np.zeros(0, np.int16), *self._blocks])
        if status != 0 or not samples.any():
            raise RuntimeError(f"espeak-ng said nothing for {text!r} (status {status})")
        return samples.astype(np.float32) / 32768

    def _receive(self, samples: "ctypes._Pointer", count: int, _events: int | None) -> int:
        """Called by the library with each block of 16-bit samples; 0 asks for more."""
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0


def _fresh_library(path: Path) -> ctypes.CDLL:
    """The shared library with its global variables as at program start, however often it was loaded before."""
    with tempfile.TemporaryDirectory() as folder:
        # A loader gives the same library twice unless the file is another one; once loaded the file may go.
        return ctypes.CDLL(shutil.copy(path, folder))
