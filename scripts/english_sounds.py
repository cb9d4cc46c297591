"""English sounds → Spanish phones, as a careful speaker says English words in Spanish: the table of docs/english.md.

Written before the rules that read English letters, so that it can judge them. `readings("market", sounds)` gives the
codes of `chatterbox_es.text.letters`, the first the one that we say, the others as good (a table has alternatives where
the descriptions name two). Sounds are ARPABET, with a digit for stress where the source has it; `of_ipa` brings
Wiktionary's IPA to them. Reduced vowels are said as they are spelled, so letters and sounds are aligned first.

After: Lorenzo, Anglicismos hispánicos (1996); Rodríguez González and Lillo Buades, Nuevo diccionario de anglicismos (1997);
RAE and ASALE, Diccionario panhispánico de dudas (2005) and Ortografía (2010), ch. VI.
"""

import itertools
import re
from collections.abc import Iterable

from chatterbox_es.text.english import joined
from chatterbox_es.text.letters import STRESSED

# AH: cut; UX: the reduced vowel of about
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW", "UX"))
PLAIN = {
    "B": "b", "CH": "C", "D": "d", "DH": "d", "F": "f", "G": "ɡ", "HH": "x", "K": "k", "L": "l", "M": "m", "N": "n",
    "P": "p", "R": "r", "S": "s", "SH": "ʃ", "T": "t", "TH": "T", "V": "b", "W": "w", "ZH": "ʃ",
}  # fmt: skip
FULL = {
    "AE": "a", "AH": "a", "AO": "o", "AW": "aʊ", "AY": "aɪ", "EH": "e", "EY": "eɪ", "IY": "i", "OY": "oɪ", "UH": "u",
    "UW": "u",
}  # fmt: skip
# the reduced vowel, by the letters that write it
REDUCED = {
    "": "e", "io": "o", "eo": "o", "ou": "u", "iou": "u", "eou": "u", "ie": "e", "ia": "a", "ea": "a", "ai": "a", "y": "i",
}  # fmt: skip

IPA = {
    "t͡ʃ": "CH", "tʃ": "CH", "d͡ʒ": "JH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "aʊ": "AW", "oʊ": "OW",
    "əʊ": "OW", "əu": "OW", "ɪə": "IH UX", "iə": "IY UX", "ɛə": "EH", "eə": "EH", "ʊə": "UH", "juː": "Y UW",
    "aɪə": "AY UX", "aʊə": "AW UX", "iː": "IY", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "ɛː": "EH", "ɛ": "EH",
    "e": "EH", "æ": "AE", "a": "AE", "ɑː": "AA", "ɑ": "AA", "ɒ": "AA", "ɔː": "AO", "ɔ": "AO", "oː": "AO", "o": "OW",
    "ʊ": "UH", "uː": "UW", "u": "UW", "ʉ": "UW", "ʌ": "AH", "ə": "UX", "ɐ": "UX", "ɜː": "ER", "ɜ": "ER",
    "ɝ": "ER R", "ɚ": "UX R", "l̩": "UX L", "n̩": "UX N", "m̩": "M", "ɹ": "R", "r": "R", "ɾ": "T", "j": "Y",
    "w": "W", "ʍ": "W", "hw": "W", "h": "HH", "x": "K", "ŋ": "NG", "θ": "TH", "ð": "DH", "ʃ": "SH", "ʒ": "ZH", "ɡ": "G",
    "g": "G", "ɫ": "L", "b": "B", "d": "D", "f": "F", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S",
    "t": "T", "v": "V", "z": "Z",
}  # fmt: skip
OF_IPA = re.compile("|".join(sorted(map(re.escape, IPA), key=len, reverse=True)) + "|.")

VOWEL_LETTERS = "aeiouy"
FITS = {
    "b": "B", "c": "K S SH CH", "d": "D T JH", "f": "F V", "g": "G JH ZH F", "h": "HH", "j": "JH Y ZH HH", "k": "K",
    "l": "L", "m": "M", "n": "N NG", "p": "P F", "q": "K", "r": "R", "s": "S Z SH ZH", "t": "T TH DH CH SH",
    "v": "V F", "w": "W V", "x": "Z K S", "y": "Y", "z": "Z S T ZH", "e": "Y", "i": "Y", "u": "W Y", "o": "W", "'": "",
}  # fmt: skip
FITTING = {letter: frozenset(sounds.split()) for letter, sounds in FITS.items()}
TWICE = {"x": ("K S", "G Z", "K SH"), "z": ("T S",), "u": ("Y UW", "Y UX", "Y UH", "Y ER"), "e": ("Y UW",), "i": ("Y UX",)}


