"""How English words in Spanish text are said, against Wiktionary, as one JSON object.

    python scripts/bench_english.py wikipron=FOLDER [cmudict=FILE] [shared=../shared] [list=misses]

wikipron  data/scrape/tsv of the public repository CUNY-CL/wikipron (Wiktionary's data, CC BY-SA: measured with, not copied)
cmudict   cmudict.dict of the package `cmudict`, for the stress, which wikipron leaves out

The words of scripts/english_words.txt were chosen before the rules: those that `wordfreq` counts in Spanish texts at least
once in a million words, and at least half as often in English ones, that a Spanish dictionary does not know, without the names
that Spanish says in a way of its own; and 50 loans that the dictionary does know. Half of them (by a hash) were looked at while
the rules were made, the others are reported. Each stands in a Spanish sentence; it is right where the sentence's phones are
those of one of its Wiktionary pronunciations, American or British, brought to Spanish by the table (english_sounds.py).

words      share right for each dialect; `developed` the other half; `first` with the table's first choice alone; `rules`
           without english.tsv's and the lexicon's readings; `stress` of those right, on the vowel that CMUdict names
spanish    words of pronunciation_castilian_dev.tsv that are said otherwise than without English, of 2,000
running    words of the shared corpora that are said otherwise
"""

import collections
import hashlib
import json
import random
import re
import sys
from pathlib import Path

from bench_front_end import scorer_of
from english_sounds import of_arpabet, of_ipa, readings

from chatterbox_es.text import DIALECTS, FrontEnd, english
from chatterbox_es.text.front_end import UNSTRESSED
from chatterbox_es.text.letters import PLAIN, phones_of
from chatterbox_es.text.linking import inside

PROJECT = Path(__file__).resolve().parent.parent
WORDS = Path(__file__).with_name("english_words.txt")
SENTENCES = (
    "Ayer hablaron de {} en la radio.",
    "No conozco {}, pero me gusta.",
    "¿Qué significa {}?",
    "Según {} todo va bien.",
)
SAME = str.maketrans({"j": "i", "w": "u", "ɪ": "i", "ʊ": "u", "ˈ": ""})


def transcriptions(folder: Path) -> dict[str, set[str]]:
    """Wiktionary's broad transcriptions, American and British, of words in small letters."""
    found = collections.defaultdict(set)
    for country in ("us", "uk"):
        for row in (folder / f"eng_latn_{country}_broad.tsv").read_text(encoding="utf-8").splitlines():
            word, _, ipa = row.partition("\t")
            found[word.lower()].add(ipa)
    return found


def expected(word: str, transcriptions: set[str]) -> list[list[str]]:
    """The codes that the table makes of each transcription, its first choice first."""
    found = []
    for ipa in sorted(transcriptions):
        try:
            found.append(readings(word, of_ipa(ipa)))
        except ValueError:
            continue
    return found


def is_reported(word: str) -> bool:
    """Whether a word belongs to the half that nobody looked at."""
    return hashlib.sha256(word.encode()).digest()[0] % 2 == 1


def measure_words(folder: Path) -> tuple[dict, list]:
    """Shares right, and the misses of the developed half."""
    listed = [word for row in WORDS.read_text(encoding="utf-8").splitlines() if row[:1] != "#" for word in row.split()]
    transcribed = transcriptions(folder)
    keys = {word: key for word in listed if (key := expected(word, transcribed[word]))}
    figures: dict = {"words": len(keys), "reported": sum(map(is_reported, keys))}
    misses = []
    for dialect in DIALECTS:
        said = {"right": FrontEnd(dialect), "rules": by_rules_alone(dialect)}
        judge, counts = FrontEnd(dialect), collections.Counter()
        for number, (word, key) in enumerate(keys.items()):
            sentence, half = SENTENCES[number % len(SENTENCES)].format(word), "reported" if is_reported(word) else "developed"
            all_ways = {phones_with(judge, sentence, word, codes) for ways in key for codes in ways}
            first_ways = {phones_with(judge, sentence, word, ways[0]) for ways in key}
            counts[half, "all"] += 1
            for name, front_end in said.items():
                spoken = same(front_end.read(sentence).phonemes)
                counts[half, name] += spoken in all_ways
                counts[half, "first"] += name == "right" and spoken in first_ways
                if name == "right" and spoken not in all_ways and dialect == "castilian":
                    misses.append((half, word, heard(front_end, word), sorted({codes for ways in key for codes in ways[:1]})))
        figures[dialect] = {
            half: {name: round(100 * counts[half, name] / counts[half, "all"], 1) for name in ("right", "first", "rules")}
            for half in ("reported", "developed")
        }
    return figures, misses


def heard(front_end: FrontEnd, word: str) -> str:
    """The phones of one word."""
    return "".join(front_end.read(word).phonemes[1:-1])


