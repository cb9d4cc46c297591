"""The voices that a server offers, and by which names clients ask for them."""

import dataclasses
import difflib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.server.api_error import ApiError
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import load_voice

KEPT = 4  # speakers that are held in memory beside each run's first, some 90 MB each
ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # OpenAI's models, which clients name without being asked


@dataclasses.dataclass(frozen=True)
class Offer:
    """A voice by its name."""

    name: str
    model: str  # the run that it is of, as it is listed
    speaker: str = ""


class OfferedVoices:
    """Each run loaded once, at the start; its other speakers when they are first asked for."""

    def __init__(self, runs: Sequence[Path], dialect: str | None = None, engine: str = "torch",
                 options: VoiceOptions | None = None, aliases: Mapping[str, str] | None = None):
        """
        Raises:
            UserError: a run cannot be loaded, two have one name, or an alias is of no voice.
        """
        self.runs: dict[str, Voice] = {}
        for place, run in enumerate(runs):
            if run.resolve() in [earlier.resolve() for earlier in runs[:place]]:
                raise UserError(f"run={run} is named twice")
            name = run.name if run.name not in self.runs else str(run)
            self.runs[name] = load_voice(run, dialect, engine, options=options)
        self.offers: dict[str, Offer] = {}
        for model, voice in self.runs.items():
            first = [voice.speaker] if voice.speaker else []
            for speaker in dict.fromkeys([*first, *voice.speakers]) or [""]:
                name = speaker or model
                name = name if name not in self.offers else f"{model}/{name}"
                self.offers[name] = Offer(name, model, speaker)
        self.aliases = dict(aliases or {})
        for alias, name in self.aliases.items():
            if name not in self.offers:
                raise UserError(f"aliases={alias}:{name}: there is no voice {name}; there are {', '.join(self.offers)}")
        self.loaded: OrderedDict[str, Voice] = OrderedDict()
        self.lock = threading.Lock()

    @property
    def models(self) -> list[str]:
        """Names that a request may call its model."""
        return [*self.runs, *ALIASES]

    def find(self, name: str, model: str) -> Offer:
        """The voice of a name, or the first of a model.

        Raises:
            ApiError: there is no such voice or model.
        """
        if model and model not in self.models:
            raise ApiError(404, f"model={model[:60]}: there is no such model; there are {', '.join(self.models)}", "model",
                           "model_not_found")
        of_model = [offer for offer in self.offers.values() if model in ("", *ALIASES) or offer.model == model]
        asked = self.aliases.get(name, name)
        found = next((offer for offer in of_model if asked in ("", offer.name)), None)
        if found is None:
            names = [offer.name for offer in of_model]
            near = difflib.get_close_matches(asked, names, 1)
            raise ApiError(400, f"voice={name[:60]}: there is no such voice{f'; did you mean {near[0]}?' if near else ''} "
                                f"There are: {', '.join(names)}", "voice", "voice_not_found")
        return found

    def voice(self, offer: Offer) -> Voice:
        """Ready to speak; takes a moment when a speaker is first asked for."""
        run = self.runs[offer.model]
        if offer.speaker == run.speaker:
            return run
        with self.lock:
            if offer.name not in self.loaded:
                self.loaded[offer.name] = run.as_speaker(offer.speaker)
            self.loaded.move_to_end(offer.name)
            while len(self.loaded) > KEPT:
                self.loaded.popitem(last=False)
            return self.loaded[offer.name]
