"""Words in capitals: a Spanish word is that word (NO, MUY), an acronym that Spanish can say is said (ONU, RENFE), and
what cannot be said, or is known as letters, is spelled (DNI, ONG, UE)."""

import re

from chatterbox_es.text.agreement import FUNCTION_WORDS
from chatterbox_es.text.lexicon import shipped_words
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, Place, Rule

# letters though Spanish could say them
SPELLED = listed("""
    UE EU ONG TV FM AM OMC IA PC PDF EP IP UAM ADN ARN OEA AEA ITV IU UCA UIB OIT OEI OIEA UIT UPV EAU EUA IES AEAT IEE
    UEM IAE CE AC DC RU ID IR OS DO CA CO CI PE PI AI IOS IUCN CIDH CEI ACB EAE
    """)
WORDS = listed("""
    PSOE OVNI UNICEF NAFTA IBEX MERCOSUR CIS UNED SEPLA FNAC URSS IMSS ISSSTE SOS VIP MIR APP LED WEB WIFI COVID OPEP
    PYME PYMES IKEA SEAT UCI UVI TIC PIB NIF CIF UNESCO TWITTER NETFLIX ABBA AENA ADIF
    """)
# words of two letters that a text may shout; others in -A, -E … are taken for letters (CE, PC, UE)
TWO_LETTERS = listed("fe va ve vi da di oh ah eh ay uh uy ir ja je he ti sí dé sé tú mí él té fin fui")
SHORT_WORDS = FUNCTION_WORDS | TWO_LETTERS
VOWEL = "[aeiouáéíóúü]"
ONSET = "(?:[bcdfghjklmnñpqrstvxyz]|[bcfgp][lr]|[dt]r|ch|ll|rr|qu|gu)"
CODA = "(?:[lnrsdzxjm]|[bcfgkpt](?=[bcdfgjklmnñpqrstvxyz]|$)|[nr]s|(?<=[aeou])y$)"
SAYABLE = re.compile(rf"{ONSET}?(?:{VOWEL}{{1,2}}{CODA}?{ONSET})*{VOWEL}{{1,2}}{CODA}?")
ACCENTED = re.compile("[ÁÉÍÓÚÜÑ]")  # acronyms carry no accent


DRAWN_OUT = re.compile(r"^[bcdfghjklmnñpqrstvz].*([aeo])\1\1")  # GOOOL; not IEEE


def is_word(written: str) -> bool:
    """Whether letters in capitals are a word that Spanish has, or a loan that the lexicon knows."""
    small = written.lower()
    if small in SHORT_WORDS or DRAWN_OUT.search(small):
        return True
    return len(small) > 2 and (small in shipped_words() or written in WORDS)


def is_sayable(acronym: str) -> bool:
    """Whether the letters make Spanish syllables."""
    if acronym in WORDS:
        return True
    if len(acronym) < 3 or acronym in SPELLED:
        return False
    return ACCENTED.search(acronym) is not None or SAYABLE.fullmatch(acronym.lower()) is not None


# no Spanish word of three or four letters ends or begins so; its letters are spelled even where all is in capitals
CONSONANT = "[BCDFGHJKLMNÑPQRSTVWXZ]"
NO_WORD = re.compile(
    rf"(?=.{{3,4}}$)(?:{CONSONANT}{{3,4}}|[A-Z]*{CONSONANT}{{3}}|.(?![NR]S){CONSONANT}{{2}}"
    rf"|(?![BCFGPT][LR]|DR|CH|LL|QU|GU|PS|S[A-Z]){CONSONANT}{{2}}[AEIOU])"
)
OTHERWISE = {"OK": "okey", "CDMX": "ciudad de méxico", "EEUU": "estados unidos", "EUA": "estados unidos"}
# two readings: what stands before says which. The ESO is a school, ESO is a pronoun; TI is a department, or you.
SCHOOL = re.compile(
    r"(?:\bla|\d\.?[ºª°o]?(?: curso)?|cursos?|alumn[oa]s?|etapa|título|graduado|profesor\w*)(?: de| en)?(?: la)? $"
)
PRONOUN_TI = re.compile(r"\b(?:a|para|por|sin|ante|contra|hacia|sobre|según|de) $", re.IGNORECASE)
DEPARTMENT = re.compile(r"\b(?:sector|departamento|área|equipo|director\w*|empresas?|servicios?) de $", re.IGNORECASE)


# no article stands before these words: los SE, un ES
AFTER_ARTICLE = listed("SE LA LE LO ME TE OS ES UN VA VE VI DA DI HA HE TI IR ID")
ARTICLE = re.compile(r"\b(?:el|la|los|las|un|una|del|al|unos|unas|Mac) $", re.IGNORECASE)


WIND = re.compile(
    r"\b(?:dirección|direcciones|rumbo|vientos?|componente|orientación|cuadrante)(?: del?| al| el)? "
    r"(?:[NS][EO](?:,|/|-|–| [yo])? ?)?$",
    re.IGNORECASE,
)


def _is_spelled(written: str, place: Place) -> bool:
    """Whether a word stands for letters at this place."""
    before = place.text[max(0, place.start - 24) : place.start]
    if written == "ESO":
        return SCHOOL.search(before) is not None
    if written == "TI":
        return PRONOUN_TI.search(before) is None or DEPARTMENT.search(before) is not None
    if written in ("NO", "NE", "SO", "SE") and WIND.search(before):
        return True
    if written in AFTER_ARTICLE and ARTICLE.search(before) and not place.shouted:
        return True
    if written in SPELLED:
        return written.lower() not in SHORT_WORDS
    # A-6, ES91, MP3: letters with a number; COVID-19 is a word
    return len(written) < 3 and CODE.match(place.text, place.end) is not None


CODE = re.compile(r"-?\d")


def acronym(match: re.Match, place: Place) -> str | None:
    """A word in capitals; in a text that is all capitals it is a word as any other (NO ENTRAR)."""
    written = match["letters"]
    plural = match["plural"] or ""
    if written in OTHERWISE:
        return OTHERWISE[written]
    if _is_spelled(written, place):
        return None if place.shouted and len(written) > 2 else " ".join(written.lower())
    if is_word(written):
        return written.lower() + plural
    if place.shouted and NO_WORD.fullmatch(written):
        return " ".join(written.lower())
    if len(written) > 10 or place.shouted:
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
