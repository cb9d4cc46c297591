"""What happens where sounds meet, inside words and across them, as espeak-ng's `es` does it.

b, d and ɡ open to β, ð, ɣ except after a pause or a nasal (d also after l: el día); n takes the place of a following
p or b (un beso → um beso) and of ɡ (un gato → uŋ gato); ʝ closes to dʒ after n (un yate).
Input and output: one character a phone, words divided by a space, punctuation as itself.
"""

import re

PAUSE = ".,;:?¿!¡…—"
OPEN = {"b": "β", "d": "ð", "ɡ": "ɣ"}

NASAL_BEFORE_LIP = re.compile(r"[nŋ](?= ?[pb])")
NASAL_BEFORE_VELAR = re.compile(r"n(?= ?ɡ)")
CLOSED_Y = re.compile(r"(?<=n)( ?)ʝ")
OPENED = re.compile(rf"(?<![{PAUSE}mnŋɲ])(?<![{PAUSE}mnŋɲ] )[bɡ]|(?<![{PAUSE}mnŋɲlʎ])(?<![{PAUSE}mnŋɲlʎ] )d")


def link(phones: str) -> str:
    """The phones of a whole reading, changed where they touch. It must begin with a pause or a word."""
    phones = NASAL_BEFORE_LIP.sub("m", phones)
    phones = NASAL_BEFORE_VELAR.sub("ŋ", phones)
    phones = CLOSED_Y.sub(r"\1D", phones)
    phones = OPENED.sub(lambda stop: OPEN[stop.group()], "." + phones)
    return phones[1:]
