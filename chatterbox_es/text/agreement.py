"""Gender of the noun behind a number, guessed from its form: only uno and the hundreds agree."""

from chatterbox_es.text.numbers import FEMININE, MASCULINE
from chatterbox_es.text.word_lists import listed

# words in -a that are masculine, and feminine nouns that their ending does not show
MASCULINE_IN_A = listed("""
    días mapas problemas programas sistemas temas idiomas climas planetas cometas poemas dramas esquemas diagramas
    síntomas telegramas teoremas lemas dilemas poetas atletas artistas periodistas turistas dentistas gramas
    kilogramas aromas fantasmas sofás papas tranvías guardias policías aromas carismas enigmas día mapa problema
    programa sistema tema idioma poema planeta papa esquema síntoma drama
    """)
FEMININE_OTHERWISE = listed("""
    mujeres noches tardes veces manos leyes luces voces flores partes calles llaves clases naves torres fuentes
    serpientes imágenes órdenes redes paredes sedes series bases frases crisis tesis dosis hipótesis fotos motos
    radios nubes carnes sangres muertes suertes mentes gentes nieves aves claves cruces raíces actrices vírgenes
    cárceles señales sales pieles mieles catedrales sílabas superficies especies labores vocales consonantes mujer
    noche tarde vez mano ley luz voz flor parte calle llave clase nave torre fuente imagen orden red pared sede
    serie base frase foto moto cruz raíz señal piel págs pags sras dras
    """)
FEMININE_ENDINGS = ("as", "ciones", "siones", "dades", "tades", "tudes", "umbres", "triz", "giones", "ziones", "tiones")
FEMININE_SINGULAR = ("a", "ción", "sión", "dad", "tad", "tud", "umbre", "gión", "tión")
NEITHER = listed("""
    grandes principales mejores peores jóvenes posibles diferentes siguientes
    """)
# behind a number in the singular, these are no noun
FUNCTION_WORDS = listed("""
    a al ante antes aunque bajo como con contra cuando de del desde después donde durante e el ella ellas ellos en
    entre era eran es esa esas ese eso esos esta estas este esto estos está están fue fueron ha han has hasta hay la
    las le les lo los mas me menos mi mientras más mis muy ni no nos o os para pero por porque pues que quien se
    será según ser si sido sin sino sobre son su sus también te tras tu tus u un una unas uno unos vez veces y ya él
    además tres seis dos entonces esq
    """)
PLURAL_NO_NOUN = FUNCTION_WORDS - {"vez", "veces"}


def gender_of_noun(word: str, next_word: str = "") -> str | None:
    """The gender of a counted noun, or None where `word` does not look like one."""
    if not word or word in PLURAL_NO_NOUN:
        return None
    if word in NEITHER and next_word:
        return gender_of_noun(next_word) or MASCULINE
    if word in FEMININE_OTHERWISE:
        return FEMININE
    if word in MASCULINE_IN_A:
        return MASCULINE
    if word.endswith("s"):
        return FEMININE if word.endswith(FEMININE_ENDINGS) else MASCULINE
    return None


def gender_of_singular(word: str) -> str:
    """The gender of a noun in the singular (for ordinals: la II Guerra, el II Congreso)."""
    if word in FEMININE_OTHERWISE:
        return FEMININE
    return FEMININE if word.endswith(FEMININE_SINGULAR) and word not in MASCULINE_IN_A else MASCULINE


def can_be_counted_once(word: str) -> bool:
    """Whether the word behind a 1 can be the noun that it counts."""
    return len(word) > 1 and word not in FUNCTION_WORDS and not word.endswith("s")
