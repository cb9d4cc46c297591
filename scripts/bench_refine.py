"""How long choosing sentences takes, and what it covers beside chance.

    python scripts/bench_refine.py prepared=outputs/prepared/NAME [text=FILE] [sentences=100000] [minutes=60]

Without a text, sentences are made of 6 to 14 words of the corpus in chance order: for the time only.
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.refinement.candidates import candidates, read_sentences
from chatterbox_es.refinement.plan import make_plan
from chatterbox_es.refinement.weaknesses import Weaknesses
from chatterbox_es.text import FrontEnd


@dataclasses.dataclass
class Options:
    prepared: str = dataclasses.field(metadata={"help": "a prepared set"})
    text: str = dataclasses.field(default="", metadata={"help": "sentences to choose from; none: made up"})
    sentences: int = dataclasses.field(default=100_000, metadata={"help": "how many to make up"})
    minutes: float = dataclasses.field(default=60.0, metadata={"help": "to choose"})


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    features = FeatureSet(Path(options.prepared))
    sentences = read_sentences(Path(options.text)) if options.text else made_up(features, options.sentences)
    began, processor = time.monotonic(), time.process_time()
    found = candidates(sentences, features, FrontEnd(features.card["dialect"]))
    read = time.process_time() - processor
    plan = make_plan(found, features, Weaknesses("none", "", [], [], [], [], None, None), options.minutes * 60)
    print(f"{len(sentences)} sentences read in {read:.1f} s of processor time, chosen in "
          f"{time.process_time() - processor - read:.1f} s, {time.monotonic() - began:.1f} s in all")
    print(plan.verdict())
    for name, some in (("before", plan.before), ("after", plan.after), ("by chance", plan.by_chance[0])):
        print(f"{name}: seen {some.seen}, 10 times or more {some.enough}, of {some.of}")


def made_up(features: FeatureSet, count: int) -> list[str]:
    random = np.random.default_rng(0)
    corpus = " ".join(features.utterance(number)["words"] for number in range(len(features)))
    words = np.array([word.strip(".,;:¿?¡!…—") for word in corpus.split()])
    return [" ".join(random.choice(words, random.integers(6, 15))) + "." for _ in range(count)]


if __name__ == "__main__":
    command_line.run(main)
