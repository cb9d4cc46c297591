"""Gender and number of the noun beside a numeral: only uno, the hundreds and ordinals agree.

Gender is lexical. Endings decide (la canción, el problema); `genders.tsv` lists the nouns that go against them, made by
scripts/make_genders.py from Wikidata's lexemes. Nouns that are said of men and women alike (artistas) are masculine
unless the word behind shows otherwise (artistas vascas).
"""

import re
from functools import lru_cache
from pathlib import Path

from chatterbox_es.text.letters import phones_of
from chatterbox_es.text.numbers import FEMININE, MASCULINE
from chatterbox_es.text.word_lists import listed

AGAINST_ENDING = Path(__file__).with_name("genders.tsv")
# of a noun in the singular; after Nueva gramática de la lengua española (2009), § 2
FEMININE_ENDING = re.compile(r"(?:a|[cnrstxglb]ión|dad|tad|tud|umbre|[rcpg]ie|[^u]sis|itis|ez|triz)$")
MASCULINE_ENDING = re.compile(r"(?:ista|[^br]ema|grama|drama|orama|[^br]oma|crata|cida|atra|nauta|arca|íaco)$")
# said of men and women alike, so that an adjective may show the gender
COMMON_ENDING = re.compile(r"(?:[aei]nte|ista|crata|cida|atra|nauta|ense|a[lr])s?(?<=.{5})$")
COMMON = listed("""
    jóvenes rehenes mártires testigos modelos jueces fiscales líderes menores mayores militares atletas pilotos colegas
    bebés huéspedes cónyuges intérpretes cómplices miembros responsables alumnos
    """)
# adjectives of one form that stand before the noun: the noun behind has the gender
BEFORE_NOUN = listed("""
    grandes principales mejores peores posibles diferentes siguientes nuevos nuevas importantes enormes simples dobles
    supuestos distintos múltiples frecuentes interesantes brillantes últimas últimos primeras primeros otras otros
    """)
# behind a number in the singular, these are no noun
FUNCTION_WORDS = listed("""
    a al ante antes aunque bajo como con contra cuando de del desde después donde durante e el ella ellas ellos en
    entre era eran es esa esas ese eso esos esta estas este esto estos está están fue fueron ha han has hasta hay la
    las le les lo los mas me menos mi mientras más mis muy ni no nos o os para pero por porque pues que quien se
    será según ser si sido sin sino sobre son su sus también te tras tu tus u un una unas uno unos vez veces y ya él
    además tres seis dos entonces esq tú té sí ti yo mí dé sé qué quién quiénes cuál cuáles cómo cuándo dónde tan así
    aquí allí ahí hoy ayer ante cada todo toda todos todas nunca siempre aun aún era eras
    """)
NO_NOUN = (FUNCTION_WORDS - {"vez", "veces"}) | listed("solo sólo inclusive aproximadamente etc juntos juntas")
FEMININE_BEFORE = listed("las unas otras estas esas aquellas algunas muchas pocas nuestras vuestras ambas todas la")
# feminine nouns and adjectives that keep una though their first sound is a stressed a
NOT_UN = listed("alta ancha amplia ácida árida ávida agria áspera ardua ágil alba árabe hache árbitra ambas a ha")
# nouns in -s that stand in the singular
SINGULAR_IN_S = listed("""
    lunes martes miércoles jueves viernes mes país gas interés autobús bus dios as gris compás virus campus corpus bonus
    lapsus chasis oasis análisis psicoanálisis énfasis éxtasis iris tenis paréntesis mecenas atlas caos cosmos estatus
    estrés revés ciprés marqués burgués inglés francés paraguas cumpleaños rascacielos lavaplatos lavavajillas parabrisas
    paracaídas microondas rompecabezas sacacorchos portaaviones abrelatas salvavidas guardaespaldas limpiaparabrisas
    trabalenguas lanzallamas guardacostas tragaperras pasamontañas guardabosques sacapuntas cortauñas trotamundos
    páncreas ómnibus minibús plus anís arnés através res tos caries bilis pelvis sífilis ratis vals pus
    """)


