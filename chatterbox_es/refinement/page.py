"""The report of a refinement, in Markdown."""

from collections.abc import Sequence

import numpy as np

from chatterbox_es.refinement.contexts import PAIR, POSITION, TRIPLE
from chatterbox_es.refinement.plan import ENOUGH, Plan
from chatterbox_es.refinement.weaknesses import Weaknesses

ROWS = 15


def markdown(weaknesses: Weaknesses, plan: Plan | None) -> str:
    """All of it; the tables show the worst, refinement.json has the rest."""
    parts = [f"# What to record next: {weaknesses.system}", weaknesses.note, *_sentences(weaknesses), *_phones(weaknesses)]
    parts += _script(plan) if plan is not None else ["No text was given to choose sentences from (`text=FILE`)."]
    return "\n\n".join(filter(None, parts)) + "\n"


def _sentences(weaknesses: Weaknesses) -> list[str]:
    name = weaknesses.ranked_by
    rows = [(row["utterance"], f"{row['metrics'][name]:.3f}", row["words"], row.get("heard", ""))
            for row in weaknesses.sentences[:ROWS]]
    return [f"## The worst sentences\n\nBy `{name}`, {len(rows)} of {len(weaknesses.sentences)}.",
            table(("sentence", name, "to be said", "heard"), rows)]


def _phones(weaknesses: Weaknesses) -> list[str]:
    if not weaknesses.phones:
        return []
    phones = [(f"/{phone.phonemes[0]}/", str(phone.voice), str(phone.recordings or ""), f"{phone.excess:+.0%}",
               ", ".join(f"{heard} {times}" for heard, times in phone.instead), f"{phone.in_training:,}")
              for phone in weaknesses.phones[:ROWS]]
    pairs = [(" ".join(pair.phonemes), str(pair.voice), str(pair.recordings or ""), f"{pair.excess:+.0%}",
              f"{pair.in_training:,}") for pair in weaknesses.pairs[:ROWS]]
    places = [(part.name, str(part.voice), str(part.recordings)) for part in weaknesses.parts]
    return ["## Phones that are misheard\n\nBy a phone loop, with Wilson's 95 % intervals. Ranked by how much oftener than in "
            "the recordings, both rates drawn towards their overall ones, so that three places prove little. ∅: nothing was "
            "heard. Where intervals overlap, a difference may be chance.",
            table(("phone", "misheard", "in the recordings", "difference", "heard instead", "in the training set"), phones),
            "## Pairs of phones\n\nMisheard: the first or the second.",
            table(("pair", "misheard", "in the recordings", "difference", "in the training set"), pairs),
            "## Where\n\n“Seen in training”: how often the phone with its two neighbours stands in the training set.",
            table(("places", "misheard", "in the recordings"), places)]


def _script(plan: Plan) -> list[str]:
    reasons = "; ".join(f"{count} {reason}" for reason, count in plan.candidates.reasons().most_common(6))
    rows = [(kind, f"{plan.before.of[kind]:,}", *(f"{some[kind]:,}" for some in (plan.before.seen, plan.after.seen)),
             _chance([some.seen[kind] for some in plan.by_chance]),
             *(f"{some[kind]:,}" for some in (plan.before.enough, plan.after.enough)),
             _chance([some.enough[kind] for some in plan.by_chance])) for kind in (PAIR, TRIPLE, POSITION)]
    new = [(kind, " ".join(symbols), f"{times:,}") for kind, symbols, times in plan.new]
    parts = [f"## The script\n\n{plan.verdict()}. Durations are estimated from the corpus's own.",
             f"Left out: {reasons}." if reasons else "",
             "`metadata.csv` has the sentences, the most useful first: whoever stops early has recorded the better part.",
             table(("contexts", "in the text", "seen before", "with the script", "by chance", f"{ENOUGH} times before",
                    "with the script", "by chance"), rows)]
    return parts + (["Contexts that the corpus lacks and the script has:", table(("kind", "context", "in the text"), new)]
                    if new else [])


def _chance(counts: Sequence[int]) -> str:
    return f"{np.mean(counts):,.0f} ({min(counts):,} to {max(counts):,})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
