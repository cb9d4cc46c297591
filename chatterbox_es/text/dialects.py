"""Dialects: small rewrites of the broad phonemes of one word. Whatever lists dialects takes them from here.

| dialect | c z | ll | hie | x | s before a consonant or at the end | final n | English th | numbers as in |
|---|---|---|---|---|---|---|---|---|
| castilian | θ | ʎ | ʝ | x | s | n | θ | es_ES |
| latin_american | s | ʝ | ʝ | x | s | n | t | es_419 |
| mexican | s | ʝ | ʝ | x | s | n | t | es_MX |
| rioplatense | s | ʃ, and y too | j | x | s | n | t | es_AR |
| caribbean | s | ʝ | ʝ | h | h | ŋ | t | es_DO |
| andalusian | s | ʝ | ʝ | h | h | n | s | es_ES |
"""

import re
from dataclasses import dataclass

CODA_S = re.compile(r"s(?=[pbtdkɡfθxhʃCmnɲlʎʝYRr]|$)")
FINAL_N = re.compile(r"n$")


@dataclass(frozen=True)
class Dialect:
    """What a dialect does to the broad phonemes."""

    name: str
    locale: str  # whose numbers
    tag: str  # of a text in a vocabulary that knows dialects, such as [es-mx]
    label: str  # its name in Spanish
    letters: dict[int, str]
    aspirates: bool = False
    velar_final_n: bool = False

    @property
    def has_theta(self) -> bool:
        """Whether casa and caza differ."""
        return ord("θ") not in self.letters

    @property
    def has_lateral(self) -> bool:
        """Whether halla and haya differ."""
        return self.say("ʎ") != self.say("ʝ")

    def say(self, phones: str) -> str:
        """The phones of one word in this dialect."""
        phones = phones.translate(self.letters)
        if not self.has_theta:
            phones = phones.replace("ss", "s")  # piscina, excelente
        if self.aspirates:
            phones = CODA_S.sub("h", phones)
        if self.velar_final_n:
            phones = FINAL_N.sub("ŋ", phones)
        return phones


DISTINCTION = str.maketrans({"Y": "ʝ", "T": "θ"})
SESEO = str.maketrans({"θ": "s", "ʎ": "ʝ", "Y": "ʝ", "T": "t"})
SHEISMO = str.maketrans({"θ": "s", "ʎ": "ʃ", "ʝ": "ʃ", "Y": "j", "T": "t"})
CARIBBEAN = str.maketrans({"θ": "s", "ʎ": "ʝ", "Y": "ʝ", "x": "h", "T": "t"})
ANDALUSIAN = str.maketrans({"θ": "s", "ʎ": "ʝ", "Y": "ʝ", "x": "h", "T": "s"})

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("castilian", "es_ES", "es-es", "castellano", DISTINCTION),
        Dialect("latin_american", "es_419", "es-419", "latinoamericano", SESEO),
        Dialect("mexican", "es_MX", "es-mx", "mexicano", SESEO),
        Dialect("rioplatense", "es_AR", "es-ar", "rioplatense", SHEISMO),
        Dialect("caribbean", "es_DO", "es-do", "caribeño", CARIBBEAN, aspirates=True, velar_final_n=True),
        Dialect("andalusian", "es_ES", "es-es-an", "andaluz", ANDALUSIAN, aspirates=True),
    )
}
