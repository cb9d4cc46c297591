"""The voices that the demo offers: finished runs and the selected voice, those that cannot speak with the reason."""

import dataclasses
import threading
from collections import OrderedDict
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.models.recipe import StoredModel
from chatterbox_es.runs.checkpoint_files import BASE, BEST, VOICE, is_base, voice_file
from chatterbox_es.runs.run_directory import DAMAGED, finished_runs, runs_below, state_of
from chatterbox_es.speech.onnx_voice import OnnxModel
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import is_voice, load_voice
from chatterbox_es.text import SymbolTable

KEPT = 3  # voices held in memory, some 120 MB each


@dataclasses.dataclass(frozen=True)
class Offer:
    """A voice as the page lists it: ``reason`` says why it cannot speak, or is empty."""

    name: str
    run: Path
    dialect: str = ""
    reason: str = ""
    speakers: tuple[str, ...] = ()  # to choose from; none where the voice has but one
    has_prosody: bool = False


class Shelf:
    """Voices below ``outputs`` and the one that was named, loaded when first asked for; safe for several users at once."""

    def __init__(self, outputs: Path, run: Path | None = None, engine: str = "torch", options: VoiceOptions | None = None):
        self.outputs, self.run, self.engine, self.options = outputs, run, engine, options
        self.loaded: OrderedDict[tuple[Path, int, str], Voice] = OrderedDict()
        self.lock = threading.Lock()

    def runs(self) -> dict[str, Path]:
        """Name → run: the named voice, the selected one, finished runs, the newest first, then the base voice."""
        runs = [self.run] if self.run else []
        best = self.outputs / BEST
        if (best / VOICE).is_file():
            runs.append(best)
        finished = [run for run in finished_runs(self.outputs) if is_voice(run)]
        base = [Path(BASE)] if is_base(Path(BASE)) else []
        return {self._name(run): run for run in (*runs, *reversed(finished), *base)}

    def offers(self) -> list[Offer]:
        """What `runs` gives, each looked at; then the runs that are damaged."""
        torn = [run for run in runs_below(self.outputs) if state_of(run) == DAMAGED]
        return [self._offer(run) for run in self.runs().values()] + [
            Offer(self._name(run), run, reason=f"{run}/run.json cannot be read") for run in torn]

    def speakers(self, name: str | None) -> tuple[str, ...]:
        """The speakers of a voice; none where it has but one, or cannot speak."""
        run = self.runs().get(name) if name else None
        return self._offer(run).speakers if run else ()

    def has_prosody(self, name: str | None) -> bool:
        """Whether pitch and liveliness of a voice can be chosen."""
        run = self.runs().get(name) if name else None
        return self._offer(run).has_prosody if run else False

    def _offer(self, run: Path) -> Offer:
        try:
            checkpoint = facts_of(voice_file(run))
            checkpoint.check_symbols(SymbolTable(), str(run), "this version")
        except (UserError, KeyError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, UserError) else f"the checkpoint lacks what it should hold ({error})"
            return Offer(self._name(run), run, reason=reason)
        speakers = () if self.engine == "onnx" else tuple(checkpoint.model.get("speakers", ()))
        return Offer(self._name(run), run, checkpoint.front_end["dialect"], speakers=speakers,
                     has_prosody=bool(checkpoint.model.get("prosody")))

    def _name(self, run: Path) -> str:
        try:
            return str(run.relative_to(self.outputs))
        except ValueError:
            return str(run)

    def voice(self, name: str, speaker: str = "") -> Voice:
        """The voice of that name, from memory when its file has not changed since.

        Raises:
            UserError: there is none of that name, it cannot be loaded, or has no such speaker.
        """
        run = self.runs().get(name)
        if run is None:
            raise UserError(f"there is no voice {name!r} any more")
        path = voice_file(run)
        key = (path, path.stat().st_mtime_ns, speaker)
        with self.lock:
            if key not in self.loaded:
                self.loaded[key] = load_voice(path, engine=self.engine, speaker=speaker, options=self.options)
            self.loaded.move_to_end(key)
            while len(self.loaded) > KEPT:
                self.loaded.popitem(last=False)
            return self.loaded[key]


def facts_of(path: Path) -> StoredModel:
    """What a voice's file says of itself; weights are not read."""
    return OnnxModel(path).checkpoint if path.suffix == ".onnx" else load_checkpoint(path, mmap=True)
