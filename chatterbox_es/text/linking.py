"""What happens where sounds meet, inside words and across them, as espeak-ng's `es` does it.

b, d and ɡ open to β, ð, ɣ except after a pause or a nasal (d also after l: el día); n takes the place of a following
p or b (un beso → um beso) and of ɡ (un gato → uŋ gato; in a word of x too: ángel); ʝ closes to dʒ after n (un yate).
One character a phone, words divided by a space, punctuation as itself.
"""

import re

PAUSE = ".,;:?¿!¡…—"
OPEN = {"b": "β", "d": "ð", "ɡ": "ɣ"}

NASALS_INSIDE = (("nb", "mb"), ("np", "mp"), ("nɡ", "ŋɡ"), ("nx", "ŋx"), ("nʝ", "nD"))
INSIDE = re.compile(rf"(?<=[^{PAUSE}mnŋɲ])[bɡ]|(?<=[^{PAUSE}mnŋɲlʎ])d")
ACROSS = (
    (re.compile(r"[nŋ](?= [pb])"), "m"),
    (re.compile(r"n(?= ɡ)"), "ŋ"),
    (re.compile(r"(?<=n) ʝ"), " D"),
    (re.compile(rf"(?<=[^{PAUSE}mnŋɲ]) b"), " β"),
    (re.compile(rf"(?<=[^{PAUSE}mnŋɲ]) ɡ"), " ɣ"),
    (re.compile(rf"(?<=[^{PAUSE}mnŋɲlʎ]) d"), " ð"),
)


def inside(phones: str) -> str:
    """The phones of one word (or of one word and the marks that touch it), changed where they touch each other."""
    if "n" in phones:
        for apart, touching in NASALS_INSIDE:
            phones = phones.replace(apart, touching)
    return INSIDE.sub(lambda stop: OPEN[stop.group()], phones)


def across(phones: str) -> str:
    """The phones of a whole reading, changed where its words touch."""
    for touching, spoken in ACROSS:
        phones = touching.sub(spoken, phones)
    return phones
