"""Roman numerals where they are numerals: siglo XXI, Felipe VI, capítulo IV, la II Guerra; not "mi", "vivo", "CD".

Kings, popes and centuries take the ordinal up to ten (Felipe sexto, Juan veintitrés). What is counted before its noun has
a rank and takes the ordinal in agreement (la segunda guerra, las cuartas jornadas). What has a number and no rank takes the
cardinal: chapters and volumes, and names of things (Rocky cuatro, Apolo once).
"""

import re

from chatterbox_es.text import numbers
from chatterbox_es.text.agreement import FUNCTION_WORDS, gender, is_plural
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, Place, Rule

ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# words and acronyms that happen to be made of these letters; numerals only where what stands before says so
NO_NUMERAL = listed("MI DI CD CV DC MC CC CM DM CI LI MD DL MM ML CL MIL CIVIL DIVX MIX DIM VIM LCD CLI MIDI MCD")
CENTURY = frozenset(("siglo", "siglos", "s.", "ss.", "centuria"))
CARDINAL_LABEL = listed("""
    capítulo capítulos cap. caps. tomo tomos volumen volúmenes vol. vols. libro libros título títulos parte artículo artículos
    art. arts. acto actos escena escenas canto cantos lección lecciones tema temas fase fases anexo anexos apéndice
    apéndices página páginas pág. págs. sección secciones tipo tipos grado grados año liga unidad unidades grupo grupos
    párrafo párrafos apartado apartados nivel niveles clase clases categoría zona serie series episodio episodios temporada
    temporadas módulo bloque bloques sesión ejercicio figura figuras fig. figs. tabla tablas cuadro cuadros lámina láminas
    mapa nota notas distrito sala estadio estadios etapa etapas factor factores modelo versión línea planta división
    subgrupo región cuadrante punto puntos número núm. n.º apdo. disposición base bases anejo epígrafe rúbrica columna
    """)
# what has so many parts that X among them is ten; elsewhere it is the unknown (grupo X)
PARTS = listed("""
    capítulo cap. capítulos tomo tomos volumen volúmenes vol. vols. libro libros título acto canto lección artículo parte
    """)
# behind these a numeral is a rank even where it is one letter and nothing else speaks for it: V Feria, X Congreso
RANKED = listed("""
    congreso jornada jornadas feria plan guerra república centenario cincuentenario milenario edición premio premios concurso
    certamen festival cumbre foro simposio simposium encuentro encuentros semana muestra ciclo curso cursos carrera
    maratón torneo copa campeonato campeonatos trofeo gala asamblea conferencia reunión legislatura imperio dinastía
    cruzada división ejército cuerpo flota brigada región regimiento escuadrón convenio acuerdo aniversario bienal juegos
    olimpiada olimpiadas memorial marcha milla vuelta ruta salón exposición noche fiesta fiestas convención seminario
    taller talleres coloquio escuela estudio informe encuesta barómetro programa estrategia duque duquesa conde condesa
    marqués marquesa internacional nacional mundial coloquios panel mesa pleno sínodo concilio cónclave raid rally travesía
    subida triatlón duatlón open máster desfile cabalgata romería peregrinación capítulo promoción generación época etapa
    """)
