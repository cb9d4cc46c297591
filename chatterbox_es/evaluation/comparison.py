"""Systems say sentences, and measures hear them."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.processes import on_all_cores
from chatterbox_es.evaluation.results import SOUND, Results, Row, collect
from chatterbox_es.evaluation.sounds import Failure, Measure, Sound
from chatterbox_es.evaluation.systems import Sentence, System


def evaluate(systems: Sequence[System], sentences: Sequence[Sentence], measures: Sequence[Measure], folder: Path | None = None,
             say: Callable[[str], None] = print) -> Results:
    """Have systems say sentences, and measure what they say; with ``folder`` the sounds are written below it.

    Raises:
        UserError: none of the systems says anything; the sounds cannot be written.
    """
    with one_thread_each():
        said: dict[str, list[tuple[Row, Sound | None]]] = {}
        for system in systems:
            began = time.monotonic()
            sounds = on_all_cores(system, sentences)
            said[system.name] = [_row(system, sentence, sound, folder)
                                 for sentence, sound in zip(sentences, sounds, strict=True)]
            failed = sum(isinstance(sound, Failure) for sound in sounds)
            say(f"{system.name}: {len(sounds) - failed} sentences in {time.monotonic() - began:.1f} s"
                + (f"; {failed} failed, such as: {next(s.reason for s in sounds if isinstance(s, Failure))}" if failed else ""))
        if not any(sound for pairs in said.values() for _, sound in pairs):
            raise UserError("no system has said anything; see the reasons above")
        return collect(said, measures, lambda name: say(f"measuring: {name}"))


def _row(system: System, sentence: Sentence, sound: Sound | Failure, folder: Path | None) -> tuple[Row, Sound | None]:
    row = Row(system.name, sentence.utterance, sentence.words)
    if isinstance(sound, Failure):
        row.failures[SOUND] = sound.reason
        return row, None
    row.seconds = round(sound.seconds, 3)
    if folder is not None:
        row.sound = f"sounds/{file_name(system.name)}/{file_name(sentence.utterance)}.wav"
        write_audio(folder / row.sound, sound.samples, sound.rate)
    return row, sound


def file_name(name: str) -> str:
    """A name as that of one file."""
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name).strip(". ") or "_"


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """While many sentences are said at once, torch takes one thread for each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
