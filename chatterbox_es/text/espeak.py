"""What espeak-ng writes for Spanish, one Unicode character after the other as Piper passes it on, in our own phones.

A program such as Piper asks espeak-ng how a text is said and gives a voice numbers of characters; an exported voice makes its
own tokens of them. Three passes do that, each a table of windows of three: what becomes of a sign, seen with the one before it
and the one behind. The first joins what is one sound to us (a stress mark and its vowel, affricates), the second makes the
dialect's phones of espeak's, the third links words. The same rules work in Python (`tokens_of`) and as lookups in a graph.

The phones of espeak-ng 1.52: `es` tells θ from s and ʎ from ʝ, `es-419` does not. It drops ¿ and ¡; they are put back before
the clause that their partner ends.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from chatterbox_es.text.dialects import DIALECTS, Dialect
from chatterbox_es.text.linking import OPEN
from chatterbox_es.text.symbols import END, PHONES, PUNCTUATION, START, SymbolTable

PAD, BEGIN, STOP = "_", "^", "$"  # what Piper frames and fills a sentence with
# Characters that Spanish has, and what each is to us; what stands for nothing is dropped.
PLAIN = {character: character for character in " .,;:?!aeioujwɪʊpbβtdðkɡɣfθszxhʃʒmnɲŋlʎʝɾrˈˌʲɛ"}
# … and those of other languages, whose words espeak says in their own phones: the nearest of ours.
NEAREST = {"a": "ɐʌæɑɶ", "e": "əɜɚɝøœɘɞ", "i": "ᵻɨyʏ", "o": "ɔɒɵɤ", "u": "ʉɯ", "j": "ɥ", "w": "ʍ", "b": "vʋɓ", "d": "ɖɗ",
           "f": "ɸ", "h": "ɦ", "k": "cq", "l": "ɫɭɬʟ", "m": "ɱ", "n": "ɳ", "r": "ʁʀ", "s": "ʦ", "t": "ʈ", "x": "çχħ", "ŋ": "ɴ",
           "ɡ": "gɢɠ", "ɣ": "ɰ", "ɾ": "ɹɻɽɺ", "ʃ": "ʂɕ", "ʒ": "ʐʑ", "ʝ": "ɟ", "—": "—", "…": "…"}
FOREIGN = {character: ours for ours, characters in NEAREST.items() for character in characters}
DROPPED = "¿¡ːˑ'\"()-ʔʰʷ˞̧̩̪̯̝̥̃̊̍"  # length, syllables, aspiration and the like
MEANING = PLAIN | FOREIGN | dict.fromkeys(DROPPED, "")
# Piper's number of each character; its frame has the numbers that all its voices give it.
NUMBER = {character: number for number, character in enumerate((PAD, BEGIN, STOP, *MEANING))}
OPENING = {"?": "¿", "!": "¡"}

NOTHING = ""
SIGNS = (NOTHING, START, END, " ", "ˈ", "ˌ", "ʲ", "ɛ", *PUNCTUATION, *sorted(PHONES))
SIGN = {sign: place for place, sign in enumerate(SIGNS)}
MARKS = frozenset((START, *PUNCTUATION))  # a sentence's or a clause's end; its start is one as well
UNMARKED = frozenset("aeiou")
STRESSED = frozenset(f"ˈ{vowel}" for vowel in UNMARKED)
VOWELS = UNMARKED | STRESSED
BEHIND_CODA = frozenset("pbtdkɡβðɣfθxhʃmnɲlʎʝr") | {"tʃ", "dʒ"}  # where an s ends its syllable
BEHIND = {"j": "ɪ", "w": "ʊ", "i": "ɪ", "u": "ʊ"}  # glides behind their vowel
NASALS = frozenset("mnŋɲ")

Rule = Callable[[str, str, str], str]


def joined(before: str, this: str, after: str) -> str:
    """The first pass."""
    match before, this, after:
        case _, "ˈ", vowel if vowel in UNMARKED:
            return f"ˈ{vowel}"
        case _, "ˈ", "ɛ":
            return "ˈe"
        case "ˌ", "ɛ", "n":
            return "ˈe"  # cuarenta, mientras: a stress of its own, which espeak thinks less of
        case "ˈ", vowel, _ if vowel in UNMARKED | {"ɛ"}:
            return NOTHING
        case _, "ɛ", _:
            return "e"
        case _, "t", "ʃ":
            return "tʃ"
        case _, "d", "ʒ":
            return "dʒ"
        case ("t", "ʃ", _) | ("d", "ʒ", _) | ("j", "j", _):
            return NOTHING
        case _, "j", "j":
            return "ʝ"  # es-419 writes that within words
        case _, "ʲ", after if after not in VOWELS | {"ˈ"}:
            return NOTHING
    return this


def spoken(dialect: Dialect) -> Rule:
    """The second pass: the dialect's phones, while words are still apart."""
    def said(before: str, this: str, after: str) -> str:
        if this in (" ", "ˈ", "ˌ", "ʲ", NOTHING):
            return NOTHING
        return _of_dialect(dialect, _of_spanish(before, this, after), after) if this in PHONES else this
    return said


