"""PocketSphinx: a recogniser of words, of phones, and of where they lie; small enough to run anywhere.

A folder needs an acoustic model (a folder with mdef); a dictionary (*.dict, *.dic, dictionary.txt[.gz]) and a language
model (*.lm, *.lm.bin, *.arpa) are used where they stand, or given.

Without a language model one is made of the sentences that are to be said and of a text (lm_text.txt) where there is one.
That is an easier task than dictation, since nothing else can be heard: word error rates of such a recogniser compare
systems, and are never quoted as absolute. Its phone loop knows no words.
"""

import dataclasses
import gzip
import re
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.language_model import write_trigram
from chatterbox_es.evaluation.recogniser import SILENCE_PEAK, pcm
from chatterbox_es.files import errors_are_said
from chatterbox_es.text import FrontEnd
from chatterbox_es.text.symbols import PHONES

WORD = re.compile(r"[a-záéíóúüñ]+")
VARIANT = re.compile(r"\(\d+\)$")  # word(2): another way to say it
PAUSE = "SIL"
FILLER = re.compile(r"SIL$|[<\[+]")  # <sil>, [NOISE], ++BREATH++
FRAMES_PER_SECOND = 100
FEWEST_SAMPLES = 0.1  # s; less than a phone's three states need

NAMES: dict[str, tuple[str, ...]] = {
    "j": ("j", "i"), "ɪ": ("ɪ", "i"), "w": ("w", "u"), "ʊ": ("ʊ", "u"), "β": ("β", "b"), "ð": ("ð", "d"), "ɡ": ("ɡ", "g"),
    "ɣ": ("ɣ", "g"), "θ": ("θ", "z", "th", "s"), "x": ("x", "j"), "h": ("h", "j", "x"), "tʃ": ("tʃ", "ch"),
    "dʒ": ("dʒ", "y", "ʝ"), "ʃ": ("ʃ", "sh", "ch", "tʃ"), "ʒ": ("ʒ", "zh", "y", "ʝ"), "ɲ": ("ɲ", "gn", "ny"),
    "ŋ": ("ŋ", "ng", "n"), "ʎ": ("ʎ", "ll", "y", "ʝ"), "ʝ": ("ʝ", "y", "ll"), "ɾ": ("ɾ", "r"), "r": ("rr", "r"), "z": ("s",),
}  # fmt: skip
"""What models call our phones, the likeliest first; CMU Sphinx's and VoxForge's Spanish ones write z for θ and j for x."""
SPANISH_SPELLING = {"x": ("j",), "j": ("i",), "z": ("s",)}
"""In a model that writes `gn` and `ll`, x is /ks/, j is /x/ and z is /θ/: our x, j and z are then not those."""


@dataclasses.dataclass(frozen=True)
class SphinxModel:
    """The files of a PocketSphinx recogniser."""

    hmm: Path
    dictionary: Path | None = None
    lm: Path | None = None
    text: Path | None = None

    @classmethod
    def find(cls, folder: Path, dictionary: str = "", lm: str = "", text: str = "") -> "SphinxModel":
        """The model in a folder.

        Raises:
            UserError: no acoustic model, several candidates for one part, or a named file that is not there.
        """
        if not folder.is_dir():
            raise UserError(f"recogniser=pocketsphinx:{folder}: there is no such folder")
        models = sorted({path.parent for path in folder.rglob("mdef")})
        if len(models) != 1:
            found = "none" if not models else f"several: {', '.join(map(str, models))}"
            raise UserError(f"recogniser=pocketsphinx:{folder}: an acoustic model is a folder with mdef, means, variances; "
                            f"there is {found}. Name the folder that holds one")
        return cls(models[0],
                   _one(folder, "dictionary", dictionary, ("*.dict", "*.dic", "dictionary.txt", "dictionary.txt.gz")),
                   _one(folder, "lm", lm, ("*.lm", "*.lm.bin", "*.lm.dmp", "*.arpa")),
                   _one(folder, "text", text, ("lm_text.txt",)))

    def phone_names(self) -> set[str]:
        """The names of the model's context-independent phones, its pauses and noises left out.

        Raises:
            UserError: mdef is neither of the text nor of the binary form.
        """
        path = self.hmm / "mdef"
        content = path.read_bytes()
        try:
            names = _binary_names(content) if content[:4] == b"BMDF" else _text_names(content.decode("utf-8"))
        except (UnicodeDecodeError, struct.error, IndexError) as error:
            raise UserError(f"{path} cannot be read as the definition of an acoustic model ({error})") from None
        return {name for name in names if name != PAUSE and not name.startswith("+")}

    def rate(self) -> int:
        """Sample rate in Hz."""
        parameters = self.hmm / "feat.params"
        written = parameters.read_text(encoding="utf-8") if parameters.is_file() else ""
        match = re.search(r"-samprate\s+(\d+)", written)
        return int(match[1]) if match else 16_000

    def pronunciations(self) -> dict[str, list[tuple[str, ...]]]:
        """The dictionary: word → ways to say it.

        Raises:
            UserError: it cannot be read.
        """
        if self.dictionary is None:
            return {}
        entries: dict[str, list[tuple[str, ...]]] = {}
        try:
            with errors_are_said(self.dictionary):
                content = self.dictionary.read_bytes()
            lines = (gzip.decompress(content) if self.dictionary.suffix == ".gz" else content).decode("utf-8").splitlines()
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"{self.dictionary} cannot be read as a UTF-8 dictionary: {error}") from None
        for line in lines:
            word, *phones = line.split() or [""]
            if phones:
                entries.setdefault(VARIANT.sub("", word), []).append(tuple(phones))
        return entries


