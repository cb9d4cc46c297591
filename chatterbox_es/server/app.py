"""What the server answers.

    POST /v1/audio/speech        a sound, as it is made: docs/serving.md
    GET  /v1/models, /v1/models/NAME, /v1/audio/voices
    GET  /health
    GET  /                       a page to try it
"""

import asyncio
import base64
import contextlib
import dataclasses
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from chatterbox_es.errors import UserError
from chatterbox_es.server.api_error import ApiError
from chatterbox_es.server.encoding import MEDIA_TYPES, Encoder
from chatterbox_es.server.offered_voices import Offer, OfferedVoices
from chatterbox_es.server.speech_request import EVENTS, SpeechRequest, read_request
from chatterbox_es.server.turns import Turns
from chatterbox_es.speech.subtitles import written
from chatterbox_es.speech.voice import Voice

log = logging.getLogger(__name__)
LARGEST_BODY = 1 << 20  # bytes
BODY_SECONDS, STALLED_SECONDS, ANSWER_SECONDS = 30, 60, 1800  # to send a body; to read a piece of sound; for all of a sound
PAGE = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"), "/page.css": ("page.css", "text/css")}
SAFE = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                   "media-src blob:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server lets clients do."""

    longest: int  # characters of a text
    most: int  # requests at once, those that wait included
    threads: int  # that speak
    key: str = ""  # that clients have to know; none: all may ask
    hosts: Sequence[str] = ("*",)  # names by which they may call the server
    origins: Sequence[str] = ()  # of pages elsewhere, that may ask


