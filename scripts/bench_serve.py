"""How many a server serves: clients that ask again and again, some of whom read slowly or go away.

    python scripts/bench_serve.py [run=base] [clients=50] [minutes=2] [every=20] [slow=10] [threads=2]

Each client asks for a sentence of some 60 characters every so many seconds, beginning at a time of its own, in mp3. Slow ones
read 2 kB a second; each tenth request of the others is broken off in the middle. At the end SIGTERM comes while sentences are
being said: those must come whole. Prints a row for docs/benchmarks.md.
"""

import asyncio
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil

from chatterbox_es import command_line
from chatterbox_es.corpus.espeak_demo import read_sentences
from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import commit

LETTERS = 60
SLOW_BYTES = 2000  # a second


@dataclasses.dataclass
class Options:
    run: str = command_line.path_field("the voice", default="base")
    clients: int = dataclasses.field(default=50, metadata={"help": "at once"})
    minutes: float = dataclasses.field(default=2.0, metadata={"help": "how long they ask"})
    every: float = dataclasses.field(default=20.0, metadata={"help": "seconds from one request of a client to its next"})
    slow: int = dataclasses.field(default=10, metadata={"help": "of the clients, read slowly"})
    threads: int = dataclasses.field(default=2, metadata={"help": "of the server"})


@dataclasses.dataclass
class Outcome:
    """What became of the requests."""

    first: list[float] = dataclasses.field(default_factory=list)  # seconds to the first byte of a sound
    whole: int = 0
    left: int = 0  # broken off on purpose
    refused: int = 0  # answered with a status that is no sound
    lost: int = 0  # begun, and not ended


async def ask(port: int, text: str, outcome: Outcome, slow: bool = False, leave: bool = False) -> None:
    body = json.dumps({"input": text}).encode()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    try:
        writer.write(b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     + f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            outcome.refused += 1
            return
        content = await reader.read(1024)
        outcome.first.append(time.perf_counter() - began)
        if leave:
            outcome.left += 1
            return
        while more := await reader.read(1024):
            content += more
            content = content[-16:]
            if slow:
                await asyncio.sleep(len(more) / SLOW_BYTES)
        if content.endswith(b"0\r\n\r\n"):  # the last chunk
            outcome.whole += 1
        else:
            outcome.lost += 1
    except (OSError, asyncio.IncompleteReadError):
        outcome.lost += 1
    finally:
        writer.close()


async def client(number: int, port: int, texts: list[str], options: Options, outcome: Outcome, end: float) -> None:
    chance = random.Random(number)
    await asyncio.sleep(chance.random() * options.every)
    for count in range(1_000_000):
        if time.monotonic() > end:
            return
        next_at = time.monotonic() + options.every
        slow = number < options.slow
        await ask(port, chance.choice(texts), outcome, slow, not slow and count % 10 == 3)
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))


async def load(port: int, texts: list[str], options: Options,
               process: subprocess.Popen) -> tuple[Outcome, list[float], Outcome]:
    """The clients, the server's memory while they ask, and what is said when it is ended meanwhile."""
    outcome, memory = Outcome(), []
    end = time.monotonic() + 60 * options.minutes
    clients = [asyncio.create_task(client(number, port, texts, options, outcome, end)) for number in range(options.clients)]
    while not all(task.done() for task in clients):
        memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
        await asyncio.sleep(1)
    last = Outcome()
    asked = [asyncio.create_task(ask(port, " ".join(texts[:8]), last)) for _ in range(4)]
    while len(last.first) < len(asked) and not all(task.done() for task in asked):
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients, *asked)
    return outcome, memory, last


def main() -> None:
    options = command_line.parse(Options, sys.argv[1:], __doc__)
    texts = [sentence.text for sentence in read_sentences() if abs(len(sentence.text) - LETTERS) <= 12]
    before = os.getloadavg()[0]
    process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.serve", f"run={options.run}", "port=0",
                                f"threads={options.threads}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said = [process.stdout.readline() for _ in range(2)] if process.stdout else []
    found = re.search(r":(\d+)/$", said[-1].strip()) if said else None
    if found is None:
        raise UserError(f"the server does not start: python -m chatterbox_es.serve run={options.run}")
    outcome, memory, last = asyncio.run(load(int(found[1]), texts, options, process))
    code = process.wait(60)
    first = np.array(outcome.first)
    quarter = max(1, len(memory) // 4)
    print(f"commit {commit()}, load before: {before:.1f}")
    print("| requests | whole | left on purpose | refused | lost | first byte: median, 99 % "
          "| memory: first quarter, last, most | after SIGTERM: whole, lost; exit |\n|---|---|---|---|---|---|---|---|")
    print(f"| {len(first) + outcome.refused} | {outcome.whole} | {outcome.left} | {outcome.refused} | **{outcome.lost}** "
          f"| **{np.median(first):.2f}**, {np.quantile(first, 0.99):.2f} s "
          f"| {np.mean(memory[:quarter]):.0f}, {np.mean(memory[-quarter:]):.0f}, {max(memory):.0f} MB "
          f"| {last.whole}, {last.lost}; {code} |")


if __name__ == "__main__":
    command_line.run(main)