def _text_names(content: str) -> list[str]:
    """Rows of base, left, right, position, attribute … of a text mdef that have no context."""
    rows = [line.split() for line in content.splitlines()]
    return [row[0] for row in rows if len(row) > 5 and row[1:4] == ["-", "-", "-"]]


def _binary_names(content: bytes) -> list[str]:
    """Of a binary mdef: magic, version, length and text of its own description, ten numbers, then the names."""
    order = "<" if struct.unpack_from("<i", content, 4)[0] < 1 << 16 else ">"
    start = 12 + struct.unpack_from(f"{order}i", content, 8)[0]
    count = struct.unpack_from(f"{order}i", content, start)[0]
    return [name.decode("utf-8") for name in content[start + 40:].split(b"\0", count)[:count]]


def _one(folder: Path, key: str, given: str, patterns: Sequence[str]) -> Path | None:
    if given:
        for path in (Path(given).expanduser(), folder / given):
            if path.is_file():
                return path
        raise UserError(f"recogniser=pocketsphinx:{folder},{key}={given}: there is no such file")
    found = sorted({path for pattern in patterns for path in folder.rglob(pattern)})
    if len(found) > 1:
        raise UserError(f"recogniser=pocketsphinx:{folder}: several files could be its {key} "
                        f"({', '.join(path.name for path in found)}); name one: …,{key}=FILE")
    return found[0] if found else None


