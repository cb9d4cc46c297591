"""Words whose spelling misleads: a file of respellings and IPA, which a user's own file extends.

One word a row, fields divided by a tab: `word<TAB>reading` or `word<TAB>reading<TAB>dialects`. A reading is a Spanish
respelling (`jersey<TAB>yérsei`), or IPA between slashes (`/ˈxeɾsei/`). `word*` stands for every word that begins so
(`mexic*<TAB>méjic*`: the reading's stem takes the word's place). A row without dialects holds for all; a user's row
goes before the shipped ones. Empty rows and rows that begin with # are left out.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.files import read_utf8
from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.letters import CODE_OF, VOWEL, phones_of

SHIPPED = Path(__file__).with_name("lexicon.tsv")
WORD = re.compile(r"[a-záéíóúüñ']+\*?")
RESPELLING = re.compile(r"[a-záéíóúüñ' ]+\*?")
IPA = re.compile(r"ˈ?(?:tʃ|dʒ|t͡ʃ|.)")
IPA_SAME = {"t͡ʃ": "tʃ", "g": "ɡ", "ɛ": "e", "ɔ": "o", "v": "b"}
IPA_SILENT = "ˌː.ˑ‿ "


@dataclass
class Lexicon:
    """The readings of one dialect: whole words, and stems that words begin with."""

    words: dict[str, str] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)

    @classmethod
    @cache
    def shipped(cls, dialect: str) -> "Lexicon":
        """The lexicon that comes with the package."""
        return cls().extended_by(SHIPPED, dialect)

    def extended_by(self, path: str | Path, dialect: str) -> "Lexicon":
        """This lexicon with the rows of a file before its own. Raises UserError naming file and row."""
        path = Path(path)
        rows = read_utf8(path, "lexicon").splitlines()
        words, stems = dict(self.words), dict(self.stems)
        for number, row in enumerate(rows, 1):
            if not row.strip() or row.startswith("#"):
                continue
            word, reading, dialects = _fields(row, f"{path}, row {number}")
            if dialects and dialect not in dialects:
                continue
            (stems if word.endswith("*") else words)[word.rstrip("*")] = reading
        return Lexicon(words, stems)

    def phones_of(self, word: str) -> str | None:
        """Broad phonemes of a word that stands here, or None."""
        reading = self.words.get(word)
        if reading is not None:
            return _phones(reading)
        for length in range(min(len(word), 12), 2, -1):
            stem = self.stems.get(word[:length])
            if stem is not None:
                return phones_of(stem.rstrip("*") + word[length:])
        return None


@cache
def shipped_words() -> frozenset[str]:
    """The words that come with the package, whatever their dialect."""
    rows = SHIPPED.read_text(encoding="utf-8").splitlines()
    return frozenset(row.partition("\t")[0] for row in rows if not row.startswith("#"))


def _fields(row: str, where: str) -> tuple[str, str, tuple[str, ...]]:
    fields = [part.strip() for part in row.split("\t")]
    if not 2 <= len(fields) <= 3:
        raise UserError(
            f"{where}: expected word<TAB>reading[<TAB>dialects], found {len(fields)} field(s): {row[:60]!r}"
        )
    word, reading = fields[0].lower(), fields[1].lower()
    dialects = tuple(fields[2].split()) if len(fields) == 3 else ()
    if not WORD.fullmatch(word):
        raise UserError(f"{where}: {fields[0]!r} is not one word in Spanish letters")
    unknown = [name for name in dialects if name not in DIALECTS]
    if unknown:
        raise UserError(f"{where}: {', '.join(unknown)} is no dialect; use {', '.join(DIALECTS)}")
    if reading.startswith("/") and reading.endswith("/") and len(reading) > 2:
        if word.endswith("*"):
            raise UserError(f"{where}: a stem (word*) takes a respelling, not IPA")
        codes_of_ipa(reading[1:-1], where)
    elif not RESPELLING.fullmatch(reading) or word.endswith("*") != reading.endswith("*"):
        raise UserError(f"{where}: {fields[1]!r} is neither a respelling in Spanish letters nor /IPA/")
    return word, reading, dialects


def _phones(reading: str) -> str:
    if reading.startswith("/"):
        return codes_of_ipa(reading[1:-1], reading)
    return "".join([phones_of(word) for word in reading.split()])


def codes_of_ipa(ipa: str, where: str) -> str:
    """IPA → one character a phone; stress may stand before the syllable or before its vowel.

    Raises:
        UserError: something in it is no phone of ours; ``where`` is what the message begins with.
    """
    codes, stress = "", False
    for phone in IPA.findall(ipa):
        if phone.startswith("ˈ"):
            stress, phone = True, phone[1:]
        if phone in IPA_SILENT:
            continue
        code = CODE_OF.get(IPA_SAME.get(phone, phone))
        if code is None:
            raise UserError(f"{where}: {phone!r} is no phone of the symbol table; use {' '.join(CODE_OF)}")
        if stress and code in VOWEL:
            code, stress = dict(zip("aeiou", "áéíóú", strict=True)).get(code, code), False
        codes += code
    return codes
