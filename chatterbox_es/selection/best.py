"""``outputs/best/``: the chosen voice, with what it is and where it comes from.

    voice.pt          the checkpoint
    vocoder.safetensors  its own vocoder, if it has one
    config.yaml       the configuration of its run
    symbols.json      the symbol table                      (of model=chatterbox: vocabulary.json)
    statistics.json   mean and deviation of the mel bins
    selection.json    the ranking it came out of
    MODEL_CARD.md     for people
"""

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

from chatterbox_es import __version__
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.measures import direction_of
from chatterbox_es.files import write_whole
from chatterbox_es.models.families import recipe_named
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.runs.checkpoint_files import BEST, VOICE, vocoder_beside
from chatterbox_es.runs.lineage import origins
from chatterbox_es.runs.run_directory import CONFIG, commit, read_card
from chatterbox_es.selection.ranking import Ranking

WORDS = {"encoder_from": "text encoder from", "finetuned_from": "fine-tuned from"}


def keep(ranking: Ranking, notes: list[str], features: FeatureSet, outputs: Path) -> Path:
    """Make the winner of a ranking ``outputs/best``: at every instant that is the old one or the new one, whole.

    It is a link to a folder in ``outputs/selected/``; the folder it pointed to before is deleted.

    Raises:
        UserError: there is something else of that name.
    """
    best = outputs / BEST
    if best.exists() and not best.is_symlink():
        raise UserError(f"{best} is not what an earlier selection has left; move it out of the way")
    name = f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S.%f}"
    folder = outputs / "selected" / name
    write(folder, ranking, notes, features)
    before = best.resolve() if best.is_symlink() else None
    link = outputs / f".{BEST}.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("selected", name), target_is_directory=True)
    os.replace(link, best)
    if before and before.parent == folder.parent.resolve():
        shutil.rmtree(before, ignore_errors=True)
    return best


def write(folder: Path, ranking: Ranking, notes: list[str], features: FeatureSet) -> None:
    """The files of a chosen voice."""
    winner = ranking.best.candidate
    checkpoint = winner.load()
    try:
        checkpoint.save(folder / VOICE)
        if (vocoder := vocoder_beside(winner.path)).is_file():
            write_whole(vocoder_beside(folder / VOICE), vocoder.read_bytes())
        write_whole(folder / CONFIG, (winner.run / CONFIG).read_bytes())
        for name, content in (checkpoint.companions() | {"selection": _describe(ranking, notes)}).items():
            write_whole(folder / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=1).encode())
        write_whole(folder / "MODEL_CARD.md", model_card(ranking, notes, checkpoint, features).encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _describe(ranking: Ranking, notes: list[str]) -> dict[str, Any]:
    utterances = ranking.best.candidate.values.utterances
    return {"by": ranking.rule.written, "utterances": len(utterances), "verdict": notes, "ranking": [
        {"checkpoint": s.candidate.name, "value": s.value, "interval": s.interval, "behind": s.behind,
         "behind_interval": s.behind_interval, "like_best": s.is_like_best, "step": s.candidate.step,
         "parameters": s.candidate.size, **s.candidate.values.means()} for s in ranking.standings]}


def model_card(ranking: Ranking, notes: list[str], checkpoint: StoredModel, features: FeatureSet) -> str:
    """What the voice is, in Markdown."""
    winner, card = ranking.best.candidate, features.card
    run = read_card(winner.run) or {}
    recordings = "**synthetic speech, not a person's**" if card["synthetic"] else "recordings of a person"
    means = winner.values.means()
    higher = {metric.name for metric in recipe_named(checkpoint.family).validation_metrics if metric.higher_is_better}
    higher |= {name for name in means if direction_of(name) == "higher"}
    lines = [
        f"# A Spanish voice: {checkpoint.lineage.get('data')}, phase {checkpoint.phase}", "",
        f"Trained on {recordings}: {len(features.train)} utterances, and judged on {len(features.validation)} others. Dialect: "
        f"{checkpoint.front_end['dialect']}. {winner.size:,} parameters.", "",
        "```sh", 'python -m chatterbox_es.synthesize text="¿Qué tal estás?"', "```", "",
        "## How it was chosen", "", *(f"- {note}" for note in notes), "",
        "| metric | on held-out utterances |", "|---|---|", 
        *(f"| {name}{', higher is better' * (name in higher)} | {value:.4f} |" for name, value in means.items()),
        f"| {features.naive} (beside `val_loss`) | {features.baseline():.4f} |", "",
        "Lower is better where nothing else is said. A low `val_loss` proves nothing about speech: listen to it.", "",
        "## Where it comes from", "", "| | |", "|---|---|",
        f"| checkpoint | {winner.name} |", f"| step, epoch | {winner.step}, {checkpoint.lineage.get('epoch')} |",
        f"| data | {checkpoint.lineage.get('data')}, content `{checkpoint.lineage.get('content')}` |",
        *(f"| {kind} | {origin} |" for kind, origin in ancestry(checkpoint.lineage)),
        f"| vocoder | {'its own, vocoder.safetensors' if vocoder_beside(winner.path).is_file() else 'none of its own'} |",
        f"| seed, precision, hardware | {run.get('seed')}, {run.get('precision')}, {run.get('hw')} |",
        f"| trained by commit | {run.get('commit', 'not recorded')} |",
        f"| chosen by | chatterbox_es {__version__}, commit {commit()} |", "",
        "## Limits", "",
        checkpoint.limits, "Use it only with the consent of whoever recorded it.", ""]
    return "\n".join(lines)


def ancestry(lineage: dict[str, Any]) -> list[tuple[str, str]]:
    """What the weights started from, and what that started from."""
    return [(WORDS[origin.way], f"{origin.checkpoint} (run {known.get('run')}, step {known.get('step')}, data "
                                f"{known.get('data')}, content `{str(known.get('content'))[:12]}`)")
            for origin in origins(lineage) for known in (origin.lineage,)]
