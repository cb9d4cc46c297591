"""A request for speech: OpenAI's fields, and ours beside them.

https://platform.openai.com/docs/api-reference/audio/createSpeech
"""

import dataclasses
import difflib
import json
import math
from typing import Any, get_args

from chatterbox_es.errors import UserError
from chatterbox_es.server.api_error import ApiError
from chatterbox_es.server.encoding import FORMATS, MP3
from chatterbox_es.speech.manner import BOUNDS, Manner
from chatterbox_es.text.script import AUTO, Marks

SLOWEST, FASTEST = 0.25, 4.0  # OpenAI's
IGNORED = ("instructions", "stream", "user")  # of OpenAI's or its clients'; they have no meaning here
AUDIO, EVENTS = "audio", "sse"  # how a sound is sent: as a file, or as server-sent events that hold parts of it
OF_MANNER = ("pitch", "range", "energy", "temperature", "seed")


@dataclasses.dataclass(frozen=True)
class SpeechRequest:
    """What is to be said, and how."""

    input: str
    voice: str = ""  # none: the first that is offered
    model: str = ""
    response_format: str = MP3
    speed: float = 1.0
    stream_format: str = AUDIO
    marks: str = AUTO  # of ours, as all below
    times: bool = False  # answer with JSON: the whole sound, and when each word is heard
    pitch: float = 0.0
    range: float = 1.0
    energy: float = 0.0
    temperature: float | None = None
    seed: int = 0

    @property
    def manner(self) -> Manner:
        return Manner(**{name: getattr(self, name) for name in OF_MANNER})


def read_request(body: bytes, longest: int) -> SpeechRequest:
    """A request from its body.

    Raises:
        ApiError: it is no JSON object in UTF-8, a field is missing, unknown, or has a value that it cannot have.
    """
    fields = _fields(body)
    known = [field.name for field in dataclasses.fields(SpeechRequest)]
    for name in fields:
        if name not in known and name not in IGNORED:
            near = difflib.get_close_matches(name, known, 1)
            raise ApiError(400, f"unknown field '{name}'{f'; did you mean {near[0]}?' if near else ''}", name, "unknown_field")
    request = SpeechRequest(**{"input": "", **{name: _value(name, value) for name, value in fields.items() if name in known
                                               and value is not None}})
    if not request.input.strip():
        raise ApiError(400, "input: there is no text to say", "input", "missing_input")
    if len(request.input) > longest:
        raise ApiError(400, f"input: {len(request.input)} characters; at most {longest} are said at once", "input",
                       "string_above_max_length")
    _check(request)
    return request


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 (byte {error.start})", code="invalid_encoding") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON ({error})", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise ApiError(400, 'the body is no JSON object, such as {"input": "Hola."}', code="invalid_json")
    return fields


def _value(name: str, value: Any) -> Any:
    """A field's value in its type."""
    if name == "voice" and isinstance(value, dict):  # of OpenAI's own voices, {"id": …}
        value = value.get("id")
    if name == "times":
        kinds: tuple[type, ...] = (bool,)
    elif name == "seed":
        kinds = (int,)
    elif name in ("speed", *OF_MANNER):
        kinds = (int, float)
    else:
        kinds = (str,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = {bool: "true or false", int: "a whole number", str: "a string"}[kinds[0]]
        raise ApiError(400, f"{name}: must be {'a number' if float in kinds else wanted}", name, "invalid_type")
    if isinstance(value, float) and not math.isfinite(value):
        raise ApiError(400, f"{name}: must be a finite number", name, "invalid_value")
    if isinstance(value, str) and (lone := [letter for letter in value if "\ud800" <= letter <= "\udfff"]):
        raise ApiError(400, f"{name}: {lone[0]!a} is half of a character", name, "invalid_encoding")
    return value


def _check(request: SpeechRequest) -> None:
    if not SLOWEST <= request.speed <= FASTEST:
        raise ApiError(400, f"speed={request.speed:g}: must be from {SLOWEST:g} to {FASTEST:g}", "speed", "invalid_value")
    for name, choices in (("response_format", FORMATS), ("marks", get_args(Marks)), ("stream_format", (AUDIO, EVENTS))):
        if (value := getattr(request, name)) not in choices:
            raise ApiError(400, f"{name}={value[:40]}: must be one of {', '.join(choices)}", name, "invalid_value")
    try:
        request.manner.check()
    except UserError as error:
        name = str(error).partition("=")[0]
        raise ApiError(400, str(error), name if name in BOUNDS else None, "invalid_value") from None
