"""Which of our dialects a corpus's own word for an accent is."""

import functools

from chatterbox_es.text.dialects import DIALECTS

COMMON_VOICE_ACCENTS = {
    "españa: norte peninsular (asturias, castilla y león, cantabria, país vasco, navarra, aragón, la rioja, guadalajara, "
    "cuenca)": "castilian",
    "españa: centro-sur peninsular (madrid, toledo, castilla-la mancha)": "castilian",
    "españa: sur peninsular (andalucia, extremadura, murcia)": "andalusian",
    "españa: islas canarias": "andalusian",
    "caribe: cuba, venezuela, puerto rico, república dominicana, panamá, colombia caribeña, méxico caribeño, costa del golfo "
    "de méxico": "caribbean",
    "andino-pacífico: colombia, perú, ecuador, oeste de bolivia y venezuela andina": "latin_american",
    "rioplatense: argentina, uruguay, este de bolivia, paraguay": "rioplatense",
    "chileno: chile, cuyo": "latin_american",
    "américa central": "latin_american",
    "méxico": "mexican",
    # the codes of the releases up to 6
    "centrosurpeninsular": "castilian",
    "nortepeninsular": "castilian",
    "surpeninsular": "andalusian",
    "canario": "andalusian",
    "americacentral": "latin_american",
    "rioplatense": "rioplatense",
    "mexicano": "mexican",
    "chileno": "latin_american",
    "andino": "latin_american",
    "caribe": "caribbean",
}
"""The accents that Common Voice offers its Spanish speakers, in lower case, and the dialect that comes nearest.

The Canaries go with the south of Spain: no /θ/, a soft jota, aspirated s, numbers read as in Spain. Chile and the Andes
have no dialect of their own here. "Español de Filipinas" has none that comes near.
"""

OPENSLR_COUNTRIES = {
    "ar": "rioplatense",
    "cl": "latin_american",
    "co": "latin_american",
    "pe": "latin_american",
    "pr": "caribbean",
    "ve": "caribbean",
}
"""The country in a file's name of OpenSLR 61 and 71 to 75, and the dialect that comes nearest."""

_LONGEST_FIRST = sorted(COMMON_VOICE_ACCENTS.items(), key=lambda item: -len(item[0]))


@functools.lru_cache(maxsize=4096)
def dialect_of_accent(accent: str) -> str:
    """The dialect of what is said of a speaker's accent; empty where that names none of ours, or two different ones.

    Speakers may choose several accents and add words of their own; the releases put `,` or `|` between them.
    """
    if accent in DIALECTS:
        return accent
    text = accent.casefold()
    found = set()
    for label, dialect in _LONGEST_FIRST:
        if label in text:
            found.add(dialect)
            text = text.replace(label, "")  # "méxico caribeño" is a part of the Caribbean's label
    return found.pop() if len(found) == 1 else ""