def phones_with(front_end: FrontEnd, sentence: str, word: str, codes: str) -> str:
    """A sentence's phones where one word is said in a given way."""
    front_end._said.clear()
    front_end._said.words[word] = inside(front_end.dialect.say(codes))
    return same(front_end.read(sentence).phonemes)


def same(phones: tuple[str, ...]) -> str:
    """Phones without stress, which Wiktionary's data lack, and glides as their vowels, which depend on it."""
    return " ".join(phones).translate(SAME)


def by_rules_alone(dialect: str) -> FrontEnd:
    """A front end that knows which words are English, but none of their readings."""
    front_end = FrontEnd(dialect)
    known, lexicon = english._known(), front_end.lexicon
    front_end._said.phones_of = lambda word: (
        english.by_rules(word) if word in known or english.PATTERNS.search(word) or word in lexicon.words else plain(word)
    )
    plain = FrontEnd(dialect)._said.phones_of
    return front_end


def measure_stress(cmudict: Path) -> dict:
    """Of the reported words that sound as in CMUdict, those whose stressed vowel is CMUdict's."""
    front_end, counts = FrontEnd("castilian"), collections.Counter()
    said = collections.defaultdict(list)
    for row in cmudict.read_text(encoding="latin-1").splitlines():
        word, *sounds = row.partition("#")[0].split()
        said[word.partition("(")[0]].append(of_arpabet(sounds))
    listed = [word for row in WORDS.read_text(encoding="utf-8").splitlines() if row[:1] != "#" for word in row.split()]
    for word in filter(is_reported, listed):
        spoken = front_end._said.phones_of(word)
        try:
            ways = [way for sounds in said[word] for way in readings(word, sounds)]
        except ValueError:
            continue
        if without_stress(spoken) in map(without_stress, ways) and sum(code in "aeiou" for code in without_stress(spoken)) > 1:
            counts["all"] += 1
            counts["right"] += spoken in ways
    return {"words": counts["all"], "right": round(100 * counts["right"] / max(counts["all"], 1), 1)}


def without_stress(codes: str) -> str:
    """Codes with plain vowels, glides as vowels."""
    return "".join([PLAIN.get(code, code) for code in codes]).translate(SAME)


def without_english(dialect: str) -> FrontEnd:
    """A front end that reads English words as Spanish ones."""
    front_end = FrontEnd(dialect)
    front_end._said.phones_of = lambda word: front_end.lexicon.phones_of(word) or phones_of(word, word not in UNSTRESSED)
    return front_end


def measure_spanish(shared: Path) -> dict:
    """Of 2,000 Spanish words and of all, those that are said otherwise, and whether that is better."""
    scorer = scorer_of(shared)
    figures = {}
    for dialect in ("castilian", "latin_american"):
        gold = scorer.read(str(shared / f"text/pronunciation_{dialect}_dev.tsv"))
        before, now = without_english(dialect), FrontEnd(dialect)
        sample = set(random.Random(0).sample(sorted(gold), 2000))
        changed = {}
        for word, answers in gold.items():
            ways = [scorer.fold(heard(front_end, word)) for front_end in (before, now)]
            if heard(before, word) != heard(now, word):
                changed[word] = [min(scorer.distance(answer, way) for answer in answers) for way in ways]
        figures[dialect] = {
            "changed_of_2000": sum(word in sample for word in changed),
            "worse_of_2000": sum(word in sample and errors[1] > errors[0] for word, errors in changed.items()),
            "changed": len(changed),
            "better": sorted(word for word, errors in changed.items() if errors[1] < errors[0]),
            "worse": sorted(word for word, errors in changed.items() if errors[1] > errors[0]),
        }
    return figures


def measure_running(shared: Path) -> dict:
    """The words of the shared corpora that are said otherwise, with how often they stand there."""
    before, now = without_english("castilian"), FrontEnd("castilian")
    texts = [
        row.split("|")[-1] for path in shared.glob("corpora/**/metadata.csv") for row in path.read_text("utf-8").splitlines()
    ]
    texts += (shared / "judge/lm_text.txt").read_text("utf-8").splitlines()
    words = collections.Counter(word for text in texts for word in re.findall(r"[a-záéíóúüñ']+", now.read(text).words))
    changed = {word: count for word, count in words.items() if heard(before, word) != heard(now, word)}
    return {
        "words": sum(words.values()),
        "changed": {word: [count, heard(before, word), heard(now, word)] for word, count in sorted(changed.items())},
    }


def main() -> int:
    """Print the figures; 2 without the data that they need."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    shared = Path(given.get("shared", PROJECT.parent / "shared"))
    if "wikipron" not in given or not (shared / "text").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    figures, misses = measure_words(Path(given["wikipron"]))
    figures = {"words": figures}
    if "cmudict" in given:
        figures["stress"] = measure_stress(Path(given["cmudict"]))
    if given.get("list") == "misses":
        figures["misses"] = [miss for miss in misses if miss[0] == "developed"]
    if given.get("only") != "words":
        figures |= {"spanish": measure_spanish(shared), "running": measure_running(shared)}
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
