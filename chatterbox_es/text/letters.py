"""Letters to broad phonemes: the rules of Spanish spelling, without a dialect.

A word becomes a string with one character a phone (`PHONE_OF` says which), so that later stages are plain string
rewriting. Distinctions that only some dialects keep are all still there: θ and s, ʎ and ʝ, and `Y`, the i of
hierba, which most speakers say as ʝ and River Plate speakers do not turn into ʃ.

Rules after: Real Academia Española, Nueva gramática: fonética y fonología (2011); Ortografía (2010).
"""

import re

STRESSED = dict(zip("aeiou", "áéíóú", strict=True))
PLAIN = {stressed: vowel for vowel, stressed in STRESSED.items()}
PHONE_OF = {**{stressed: f"ˈ{vowel}" for stressed, vowel in PLAIN.items()}, "C": "tʃ", "D": "dʒ", "R": "r", "r": "ɾ"}
PHONE_OF |= {code: code for code in "aeioujwɪʊpbβtdðkɡɣfθszxhʃʒmnɲŋlʎʝ"}
CODE_OF = {phone: code for code, phone in PHONE_OF.items()}

VOWEL = "aeiouáéíóú"

# in this order: the first that fits at a place is taken. "X" stands for the letter itself, once.
RULES = (
    # beginnings that Spanish does not say as they are written
    (r"^(?:ps|x)(?=[aeiouáéíóúy])", "s"),
    (r"^[pk]n|^mn|^gn|^cn", "n"),
    (r"^[pc]t", "t"),
    (r"^s(?=[ptkcqmnlv](?![eiéí])|[ptkmnl][eiéí])", "es"),  # stop → estop, spray → espray
    (r"^i(?=[aeouáéóú])", "ʝ"),  # ion, iodo
    (r"(?:^|(?<=[ndsblr]))hi(?=[eé])", "Y"),  # hierba, deshielo, enhiesto
    (r"h[uü](?=[aeiáéíóo])", "w"),  # hueso, ahuecar
    # prefixes that keep their consonant apart
    (r"(?<=^sub)r+|(?<=^ab)r(?=og)|(?<=^ob)r(?=ep)", "R"),
    (r"(?<=^de)sh|(?<=^tra)sh|(?<=^tran)sh|(?<=^mi)sh(?=[ií][jd])", "s"),
    (r"^postp", "posp"),
    (r"(?<=^o)bv", "b"),  # obvio: one sound
    # two letters, one sound
    (r"^h(?=[aeiou](?:ck|pp|gg|mm|sk[aeiy]|rdw|rdc|lk$|wk|tt|ngk))", "x"),  # hacker, hobby, hippie: loans keep their h
    (r"^rr?|(?<=[nls])r", "R"),
    (r"rr", "R"),
    (r"tsch|tx|tch", "C"),
    (r"^sch", "ʃ"),
    # x of Galician, Catalan and Asturian names: Caixa, Sanxenxo, Barxa; not Marx
    (r"(?<=[aeo]i)x(?=[aeiouáéíóú])|(?<=n)x(?=[aeiouáéíóú])|(?<=r)(?<!mar)x(?=[aeiouáéíóú])", "ʃ"),
    (r"^mc(?=[ckq])", "ma"),  # McCartney
    (r"^mc(?=[a-z])", "mak"),
    (r"ch(?=[rlnt])", "k"),
    (r"ch", "C"),
    (r"ll(?=[^aeiouáéíóúy]|$|y$)", "l"),  # Billy
    (r"ll", "ʎ"),
    (r"sh", "ʃ"),
    (r"ph", "f"),
    (r"th", "t"),
    (r"ng(?=s?$)", "n"),  # camping, ranking, bumerang
    (r"ow$", "o"),  # bungalow, show
    (r"zz", "ts"),  # pizza, mozzarella
    (r"ck", "k"),
    (r"kh", "x"),
    (r"qu(?=[eéií])", "k"),
    (r"gu(?=[eéií])", "ɡ"),
    (r"gü", "ɡw"),
    (r"g(?=[eéií])", "x"),
    (r"cc(?=[aáoóuúrl])", "k"),
    (r"c(?=[eéií])", "θ"),
    # doubled letters of loans; Spanish has its own nn behind a prefix (innato, connotar, perenne)
    (r"tte(?=s?$)", "t"),
    (r"sse(?=s?$)", "s"),
    (r"(?P<twice>[bdfgkmpst])(?P=twice)", "X"),
    (r"(?<=[aou])nn(?!$|os$)(?<!^conn)(?<!circunn)|(?<=^[bdfghjklmpstvz]i)nn|(?<=^[bdfghjklmtvz]e)nn", "n"),
    # English and French groups that no Spanish word has
    # hacker, stream, outlet, skyline, cassette: how loans spell what they say
    (r"oo(?=[kd]|[mlftpn]s?$|t(?:h|ers?|ing)$|gl)", "u"),
    (r"(?<=[nfwp])ee(?=d)|(?<=^s)eed|(?<=^scr)ee|(?<=gr)een|ee(?=[kptl]s?$|[kpnlt](?:ers?|ing)$)", "i"),
    (r"ea(?=(?:m|t|p|ns|ch)s?$|[mdtkl](?:ers?|ing)$|tles?$|sing$)", "i"),  # stream, leader, leasing
    (r"ow(?=[ndeb])", "au"),
    (r"^out|(?<=[ckry])out(?=s?$)", "aut"),
    (r"ou(?=ss)", "u"),
    (r"eaux?(?=s?$|ni)", "o"),  # plateau, rousseauniano,
    (r"ake(?=s?$)", "eik"),
    (r"(?<=[brtn])ike(?=s?$)", "aik"),
    (r"yle(?=s?$)", "ail"),
    (r"(?<=[nfdy])line(?=s?$)", "lain"),
    (r"ware(?=s?$)", "wer"),
    (r"(?<=[kwnpfb][kwnpfb])ie(?=s?$)|(?<=ok)ie(?=s?$)|(?<=wn)ie", "i"),
    (r"gn(?=on$)", "ɲ"),
    (r"cci(?=[ao]s?$)", "C"),  # focaccia, carpaccio; not dirección
    (r"(?<=r)ts(?=[aeo])", "C"),  # bertso
    (r"c(?=y)", "θ"),  # cyborg, Lucy
    (r"igh(?=t)", "ai"),
    (r"ou(?=[rvpbl])", "u"),
    (r"y(?=[aáeéoóuúií])", "ʝ"),
)  # fmt: skip
LETTERS = {
    "b": "b", "c": "k", "d": "d", "f": "f", "g": "ɡ", "h": "", "j": "x", "k": "k", "l": "l", "m": "m", "n": "n",
    "ñ": "ɲ", "p": "p", "q": "k", "r": "r", "s": "s", "t": "t", "v": "b", "w": "w", "x": "ks", "y": "i", "z": "θ",
    "ü": "u", "'": "",
}  # fmt: skip
GRAPHEME = re.compile(
    "|".join([f"(?P<r{n}>{rule})" for n, (rule, _) in enumerate(RULES)] + ["[bcdfghjklmnñpqrstvwxyzü']"])
)
OF_RULE = {f"r{n}": spoken for n, (_, spoken) in enumerate(RULES)}

