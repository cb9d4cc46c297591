"""The front end: one object that training, synthesis and scoring all read text with."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.letters import PHONE_OF, phones_of
from chatterbox_es.text.linking import link
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


@dataclass(frozen=True)
class Reading:
    """How a text is said.

    `phonemes` and `ids` have the same length and hold both ends' marks and the punctuation. `spans` lists what was
    changed on the way to `words`, including what could not be said (kinds "dropped" and "unknown", spoken "").
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
        self.table = SymbolTable()
        self.normaliser = Normaliser(self.locale)
        self._said: dict[str, str] = {}
        self._symbol = PHONE_OF | {mark: mark for mark in PUNCTUATION}
        self._number = {code: self.table.number[symbol] for code, symbol in self._symbol.items()}

    def read(self, text: str) -> Reading:
        """How a text is said."""
        text = self.normaliser.compose(text)
        words, spans = self.normaliser.normalise(text)
        codes = self._codes(words)
        phonemes = (START, *[self._symbol[code] for code in codes], END)
        ids = (self.table.start, *[self._number[code] for code in codes], self.table.end)
        return Reading(text, split(text), words, phonemes, ids, spans)

    def read_many(self, texts: Iterable[str]) -> list[Reading]:
        """How many texts are said, in their order."""
        return [self.read(text) for text in texts]

    def _codes(self, words: str) -> str:
        return link(WORD.sub(self._word, words)).replace(" ", "")

    def _word(self, match: re.Match) -> str:
        word = match.group()
        said = self._said.get(word)
        if said is None:
            said = self._said[word] = self.dialect.say(phones_of(word, word not in UNSTRESSED))
        return said
