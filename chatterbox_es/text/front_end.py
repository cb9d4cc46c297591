"""The front end: one object that training, synthesis and scoring all read text with."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.text import english, english_text
from chatterbox_es.text.dialects import DIALECTS, Dialect
from chatterbox_es.text.letters import PHONE_OF, phones_of
from chatterbox_es.text.lexicon import Lexicon
from chatterbox_es.text.linking import across, inside
from chatterbox_es.text.normaliser import Normaliser
from chatterbox_es.text.sentences import split
from chatterbox_es.text.symbols import END, PHONES, PUNCTUATION, START, SymbolTable
from chatterbox_es.text.written import Span

WORD = re.compile(r"[a-záéíóúüñ']+")
# words that lean on the next one and carry no stress of their own
LEANING = (
    "a al ante aunque bajo como con contra cuando de del desde donde e el en entre hacia hasta la las le les lo los "
    "mas me mi mis ni nos nuestra nuestras nuestro nuestros o os para pero por porque pues que quien se según si sin "
    "sino sobre su sus te tras tu tus u y"
)
UNSTRESSED = frozenset(LEANING.split())
MOST_REMEMBERED = 500_000  # words and words with their marks; memory stays below 100 MB on any corpus


@dataclass(frozen=True)
class Reading:
    """How a text is said.

    `text` is the text in composed Unicode (places in `spans` are places in it), `words` what is said in words.
    `phonemes` and `ids` have the same length and hold both ends' marks and the punctuation. `spans` lists what was
    changed on the way to `words`, including what could not be said (classes "dropped" and "unknown", spoken "").
    """

    text: str
    sentences: tuple[str, ...]
    words: str
    phonemes: tuple[str, ...]
    ids: tuple[int, ...]
    spans: tuple[Span, ...]

    @property
    def is_speakable(self) -> bool:
        """Whether anything at all is said."""
        return not PHONES.isdisjoint(self.phonemes)

    @property
    def unknown(self) -> tuple[Span, ...]:
        """The stretches of the text that nothing is said for."""
        return tuple(span for span in self.spans if span.kind in ("dropped", "unknown"))


class FrontEnd:
    """Reads text in one dialect.

    `lexicon` is a file of the user's own words, `locale` the country whose way of writing numbers is read (by
    default the dialect's). Raises UserError on a dialect, locale or lexicon that it cannot use.
    """

    def __init__(self, dialect: str = "castilian", lexicon: str | Path | None = None, locale: str | None = None):
        if dialect not in DIALECTS:
            raise UserError(f"dialect={dialect} is not known; use one of {', '.join(DIALECTS)}")
        self.dialect = DIALECTS[dialect]
        self.locale = locale or self.dialect.locale
        self.normaliser = Normaliser(self.locale)
        self.lexicon, own = Lexicon.shipped(dialect), Lexicon()
        if lexicon is not None:
            self.lexicon, own = self.lexicon.extended_by(lexicon, dialect), own.extended_by(lexicon, dialect)
        self.table = SymbolTable()
        self._said = _Said(self.dialect, self.lexicon)
        self._said_in_english = _SaidInEnglish(self.dialect, own)
        symbol = PHONE_OF | {mark: mark for mark in PUNCTUATION}
        self._symbol_of = symbol.__getitem__
        self._number_of = {code: self.table.number[symbol] for code, symbol in symbol.items()}.__getitem__

    def read(self, text: str) -> Reading:
        """How a text is said."""
        text = self.normaliser.compose(text)
        return self._reading(text, *self.normaliser.normalise(text), self._said)

    def read_english(self, text: str) -> Reading:
        """How a stretch of English is said with the dialect's phones: a title, a name, a quotation."""
        text = self.normaliser.compose(text)
        return self._reading(text, *english_text.words_of(text), self._said_in_english)

    def _reading(self, text: str, words: str, spans: tuple[Span, ...], said: "_Said") -> Reading:
        codes = across(" ".join([said[token] for token in words.split(" ")])).replace(" ", "")
        phonemes = (START, *map(self._symbol_of, codes), END)
        ids = (self.table.start, *map(self._number_of, codes), self.table.end)
        return Reading(text, split(text), words, phonemes, ids, spans)

    def read_many(self, texts: Iterable[str]) -> list[Reading]:
        """How many texts are said, in their order."""
        return [self.read(text) for text in texts]


class _Said(dict[str, str]):
    """What was said before: the phones of each word with the marks that touch it, worked out at first sight."""

    def __init__(self, dialect: Dialect, lexicon: Lexicon) -> None:
        super().__init__()
        self.dialect, self.lexicon = dialect, lexicon
        self.words: dict[str, str] = {}

    def __missing__(self, token: str) -> str:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
            self.words.clear()
        said = self[token] = WORD.sub(self._word, token)
        return said

    def _word(self, match: re.Match) -> str:
        word = match.group()
        said = self.words.get(word)
        if said is None:
            said = self.words[word] = inside(self.dialect.say(self.phones_of(word)))
        return said

    def phones_of(self, word: str) -> str:
        """Broad phonemes of a word: the lexicon's, else those of an English word, else what its letters say in Spanish."""
        return self.lexicon.phones_of(word) or english.found(word) or phones_of(word, word not in UNSTRESSED)


class _SaidInEnglish(_Said):
    """The same for the words of an English text; the lexicon holds the user's own words alone."""

    def phones_of(self, word: str) -> str:
        """Broad phonemes of an English word."""
        return self.lexicon.phones_of(word) or english.codes_of(word)
