"""English words with Spanish phones, as a careful speaker says them: docs/english.md has the table of sounds.

A word is English by `english.tsv`, or by letters that stand together in no word of Spanish, Catalan, Galician, Asturian or
Basque. How it is said is in `english.tsv`, or comes from `english_rules.tsv`: what each letter says between which others.
Both files are made by scripts/make_english.py from CMUdict. Readings are codes of `letters`, and `T`, the th of thin.
"""

import re
from functools import cache
from pathlib import Path

from chatterbox_es.text.letters import PLAIN, STRESSED, VOWEL, with_glides
from chatterbox_es.text.word_lists import listed

WORDS = Path(__file__).with_name("english.tsv")
RULES = Path(__file__).with_name("english_rules.tsv")
# how many letters to the left and to the right a rule may look at, the widest first
WINDOWS = ((4, 5), (4, 4), (3, 4), (3, 3), (2, 3), (2, 2), (1, 2), (1, 1), (0, 1), (0, 0))
ONLY_IN_ENGLISH = "en"  # third field of a word that is Spanish too, or another language's: come, pie, die

PATTERNS = re.compile(
    r"^(?:wh|wr[aeio])|^(?![^aeiou]*ing).*(?<![jqxz])ings?$|[a-z]tions?$|ght"
    r"|(?<!z)oo(?:[dkmt]s?|[lnp]s?|f)$|oo[dkt](?:er|ing|y)s?$|ee[kp]s?$|[^r]eets?$|(?:gr|scr|qu|tw)een|eeze|[hktw]eel|[fnw]eed"
    r"|[aeiu]sh$|sh(?:es|ed|ers?|y|ing)$|[a-z]{3}ships?$|[aeiou]ck(?:s|ers?|ed|ing|y|ets?|le|ey)?$|[aeou]thers?$"
    r"|(?<!sla)(?<=[aeo])w(?:s|n|er|ed|ing)?$|ewed$"
    r"|(?:ware|work|wood|field|ford)s?$|(?:worth|wick|shire|[a-z]stone)$|[a-z](?:well|way)s?$|[a-z]wich$|wright|[a-z]{2}wards?$"
    r"|(?:bb|ck|dd|ff|gg|pp|tt|zz)le[srd]?$|(?:bb|dd|ff|gg|mm|pp|tt|zz)(?:y|ie|ers?|ed|ing)$"
    r"|[a-z]{2}(?:ness|less|ful)$|ough|oulds?$|[bfgmprsw]ounds?$|[bhlmr]ouse$|tch(?:es|ers?|ed|ing|y)?$|[aeiou]dge[srdt]?$"
    r"|[a-z]{2}[bcdfgkmnprstv]ly$"
)
# German, Spanish verbs and Spanish jokes on English: schilling, whatsappear, puenting, esnorkeling
NOT_ENGLISH = re.compile(r"^sch|^es[cklmnpqt]|e[ao]r$|(?<![qg])ue.*ing$")
FOREIGN_LETTERS = re.compile(r"[^a-z']")
# words that lean on the next one
LEANING = listed("a an and as at but by for from if in into is it of on or than that the to with")

MISSING_E = re.compile(r"^s(?=[^aeiouáéíóújwɪʊ])")
TWICE = re.compile(r"([^aeiouáéíóúɪʊ])\1")
GLIDE_BEFORE_VOWEL = re.compile("[ɪʊ][aeiouáéíóú]")


def joined(codes: str) -> str:
    """Sounds put together as Spanish syllables: e before s and a consonant, trills, glides, equal consonants once."""
    codes = MISSING_E.sub("es", codes.replace("xw", "w"))
    codes = TWICE.sub(r"\1", re.sub("^r|(?<=[nls])r", "R", codes))
    if GLIDE_BEFORE_VOWEL.search(codes):  # player, Owen
        codes = codes.replace("ɪ", "i").replace("ʊ", "u")
    return with_glides(re.sub("ii(?=[aeou])", "i", codes))


def found(word: str) -> str | None:
    """Codes of a word of a Spanish text if it is English, else None."""
    words, _ = _words()
    if word in words:
        return _leaning(word, words[word] or by_rules(word))
    if FOREIGN_LETTERS.search(word.replace("'", "")):
        return None
    stem, ending = _stem(word)
    if ending and stem[-1:] not in VOWEL and stem in words:  # books; planes is Spanish
        return _with_s(words[stem] or by_rules(stem))
    return by_rules(word) if PATTERNS.search(word) and not NOT_ENGLISH.search(word) else None


def codes_of(word: str) -> str:
    """Codes of one lower-case word of an English text."""
    known = _known()
    stem, ending = _stem(word)
    if word not in known and ending and stem in known:
        return _with_s(known[stem] or by_rules(stem))
    return _leaning(word, known.get(word) or by_rules(FOREIGN_LETTERS.sub("", word)))


def _leaning(word: str, codes: str) -> str:
    """A word that leans on the next one has no stress: the, of."""
    return "".join([PLAIN.get(code, code) for code in codes]) if word in LEANING else codes


def _stem(word: str) -> tuple[str, str]:
    """A word without its plural's or possessor's s, and that s."""
    for ending in ("'s", "s"):
        if word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending), ending
    return word, ""


def _with_s(codes: str) -> str:
    """A plural: books, bridges."""
    return codes + ("es" if codes[-1:] in ("s", "θ", "ʃ", "C") else "s")


@cache
def _words() -> tuple[dict[str, str], dict[str, str]]:
    """The words found in a Spanish text, and those said so only where the text is English; "" where the rules say it."""
    words: dict[str, str] = {}
    in_english: dict[str, str] = {}
    for row in WORDS.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            word, reading, where = (*row.split("\t"), "", "")[:3]
            (in_english if where == ONLY_IN_ENGLISH else words)[word] = reading
    return words, in_english


@cache
def _known() -> dict[str, str]:
    """All words that have a reading or need none."""
    words, in_english = _words()
    return words | in_english


@cache
def _rules() -> dict[str, str]:
    """What each letter says: its neighbours, the letter itself as a capital → codes."""
    rules: dict[str, str] = {}
    for row in RULES.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            codes, _, places = row.partition("\t")
            rules.update(dict.fromkeys(places.split(), codes))
    return rules


def by_rules(word: str) -> str:
    """Codes of a word, from its letters alone."""
    rules, marked, codes = _rules(), f"<{word}>", ""
    for place in range(1, len(marked) - 1):
        for window in WINDOWS:
            said = rules.get(place_of(marked, place, window))
            if said is not None:
                codes += said
                break
    return joined(stressed_once(codes))


def place_of(marked: str, place: int, window: tuple[int, int]) -> str:
    """A letter as a capital between its neighbours: `<shOw>`."""
    left, right = window
    return marked[max(0, place - left) : place] + marked[place].upper() + marked[place + 1 : place + 1 + right]


def stressed_once(codes: str) -> str:
    """Codes with one stressed vowel: the first that the rules chose, else the first there is."""
    places = [place for place, code in enumerate(codes) if code in PLAIN]
    places = places or [place for place, code in enumerate(codes) if code in VOWEL]
    if not places:
        return codes
    plain = "".join([PLAIN.get(code, code) for code in codes])
    return plain[: places[0]] + STRESSED[plain[places[0]]] + plain[places[0] + 1 :]