def _of_spanish(before: str, this: str, after: str) -> str:
    """Glides, nasals and stops as the front end has them inside a word."""
    starts = before == " " or before in MARKS
    match this:
        case "j" if starts and after in VOWELS:
            return "Y"  # hierba
        case "j" | "w" if before in VOWELS and after not in VOWELS:
            return BEHIND[this]  # muy
        case "i" | "u" if before in STRESSED and before[1] != this and after not in VOWELS | {"ʲ"}:
            return BEHIND[this]  # averiguáis
        case "i" | "u" if before not in VOWELS and not starts and after in VOWELS | {"ʲ"}:
            return {"i": "j", "u": "w"}[this]  # friego
        case "ɪ" | "ʊ" if before not in VOWELS:
            return {"ɪ": "i", "ʊ": "u"}[this]  # English
        case "n" if after == "m":
            return "m"
        case "ŋ" if after == " ":
            return "n"  # un kilo; what it meets says the third pass
        case "k" | "t" | "p" if after in ("n", "m"):
            return {"k": "ɣ", "t": "ð", "p": "β"}[this]  # ritmo
    return this


def _of_dialect(dialect: Dialect, this: str, after: str) -> str:
    if this == "ŋ" and after == "x":
        return "ŋ" if dialect.say("x") == "x" else "n"  # ángel
    if this == "dʒ" and dialect.say("ʝ") == "ʃ":
        return "ʃ"
    ends = after in (" ", END) or after in MARKS
    if not dialect.has_theta and this == "s" and after in ("s", "θ"):
        return NOTHING  # piscina
    if dialect.aspirates and this in ("s", "θ") and (ends or after in BEHIND_CODA):
        return "h"
    if dialect.velar_final_n and this == "n" and ends:
        return "ŋ"
    return this.translate(dialect.letters) if len(this) == 1 else this


def linked(before: str, this: str, after: str) -> str:
    """The third pass: what touches across words, as `chatterbox_es.text.linking` has it."""
    match this:
        case "b" | "ɡ" if before in PHONES and before not in NASALS:
            return OPEN[this]
        case "d" if before in PHONES and before not in NASALS | {"l", "ʎ"}:
            return OPEN[this]
        case "ð" if before in ("l", "ʎ"):
            return "d"
        case "n" | "ŋ" if after in ("p", "b"):
            return "m"
        case "n" if after == "ɡ":
            return "ŋ"
        case "m" if after == "f":
            return "n"
    return this


@cache
def table_of(rule: Rule) -> np.ndarray:
    """(signs, signs, signs) int64: what the rule makes of the one in the middle."""
    return np.array([[[SIGN[rule(before, this, after)] for after in SIGNS] for this in SIGNS] for before in SIGNS])


def passes(dialect: Dialect) -> tuple[Rule, ...]:
    """The rules, one after the other."""
    return joined, spoken(dialect), linked


def voice_of(dialect: Dialect) -> str:
    """The voice of espeak-ng that is to be asked."""
    return "es" if dialect.has_theta else "es-419"


def tokens_of(characters: Sequence[str], dialect: str = "castilian") -> tuple[str, ...]:
    """Our symbols, both ends' marks included, of what espeak-ng wrote: as a graph makes them of Piper's numbers."""
    signs = [START, *(MEANING.get(character, NOTHING) for character in characters), END]
    for rule in passes(DIALECTS[dialect]):
        signs = [sign for sign in signs if sign]
        framed = [NOTHING, *signs, NOTHING]
        signs = [rule(*framed[place:place + 3]) for place in range(len(signs))]
    signs = [sign for sign in signs if sign]
    return tuple(_opened(signs))


def _opened(signs: Sequence[str]) -> list[str]:
    """With ¿ and ¡ before the clauses that their partners end."""
    edges = [place for place, sign in enumerate(signs) if sign in MARKS or sign == END]
    following = dict(zip(edges, edges[1:], strict=False))
    return [sign for place, this in enumerate(signs)
            for sign in (this, OPENING.get(signs[following[place]], "") if place in following else "") if sign]


SYMBOL_IDS = np.array([SymbolTable().number.get(sign, 0) for sign in SIGNS])
