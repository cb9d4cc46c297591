"""Acronyms: read as a word where Spanish can say them (ONU, RENFE), spelled where it cannot (DNI, ONG, PP)."""

import re

from chatterbox_es.text.agreement import FUNCTION_WORDS
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, Place, Rule

SPELLED = listed("UE EU ONG TV FM AM OMC ESO IA PC PDF EP IP UAM ADN ARN OEA AEA ITV")
WORDS = listed("PSOE OVNI UNICEF NAFTA IBEX MERCOSUR CIS UNED SEPLA FNAC")
ONSET = "(?:[bcdfghjklmnñpqrstvxyz]|[bcfgp][lr]|[dt]r|ch|ll|rr|qu|gu)"
CODA = "(?:[lnrsdzxjm]|[bcfgkpt](?=[bcdfgjklmnñpqrstvxyz]|$)|ns|rs)"
SAYABLE = re.compile(rf"{ONSET}?(?:[aeiouáéíóú]{{1,2}}{CODA}?{ONSET})*[aeiouáéíóú]{{1,2}}{CODA}?")


def is_sayable(acronym: str) -> bool:
    """Whether the letters make Spanish syllables."""
    if acronym in WORDS:
        return True
    return len(acronym) > 2 and acronym not in SPELLED and SAYABLE.fullmatch(acronym.lower()) is not None


# no Spanish word of three or four letters ends or begins so; its letters are spelled even where all is in capitals
CONSONANT = "[BCDFGHJKLMNÑPQRSTVWXZ]"
NO_WORD = re.compile(
    rf"(?=.{{3,4}}$)(?:{CONSONANT}{{3,4}}|[A-Z]*{CONSONANT}{{3}}|.(?![NR]S){CONSONANT}{{2}}"
    rf"|(?![BCFGPT][LR]|DR|CH|LL|QU|GU|PS|S[A-Z]){CONSONANT}{{2}}[AEIOU])"
)
OTHERWISE = {"OK": "okey"}


def acronym(match: re.Match, place: Place) -> str | None:
    """A word in capitals; in a text that is all capitals it is a word as any other (NO ENTRAR)."""
    written = match["letters"]
    plural = match["plural"] or ""
    if written in OTHERWISE:
        return OTHERWISE[written]
    if place.shouted and NO_WORD.fullmatch(written):
        return " ".join(written.lower())
    if len(written) > 10 or place.shouted or (place.without_small and written.lower() in FUNCTION_WORDS):
        return None
    if is_sayable(written):
        return written.lower() + plural
    if len(written) > 6 or (place.alone and len(written) > 5):
        return written.lower() + plural
    return " ".join(written.lower())


def dotted(match: re.Match, place: Place) -> str | None:
    """O.N.U., U. E.: as without points."""
    letters = re.sub(r"[^\w]", "", match.group())
    return letters.lower() if is_sayable(letters.upper()) else " ".join(letters.lower())


CAPITALS = "A-ZÁÉÍÓÚÜÑ"
ACRONYMS: tuple[Rule, ...] = (
    Rule("acronym", re.compile(rf"(?:[{CAPITALS}]\.){{2,8}}(?![{LETTER}])"), dotted),
    Rule("acronym", re.compile(rf"(?P<letters>[{CAPITALS}]{{2,40}})(?P<plural>s)?(?![{LETTER}])"), acronym),
)
