"""The server as clients meet it: OpenAI's own package, raw requests, and a browser's page."""

import base64
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chatterbox_es.runs.checkpoint_files import vocoder_beside
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.voices import load_voice
from tests.conftest import REPOSITORY
from tests.tiny_voices import flow_voice, write_vocoder

av = pytest.importorskip("av")
openai = pytest.importorskip("openai")
pytest.importorskip("uvicorn")

TEXT = "El niño lee un libro. ¿Y quién se lo ha dado?"
LONG = " ".join(["El niño lee un libro que le ha dado su abuela."] * 200)
KEY = "una-clave-que-nadie-sabe"
RATE = 24_000


@contextlib.contextmanager
def serving(*arguments: str, key: str = ""):
    """A running server: its process and port."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CHATTERBOX_ES_KEY": key}
    process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.serve", "port=0", "threads=2", *arguments], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        said = [process.stdout.readline(), process.stdout.readline()]
        assert said[1].startswith("http://"), process.stderr.read()
        yield process, int(said[1].rstrip("/\n").rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=120)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice") / "tiny"
    folder.mkdir()
    flow_voice(shift=-3).save(folder / "voice.pt")
    write_vocoder(vocoder_beside(folder / "voice.pt"))
    return folder / "voice.pt"


@pytest.fixture(scope="module")
def port(voice):
    with serving(f"run={voice}", "longest=20000", "aliases=alloy:alex", "most=8") as (_, port):
        yield port


@pytest.fixture(scope="module")
def client(port):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)


def ask(port: int, body: bytes | dict, path: str = "/v1/audio/speech", method: str = "POST", **headers: str):
    """A raw request: status, body, headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def decoded(content: bytes) -> np.ndarray:
    """The samples of a sound file, at its own rate."""
    with av.open(io.BytesIO(content)) as file:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)] + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.fixture(scope="module")
def expected(voice) -> np.ndarray:
    speech = list(load_voice(voice, speaker="alex").stream(TEXT, 1.25, Manner(seed=3)))
    return np.concatenate([part.samples for part in speech])


# ---- sound


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_format_holds_what_the_voice_says(kind, client, expected):
    answer = client.audio.speech.create(model="tts-1", voice="alex", input=TEXT, response_format=kind, speed=1.25,
                                        extra_body={"seed": 3})
    content = answer.read()
    samples = np.frombuffer(content, "<i2") / 32767 if kind == "pcm" else decoded(content)
    assert answer.response.headers["content-type"].startswith("audio/")
    loudest = np.abs(expected).max()
    if kind in ("pcm", "flac", "wav"):
        assert len(samples) == len(expected)
        np.testing.assert_allclose(samples, expected, atol=1e-4 + 1e-3 * loudest)
    else:
        assert 0 <= len(samples) - len(expected) < 0.2 * RATE  # codecs fill a frame, and have a delay
        levels = [np.sqrt(np.square(some[:len(expected)].astype(float)).mean()) for some in (samples, expected)]
        assert levels[0] == pytest.approx(levels[1], rel=0.3)


