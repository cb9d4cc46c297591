"""Written text → sentences, without being misled by abbreviations, initials, decimals or ¿¡ inside a sentence."""

import re

from chatterbox_es.text.abbreviations import TABLE
from chatterbox_es.text.roman import CARDINAL_LABEL, CENTURY

CANDIDATE = re.compile(r"[.?!…]{1,9}[\"»”’)\]]{0,4}(?=\s)|\n")
STARTS = re.compile(r"[\s\"«“‘(\[—–-]{1,12}[¿¡]{0,3}[A-ZÁÉÍÓÚÜÑ0-9]|\s{1,12}[¿¡\"«“—–]")
LAST_WORD = re.compile(r"(\S{1,24})$")
LAST_NUMERAL = re.compile(r"(\w{1,20}) [IVX]$")  # el siglo I. Roma ardía.


def split(text: str) -> tuple[str, ...]:
    """The sentences of a text, without the space around them."""
    sentences, begun = [], 0
    for end in CANDIDATE.finditer(text):
        if _ends(text, end):
            sentences.append(text[begun : end.end()].strip())
            begun = end.end()
    sentences.append(text[begun:].strip())
    return tuple(filter(None, sentences))


def _ends(text: str, end: re.Match) -> bool:
    if end.group() == "\n":
        return True
    behind = text[end.end() : end.end() + 20]
    if not behind.strip():
        return False
    if not STARTS.match(behind):
        return False
    if end.group() != ".":
        return not ("…" in end.group() or "..." in end.group()) or STARTS.match(behind) is not None
    last = LAST_WORD.search(text[max(0, end.start() - 24) : end.start()])
    word = last.group().lower().lstrip('¿¡"«“(') if last else ""
    if numeral := LAST_NUMERAL.search(text[max(0, end.start() - 24) : end.start()]):
        return numeral[1].lower() in CENTURY | CARDINAL_LABEL
    form = word + "."
    if form in TABLE:
        return TABLE[form][1] == "closes"
    # an initial (J. Pérez) or the beginning of an abbreviation of two words (EE. UU.)
    return not (len(word) == 1 and word.isalpha()) and not any(known.startswith(form + " ") for known in TWO_WORDS)


TWO_WORDS = tuple(form for form in TABLE if " " in form)
