"""The front end: one object that training, synthesis and scoring all read text with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.text import english, english_text
from chatterbox_es.text.alignment import SpokenWord, align
from chatterbox_es.text.characters import GIVEN
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
    codes: str = field(default="", repr=False)  # the phonemes between both ends, a character each, divided as the words are
    aligned: tuple[SpokenWord, ...] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()  # what was not understood of the marks in the text

    @property
    def spoken(self) -> tuple[SpokenWord, ...]:
        """Each spoken word with the stretch of `text` that it comes from and its tokens."""
        return align(self.text, self.spans, self.words, self.codes) if self.aligned is None else self.aligned

    @property
    def is_speakable(self) -> bool:
        """Whether anything at all is said."""
        return not PHONES.isdisjoint(self.phonemes)

    @property
    def unknown(self) -> tuple[Span, ...]:
        """The stretches of the text that nothing is said for."""
        return tuple(span for span in self.spans if span.kind in ("dropped", "unknown"))


@dataclass(frozen=True, slots=True)
class Given:
    """A word whose phones need not be found: how it is written in the words, and its phones, a character each."""

    word: str
    codes: str
    is_exact: bool = True  # whether its neighbours leave its sounds as they are


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

    def read_given(self, text: str, given: Mapping[int, Given]) -> Reading:
        """How a composed text is said in which `characters.GIVEN` stands, at these places, for given words."""
        words, spans = self.normaliser.normalise(text)
        inserted = [given[span.start] for span in spans if span.kind == "given"]
        said = " ".join([self._said[token] for token in words.split(" ")])
        codes = _linked(said.split(GIVEN), inserted)
        aligned, names = [], iter(inserted)
        for word in align(text, spans, words, codes):
            named = "".join([next(names).word if letter == GIVEN else letter for letter in word.word])
            aligned.append(replace(word, word=named))
        words = "".join(_between(words.split(GIVEN), [word.word for word in inserted]))
        spans = tuple(span for span in spans if span.kind != "given")
        return replace(self._from_codes(text, words, spans, codes), aligned=tuple(aligned))

    def _reading(self, text: str, words: str, spans: tuple[Span, ...], said: "_Said") -> Reading:
        return self._from_codes(text, words, spans, across(" ".join([said[token] for token in words.split(" ")])))

    def _from_codes(self, text: str, words: str, spans: tuple[Span, ...], codes: str) -> Reading:
        joined = codes.replace(" ", "")
        phonemes = (START, *map(self._symbol_of, joined), END)
        ids = (self.table.start, *map(self._number_of, joined), self.table.end)
        return Reading(text, split(text), words, phonemes, ids, spans, codes)

    def read_many(self, texts: Iterable[str]) -> list[Reading]:
        """How many texts are said, in their order."""
        return [self.read(text) for text in texts]


def _between(pieces: Sequence[str], others: Sequence[str]) -> list[str]:
    """The pieces, with the others between them."""
    return [pieces[0], *(one for pair in zip(others, pieces[1:], strict=True) for one in pair)]


def _linked(pieces: Sequence[str], given: Sequence[Given]) -> str:
    """Codes with the given ones between the pieces, changed where words touch; what is exact stays what it is."""
    together = _between(pieces, [word.codes for word in given])
    linked, done = across("".join(together)), 0  # which changes sounds one for one
    for number, piece in enumerate(together):
        if number % 2 == 0 or not given[number // 2].is_exact:
            together[number] = linked[done:done + len(piece)]
        done += len(piece)
    return "".join(together)


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