def of_ipa(ipa: str) -> list[str]:
    """ARPABET without stress of a broad transcription of Wiktionary; ValueError on a sound that no English word has."""
    bare = re.sub(r"[\sˈˌ.‿̯̪ʰ\-()ˑ]", "", ipa)
    sounds = []
    for sound in OF_IPA.findall(bare):
        if sound not in IPA:
            raise ValueError(f"{sound!r} of {ipa} is no English sound")
        sounds += IPA[sound].split()
    return sounds


def of_arpabet(sounds: Iterable[str]) -> list[str]:
    """CMUdict's sounds: the reduced AH0 told from AH1, ER as a vowel and an R."""
    spoken = []
    for sound in sounds:
        if sound.startswith("ER"):
            spoken += ["UX0" if sound == "ER0" else "ER" + sound[2:], "R"]
        else:
            spoken.append("UX0" if sound == "AH0" else sound)
    return spoken


def align(word: str, sounds: list[str]) -> list[tuple[str, list[str]]]:
    """Each letter with the sounds (none, one or two) that it writes, the cheapest way through."""
    bare = [sound.rstrip("012") for sound in sounds]
    costs: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (0.0, 0)}
    for i, letter in enumerate(word):
        for j in range(len(bare) + 1):
            if (i, j) not in costs:
                continue
            so_far = costs[i, j][0]
            for count in range(min(2, len(bare) - j) + 1):
                cost = so_far + _cost(word, i, letter, bare[j : j + count])
                if cost < costs.get((i + 1, j + count), (1e9, 0))[0]:
                    costs[i + 1, j + count] = (cost, count)
    place, pairs = len(bare), []
    for i in range(len(word), 0, -1):
        if (i, place) not in costs:
            raise ValueError(f"{word} has fewer letters than its sounds need")
        count = costs[i, place][1]
        pairs.append((word[i - 1], sounds[place - count : place]))
        place -= count
    return pairs[::-1]


def _cost(word: str, i: int, letter: str, sounds: list[str]) -> float:
    before = word[i - 1 : i]
    if not sounds:
        if letter == before or letter in "h'":
            return 0.2
        if letter == "e" and i == len(word) - 1:
            return 0.1
        if letter in VOWEL_LETTERS:
            return 0.4 if before and before in VOWEL_LETTERS else 0.5
        return 0.4 if letter in "gw" else 0.9 if letter != "r" else 0.6
    if len(sounds) == 1:
        return _fit(letter, sounds[0])
    if " ".join(sounds) in TWICE.get(letter, ()):
        return 0.1
    if letter in "lmnr" and sounds[0] in ("UX", "AH", "IH") and sounds[1] in FITTING[letter]:
        return 0.5
    return 2.0 + min(_fit(letter, sound) for sound in sounds)


def _fit(letter: str, sound: str) -> float:
    if sound in VOWELS:
        likely = {"AY": "iy", "IY": "eiy", "OW": "o", "AW": "o", "EY": "ae", "UW": "uoe"}.get(sound, VOWEL_LETTERS)
        return 0.0 if letter in likely else 0.3 if letter in VOWEL_LETTERS else 1.0 if letter == "w" else 3.0
    if letter in VOWEL_LETTERS and sound in ("Y", "W"):
        return 0.3 if sound in FITTING.get(letter, ()) else 3.0
    return 0.0 if sound in FITTING.get(letter, ()) else 3.0


