"""Two numbers with a sign between them that are no fraction, date or time.

Laws and files (Ley 27/2014), seasons (98/99), shares (50/50), screens (16/9), ratios and scales (1:50.000), verses (Juan
3:16), scores (5:2), what is always open (24/7), blood pressure (120/80).
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.dates import DAY_TOLD
from chatterbox_es.text.times import BOOK, RATIO_TOLD
from chatterbox_es.text.written import LETTER, NUMBER, SPACE, Place, Rule, amount, rule

LAW = re.compile(
    r"\b(?:ley(?:es)?|orgánicas?|decretos?|legislativo|orden|órdenes|expedientes?|exp|resolución|resoluciones|sentencias?|directivas?"
    r"|reglamentos?|circular|acuerdo|recurso|auto|rd|rdl|sts|stc|número|núm|n\.º|nº|n|acta|proyecto|factura|pedido|contrato"
    r"|sumario|convenio|consulta|dictamen|informe|procedimiento|diligencias|autos|decisión)[.:]*"
    r"(?: \(?[A-Z]{2,4}\)?)?(?: n\.?º)? $",
    re.IGNORECASE,
)
SEASON = re.compile(
    r"\b(?:temporadas?|cursos?|campañas?|liga|copa|años?|bienio|ejercicio|invierno)(?: de| de la)? $", re.IGNORECASE
)
SCREEN = re.compile(r"\b(?:formato|pantalla|aspecto|proporción|relación|panorámic[oa]|televisor)(?: de)? $", re.IGNORECASE)
SCORE = re.compile(
    r"\b(?:gan[óaé]\w*|perd\w+|venc\w+|empat\w+|marcador|resultado|derrot\w+|victoria|goleada)(?:[ \w]{0,20})? $",
    re.IGNORECASE,
)


MARK = re.compile(
    r"\b(?:notas?|puntuación|calificación|valoración|puntúa|calificado|sacó)(?: de| con| media de| un| una)? $", re.IGNORECASE
)


def _before(place: Place) -> str:
    return place.text[max(0, place.start - 40) : place.start]


def slashed(match: re.Match, place: Place) -> str | None:
    """27/2014, 98/99, 50/50, 24/7, 120/80; None for what may be a fraction."""
    left, right = match["first"], match["last"]
    first, last, before = int(left), int(right), _before(place)
    if DAY_TOLD.search(before):
        return None
    a_year = len(right) == 4 and 1900 <= last < 2100 and not 1900 <= first < 2100
    if LAW.search(before) or (a_year and not (len(left) == 2 and 1 <= first <= 12)):
        linked = " de " if len(right) == 4 else " "
        return numbers.whole(left) + linked + numbers.whole(right)
    if SEASON.search(before) or (first, last) == (24, 7) or first + last == 100 and first >= 5 and last >= 5:
        return f"{numbers.whole(left)} {numbers.whole(right)}"
    if 1900 <= first < 2100 and last in (first + 1, (first + 1) % 100):
        return f"{numbers.cardinal(first)} {numbers.cardinal(last)}"
    if len(left) == len(right) == 2 and last == (first + 1) % 100 and first > 20:
        return f"{numbers.whole(left)} {numbers.whole(right)}"
    if SCREEN.search(before) or ((first, last) in ((16, 9), (21, 9)) and place.before not in ("el", "del", "al", "día")):
        return f"{numbers.whole(left)} {numbers.whole(right)}"
    if last in (5, 10, 20, 100) and MARK.search(before):
        return f"{numbers.whole(left)} sobre {numbers.whole(right)}"
    if 1000 > first > last > 10 and place.after[0] != "mmhg" and not (first <= 31 and last <= 12):
        return f"{numbers.cardinal(first)} sobre {numbers.cardinal(last)}"
    return None


def directive(match: re.Match, place: Place) -> str | None:
    """95/46/CE, 2016/679/UE: a law of the Union."""
    return f"{numbers.whole(match['first'])} {numbers.whole(match['last'])} {' '.join(match['letters'].lower())}"


def ratio(match: re.Match, place: Place) -> str | None:
    """16:9, 1:50.000, 10:1; Juan 3:16 without a, 5:2 as a score."""
    if place.text[place.start - 1 : place.start] == ":" or place.before in ("las", "la"):
        return None
    first, last = amount(match["first"], place.locale), amount(match["last"], place.locale)
    before, left = _before(place), place.text[max(0, place.start - 24) : place.start]
    if VERSE.search(left) or SCORE.search(before):
        return f"{first.words()} {last.words()}" + (f" a {numbers.whole(match['to'])}" if match["to"] else "")
    if match["to"]:
        return None
    told = RATIO_TOLD.search(before) is not None
    if told or len(match["last"]) != 2 or int(first.whole or 0) > 24 or first.behind:
        return f"{first.words()} a {last.words()}"
    return None


VERSE = re.compile(rf"\b(?:{BOOK}|versículos?)\.?,?{SPACE}$", re.IGNORECASE)
WHOLE = r"\d{1,6}"
PAIRS: tuple[Rule, ...] = (
    rule("reference", r"(?P<first>\d{1,4})/(?P<last>\d{1,4})/(?P<letters>CEE|CE|UE|JAI|PESC|EURATOM)(?![a-z])", directive),
    rule("reference", rf"(?P<first>{WHOLE})/(?P<last>{WHOLE})(?![\d/]|[.,]\d|[{LETTER}])", slashed),
    rule("ratio", rf"(?P<first>{NUMBER}):(?P<last>{NUMBER})(?:[-–](?P<to>\d{{1,3}}))?(?![\d:])", ratio),
)
