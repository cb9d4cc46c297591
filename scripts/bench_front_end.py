"""What the Spanish front end is measured by: words, phones and speed, as one JSON object.

    python scripts/bench_front_end.py [FOLDER]     # FOLDER: the shared folder, by default ../shared beside the project

words    cases of FOLDER/text/normalization_dev.tsv read as its key has them (letter case and the space before a
         full stop aside), with the list of misses
phones   FOLDER/text/score_pronunciation.py against pronunciation_*_dev.tsv, each dialect; with `rules_only`, the
         same without the lexicon
speed    sentences a second on one core. `first` is text never seen before by a new front end, `again` the same once
         more; sentences are those of FOLDER's corpora, every second one with a date, sum, time or measure added
length   CPU seconds for 100,000 characters of one unit over and over (the slowest of the units of
         tests/text/test_any_text.py, which needs what the tests need), and for 400,000: 4 times as long where reading is
         linear, 16 times where quadratic
start    seconds from a new Python process to the first sentence normalised, the interpreter's own start subtracted
"""

import importlib.util
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from chatterbox_es.text import FrontEnd
from chatterbox_es.text.lexicon import Lexicon
from chatterbox_es.text.normaliser import Normaliser

PROJECT = Path(__file__).resolve().parent.parent
BEFORE_STOP = re.compile(r"\s+(?=\.)")
START = "from chatterbox_es.text.normaliser import Normaliser; Normaliser('es_ES').normalise('Son 21 libros.')"
SENTENCES = 4000


def measure_words(folder: Path) -> dict:
    """Share of the cases that are read as the key has them."""
    front_end, misses, cases = FrontEnd("castilian"), [], 0
    for line in (folder / "text/normalization_dev.tsv").read_text(encoding="utf-8").splitlines():
        kind, written, key = line.split("\t")
        said = front_end.read(written).words
        cases += 1
        if _bare(said) not in [_bare(answer) for answer in key.split("~")]:
            misses.append({"class": kind, "written": written, "key": key, "said": said})
    return {
        "cases": cases,
        "right": cases - len(misses),
        "percent": round(100 - 100 * len(misses) / cases, 2),
        "misses": misses,
    }


def _bare(words: str) -> str:
    return BEFORE_STOP.sub("", words.lower().strip())


def scorer_of(folder: Path):
    """The shared folder's own program that scores pronunciations."""
    spec = importlib.util.spec_from_file_location("scorer", folder / "text/score_pronunciation.py")
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    return scorer


def measure_phones(folder: Path) -> dict:
    """Phone error rate of each dialect that has a gold list."""
    scorer = scorer_of(folder)
    figures = {}
    for dialect in ("castilian", "latin_american"):
        gold = scorer.read(str(folder / f"text/pronunciation_{dialect}_dev.tsv"))
        bare = FrontEnd(dialect)
        bare._said.lexicon = Lexicon()
        figures[dialect] = _score(scorer, gold, FrontEnd(dialect)) | {"rules_only": _score(scorer, gold, bare)["per"]}
    return figures


def _score(scorer, gold: dict, front_end: FrontEnd) -> dict:
    readings = front_end.read_many(gold)
    said = {word: [scorer.fold("".join(reading.phonemes[1:-1]))] for word, reading in zip(gold, readings, strict=True)}
    return scorer.score(gold, said)


def prose(folder: Path) -> list[str]:
    """Sentences that are all different, every second one with figures."""
    lines = (folder / "judge/lm_text.txt").read_text(encoding="utf-8").splitlines()
    words = sorted({word for line in lines for word in line.split()})
    chance = random.Random(0)
    figures = (
        lambda: f"En {chance.randint(1500, 2025)} había {chance.randint(2, 99999)} libros.",
        lambda: f"Costó {chance.randint(1, 999)},{chance.randint(10, 99)} €.",
        lambda: f"Fue el {chance.randint(1, 28)} de mayo de {chance.randint(1900, 2025)}.",
        lambda: f"A las {chance.randint(1, 23)}:{chance.randint(10, 59)} llegaron {chance.randint(2, 300)} personas.",
        lambda: f"Mide {chance.randint(1, 99)} km y pesa {chance.randint(1, 99)} kg.",
    )
    sentences = []
    for number in range(SENTENCES):
        line = lines[number % len(lines)].split()
        line[chance.randrange(len(line))] = chance.choice(words)
        sentences.append(" ".join(line) if number % 2 else " ".join([*line[:10], chance.choice(figures)()]))
    return sentences


def measure_speed(sentences: list[str]) -> dict:
    """Sentences a second, for the words alone and for the whole chain from text to ids."""
    normaliser, front_end = Normaliser("es_ES"), FrontEnd("castilian")
    normalise = normaliser.normalise
    figures = {"sentences": len(sentences), "characters_each": round(sum(map(len, sentences)) / len(sentences))}
    for name in ("first", "again"):
        figures[f"words_{name}"] = _rate(lambda: [normalise(sentence) for sentence in sentences], len(sentences))
        figures[f"ids_{name}"] = _rate(lambda: front_end.read_many(sentences), len(sentences))
    return figures


def _rate(work, count: int) -> int:
    begun = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - begun))


def measure_length() -> dict:
    """The slowest unit, and the unit whose time grows most with length."""
    spec = importlib.util.spec_from_file_location("test_any_text", PROJECT / "tests/text/test_any_text.py")
    units = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(units)
    front_end = FrontEnd("castilian")

    def seconds(unit: str, length: int) -> float:
        text = (unit * length)[:length]
        begun = time.process_time()
        front_end.read(text)
        return time.process_time() - begun

    taken = {unit: (seconds(unit, 100_000), seconds(unit, 400_000)) for unit in units.REPEATED}
    slowest = max(taken, key=lambda unit: taken[unit][0])
    # below a twentieth of a second the start and the clock's grain weigh as much as the reading
    long = [unit for unit in taken if taken[unit][0] > 0.05] or [slowest]
    steepest = max(long, key=lambda unit: taken[unit][1] / taken[unit][0])
    return {
        "units": len(taken),
        "slowest": {"unit": slowest, "seconds": [round(time, 2) for time in taken[slowest]]},
        "steepest": {"unit": steepest, "times_as_long": round(taken[steepest][1] / taken[steepest][0], 1)},
    }


def measure_start() -> dict:
    """Seconds of start-up, the median of five."""
    seconds = {}
    for name, code in (("interpreter", "pass"), ("both", START)):
        runs = []
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
            runs.append(time.perf_counter() - begun)
        seconds[name] = sorted(runs)[2]
    return {
        "seconds": round(seconds["both"] - seconds["interpreter"], 3),
        "with_interpreter": round(seconds["both"], 3),
    }


def main() -> int:
    """Print the figures; 2 where the shared folder is absent."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT.parent / "shared"
    if not (folder / "text").is_dir():
        print(f"error: {folder} holds no text/; name the shared folder as the argument", file=sys.stderr)
        return 2
    figures = {"start": measure_start(), "speed": measure_speed(prose(folder)), "length": measure_length()}
    figures |= {"words": measure_words(folder), "phones": measure_phones(folder)}
    print(json.dumps(figures, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
