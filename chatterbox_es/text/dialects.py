"""Dialects: small rewrites of the broad phonemes of one word.

| dialect | c z | ll | hie | x | s before a consonant or at the end | final n | numbers as in |
|---|---|---|---|---|---|---|---|
| castilian | θ | ʎ | ʝ | x | s | n | es_ES |
| latin_american | s | ʝ | ʝ | x | s | n | es_419 |
| mexican | s | ʝ | ʝ | x | s | n | es_MX |
| rioplatense | s | ʃ, and y too | j | x | s | n | es_AR |
| caribbean | s | ʝ | ʝ | h | h | ŋ | es_DO |
| andalusian | s | ʝ | ʝ | h | h | n | es_ES |
"""

import re
from dataclasses import dataclass

CODA_S = re.compile(r"s(?=[pbtdkɡfθxhʃCmnɲlʎʝYRr]|$)")
FINAL_N = re.compile(r"n$")


@dataclass(frozen=True)
class Dialect:
    """What a dialect does to the broad phonemes."""

    name: str
    locale: str
    letters: dict[int, str]
    aspirates: bool = False
    velar_final_n: bool = False

    def say(self, phones: str) -> str:
        """The phones of one word in this dialect."""
        phones = phones.translate(self.letters)
        if self.name != "castilian":
            phones = phones.replace("ss", "s")  # piscina, excelente
        if self.aspirates:
            phones = CODA_S.sub("h", phones)
        if self.velar_final_n:
            phones = FINAL_N.sub("ŋ", phones)
        return phones


DISTINCTION = str.maketrans({"Y": "ʝ"})
SESEO = str.maketrans({"θ": "s", "ʎ": "ʝ", "Y": "ʝ"})
SHEISMO = str.maketrans({"θ": "s", "ʎ": "ʃ", "ʝ": "ʃ", "Y": "j"})
SOFT_JOTA = str.maketrans({"θ": "s", "ʎ": "ʝ", "Y": "ʝ", "x": "h"})

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("castilian", "es_ES", DISTINCTION),
        Dialect("latin_american", "es_419", SESEO),
        Dialect("mexican", "es_MX", SESEO),
        Dialect("rioplatense", "es_AR", SHEISMO),
        Dialect("caribbean", "es_DO", SOFT_JOTA, aspirates=True, velar_final_n=True),
        Dialect("andalusian", "es_ES", SOFT_JOTA, aspirates=True),
    )
}
