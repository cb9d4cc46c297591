"""What to record next: what a voice says worst, and which sentences of a text would help it most.

    python -m chatterbox_es.refine evaluation=outputs/4_3/TIME/evaluation
    python -m chatterbox_es.refine evaluation=DIR text=sentences.txt minutes=60

Ranks the worst sentences, the misheard phones and the contexts that the corpus has too few of. From a text (one sentence a
line, or prose) it picks what to record: metadata.csv (id|text), in the order of usefulness, beside refinement.md, which
says how much that covers and how much chance would. docs/refinement.md explains the figures.
"""

import dataclasses
import json
import sys
from pathlib import Path

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.recogniser import PhoneRecogniser
from chatterbox_es.evaluation.recognisers import load_recogniser
from chatterbox_es.files import write_whole
from chatterbox_es.refinement.candidates import candidates, read_sentences
from chatterbox_es.refinement.findings import Evaluation
from chatterbox_es.refinement.page import markdown
from chatterbox_es.refinement.plan import Plan, make_plan
from chatterbox_es.refinement.weaknesses import Weaknesses
from chatterbox_es.text import FrontEnd


@dataclasses.dataclass
class RefineOptions:
    evaluation: str = command_line.path_field(
        "folder that python -m chatterbox_es.evaluate has written", default=dataclasses.MISSING)
    text: str = command_line.path_field("UTF-8 file of sentences that could be recorded")
    minutes: float = dataclasses.field(default=60.0, metadata={"help": "of speech to pick from it"})
    system: str = dataclasses.field(default="", metadata={"help": "which of the evaluation's; none: its first voice"})
    recogniser: str = dataclasses.field(default="", metadata={"help": "to hear the phones again; none: as the evaluation did"})
    out: str = command_line.path_field("folder [EVALUATION/refinement]")


def main() -> None:
    options = command_line.parse(RefineOptions, sys.argv[1:], __doc__)
    if not options.minutes > 0:
        raise UserError(f"minutes={options.minutes:g}: must be above 0")
    sentences = read_sentences(Path(options.text)) if options.text else []
    evaluation = Evaluation.read(Path(options.evaluation), options.system)
    recogniser = load_recogniser(options.recogniser, evaluation.dialect) if options.recogniser else None
    if recogniser is not None and not isinstance(recogniser, PhoneRecogniser):
        raise UserError(f"recogniser={options.recogniser} has no phone loop; use pocketsphinx:DIR")
    weaknesses = Weaknesses.of(evaluation, recogniser)
    plan = None
    if sentences:
        found = candidates(sentences, evaluation.features, FrontEnd(evaluation.dialect))
        plan = make_plan(found, evaluation.features, weaknesses, options.minutes * 60)
    folder = Path(options.out) if options.out else Path(options.evaluation) / "refinement"
    write(folder, weaknesses, plan)
    print(f"{evaluation.system}: {len(evaluation.rows)} sentences, ranked by {weaknesses.ranked_by}")
    if weaknesses.note:
        print(weaknesses.note)
    if plan is not None:
        print(plan.verdict())
    print(f"{folder}: refinement.md, refinement.json" + (", metadata.csv, left_out.jsonl" if plan is not None else ""))


def write(folder: Path, weaknesses: Weaknesses, plan: Plan | None) -> None:
    """The files of a refinement, each whole or not at all.

    Raises:
        UserError: the disk is full.
    """
    report = {"weaknesses": weaknesses.to_dict()} | ({"plan": plan.to_dict()} if plan is not None else {})
    files = {"refinement.md": markdown(weaknesses, plan), "refinement.json": json.dumps(report, ensure_ascii=False, indent=1)}
    if plan is not None:
        files["metadata.csv"] = "".join(f"refine_{number:04d}|{text}\n" for number, text in enumerate(plan.texts(), 1))
        files["left_out.jsonl"] = "".join(json.dumps({"text": text, "reason": reason}, ensure_ascii=False) + "\n"
                                          for text, reason in plan.candidates.left_out)
    for name, content in files.items():
        write_whole(folder / name, content.encode())


if __name__ == "__main__":
    command_line.run(main)