def _spellings(pairs: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """Each sound with the letters that write it: a vowel takes the silent vowel letters behind it."""
    spelled: list[tuple[str, str]] = []
    for place, (letter, sounds) in enumerate(pairs):
        behind = ""
        for other, silent in pairs[place + 1 :]:
            if silent or other not in VOWEL_LETTERS + "w":
                break
            behind += other
        if behind == "e" and place + 2 == len(pairs):  # Louise: the last e writes nothing
            behind = "e" if letter in VOWEL_LETTERS else ""
        for sound in sounds:
            vowel = sound.rstrip("012") in VOWELS
            spelled.append((sound, (letter + behind if letter in VOWEL_LETTERS else "") if vowel else letter))
        if not sounds and letter == "r" and spelled and spelled[-1][0].rstrip("012") in VOWELS and not _doubled(pairs, place):
            spelled.append(("R", "r"))  # a British transcription: Spanish says every r
    return spelled


def _doubled(pairs: list[tuple[str, list[str]]], place: int) -> bool:
    return place + 1 < len(pairs) and pairs[place + 1][0] == "r"


def readings(word: str, sounds: list[str]) -> list[str]:
    """The ways to say an English word with Spanish phones, the first the one that is said here.

    `sounds` as `of_ipa` or `of_arpabet` give them; the vowel of main stress is written with an accent where they have
    digits. Raises ValueError where letters and sounds cannot be brought together.
    """
    word = word.lower()
    spelled = _spellings(align(re.sub(r"[^a-z']", "", word), sounds))
    choices = [_choices(word, spelled, place) for place in range(len(spelled))]
    found = [joined("".join(choice)) for choice in itertools.islice(itertools.product(*choices), 64)]
    return list(dict.fromkeys(found))


def _choices(word: str, spelled: list[tuple[str, str]], place: int) -> tuple[str, ...]:
    """What one sound can be in Spanish, the best first."""
    sound, letters = spelled[place]
    sound, stress = sound.rstrip("012"), sound[-1] if sound[-1].isdigit() else ""
    before = spelled[place - 1][0].rstrip("012") if place else ""
    after = spelled[place + 1][0].rstrip("012") if place + 1 < len(spelled) else ""
    if sound in VOWELS:
        vowels = _vowel(sound, letters, stress, before, after, place, word)
        return tuple([_accented(vowel) for vowel in vowels]) if stress == "1" else vowels
    last = place == len(spelled) - 1
    if sound == "NG":
        return ("nɡ",) if after in VOWELS else ("n",)  # singer; song, link, finger
    if sound == "JH":
        return ("ʝ",) if after in VOWELS or after == "Y" else ("C",)  # manager; page
    if sound == "Y":
        if before in ("T", "D"):
            return "j", ""  # student
        return ("j",) if before and before not in VOWELS else ("ʝ",)
    if sound == "Z":
        return ("θ",) if letters == "z" and not word.endswith("zz") else ("s",)
    if sound == "G" and letters == "x":
        return ("k",)
    if sound in ("D", "T") and before in ("N", "R") and (last or after in ("S", "Z")) and not (sound == "T" and before == "N"):
        return PLAIN[sound], ""  # weekend, board, airport
    return (PLAIN[sound],)


def _vowel(sound: str, letters: str, stress: str, before: str, after: str, place: int, word: str) -> tuple[str, ...]:
    first = letters[:1]
    if sound == "OW":
        written = letters[:2] in ("ow", "oa", "ou") or (not after and letters == "o" and stress in ("", "1"))
        return ("oʊ", "o") if written else ("o", "oʊ")
    if sound == "AA":
        return ("o",) if first == "o" or letters in ("au", "aw") else ("a",)
    if sound == "ER":
        return ({"i": "e", "ea": "e", "ou": "u", "y": "i"}.get(letters, {"i": "e", "y": "i"}.get(first, first)) or "e",)
    if sound == "UX":
        if before == "IH" and after == "R":
            return ("",)  # Britain's beer
        if letters == "u" and after == "R" and word.endswith("ure"):
            return ("e",)  # future
        if letters == "ou" and after == "R":
            return ("o",)  # harbour
        return (REDUCED.get(letters, first),)
    if sound == "IH" and stress != "1" and after not in ("R", "UX") and letters in ("e", "a", "ai"):
        return (letters[0],) if letters != "e" or stress else ("e", "i")  # market, image; English where stress is unknown
    if sound == "IH" and letters[:1] == "a" and after not in ("R", "UX"):
        return ("a",)
    if sound == "IY" and letters == "e" and after and stress != "1":
        return "i", "e"  # review
    if sound in ("UW", "UH", "UX") and before in ("N", "T", "D") and first in "ue":
        news = before == "N" or letters in ("ew", "eu")
        return ("iu", "u") if news else ("u", "iu")  # Newton; student
    if sound == "IH":
        return ("i",)
    if sound == "EH" and after == "R" and letters == "a" and "arr" in word:
        return ("a",)  # Harry, where Americans no longer tell merry from marry
    return (FULL[sound],)


def _accented(vowels: str) -> str:
    nucleus = 1 if vowels[:2] in ("iu", "ju") else 0
    return vowels[:nucleus] + STRESSED[vowels[nucleus]] + vowels[nucleus + 1 :]


def by_letter(word: str, sounds: list[str]) -> list[tuple[str, str]]:
    """Each letter of a word with the codes it says, before they are joined."""
    pairs = align(word, sounds)
    spelled, place, rows = _spellings(pairs), 0, []
    for letter, said in pairs:
        rows.append((letter, "".join([_choices(word, spelled, place + n)[0] for n in range(len(said))])))
        place += len(said)
    return rows
