"""A trained voice: text in, sound out."""

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from chatterbox_es.acoustics.vocoder import GriffinLim, Vocoder
from chatterbox_es.checkpoints import Checkpoint, load_checkpoint
from chatterbox_es.errors import UserError
from chatterbox_es.run_directory import final_checkpoint, finished_runs
from chatterbox_es.text import FrontEnd, Reading

BEST, VOICE = "best", "voice.pt"  # what a selection leaves below outputs/
LONG_TEXT = 400  # tokens, some 30 s of speech: longer than any sentence that voices are trained on


@dataclasses.dataclass
class Speech:
    """One spoken text."""

    reading: Reading
    mel: np.ndarray  # (frames, bins), natural logarithm
    durations: np.ndarray  # (tokens,) frames
    samples: np.ndarray  # (samples,) float32 in [-1, 1]
    rate: int  # Hz


class Voice:
    """A checkpoint with the front end it was trained with, and a vocoder."""

    def __init__(self, checkpoint: Checkpoint, name: str, dialect: str | None = None, vocoder: Vocoder | None = None):
        self.checkpoint, self.model = checkpoint, checkpoint.build()
        self.front_end = _front_end(checkpoint, dialect)
        checkpoint.check_symbols(self.front_end.table, name, "this version")
        self.vocoder = vocoder or GriffinLim(checkpoint.contract)

    @classmethod
    def load(cls, run: Path, dialect: str | None = None) -> "Voice":
        """The voice of a run (its final checkpoint), of ``outputs/best``, or of a checkpoint's file."""
        path = run / VOICE if (run / VOICE).is_file() else final_checkpoint(run)
        return cls(load_checkpoint(path), str(path), dialect)

    def speak(self, text: str, speed: float = 1.0) -> Speech:
        """Say a text with the model's own durations; ``speed`` 2 takes half the time.

        Raises:
            UserError: nothing in the text can be spoken, or the speed is not above 0.
        """
        if not speed > 0:
            raise UserError(f"speed={speed}: must be above 0; 1 is the voice's own")
        whole = self.front_end.read(text)
        # A long text is said sentence by sentence, as the voice was trained; the pauses are its final marks' own.
        parts = [self.front_end.read(sentence) for sentence in whole.sentences] if len(whole.ids) > LONG_TEXT else [whole]
        parts = [part for part in parts if part.is_speakable]
        if not parts:
            raise UserError(f"nothing in {text!r} can be spoken")
        said = [self.model.speak(torch.tensor(part.ids), speed) for part in parts]
        mel = self.checkpoint.statistics.restore(torch.cat([mels for mels, _ in said])).numpy()
        durations = torch.cat([durations for _, durations in said]).numpy()
        phonemes = sum((part.phonemes for part in parts), ())
        reading = dataclasses.replace(whole, phonemes=phonemes, ids=sum((part.ids for part in parts), ()))
        return Speech(reading, mel, durations, self.vocoder(mel), self.checkpoint.contract.sample_rate)


def newest_voice(outputs: Path) -> Path:
    """The voice that was selected (``outputs/best``); or the newest finished run of the whole model, or else of any phase.

    Raises:
        UserError: there is none.
    """
    if (outputs / BEST / VOICE).is_file():
        return outputs / BEST
    runs = finished_runs(outputs)
    whole = [run for run in runs if any((run / "checkpoints").glob("final_full_model.pt"))]
    if not runs:
        raise UserError(f"there is no finished run in {outputs}/ to speak with; train one "
                        "(python -m chatterbox_es.train), or name a run or a checkpoint: run=PATH")
    return (whole or runs)[-1]


def chosen_from(run: Path) -> str:
    """For ``outputs/best``, which checkpoint was selected; nothing for a run."""
    try:
        selection = json.loads((run / "selection.json").read_text(encoding="utf-8"))
    except OSError:
        return ""
    return f" (selected by {selection['by']}: {selection['ranking'][0]['checkpoint']})"


def _front_end(checkpoint: Checkpoint, dialect: str | None) -> FrontEnd:
    """The front end of the checkpoint; its lexicon travels inside it."""
    dialect, lexicon = dialect or checkpoint.front_end["dialect"], checkpoint.front_end["lexicon"]
    if not lexicon:
        return FrontEnd(dialect)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lexicon.tsv")
        path.write_text(lexicon, encoding="utf-8")
        return FrontEnd(dialect, lexicon=path)
