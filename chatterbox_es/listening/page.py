"""The page that listeners see: one HTML file in Spanish with all its sounds, which works from a disk and from a server.

It knows its questions by numbers alone: which system a sound is from, and which answers the attention checks ask for,
stays in design.json.
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.listening.design import PAGE_FILE, REFERENCE, Design
from chatterbox_es.listening.scales import SCALES
from chatterbox_es.listening.stimuli import FORMATS, encode
from chatterbox_es.runs.template import template


def write_page(folder: Path, design: Design, sounds: Mapping[str, np.ndarray], training: list[np.ndarray], *, form: str,
               limit_mb: float, contact: str) -> Path:
    """Write the page of a test.

    Args:
        sounds: stimulus id → samples (samples,).
        training: the conditions of a sentence to practise on, in the design's order, samples (samples,).
        form: of the sounds: mp3, flac or wav.
        limit_mb: the greatest size, in millions of bytes.
        contact: whom listeners can ask, or "".

    Raises:
        UserError: the page would be larger than ``limit_mb``.
    """
    if form not in FORMATS:
        raise UserError(f"format={form}: must be one of {', '.join(FORMATS)}")
    examples = {f"x{number}": samples for number, samples in enumerate(training)}
    encoded = {name: encode(samples, form) for name, samples in {**sounds, **examples}.items()}
    page = template("listening/page.html.jinja", {"script": _script}).render(
        test=_questions(design, list(examples)), sounds={"kind": FORMATS[form], "data": encoded}, contact=contact,
        minutes=max(1, round(design.minutes())), mushra=design.method == "mushra",
        checks=any(trial.expected is not None and not trial.by_sign for trial in design.trials.values())).encode()
    if len(page) > limit_mb * 1e6:
        raise UserError(f"the page would have {len(page) / 1e6:.1f} MB, more than limit_mb={limit_mb:g}: take fewer sentences "
                        "(items=N), shorter ones, or format=mp3; phones have trouble with much more than 50 MB")
    return write_whole(folder / PAGE_FILE, page)


def _questions(design: Design, examples: list[str]) -> dict[str, Any]:
    """All that the page has to know, and nothing that would tell which system is which."""
    scale = SCALES[design.method]
    reference_of = {stimulus.item: name for name, stimulus in design.stimuli.items() if stimulus.system == REFERENCE}
    item_of = {trial: design.stimuli[value.stimuli[0]].item for trial, value in design.trials.items()}
    names = list(design.trials)
    places = {name: place for place, name in enumerate(names)}
    open_reference = [reference_of.get(item_of[name], "") if design.method == "mushra" else "" for name in names]
    shuffled = random.Random(design.seed).sample(examples, len(examples))
    practice = {"mos": shuffled[:1], "mushra": shuffled}.get(design.method, shuffled[:2])
    return {"test": design.test, "method": design.method, "question": design.question, "options": scale.options,
            "words": scale.words, "trials": names, "references": open_reference,
            "texts": [design.texts.get(item_of[name], "") for name in names],
            "orders": [[[places[p.trial], *p.stimuli] for p in order] for order in design.orders],
            "examples": shuffled, "practice": practice,
            "practiceReference": examples[design.conditions.index(REFERENCE)] if design.method == "mushra" else ""}


def _script(value: Any) -> str:
    """JSON that no text in it can end."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))