# numerals of one letter stand before a noun behind one of these: la I Guerra, del V Centenario
DETERMINERS = listed("el la los las del al su sus este esta estos estas aquel aquella nuestro nuestra un una gran")
FEMININE_NAMES = listed("isabel beatriz carmen inés leonor margarita mercedes dolores pilar elizabeth elisabeth raquel ester")
NAMES_OF_KINGS = listed("""
    felipe alfonso carlos juan pío luis enrique fernando benedicto jorge eduardo guillermo pedro pablo león clemente
    gregorio inocencio urbano francisco napoleón federico ricardo nicolás alejandro iván sancho ramiro jaime ramón
    balduino leopoldo cristián christian gustavo haakon olaf olav harald juana isabel maría catalina ana victoria cristina
    margarita beatriz urraca leonor blanca josé manuel ramsés tutmosis amenofis ptolomeo cleopatra seti darío jerjes
    constantino teodosio elizabeth elisabeth carlomagno otón conrado rodolfo maximiliano segismundo ladislao esteban
    basilio miguel andrónico justiniano valentiniano teodorico recaredo suintila chindasvinto ordoño bermudo garcía
    fruela aurelio silo mauregato abderramán abd hisham muhammad mohamed mohammed hassan hasán hussein faisal abdalá
    saladino solimán selim murad mehmed bayaceto mustafa mahmud abdul agha aga amadeo víctor humberto umberto vittorio
    manuel sebastián dionisio duarte teodoro demetrio boris simeón ferdinand wilhelm friedrich heinrich ludwig louis
    philippe charles henry george james edward william richard robert john stephen david alexander roberto
    jacobo ernesto alberto rainiero raniero juanito martín adriano alejo bonifacio bonifacio calixto celestino eugenio
    honorio julio julián lucio marcelo nicolao pascual paulo sixto silvestre urbano víctor zacarías marcos mateo
    tiglatpileser nabucodonosor sargón ciro cambises artajerjes antíoco seleuco mitrídates filipo pirro horemheb
    hatshepsut pepi mentuhotep tolomeo casimiro vladislao wenceslao venceslao bela géza matías luisa carlota guillermina
    josefa germana sofía eleonor berenguer borrell gastón teobaldo hugo lotario pipino clodoveo childerico dagoberto
    """)


def value_of(roman: str) -> int:
    """XIV → 14."""
    total = 0
    for sign, following in zip(roman, roman[1:] + " ", strict=True):
        value = VALUES[sign]
        total += -value if VALUES.get(following, 0) > value else value
    return total


def roman(match: re.Match, place: Place) -> str | None:
    """A Roman numeral, or None where the letters are a word or an acronym."""
    written = match["roman"]
    upper = written.upper()
    if not VALUES.keys() >= set(upper):
        return None  # İ is an i to a pattern that ignores case
    cue = place.before
    if len(written) == 1 and written.islower() and not _is_small_numeral(written, cue, place):
        return None
    capitals = written == upper
    if capitals and SIZES.search(place.text[max(0, place.start - 32) : place.start]):
        return " ".join(written.lower())
    words = _behind(upper, written, cue, place)
    if words and UP_TO.match(place.text, place.end):
        words += " a"  # capítulos I-III
    return words or (_before_noun(upper, cue, place) if capitals else None)


def _behind(upper: str, written: str, cue: str, place: Place) -> str | None:
    """The words of a numeral that belongs to what stands before it: siglo, capítulo, Felipe."""
    value, capitals = value_of(upper), written == upper
    before = place.text[max(0, place.start - 60) : place.start]
    if cue in CENTURY or CENTURIES.search(before):
        return _rank(value)
    labelled = (cue in CARDINAL_LABEL or LABELLED.search(before)) and upper != "MI"
    if labelled and (len(written) > 1 or (upper in "IVX" and (cue in PARTS or len(cue) < 2 or (capitals and upper != "X")))):
        return numbers.cardinal(value)
    is_initial = len(written) == 1 and (upper not in "IVX" or (capitals and INITIAL_BEHIND.match(place.text, place.end)))
    is_verb = upper in ("DI", "MI") or (upper == "VI" and not capitals and not CUE_SMALL.search(before))
    if cue in ("y", "e", "o") and (king := KING_LISTED.search(before)) and king[1].lower() in NAMES_OF_KINGS:
        return _after_name(value, king[1].lower())
    if cue in NAMES_OF_KINGS and not is_initial and not is_verb:
        return _after_name(value, cue)
    if capitals and ROAD.search(before):
        return numbers.cardinal(value)
    if SMALL_NUMERAL.fullmatch(written) and len(cue) > 2 and cue not in FUNCTION_WORDS:
        return numbers.cardinal(value)  # rocky ii
    return None