# sounds that shape each other inside a word
VOICED = {"p": "b", "t": "d", "k": "ɡ"}
STOP_BEFORE_VOICED = re.compile(r"[ptk](?=[bdɡmn])")  # étnico, técnico, fútbol: the closing stop is voiced

RUN_OF_VOWELS = re.compile(r"[aeiouáéíóú]{2,}")
BEFORE, BEHIND = {"i": "j", "u": "w"}, {"i": "ɪ", "u": "ʊ"}
MENTE = re.compile(r"(?P<stem>.*(?:[aelz]|ior))mente$")
LETTER_NAMES = {
    "b": "be", "c": "ce", "d": "de", "f": "efe", "g": "ge", "h": "hache", "j": "jota", "k": "ka", "l": "ele",
    "m": "eme", "n": "ene", "ñ": "eñe", "p": "pe", "q": "cu", "r": "erre", "s": "ese", "t": "te", "v": "uve",
    "w": "uve doble", "x": "equis", "y": "i", "z": "zeta",
}  # fmt: skip


def _grapheme(match: re.Match) -> str:
    rule = match.lastgroup
    if rule is None:
        return LETTERS[match.group()]
    return LETTERS[match.group()[0]] if OF_RULE[rule] == "X" else OF_RULE[rule]


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


def with_glides(spoken: str) -> str:
    """Phones whose unstressed i and u beside another vowel have become glides."""
    return RUN_OF_VOWELS.sub(_glides, spoken)


# Mary, Kelly, Ashley: the last y takes no stress, as it does in rey and jersey
ENGLISH_Y = re.compile("[bcdfghjklmnñpqrstvwxz]y$|(?:[ln]|ds|nc|(?<!^o)k)ey$")
# Mmm, shhh, pst, brrr, zzz: sounds, not letters by their names
SOUND = re.compile("h?m+|sh{2,}|c?h+s+t*|[ps]s+t*|b?r+|gr+|z+|ts+k*|pf+|s{2,}|ksh+")


def _stress_place(spoken: str, written: str) -> int:
    """Where in `spoken` the stressed vowel stands, by the rules of the written accent; -1 without any vowel."""
    nuclei = [place for place, code in enumerate(spoken) if code in VOWEL]
    for place in nuclei:
        if spoken[place] in PLAIN:
            return place
    if len(nuclei) > 1 and (written[-1] in "aeiouns" or ENGLISH_Y.search(written)):
        return nuclei[-2]
    return nuclei[-1] if nuclei else -1


def spelled(word: str) -> str:
    """The names of the letters of a word that has no vowel to be said with."""
    return "".join([phones_of(name) for letter in word for name in LETTER_NAMES.get(letter, "").split()])


def _sound(word: str) -> str:
    """The phones of an interjection without a vowel; "" for letters."""
    if len(word) < 3 or not SOUND.fullmatch(word):
        return ""
    once = re.sub(r"(.)\1+", r"\1", word)
    phones = once.replace("sh", "ʃ").replace("ch", "ʃ").replace("z", "θ").replace("h", "").replace("c", "").replace("r", "R")
    return phones.replace("g", "ɡ") + (phones[-1] if word.endswith(("mm", "zz")) else "")


def phones_of(word: str, stressed: bool = True) -> str:
    """Broad phonemes of one lower-case word, one character each.

    `stressed` is False for the words that lean on the next one (de, la, que …).
    """
    adverb = MENTE.match(word) if stressed else None
    if adverb and sum(letter in VOWEL for letter in adverb["stem"]) > 1:
        return phones_of(adverb["stem"]) + "ménte"  # keeps the stress of the adjective: rápidaménte
    spoken = with_glides(GRAPHEME.sub(_grapheme, word))
    spoken = STOP_BEFORE_VOICED.sub(lambda stop: VOICED[stop.group()], spoken).replace("nm", "mm")
    place = _stress_place(spoken, word.replace("'", ""))
    if place < 0:
        return _sound(word) or spelled(word)
    plain = "".join([PLAIN.get(code, code) for code in spoken])
    return plain[:place] + STRESSED[plain[place]] + plain[place + 1 :] if stressed else plain