class Server:
    """The answers to all requests."""

    def __init__(self, voices: OfferedVoices, limits: Limits):
        self.voices, self.limits, self.began = voices, limits, int(time.time())
        self.turns = Turns(limits.threads, limits.most)

    def app(self) -> Starlette:
        page = [Route(path, self.page) for path in PAGE]
        middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(self.limits.hosts))]
        if self.limits.origins:
            middleware.append(Middleware(CORSMiddleware, allow_origins=list(self.limits.origins), allow_methods=["GET", "POST"],
                                         allow_headers=["authorization", "content-type"]))
        return Starlette(routes=[Route("/v1/audio/speech", self.speech, methods=["POST"]), Route("/v1/models", self.models),
                                 Route("/v1/models/{name:path}", self.model), Route("/v1/audio/voices", self.listed),
                                 Route("/health", self.health), *page],
                         middleware=middleware,
                         exception_handlers={ApiError: told, HTTPException: told, Exception: told})

    async def speech(self, request: Request) -> Response:
        began = time.monotonic()
        self.admit(request)
        asked = read_request(await body_of(request), self.limits.longest)
        offer = self.voices.find(asked.voice, asked.model)
        place = contextlib.ExitStack()  # which is left when the answer has ended, and not when this function has
        place.enter_context(self.turns.place())
        saying = Saying(asked, offer, began, place.close)
        try:
            voice = await self.turns.take(lambda: self.voices.voice(offer))
            if asked.times:
                answer = await self.turns.take(lambda: with_times(asked, voice))
                saying.end("whole")
                return JSONResponse(answer)
            pieces = self.turns.pieces(saying.sent(voice))
            first = await anext(pieces)
        except UserError as error:
            saying.end("refused")
            raise ApiError(400, str(error), "input", "cannot_be_said") from error
        except BaseException:
            saying.end("failed")
            raise
        return Sound(first, pieces, saying)

    async def models(self, request: Request) -> Response:
        self.admit(request)
        return JSONResponse({"object": "list", "data": [self._model(name) for name in self.voices.models]})

    async def model(self, request: Request) -> Response:
        self.admit(request)
        name = request.path_params["name"]
        if name not in self.voices.models:
            raise ApiError(404, f"there is no model {name[:60]}", "model", "model_not_found")
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.began, "owned_by": "chatterbox_es"}

    async def listed(self, request: Request) -> Response:
        self.admit(request)
        return JSONResponse({"voices": [{"id": name, "name": name, "model": offer.model, "language": "es"}
                                        for name, offer in self.voices.offers.items()], "aliases": self.voices.aliases})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "requests": self.turns.taken})

    async def page(self, request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(Path(__file__).with_name(name).read_bytes(), media_type=kind, headers=SAFE)

    def admit(self, request: Request) -> None:
        """
        Raises:
            ApiError: a key is needed, and this is not it.
        """
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self.limits.key and not hmac.compare_digest(given.encode(), self.limits.key.encode()):
            raise ApiError(401, "the key is wrong, or there is none: send it as Authorization: Bearer KEY",
                           code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


class Saying:
    """One text that is being said: its bytes, and what is written about it afterwards."""

    def __init__(self, asked: SpeechRequest, offer: Offer, began: float, done: Callable[[], None]):
        self.asked, self.offer, self.began, self.done = asked, offer, began, done
        self.seconds, self.first, self.is_over = 0.0, 0.0, False

    def encoded(self, voice: Voice) -> Iterator[bytes]:
        """The sound's bytes, as they are made."""
        asked, rate = self.asked, voice.checkpoint.contract.sample_rate
        encoder = Encoder(asked.response_format, rate)
        for piece in voice.sounds(asked.input, asked.speed, asked.manner, asked.marks):
            self.seconds += len(piece.samples) / rate
            if content := encoder.encode(piece.samples):
                self.first = self.first or time.monotonic() - self.began
                yield content
        if content := encoder.finish():
            yield content

    def sent(self, voice: Voice) -> Iterator[bytes]:
        """What a client is sent: the bytes, or OpenAI's events with them in base64. Its counts of tokens are of characters and
        of frames here."""
        if self.asked.stream_format != EVENTS:
            yield from self.encoded(voice)
            return
        for content in self.encoded(voice):
            yield event(type="speech.audio.delta", audio=base64.b64encode(content).decode())
        contract = voice.checkpoint.contract
        read, made = len(self.asked.input), round(self.seconds * contract.sample_rate / contract.hop)
        yield event(type="speech.audio.done", usage={"input_tokens": read, "output_tokens": made, "total_tokens": read + made})

    def end(self, how: str) -> None:
        """Give back its place, and write a line without a word of the text; once."""
        if self.is_over:
            return
        self.is_over = True
        self.done()
        log.info("%s: %s, %s, %d characters, %.1f s of sound, first after %.2f s, all in %.1f s", how, self.offer.name,
                 self.asked.response_format, len(self.asked.input), self.seconds, self.first, time.monotonic() - self.began)


class Sound(StreamingResponse):
    """A sound that is sent while it is made. Who does not read it for long is left."""

    def __init__(self, first: bytes, pieces: AsyncIterator[bytes], saying: Saying):
        ignored = {"Cache-Control": "no-store"}
        asked = saying.asked
        kind = "text/event-stream" if asked.stream_format == EVENTS else MEDIA_TYPES[asked.response_format]
        super().__init__(self._joined(first, pieces), media_type=kind, headers=ignored)
        self.saying, self.how = saying, "left"

    async def _joined(self, first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece
        self.how = "said"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await super().__call__(scope, receive, in_time)
        except (TimeoutError, ClientDisconnect, OSError):
            pass  # the connection is closed, since the answer has not ended
        except Exception as error:
            self.how = f"failed ({type(error).__name__}: {error})"
        finally:
            self.saying.end(self.how)


def event(**fields: Any) -> bytes:
    """A server-sent event (WHATWG's HTML standard, 9.2)."""
    return f"data: {json.dumps(fields)}\n\n".encode()


def with_times(asked: SpeechRequest, voice: Voice) -> dict[str, Any]:
    """The whole sound of a text, and when each of its words is heard."""
    speech = voice.speak(asked.input, asked.speed, asked.manner, asked.marks)
    encoder = Encoder(asked.response_format, speech.rate)
    content = encoder.encode(speech.samples) + encoder.finish()
    return {"audio": base64.b64encode(content).decode(), "response_format": asked.response_format, "rate": speech.rate,
            **json.loads(written(speech.times, "json"))}


async def body_of(request: Request) -> bytes:
    """
    Raises:
        ApiError: it is not declared as JSON (which pages of other sites could send unasked), too long, or too slow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"Content-Type: {kind[:60] or 'none'}: must be application/json", code="unsupported_media_type")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise ApiError(413, f"the body has more than {LARGEST_BODY} bytes", code="request_too_large")
    except TimeoutError:
        raise ApiError(408, f"the body has not come within {BODY_SECONDS} s", code="timeout") from None
    return bytes(body)


async def told(request: Request, error: Exception) -> Response:
    """An error as clients read it; what nobody foresaw is written down here, and not told."""
    if isinstance(error, HTTPException):
        what = {404: "there is nothing at this address", 405: "this address takes another method"}
        error = ApiError(error.status_code, what.get(error.status_code, str(error.detail)), headers=dict(error.headers or {}))
    if not isinstance(error, ApiError):
        log.error("failed: %s: %s", type(error).__name__, error)
        error = ApiError(500, "this server has failed to answer; its log says why")
    return JSONResponse(error.body(), error.status, headers=error.headers)
