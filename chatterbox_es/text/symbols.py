"""The symbol table: which number stands for which symbol, the same for every dialect.

One token a phone. Stress is part of its vowel ("ˈa" is one symbol), an affricate is one symbol, each part of a
diphthong is one symbol; there are no blanks and no spaces between words, and punctuation is kept. The number of a
symbol never changes: a new symbol goes to the end of `SYMBOLS`, so that an older voice keeps its meaning.
"""

import hashlib
import json
from collections.abc import Iterable

ROWS = 8000  # rows of the embedding; those beyond `SYMBOLS` are free

PAD, START, END = "<pad>", "<s>", "</s>"
PUNCTUATION = (".", ",", ";", ":", "?", "¿", "!", "¡", "…", "—")
VOWELS = ("a", "e", "i", "o", "u", "ˈa", "ˈe", "ˈi", "ˈo", "ˈu")
GLIDES = ("j", "w", "ɪ", "ʊ")  # before the nucleus (bien, bueno) and behind it (aire, auto)
CONSONANTS = (
    "p", "b", "β", "t", "d", "ð", "k", "ɡ", "ɣ", "f", "θ", "s", "z", "x", "h", "tʃ", "dʒ", "ʃ", "ʒ",
    "m", "n", "ɲ", "ŋ", "l", "ʎ", "ʝ", "ɾ", "r",
)  # fmt: skip
SYMBOLS = (PAD, START, END, *PUNCTUATION, *VOWELS, *GLIDES, *CONSONANTS)
PHONES = frozenset((*VOWELS, *GLIDES, *CONSONANTS))


class SymbolTable:
    """Symbols to numbers and back.

    Raises ValueError on a symbol or a number that the table does not hold, and on a table that does not fit.
    """

    def __init__(self, symbols: Iterable[str] = SYMBOLS, rows: int = ROWS) -> None:
        self.in_use = list(symbols)
        self.rows = rows
        self.number = {symbol: number for number, symbol in enumerate(self.in_use)}
        if len(self.number) != len(self.in_use):
            twice = sorted({symbol for symbol in self.in_use if self.in_use.count(symbol) > 1})
            raise ValueError(f"the symbol table holds a symbol twice: {twice}")
        if len(self.in_use) > rows:
            raise ValueError(f"{len(self.in_use)} symbols do not fit in {rows} rows")
        if self.in_use[:3] != [PAD, START, END]:
            raise ValueError(f"the table must begin with {PAD} {START} {END}, not {self.in_use[:3]}")
        self.pad, self.start, self.end = 0, 1, 2

    def __len__(self) -> int:
        """Rows of the embedding, free ones included."""
        return self.rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolTable) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.digest)

    def ids_of(self, symbols: Iterable[str]) -> tuple[int, ...]:
        """The numbers of symbols."""
        symbols = tuple(symbols)
        try:
            return tuple([self.number[symbol] for symbol in symbols])
        except KeyError:
            unknown = sorted({symbol for symbol in symbols if symbol not in self.number})
            raise ValueError(f"not in the symbol table: {unknown}") from None

    def symbols_of(self, ids: Iterable[int]) -> tuple[str, ...]:
        """The symbols of numbers."""
        ids = tuple(ids)
        unknown = [number for number in ids if not 0 <= number < len(self.in_use)]
        if unknown:
            raise ValueError(f"rows of the symbol table that no symbol uses: {unknown[:5]}")
        return tuple(self.in_use[number] for number in ids)

    def to_dict(self) -> dict:
        """The table as JSON holds it."""
        return {"rows": self.rows, "symbols": list(self.in_use)}

    @classmethod
    def from_dict(cls, table: dict) -> "SymbolTable":
        """The table that `to_dict` gave."""
        return cls(table["symbols"], table["rows"])

    @property
    def digest(self) -> str:
        """SHA-256 of the table: two voices with the same digest mean the same by every number."""
        return hashlib.sha256(json.dumps(self.to_dict(), ensure_ascii=False).encode()).hexdigest()