class Sphinx:
    """PocketSphinx with one acoustic model; reads words by this package's front end, and by the dictionary where it differs."""

    is_parallel = True  # one process a core is worth it: it computes on one thread

    def __init__(self, model: SphinxModel, dialect: str = "castilian"):
        self.model, self.dialect = model, dialect
        self.names, self.sample_rate = model.phone_names(), model.rate()
        self.front_end = FrontEnd(dialect)
        self.name = f"pocketsphinx:{model.hmm.parent.name if model.hmm.name in ('model', 'hmm') else model.hmm.name}"
        self._scratch = tempfile.TemporaryDirectory(prefix="sphinx-")
        self.folder = Path(self._scratch.name)
        self._decoders: dict[str, Any] = {}
        self.expected: list[str] | None = None
        self.name_of = {phone: self._name(phone) for phone in PHONES}
        self.expect([])

    def __getstate__(self) -> dict[str, Any]:
        # Decoders are the process's own; the files stay those of the process that wrote them.
        return self.__dict__ | {"_scratch": None, "_decoders": {}}

    def _name(self, phoneme: str) -> str:
        plain = phoneme.removeprefix("ˈ")
        wanted = NAMES.get(plain, (plain,))
        if "gn" in self.names:
            wanted = SPANISH_SPELLING.get(plain, wanted)
        found = next((name for name in wanted if name in self.names), None)
        if found is None:
            raise UserError(f"{self.model.hmm}: the model has no phone for /{plain}/ (looked for {', '.join(wanted)}); it has "
                            f"{' '.join(sorted(self.names))}. Is it a Spanish one?")
        return found

    def names_of(self, phonemes: Sequence[str]) -> list[tuple[str, str]]:
        """(phoneme, the model's name of it), marks left out."""
        return [(phoneme, self.name_of[phoneme]) for phoneme in phonemes if phoneme in self.name_of]

    def expect(self, sentences: Sequence[str]) -> None:
        """Write the dictionary and the language models: of the sentences and the text, where the model has none of its own."""
        if self.expected == list(sentences):
            return
        self.expected = list(sentences)
        text = [] if self.model.text is None else self.model.text.read_text(encoding="utf-8").splitlines()
        lines = [WORD.findall(line.lower()) for line in (*sentences, *text)]
        own = self.model.pronunciations()
        vocabulary = {word for line in lines for word in line}
        if self.model.lm is not None:
            vocabulary |= own.keys()
        self._write_dictionary(sorted(vocabulary), own)
        if self.model.lm is None and vocabulary:
            write_trigram(lines, self.folder / "words.arpa")
        # The phone loop learns which phones follow which from the text alone, never from the sentences to be judged.
        spoken = [self._phones(line) for line in text] or [list(ways[0]) for ways in own.values()]
        if spoken:
            write_trigram([[PAUSE, *phones, PAUSE] for phones in spoken if phones], self.folder / "phones.arpa")
        self.task = self._task(len(sentences))
        self._decoders.clear()

    def _task(self, sentences: int) -> str:
        if self.model.lm is not None:
            return f"words of the language model {self.model.lm.name}"
        text = f" and of {self.model.text.name}" if self.model.text is not None else ""
        return (f"words, with a trigram of the {sentences} sentences themselves{text}: easier than dictation, compare "
                "systems by it and never quote it as absolute")

    def _phones(self, text: str) -> list[str]:
        return [name for _, name in self.names_of(self.front_end.read(text).phonemes)]

    def _write_dictionary(self, words: Sequence[str], own: dict[str, list[tuple[str, ...]]]) -> None:
        rows = []
        for word in words:
            known = dict.fromkeys([tuple(self._phones(word)), *own.get(word, ())])
            ways = [way for way in known if way and self.names.issuperset(way)]
            rows += [f"{word}{f'({number})' if number > 1 else ''} {' '.join(way)}\n" for number, way in enumerate(ways, 1)]
        (self.folder / "words.dict").write_text("".join(rows), encoding="utf-8")

    def _decoder(self, search: str) -> Any:
        if search not in self._decoders:
            from pocketsphinx import Decoder

            settings: dict[str, Any] = {"hmm": str(self.model.hmm), "cmn": "batch", "loglevel": "FATAL"}
            if search == "words":
                settings |= {"lm": str(self.model.lm or self.folder / "words.arpa"), "dict": str(self.folder / "words.dict"),
                             "lw": 6.5, "beam": 1e-60, "wbeam": 1e-40}
            elif search == "alignment":
                settings |= {"lm": None, "dict": None, "bestpath": False}
            else:
                grammar = self.folder / "phones.arpa"
                settings |= {"lm": None, "dict": None, "lw": 2.0, "beam": 1e-20, "pbeam": 1e-20}
                settings |= {"allphone": str(grammar)} if grammar.is_file() else {}
            try:
                decoder = Decoder(**settings)
                if search == "phones" and "allphone" not in settings:
                    decoder.add_allphone_file("phones", None)
                    decoder.activate_search("phones")
            except (RuntimeError, ValueError) as error:
                raise UserError(f"pocketsphinx does not start with the model {self.model.hmm} ({error}); run "
                                f"pocketsphinx_batch -hmm {self.model.hmm} to see what it misses") from error
            self._decoders[search] = decoder
        return self._decoders[search]

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        return " ".join(self._hear("words", samples, rate))

    def phones(self, samples: np.ndarray, rate: int) -> list[str]:
        return self._hear("phones", samples, rate)

    def _hear(self, search: str, samples: np.ndarray, rate: int) -> list[str]:
        if len(samples) < FEWEST_SAMPLES * rate or float(np.abs(samples).max()) < SILENCE_PEAK:
            return []
        decoder = self._decoder(search)
        self._decode(decoder, pcm(samples, rate, self.sample_rate))
        heard = [VARIANT.sub("", segment.word) for segment in decoder.seg() or ()]
        return [word for word in heard if word in self.names or (search == "words" and not FILLER.match(word))]

    def align(self, samples: np.ndarray, rate: int, phonemes: Sequence[str]) -> np.ndarray:
        """Where each phoneme lies: (phonemes, 2) begin and end in seconds, NaN for marks, which have no place.

        Forced alignment, with an optional pause at every mark.

        Raises:
            ValueError: the sound cannot hold these phonemes.
        """
        runs: list[list[str]] = [[]]
        places: list[int] = []
        for place, phoneme in enumerate(phonemes):
            if phoneme in self.name_of:
                runs[-1].append(self.name_of[phoneme])
                places.append(place)
            elif runs[-1]:
                runs.append([])
        runs = [run for run in runs if run]
        if not runs or len(samples) < FEWEST_SAMPLES * rate:
            raise ValueError("there is nothing to be aligned")
        decoder, sound = self._decoder("alignment"), pcm(samples, rate, self.sample_rate)
        names = [f"run-{'-'.join(run)}" for run in runs]
        for name, run in zip(names, runs, strict=True):
            if decoder.lookup_word(name) is None:
                decoder.add_word(name, " ".join(run), update=True)
        try:
            decoder.set_align_text(" ".join(names))
            self._decode(decoder, sound)
            decoder.set_alignment()
            self._decode(decoder, sound)
            segments = [phone for word in decoder.get_alignment() if word.name in names for phone in word]
        except RuntimeError:
            segments = []
        if len(segments) != len(places):
            raise ValueError("the sound does not fit the phonemes: no alignment was found")
        spans = np.full((len(phonemes), 2), np.nan)
        spans[places] = [(phone.start, phone.start + phone.duration) for phone in segments]
        return spans / FRAMES_PER_SECOND

    @staticmethod
    def _decode(decoder: Any, sound: bytes) -> None:
        decoder.start_utt()
        decoder.process_raw(sound, no_search=False, full_utt=True)
        decoder.end_utt()
