"""English words with Spanish phones: docs/english.md has the table of sounds."""

import re

from chatterbox_es.text.letters import with_glides

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