@lru_cache(maxsize=1)
def _against_ending() -> dict[str, str]:
    rows = AGAINST_ENDING.read_text(encoding="utf-8").splitlines()
    return dict(row.split("\t") for row in rows if row and not row.startswith("#"))


def by_ending(singular: str) -> str:
    """The gender that a noun's ending suggests."""
    if MASCULINE_ENDING.search(singular):
        return MASCULINE
    return FEMININE if FEMININE_ENDING.search(singular) else MASCULINE


WITHOUT_ACCENT, ACCENT = str.maketrans("áéíóú", "aeiou"), dict(zip("aeiou", "áéíóú", strict=True))


def _singulars(plural: str) -> list[str]:
    """What the singular of a plural may be: luces → luz, razones → razón, imágenes → imagen, crisis → crisis."""
    if not plural.endswith("s"):
        return [plural]
    forms = [plural, plural[:-1]]
    if plural.endswith("es"):
        stem = plural[:-3] + "z" if plural.endswith("ces") else plural[:-2]
        last = re.search(r"[aeiou](?=[^aeiou]*$)", stem)
        forms += [stem, stem.translate(WITHOUT_ACCENT)]
        forms += [stem[: last.start()] + ACCENT[last.group()] + stem[last.end() :]] if last else []
    return forms


@lru_cache(maxsize=20_000)
def gender(noun: str) -> str:
    """The gender of a noun in the singular or plural, lower case."""
    against = _against_ending()
    forms = _singulars(noun)
    for form in forms:
        if form in against:
            return against[form]
    if not noun.endswith("s") or noun in SINGULAR_IN_S:
        return by_ending(noun)
    if noun.endswith(("sis", "tis")):
        return FEMININE if FEMININE_ENDING.search(noun) else MASCULINE
    if noun.endswith("es"):
        return FEMININE if any(FEMININE_ENDING.search(form) for form in forms[1:]) else MASCULINE
    return by_ending(noun[:-1])


def is_plural(noun: str) -> bool:
    """Whether a noun stands in the plural, by its form."""
    return noun.endswith("s") and noun not in SINGULAR_IN_S and not noun.endswith(("sis", "itis"))


@lru_cache(maxsize=20_000)
def gender_of_noun(word: str, next_word: str = "") -> str | None:
    """The gender of a counted noun, or None where `word` does not look like one."""
    if not word or word in NO_NOUN or not word.endswith("s"):
        return None
    if word in BEFORE_NOUN and next_word and next_word not in NO_NOUN and next_word.endswith("s"):
        return gender(next_word)
    if word in COMMON or (COMMON_ENDING.search(word) and not any(form in _against_ending() for form in _singulars(word))):
        shown = next_word.endswith(("as", "oras")) and next_word not in NO_NOUN
        return FEMININE if shown and gender(next_word) == FEMININE else MASCULINE
    return gender(word)


def gender_of_singular(word: str) -> str:
    """The gender of a noun in the singular (for ordinals: la II Guerra, el II Congreso)."""
    return gender(word)


@lru_cache(maxsize=20_000)
def begins_with_stressed_a(noun: str) -> bool:
    """alma, águila, hacha, aula: feminine nouns that take un and el."""
    if not noun.startswith(("a", "á", "ha", "há")) or noun in NOT_UN:
        return False
    vowel = re.search("[aeiouáéíóú]", phones_of(noun))
    return vowel is not None and vowel.group() == "á"


def one_before(noun: str) -> str:
    """un or una before a noun in the singular."""
    return "una" if gender(noun) == FEMININE and not begins_with_stressed_a(noun) else "un"


def can_be_counted_once(word: str, next_word: str = "") -> bool:
    """Whether the word behind a 1 can be the noun that it counts."""
    if len(word) < 2 or (word in FUNCTION_WORDS and word != "vez"):
        return False
    if word in NO_NOUN:
        return word in ("solo", "sola") and len(next_word) > 2 and next_word not in FUNCTION_WORDS
    return not is_plural(word)
