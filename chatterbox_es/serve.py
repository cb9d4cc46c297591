"""A server that speaks: OpenAI's interface of speech, for programs that know it, and a page to try it.

    python -m chatterbox_es.serve                          the newest voice, on http://127.0.0.1:8000
    python -m chatterbox_es.serve run=outputs/best,base port=8080
    CHATTERBOX_ES_KEY=… python -m chatterbox_es.serve host=0.0.0.0

It ends on Ctrl-C or SIGTERM, when it has said what it was saying.
"""

import dataclasses
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import torch

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.server.encoding import MP3, Encoder
from chatterbox_es.server.offered_voices import OfferedVoices
from chatterbox_es.speech.options import AUTO, VOCODER_HELP, VoiceOptions
from chatterbox_es.speech.voices import ENGINES, newest_voice

KEY = "CHATTERBOX_ES_KEY"
SHORTEST_KEY = 16  # characters
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE_SECONDS = 30  # to finish what is being said


@dataclasses.dataclass
class ServeOptions:
    run: str = command_line.path_field("runs, checkpoints, exported .onnx or base, with commas between; none: the selected "
                                       "one, the newest, or base")
    outputs: str = command_line.path_field("where runs are looked for", default="outputs")
    dialect: str = dataclasses.field(default="", metadata={"help": "none: the one each voice was trained in"})
    engine: str = dataclasses.field(default="torch", metadata={"help": " or ".join(ENGINES)})
    vocoder: str = command_line.path_field(VOCODER_HELP, default=AUTO)
    aliases: str = dataclasses.field(default="", metadata={"help": "other names of voices: alloy:dora,onyx:alex"})
    host: str = dataclasses.field(default="127.0.0.1", metadata={
        "help": f"0.0.0.0 lets other machines in, who need the key that is in the environment, {KEY}"})
    port: int = dataclasses.field(default=8000, metadata={"help": "0 takes a free one"})
    longest: int = dataclasses.field(default=4096, metadata={"help": "characters of a text"})
    most: int = dataclasses.field(default=64, metadata={"help": "requests at once, those that wait included"})
    threads: int = dataclasses.field(default=0, metadata={"help": "that speak, each on a core; 0: as many as there are cores"})
    origins: str = dataclasses.field(default="", metadata={"help": "web pages elsewhere that may ask: https://example.org,…"})


def main() -> None:
    options = command_line.parse(ServeOptions, sys.argv[1:], __doc__)
    check(options)
    try:
        import uvicorn

        from chatterbox_es.server.app import Limits, Server  # whose packages are optional
    except ImportError as error:
        raise UserError(f"serving needs packages that are not here ({error}): pip install 'chatterbox-es[serve]'") from None
    Encoder(MP3, 24_000)  # says now what is missing
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("chatterbox_es").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # each failure has a line of ours
    threads = options.threads or os.cpu_count() or 1
    torch.set_num_threads(1)  # each of the threads that speak computes by itself
    runs = command_line.listed_paths(options.run) or [newest_voice(Path(options.outputs))]
    voices = OfferedVoices(runs, options.dialect or None, options.engine, VoiceOptions(vocoder=options.vocoder),
                           aliases_of(options.aliases))
    hosts = (*LOOPBACK, "[::1]") if options.host in LOOPBACK else ("*",)
    limits = Limits(options.longest, options.most, threads, os.environ.get(KEY, ""), hosts,
                    tuple(filter(None, options.origins.split(","))))
    listening = bound(options.host, options.port)
    host, port = listening.getsockname()[:2]
    print(f"voices: {', '.join(voices.offers)}\nhttp://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
    app = Server(voices, limits).app()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False,
                                           timeout_graceful_shutdown=GRACE_SECONDS, timeout_keep_alive=30))
    for number in (signal.SIGTERM, signal.SIGINT):  # which uvicorn raises again when it has ended well
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])


def check(options: ServeOptions) -> None:
    """
    Raises:
        UserError: a value is out of its range, or others could use the server without a key.
    """
    for name, least in (("longest", 1), ("most", 1), ("threads", 0)):
        if getattr(options, name) < least:
            raise UserError(f"{name}={getattr(options, name)}: must be at least {least}")
    key = os.environ.get(KEY, "")
    if key and (len(key) < SHORTEST_KEY or not key.isascii() or key.split() != [key]):
        raise UserError(f"the key in {KEY} must have at least {SHORTEST_KEY} ASCII characters and no spaces; one is made by "
                        "python -c 'import secrets; print(secrets.token_urlsafe())'")
    if options.host not in LOOPBACK and not key:
        raise UserError(f"host={options.host} lets other machines in: they need a key, in the environment variable {KEY} of "
                        "the server, which they send as Authorization: Bearer KEY")


def aliases_of(written: str) -> dict[str, str]:
    """
    Raises:
        UserError: something has no colon.
    """
    pairs = [part.partition(":") for part in written.split(",") if part.strip()]
    if wrong := [name for name, colon, voice in pairs if not (name.strip() and colon and voice.strip())]:
        raise UserError(f"aliases={written}: {wrong[0]!r} must be NAME:VOICE, such as alloy:dora")
    return {name.strip(): voice.strip() for name, _, voice in pairs}


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: it cannot.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"port={port}: must be from 0 to 65535")
    try:
        family = socket.AF_INET6 if ":" in host and ipaddress.ip_address(host).version == 6 else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"host={host} port={port} cannot be used ({reason}): choose another port, or another host") from error


if __name__ == "__main__":
    command_line.run(main)
