"""Letters to broad phonemes: the rules of Spanish spelling, without a dialect.

A word becomes a string with one character a phone (`PHONE_OF` says which), so that later stages are plain string
rewriting. Distinctions that only some dialects keep are all still there: θ and s, ʎ and ʝ, and `Y`, the i of
hierba, which most speakers say as ʝ and River Plate speakers do not turn into ʃ.
"""

import re

STRESSED = dict(zip("aeiou", "áéíóú", strict=True))
PLAIN = {stressed: vowel for vowel, stressed in STRESSED.items()}
PHONE_OF = {**{stressed: f"ˈ{vowel}" for stressed, vowel in PLAIN.items()}, "C": "tʃ", "D": "dʒ", "R": "r", "r": "ɾ"}
PHONE_OF |= {code: code for code in "aeioujwɪʊpbβtdðkɡɣfθszxhʃʒmnɲŋlʎʝ"}

VOWEL = "aeiouáéíóú"
GRAPHEMES = {
    "ch": "C", "ll": "ʎ", "rr": "R", "sh": "ʃ", "ph": "f", "th": "t", "ss": "s", "tt": "t", "ff": "f", "pp": "p",
    "bb": "b", "dd": "d", "gg": "ɡ", "kk": "k", "mm": "m", "zz": "θ", "zs": "s", "ck": "k", "tz": "ts", "kh": "x",
    "b": "b", "v": "b", "c": "k", "d": "d", "f": "f", "g": "ɡ", "h": "", "j": "x", "k": "k", "l": "l", "m": "m",
    "n": "n", "ñ": "ɲ", "p": "p", "q": "k", "r": "r", "s": "s", "t": "t", "w": "w", "x": "ks", "z": "θ", "ü": "w",
    "'": "", "y": "i",
}  # fmt: skip
IN_CONTEXT = re.compile(
    r"(?P<initial>^(?:ps(?=[aeiouáéíóúy])|pt(?=[aeiouáéíóú])|gn(?=[aeiouáéíóú])|mn(?=[aeiouáéíóú])|x|ts(?=[aeiou])))"
    r"|(?P<hie>(?:^|(?<=[ndsbc]))h[ií](?=[eéaáoóu]))"  # hierba, deshielo, enhiesto
    r"|(?P<hue>h[uü](?=[eéaáiíoó]))"
    r"|(?P<R>^rr?|(?<=[nls])r)"
    r"|(?P<qu>qu(?=[eéií]))|(?P<qw>qu(?=[aáoóu]))"
    r"|(?P<gu>gu(?=[eéií]))|(?P<gü>gü(?=[eéií]))|(?P<ge>g(?=[eéií]))"
    r"|(?P<sc>sc(?=[eéií]))|(?P<ce>c(?=[eéií]))"
    r"|(?P<ya>y(?=[aáeéoóuú]|[ií]))"
    r"|ch|ll|rr|sh|ph|th|ss|tt|ff|pp|bb|dd|gg|kk|mm|zz|ck|tz|kh|[bcdfghjklmnñpqrstvwxyz']"
)
OF_CONTEXT = {
    "hie": "Y", "hue": "w", "R": "R", "qu": "k", "qw": "kw", "gu": "ɡ", "gü": "ɡw", "ge": "x", "sc": "sθ",
    "ce": "θ", "ya": "ʝ",
}  # fmt: skip
INITIAL = {"ps": "s", "pt": "t", "gn": "n", "mn": "n", "x": "s", "ts": "ts"}

RUN_OF_VOWELS = re.compile(r"[aeiouáéíóú]{2,}")
BEFORE, BEHIND = {"i": "j", "u": "w"}, {"i": "ɪ", "u": "ʊ"}
MENTE = re.compile(r"(?P<stem>.*(?:[aelz]|[áéíóú].*))mente$")


def _consonant(match: re.Match) -> str:
    context = match.lastgroup
    if context is None:
        return GRAPHEMES[match.group()]
    return INITIAL[match.group()] if context == "initial" else OF_CONTEXT[context]


def _glides(run: re.Match) -> str:
    """Which vowels of a run are nuclei: the others become j, w (before one) or ɪ, ʊ (behind one)."""
    vowels = run.group()
    spoken = ""
    for place, vowel in enumerate(vowels):
        after, before = vowels[place + 1 : place + 2], spoken[-1:]
        opens = after not in ("", vowel)
        if vowel in "aeoáéóíú":
            spoken += vowel
        elif before and before in "aeoáéó" and (not opens or after in "iu"):
            spoken += BEHIND[vowel]
        elif opens and before != vowel:
            spoken += BEFORE[vowel]
        else:
            spoken += vowel
    return spoken


def stress_place(nuclei: list[int], spoken: str, written: str) -> int:
    """Where in `spoken` the stressed vowel stands, by the rules of the written accent."""
    for place in nuclei:
        if spoken[place] in PLAIN:
            return place
    last = written[-1]
    if len(nuclei) > 1 and (last in "aeiou" or last in "ns"):
        return nuclei[-2]
    return nuclei[-1]


def phones_of(word: str, stressed: bool = True) -> str:
    """Broad phonemes of one lower-case word, one character each.

    `stressed` is False for the words that lean on the next one (de, la, que …).
    """
    adverb = MENTE.match(word) if stressed and len(word) > 7 else None
    if adverb:  # adverbs in -mente keep the stress of the adjective: rápidaménte
        stem = phones_of(adverb["stem"])
        if sum(code in VOWEL for code in stem) > 1:
            return stem + "ménte"
    written = word.replace("'", "")
    spoken = IN_CONTEXT.sub(_consonant, word)
    spoken = RUN_OF_VOWELS.sub(_glides, spoken)
    nuclei = [place for place, code in enumerate(spoken) if code in VOWEL]
    if not nuclei or not written:
        return spoken
    place = stress_place(nuclei, spoken, written)
    plain = "".join([PLAIN.get(code, code) for code in spoken])
    if not stressed:
        return plain
    return plain[:place] + STRESSED[plain[place]] + plain[place + 1 :]
