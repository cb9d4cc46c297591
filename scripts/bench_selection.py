"""Which metric orders checkpoints as predictors and recognisers together do?

    python scripts/bench_selection.py RUN [RUN …] [judge=../shared/judge] [also=whisper:base] [threads=2]

All checkpoints of the runs (train.keep_best=100 keeps many) say the held-out sentences. Quality is ranked by DistillMOS and
DNSMOS, intelligibility by phone and word error rates of two recognisers; the reference for a metric is the mean of the ranks
that the others of its kind give, so that none is held against itself. Prints every checkpoint's metrics, and Kendall's tau-b of
each metric against both references and their mean, in Markdown.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from scipy.stats import kendalltau, rankdata

from chatterbox_es import command_line
from chatterbox_es.config import HwConfig
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.judge import Judge
from chatterbox_es.evaluation.measures import MeasureOptions, direction_of
from chatterbox_es.hardware import set_up
from chatterbox_es.models.families import features_of
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.selection.choosing import find
from chatterbox_es.selection.ranking import Candidate, Rule, check_comparable, load_candidates

QUALITY = ("distillmos", "dnsmos_ovrl")
UNDERSTOOD = ("per", "wer", "other_wer")
MORE = ("similarity_to_speaker", "mcd")


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    paths = find([argument for argument in sys.argv[1:] if "=" not in argument], Path("outputs"))
    features = features_of(next(iter(paths)), check_comparable([file for files in paths.values() for file in files]))
    fabric = set_up(OmegaConf.structured(HwConfig(name="cpu", accelerator="cpu", threads=int(options.get("threads", 2)))))
    sphinx, other = f"pocketsphinx:{options.get('judge', '../shared/judge')}", options.get("also", "whisper:base")
    first = Judge.of((*QUALITY, *MORE, "per", "wer"), features, MeasureOptions(recogniser=sphinx))
    second = Judge.of(("wer",), features, MeasureOptions(recogniser=other))

    def hear(checkpoint: StoredModel, name: str) -> Mapping[str, dict[str, float]]:
        print(f"hearing {name}", file=sys.stderr)
        return first(checkpoint, name) | {"other_wer": second(checkpoint, name)["wer"]}

    candidates = load_candidates(paths, Rule.parse("val_loss"), features, fabric, hear)
    if len(candidates) < 4:
        raise UserError(f"{len(candidates)} checkpoints are too few to be ordered: train with train.keep_best=100")
    print(report(candidates))


def report(candidates: Sequence[Candidate]) -> str:
    names = list(candidates[0].values.values)
    lines = [f"| checkpoint | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {candidate.path} | {' | '.join(f'{candidate.values.mean(name):.3f}' for name in names)} |"
              for candidate in candidates]
    ranks = {name: rankdata([candidate.values.mean(name) for candidate in candidates]) for name in names}
    for name in names:
        if direction_of(name) == "higher":
            ranks[name] = len(candidates) + 1 - ranks[name]
    lines += ["", "| metric | tau with quality | with intelligibility | with both |", "|---|---|---|---|"]
    for name in names:
        quality, understood = (np.mean([ranks[other] for other in kind if other != name], axis=0)
                               for kind in (QUALITY, UNDERSTOOD))
        taus = [kendalltau(ranks[name], reference).statistic for reference in (quality, understood, quality + understood)]
        lines.append(f"| {name} | {' | '.join(f'{tau:+.2f}' for tau in taus)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