def _before_noun(upper: str, cue: str, place: Place) -> str | None:
    """The words of a numeral in capitals that no label explains: la II Guerra, IV Jornadas, Apolo XI, MCMLXXXIV."""
    if upper in NO_NUMERAL:
        return None
    value, noun = value_of(upper), place.after[0]
    if shared := SHARED_NOUN.match(place.text, place.end):
        noun = shared[1].lower()
        if cue not in DETERMINERS and noun not in RANKED:
            return None
        return _ranked(value, noun)
    if place.alone:
        return numbers.ordinal(value) if value < 1000 else numbers.cardinal(value)
    if upper == "VI" and not _is_ranked(noun, cue, place):
        return numbers.cardinal(value) if _is_name(place) and not noun else None
    if place.shouted and (len(upper) == 1 or set(upper) & set("LCDM")):
        return None
    if len(upper) == 1 and upper not in "IVX":
        return None
    if _is_ranked(noun, cue, place):
        return _ranked(value, noun)
    if _is_name(place) and (REIGN_BEFORE.search(place.text[max(0, place.start - 60) : place.start]) or _reigns(place)):
        return _after_name(value, cue)
    if len(upper) == 1:
        return numbers.cardinal(value) if upper in "IV" and _is_name(place) and not _is_initial(place) else None
    if len(upper) < 4 and not set(upper) & set("IVX"):
        return None
    return numbers.cardinal(value)


def _ranked(value: int, noun: str) -> str:
    """The ordinal before its noun: tercer congreso, cuartas jornadas."""
    words = numbers.ordinal(value, gender(noun), before_noun=not is_plural(noun))
    return " ".join(word + "s" for word in words.split()) if is_plural(noun) else words


def _is_ranked(noun: str, cue: str, place: Place) -> bool:
    """Whether the noun behind a numeral is what it ranks."""
    before = place.text[max(0, place.start - 8) : place.start].rstrip()[-1:]
    if not noun or noun in FUNCTION_WORDS or before in (",", ";") or len(noun) < 3:
        return False
    if noun in RANKED:
        return cue in DETERMINERS or not _is_name(place)
    capital = place.text[place.end : place.end + 8].lstrip()[:1].isupper()
    many = place.end - place.start > 1
    return (cue in DETERMINERS and (many or capital)) or (many and capital and not _is_name(place))


def _rank(value: int, gender_of: str = numbers.MASCULINE) -> str:
    return numbers.ordinal(value, gender_of) if value <= 10 else numbers.cardinal(value)


SIZES = re.compile(r"\btallas?(?: (?:X{0,4}[SL]|M|y|a|o|la|de)\b,?){0,6} $", re.IGNORECASE)
# la I y II Guerra: the noun behind the last of several
SHARED_NOUN = re.compile(rf"(?:, [IVX]{{1,5}}){{0,3}},? (?:y|o|e|a) [IVX]{{1,5}} ([{LETTER}]{{3,30}})")
UP_TO = re.compile(rf"[-–](?=[IVXLC]{{1,7}}(?![{LETTER}]))")
INITIAL_BEHIND = re.compile(r"\. ?[A-ZÁÉÍÓÚÑ]| [A-ZÁÉÍÓÚÑ]\. ")
ROAD = re.compile(rf"(?:^|[^{LETTER}])N-$")  # N-VI
NUMERALS = "(?:[ivxlc]{1,7}|(?!y )[a-zé]{3,12})"
CENTURIES = re.compile(rf"\bsiglos? {NUMERALS}(?:, {NUMERALS}){{0,3}}(?: (?:y|al?|o|e)|,| ?[-–]) ?$", re.IGNORECASE)
LABELS = "|".join(re.escape(label) for label in sorted(CARDINAL_LABEL) if label.endswith(("s", "s.")))
LABELLED = re.compile(rf"\b(?:{LABELS}) [IVXLC]{{1,7}}(?:, [IVXLC]{{1,7}}){{0,4}}(?: (?:y|al?|o|e)|,| ?[-–]) ?$", re.IGNORECASE)
# Carlos I y V
KING_LISTED = re.compile(rf"(?:^|[^{LETTER}])([{LETTER}]{{3,20}}) [IVX]{{1,5}}(?:, [IVX]{{1,5}}){{0,3}},? [yeo] $")
CUE_SMALL = re.compile(rf"(?:^|[^{LETTER}])[a-záéíóúüñ]+ $")
# what nobody writes in small letters but as a numeral (vi, xi, xx are words, names or signs)
SMALL_NUMERAL = re.compile("(?!(?:vi|xi|xx|xxx)$)[ivx]{2,6}")