def test_events_hold_the_same_sound(port):
    fields = {"input": TEXT, "voice": "alex", "response_format": "pcm"}
    status, body, headers = ask(port, fields | {"stream_format": "sse"})
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    *parts, done = [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n\n")[:-1]]
    assert {part["type"] for part in parts} == {"speech.audio.delta"} and done["type"] == "speech.audio.done"
    sound = b"".join(base64.b64decode(part["audio"]) for part in parts)
    assert sound == ask(port, fields)[1]
    assert done["usage"] == {"input_tokens": len(TEXT), "output_tokens": len(sound) // 2 // 480,
                             "total_tokens": len(TEXT) + len(sound) // 2 // 480}


def test_sound_comes_before_all_of_it_is_made(client):
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="dora", input=LONG[:9000],
                                                            response_format="pcm") as answer:
        parts = answer.iter_bytes(4096)
        first = next(parts)
        busy = json.loads(ask(answer.http_response.url.port, b"", "/health", "GET")[1])
        rest = b"".join(parts)
    assert busy["requests"] == 1 and len(first) == 4096 and len(rest) > 100 * RATE


def test_a_name_stands_for_a_voice_and_none_for_the_first(port, client):
    said = {name: client.audio.speech.create(model="tts-1", voice=name, input=TEXT, response_format="pcm").read()
            for name in ("dora", "alex", "alloy")}
    assert said["alloy"] == said["alex"] != said["dora"]
    assert ask(port, {"input": TEXT, "response_format": "pcm"})[1] == said["dora"]
    listed = json.loads(ask(port, b"", "/v1/audio/voices", "GET")[1])
    assert [voice["id"] for voice in listed["voices"]] == ["dora", "alex"] and listed["aliases"] == {"alloy": "alex"}


def test_marks_melody_and_times(port, voice):
    marked = {"input": '<speak>Una <break time="1s"/> casa.</speak>', "response_format": "pcm"}
    plain = {"input": "Una casa.", "response_format": "pcm"}
    assert len(ask(port, marked)[1]) > len(ask(port, plain)[1]) + RATE
    assert ask(port, plain | {"seed": 5, "temperature": 2})[1] != ask(port, plain)[1]
    status, body, _ = ask(port, plain | {"times": True})
    told, speech = json.loads(body), load_voice(voice).speak("Una casa.")
    assert status == 200 and [word["word"] for word in told["words"]] == ["una", "casa"] and told["rate"] == RATE
    assert len(base64.b64decode(told["audio"])) == 2 * len(speech.samples)
    assert told["words"][1]["start"] == pytest.approx(speech.times.words[1].start, abs=0.002)


def test_models_are_listed_and_found(client):
    names = [model.id for model in client.models.list()]
    assert "tts-1" in names and client.models.retrieve(names[0]).id == names[0]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


# ---- what cannot be answered


@pytest.mark.parametrize(("fields", "status", "param", "said"), [
    ({"input": ""}, 400, "input", "no text"),
    ({"input": " \n"}, 400, "input", "no text"),
    ({}, 400, "input", "no text"),
    ({"input": "a" * 100_000}, 400, "input", "100000 characters; at most 20000"),
    ({"input": "* * *"}, 400, "input", "can be spoken"),
    ({"input": "<speak>una"}, 400, "input", "SSML"),
    ({"input": ["a"]}, 400, "input", "must be a string"),
    ({"input": TEXT, "voice": "Alex"}, 400, "voice", "did you mean alex"),
    ({"input": TEXT, "voice": {"id": "ghost"}}, 400, "voice", "no such voice"),
    ({"input": TEXT, "model": "gpt-9"}, 404, "model", "no such model"),
    ({"input": TEXT, "speed": 5}, 400, "speed", "from 0.25 to 4"),
    ({"input": TEXT, "speed": "fast"}, 400, "speed", "must be a number"),
    ({"input": TEXT, "speed": True}, 400, "speed", "must be a number"),
    ({"input": TEXT, "response_format": "ogg"}, 400, "response_format", "must be one of mp3"),
    ({"input": TEXT, "stream_format": "ws"}, 400, "stream_format", "must be one of audio, sse"),
    ({"input": TEXT, "pitch": 99}, 400, "pitch", "from -24 to 24"),
    ({"input": TEXT, "seed": 1.5}, 400, "seed", "whole number"),
    ({"input": TEXT, "sped": 1}, 400, "sped", "did you mean speed"),
    ({"input": "\ud800"}, 400, "input", "half of a character"),
])
def test_a_wrong_request_is_answered_as_openai_does(fields, status, param, said, port):
    found, body, _ = ask(port, fields)
    error = json.loads(body)["error"]
    assert (found, error["param"], error["type"]) == (status, param, "invalid_request_error")
    assert said in error["message"] and "Traceback" not in error["message"]


@pytest.mark.parametrize(("body", "headers", "status"), [
    (b'{"input": "\xff"}', {}, 400), (b"{", {}, 400), (b"[1]", {}, 400), (b"[" * 5000, {}, 400),
    (b'{"input": NaN, "speed": NaN}', {}, 400), (b'{"input": "a", "speed": NaN}', {}, 400),
    (b" " * (1 << 20) + b"{}", {}, 413), (b"{}", {"Content-Type": "text/plain"}, 415),
    (b"{}", {"Host": "evil.example"}, 400),
])
def test_a_body_that_is_no_request_is_refused(body, headers, status, port):
    found, content, _ = ask(port, body, **headers)
    assert found == status and b"Traceback" not in content
    assert ask(port, {"input": "Sí.", "response_format": "pcm"})[0] == 200  # nothing is broken by it


def test_other_addresses_and_methods(port):
    assert ask(port, b"", "/v2", "GET")[0] == 404
    status, body, _ = ask(port, b"", "/v1/audio/speech", "GET")
    assert status == 405 and json.loads(body)["error"]["type"] == "invalid_request_error"


def test_openais_own_errors_come_of_it(client):
    with pytest.raises(openai.BadRequestError, match="no such voice"):
        client.audio.speech.create(model="tts-1", voice="ghost", input=TEXT)
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.audio.speech.create(model="gpt-9", voice="dora", input=TEXT)


def test_a_key_is_asked_for(voice):
    with serving(f"run={voice}", key=KEY) as (_, port):
        for key in ("", "wrong", KEY[:-1]):
            status, body, headers = ask(port, {"input": TEXT}, Authorization=f"Bearer {key}")
            assert status == 401 and json.loads(body)["error"]["code"] == "invalid_api_key" and headers["WWW-Authenticate"]
        right = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
        assert right.audio.speech.create(model="tts-1", voice="dora", input="Sí.", response_format="pcm").read()
        assert ask(port, b"", "/health", "GET")[0] == ask(port, b"", "/", "GET")[0] == 200


# ---- many at once


def test_short_texts_do_not_wait_for_long_ones(port):
    """Long ones are still being said when all the short ones, asked for later, have been."""
    with ThreadPoolExecutor(8) as pool:
        held = [unread(port, {"input": LONG[:9000], "response_format": "pcm"}) for _ in range(2)]
        short = list(pool.map(lambda _: ask(port, {"input": "Sí.", "response_format": "pcm"}), range(5)))
        assert [status for status, _, _ in short] == [200] * 5 and len({body for _, body, _ in short}) == 1
        assert json.loads(ask(port, b"", "/health", "GET")[1])["requests"] == 2
        for connection in held:
            connection.close()
    until(lambda: json.loads(ask(port, b"", "/health", "GET")[1])["requests"] == 0)  # who goes away gives his place back


def test_more_than_it_takes_are_sent_away(port):
    held = [unread(port, {"input": LONG[:9000], "response_format": "pcm"}) for _ in range(8)]
    status, body, headers = ask(port, {"input": "Sí."})
    assert status == 429 and json.loads(body)["error"]["type"] == "rate_limit_error" and int(headers["Retry-After"]) > 0
    for connection in held:
        connection.close()
    until(lambda: ask(port, {"input": "Sí."})[0] == 200)


def unread(port: int, fields: dict) -> socket.socket:
    """A client that has its first byte and reads no further, through a narrow window."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    body = json.dumps(fields).encode()
    connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def until(holds) -> None:
    pause = threading.Event()
    while not holds():  # the test's own time limit ends it
        pause.wait(0.05)


# ---- begin and end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_to_the_end_what_it_has_begun(number, voice):
    with serving(f"run={voice}", "longest=20000") as (process, port):
        text = LONG[:3000]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("POST", "/v1/audio/speech", json.dumps({"input": text, "response_format": "pcm"}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        first = answer.read(1000)
        process.send_signal(number)
        rest = answer.read()
        expected = sum(len(part.samples) for part in load_voice(voice).stream(text))
        assert (len(first) + len(rest)) / 2 == expected
        _, log = process.communicate(timeout=120)
        assert process.returncode == 0 and "Traceback" not in log
        assert re.search(r"said: dora, pcm, \d+ characters", log) and "niño" not in log


@pytest.mark.parametrize(("arguments", "key", "said"), [
    (["run=nowhere"], "", "nowhere"), (["host=0.0.0.0"], "", "CHATTERBOX_ES_KEY"), (["host=0.0.0.0"], "short", "16 ASCII"),
    (["port=99999"], "", "from 0 to 65535"), (["host=999.1.1.1"], KEY, "cannot be used"), (["most=0"], "", "at least 1"),
    (["run={voice}", "aliases=alloy"], "", "NAME:VOICE"), (["run={voice}", "aliases=alloy:ghost"], "", "no voice ghost"),
    (["run={voice}", "port={taken}"], "", "choose another port"), (["run={voice},{voice}"], "", "named twice"),
])
def test_what_is_wrong_at_the_start_is_a_sentence(arguments, key, said, voice, command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        written = [argument.format(voice=voice, taken=taken.getsockname()[1]) for argument in arguments]
        output = command("serve", *written, cwd=tmp_path, CHATTERBOX_ES_KEY=key)
    assert output.returncode == 2 and said in output.stderr and "Traceback" not in output.stderr


def test_the_page_asks_nothing_of_others(port):
    status, page, headers = ask(port, b"", "/", "GET")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and b'<html lang="es">' in page and "default-src 'none'" in policy and "script-src 'self'" in policy
    for name in re.findall(rb'(?:src|href)="([^"]+)"', page):
        assert ask(port, b"", f"/{name.decode()}", "GET")[0] == 200
    assert b"://" not in page