def _is_small_numeral(written: str, cue: str, place: Place) -> bool:
    """Whether a single small letter is a numeral: siglo i, alfonso x; not "ana i luis"."""
    if written not in ("i", "v", "x") or place.text[place.end : place.end + 1] == ".":
        return False
    return cue in CENTURY or cue in PARTS or (
        cue in NAMES_OF_KINGS and (not place.after[0] or (place.after[0] in FUNCTION_WORDS))
    )


def _after_name(value: int, name: str) -> str:
    return _rank(value, numbers.FEMININE if name in FEMININE_NAMES or name.endswith("a") else numbers.MASCULINE)


NAME_BEFORE = re.compile(rf"(?:^|[^{LETTER}])([{LETTER}]{{2,20}})$")


def _is_name(place: Place) -> bool:
    """Whether the word before begins with a capital and is no more than a name (Apolo XI)."""
    before = NAME_BEFORE.search(place.text[max(0, place.start - 24) : place.start].rstrip())
    return (
        before is not None
        and before[1][0].isupper() and not before[1].isupper() and before[1].lower() not in FUNCTION_WORDS
    )


# Jayavarman II se proclamó, el rey Evágoras I: a name that is no king's by itself may be one by what is told
REIGN_BEFORE = re.compile(
    r"\b(?:rey(?:es)?|reina|emperador|emperatriz|papa|antipapa|zar|zarina|sultán|príncipe|princesa|duque|duquesa|condes?|condesa"
    r"|marqués|faraón|califa|emir|kh?an|patriarca|arzobispo|obispo|monarca|soberano|infante|archiduque|elector"
    r"|reinado de|corte de"
    r"|tiempos de|hij[oa] de|padre de|sucesor de|niet[oa] de|herman[oa] de|espos[oa] de|muerte de|dinastía)\b[^.;:]{0,25} $",
    re.IGNORECASE,
)
REIGN_BEHIND = re.compile(
    r",? (?:reinó|gobernó|subió al trono|abdicó|ascendió al|(?:se )?(?:auto)?(?:proclamó|coronó|casó)"
    r"|fue (?:rey|coronad|emperador|papa)|el [A-Z]|rey|reina|emperador|papa|sucedió)"
)
ENGLISH_BEHIND = re.compile(
    r" (?:a|am|was|would|have|had|will|can|could|should|do|did|think|know|don|like|want|see|feel|love|need)\b"
)


def _reigns(place: Place) -> bool:
    return REIGN_BEHIND.match(place.text, place.end) is not None


def _is_initial(place: Place) -> bool:
    """Whether a capital letter behind a name is a middle initial (Juan V. Pérez), or an English I."""
    if ENGLISH_BEHIND.match(place.text, place.end):
        return True
    behind = place.text[place.end : place.end + 3].lstrip(".").lstrip()
    return behind[:1].isupper()


ROMANS = Rule("roman", re.compile(rf"(?P<roman>{ROMAN})(?![{LETTER}\d'’])", re.IGNORECASE), roman)
