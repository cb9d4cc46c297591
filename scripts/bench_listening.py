"""Whether a listening test's intervals hold what they promise, and whether its server loses answers.

    python scripts/bench_listening.py [what=panel] [method=mos] [simulations=200]
    python scripts/bench_listening.py what=server [listeners=100]

panel: simulated listeners with known true scores answer, some of them at random; how often the true means lie in the
95 % intervals, who is left out, and the same with the pigeonhole bootstrap (Owen, 2007) beside it. server: as many listeners
at once answer over HTTP, each answer sent twice now and then, and the server is killed (SIGKILL) half-way and started
again. It leaves with exit code 1 when coverage is below 90 %, or an acknowledged answer is lost, changed or doubled.
"""

import dataclasses
import http.client
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from chatterbox_es import command_line
from chatterbox_es.listening.analysis import Results, analyse
from chatterbox_es.listening.answers import Answer, AnswerStore, Listener
from chatterbox_es.listening.design import ANCHOR, REFERENCE, Design, Trial, plan
from chatterbox_es.listening.ratings import ratings_of
from chatterbox_es.listening.scales import METHODS, SCALES

COVERAGE = 0.90
QUALITY = {REFERENCE: 4.5, ANCHOR: 2.4}  # utilities on the scale of MOS; systems' lie between
SPREAD = {"listener": 0.35, "taste": 0.25, "sentence": 0.25, "slip": 0.25, "noise": 0.7}
"""Standard deviations: a listener's severity and taste for a system, a sentence's ease, a system's on it, the rest."""
INATTENTION = 0.01  # of attention checks that careful listeners get wrong


@dataclasses.dataclass
class BenchOptions:
    """The arguments of the command."""

    what: str = dataclasses.field(default="panel", metadata={"help": "panel | server"})
    method: str = dataclasses.field(default="mos", metadata={"help": "mos | ab | cmos | mushra | all"})
    heard: str = dataclasses.field(default="all", metadata={"help": "all | once"})
    simulations: int = dataclasses.field(default=200, metadata={"help": "panels"})
    listeners: int = dataclasses.field(default=0, metadata={"help": "0: 50 of a panel, 100 at the server"})
    clickers: int = dataclasses.field(default=10, metadata={"help": "more listeners who answer at random"})
    items: int = dataclasses.field(default=12, metadata={"help": "sentences"})
    systems: int = dataclasses.field(default=3, metadata={"help": "beside reference and anchor"})
    bootstrap: int = dataclasses.field(default=200, metadata={"help": "draws of the bootstrap beside; 0: none"})


# Panels with known true scores ----------------------------------------------------------------------------------------


class Panel:
    """Listeners who answer a design by a model with random listeners and sentences."""

    def __init__(self, design: Design, seed: int):
        self.design, self.chance = design, np.random.default_rng(seed)
        systems = [name for name in design.conditions if name not in QUALITY]
        self.quality = QUALITY | dict(zip(systems, np.linspace(2.6, 4.0, len(systems)), strict=True))
        draw = self.chance.normal
        self.ease = {item: draw(0, SPREAD["sentence"]) for item in design.items}
        self.slip = {(item, system): draw(0, SPREAD["slip"]) for item in design.items for system in self.quality}

    def listener(self, row: int, careful: bool = True) -> Listener:
        token = self.chance.bytes(16).hex()
        listener = Listener(token, row, {"device": "auriculares"})
        severity = self.chance.normal(0, SPREAD["listener"])
        taste = {system: self.chance.normal(0, SPREAD["taste"]) for system in self.quality}
        for presentation in self.design.orders[row]:
            trial = self.design.trials[presentation.trial]
            value = self._value(trial, severity, taste) if careful else self._anything(trial)
            listener.add(Answer(presentation.trial, value, milliseconds=60_000, revision=1))
        return listener

    def _anything(self, trial: Trial) -> object:
        if self.design.method == "mushra":
            return {stimulus: int(self.chance.integers(0, 101)) for stimulus in trial.stimuli}
        return int(self.chance.choice([value for value, _ in SCALES[self.design.method].options]))

    def _value(self, trial: Trial, severity: float, taste: dict[str, float]) -> object:
        method = self.design.method
        if trial.expected is not None:
            return self._anything(trial) if self.chance.random() < INATTENTION else trial.expected
        heard = [self._impression(stimulus, severity, taste) for stimulus in trial.stimuli]
        if method == "mos":
            return min(max(round(heard[0]), 1), 5)
        if method == "mushra":
            return dict(zip(trial.stimuli, map(self._score, trial.stimuli, heard), strict=True))
        difference = heard[1] - heard[0]
        if method == "cmos":
            return min(max(round(difference), -3), 3)
        return 0 if abs(difference) < 0.3 else int(np.sign(difference))

    def _impression(self, stimulus: str, severity: float, taste: dict[str, float]) -> float:
        item, system = self.design.stimuli[stimulus].item, self.design.stimuli[stimulus].system
        return (self.quality[system] + severity + taste[system] + self.ease[item] + self.slip[item, system]
                + self.chance.normal(0, SPREAD["noise"]))

    def _score(self, stimulus: str, impression: float) -> int:
        if self.design.condition_of(stimulus) == REFERENCE:  # found nearly always, since it can be compared with the open one
            return 100 if self.chance.random() < 0.97 else int(self.chance.integers(70, 100))
        return min(max(round(20 * impression), 0), 100)


def design_of(options: BenchOptions, method: str, items: int) -> Design:
    """Systems, reference and anchor; AB and CMOS against the reference and one another."""
    return plan(method, [f"system {number}" for number in range(options.systems)], [f"u{number}" for number in range(items)],
                reference=True, anchor=True, heard="all" if method == "mushra" else options.heard)


def true_means(options: BenchOptions, method: str, panels: int = 600) -> dict[str, float]:
    """What listeners without number would give to sentences without number, each to one: the mean of many small panels."""
    design, sums = design_of(options, method, 10), {}
    for seed in range(panels):
        panel = Panel(design, 1_000_000 + seed)
        for rating in ratings_of(design, [panel.listener(row % len(design.orders)) for row in range(3)]):
            sums.setdefault(rating.condition, []).append(rating.value)
    return {name: float(np.mean(values)) for name, values in sums.items()}


def bootstrap_means(design: Design, listeners: list[Listener], draws: int, chance: np.random.Generator) -> dict[str, tuple]:
    """Percentile intervals of the pigeonhole bootstrap: listeners and sentences drawn independently (Owen, 2007)."""
    ratings = ratings_of(design, listeners)
    people = {name: place for place, name in enumerate(dict.fromkeys(rating.listener for rating in ratings))}
    items = {name: place for place, name in enumerate(design.items)}
    weight_people = chance.multinomial(len(people), [1 / len(people)] * len(people), draws)
    weight_items = chance.multinomial(len(items), [1 / len(items)] * len(items), draws)
    intervals = {}
    for condition in dict.fromkeys(rating.condition for rating in ratings):
        sums, counts = np.zeros((len(people), len(items))), np.zeros((len(people), len(items)))
        for rating in ratings:
            if rating.condition == condition:
                sums[people[rating.listener], items[rating.item]] += rating.value
                counts[people[rating.listener], items[rating.item]] += 1
        means = ((weight_people @ sums) * weight_items).sum(1) / ((weight_people @ counts) * weight_items).sum(1)
        intervals[condition] = tuple(np.quantile(means, [0.025, 0.975]))
    return intervals


@dataclasses.dataclass
class Tally:
    """Counts over simulations."""

    covered: list[bool] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)

    def add(self, low: float, high: float, truth: float) -> None:
        self.covered.append(low <= truth <= high)
        self.widths.append(high - low)

    def __str__(self) -> str:
        if not self.covered:
            return "-"
        return f"{np.mean(self.covered):.3f} of {len(self.covered)} (mean width {np.mean(self.widths):.3f})"


def simulate(options: BenchOptions, method: str) -> bool:
    """Run the panels of one method; whether its means are covered often enough."""
    began = time.process_time()
    truth = true_means(options, method)
    means, differences, boot = Tally(), Tally(), Tally()
    careful_out = clickers_out = 0
    people = options.listeners or 50
    design = design_of(options, method, options.items)
    for seed in range(options.simulations):
        panel = Panel(design, seed)
        listeners = [panel.listener(row % len(design.orders), row < people) for row in range(people + options.clickers)]
        clickers = {listener.token for listener in listeners[people:]}
        analysis = analyse(design, listeners)
        clickers_out += len(analysis.excluded & clickers)
        careful_out += len(analysis.excluded - clickers)
        _count(analysis.kept, truth, means, differences, () if method != "mushra" else (REFERENCE,))
        if options.bootstrap:
            kept = [listener for listener in listeners if listener.token not in analysis.excluded]
            for name, interval in bootstrap_means(design, kept, options.bootstrap, panel.chance).items():
                boot.add(*interval, truth[name])
    print(f"{method}, heard={options.heard}: {options.simulations} panels of {people} + {options.clickers} at random, "
          f"{options.items} sentences, {time.process_time() - began:.0f} s of CPU")
    print(f"  true mean in the interval: {means}; differences: {differences}; bootstrap: {boot}")
    print(f"  left out: {clickers_out} of {options.simulations * options.clickers} at random "
          f"({clickers_out / max(1, options.simulations * options.clickers):.1%}), {careful_out} of "
          f"{options.simulations * people} careful ones ({careful_out / (options.simulations * people):.2%})", flush=True)
    return float(np.mean(means.covered)) >= COVERAGE


def _count(results: Results, truth: dict[str, float], means: Tally, differences: Tally, apart: tuple[str, ...]) -> None:
    """``apart``: conditions whose own ratings decide who is left out, as BS.1534 has it; the mean of those left is another."""
    for estimate in results.conditions:
        if estimate.name not in apart:
            means.add(estimate.low, estimate.high, truth[estimate.name])
    for estimate in results.differences:
        pair = estimate.name.split(" - ")
        if not set(pair) & set(apart):
            differences.add(estimate.low, estimate.high, truth[pair[0]] - truth[pair[1]])


# Many listeners at one server -----------------------------------------------------------------------------------------


class Served:
    """``listening_test serve`` in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.listening_test", "serve", f"test={self.folder}",
                                         f"port={self.port}", "host=127.0.0.1"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("http"):
            raise RuntimeError(f"the server did not start: {line}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class RemoteListener(threading.Thread):
    """Answers every question as fast as it is taken, sends some answers twice, and sends again what was not acknowledged."""

    def __init__(self, design: Design, port: int, number: int, pause: float):
        super().__init__(daemon=True)
        self.design, self.port, self.pause = design, port, pause
        self.chance = random.Random(number)
        self.token = f"{self.chance.getrandbits(128):032x}"
        self.acknowledged: dict[str, tuple[object, int]] = {}
        self.seconds: list[float] = []
        self.again = self.failed = 0
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        row = self.put(f"/api/listeners/{self.token}", {})["row"]
        self.put(f"/api/listeners/{self.token}/form", {"device": "altavoces", "consent": True})
        for revision, presentation in enumerate(self.design.orders[row], 1):
            value = self.chance.randint(1, 5)
            content = {"value": value, "milliseconds": 1, "plays": 1, "revision": revision}
            for _ in range(2 if self.chance.random() < 0.2 else 1):
                self.put(f"/api/listeners/{self.token}/answers/{presentation.trial}", content)
            self.acknowledged[presentation.trial] = (value, revision)
            time.sleep(self.pause * self.chance.random())

    def put(self, path: str, content: dict) -> dict:
        body = json.dumps(content | {"test": self.design.test})
        while True:
            began = time.monotonic()
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                self.connection.request("PUT", path, body, {"Content-Type": "application/json"})
                response = self.connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200:
                    raise RuntimeError(f"{path}: {response.status} {answer}")
                self.seconds.append(time.monotonic() - began)
                return answer
            except (OSError, http.client.HTTPException, ValueError):
                self.again += 1
                self.connection = None
                time.sleep(0.05)


def write_sounds(folder: Path, systems: tuple[str, ...], items: int, seconds: float = 0.3, rate: int = 24_000) -> None:
    """Tones that differ by system and sentence."""
    for place, system in enumerate(systems):
        (folder / system).mkdir(parents=True)
        for item in range(items):
            axis = np.arange(round(seconds * rate)) / rate
            tone = sum(np.sin(2 * np.pi * h * (130 + 20 * item) * axis) / h for h in range(1, 30 - 8 * place))
            soundfile.write(folder / system / f"u{item}.wav", 0.1 * tone, rate)


def bench_server(folder: Path, listeners: int, items: int, pause: float = 0.1) -> bool:
    """Kill and restart a served test under load; whether the database holds exactly what was acknowledged."""
    write_sounds(folder / "sounds", ("one", "two", "three"), items)
    systems = ",".join(f"{name}:{folder}/sounds/{name}" for name in ("one", "two", "three"))
    built = subprocess.run([sys.executable, "-m", "chatterbox_es.listening_test", "build", f"systems={systems}", "method=mos",
                            f"out={folder}/test"], capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(built.stderr)
    design = Design.read(folder / "test")
    served = Served(folder / "test")
    served.start()
    crowd = [RemoteListener(design, served.port, number, pause) for number in range(listeners)]
    began = time.monotonic()
    try:
        for listener in crowd:
            listener.start()
        half = listeners * len(design.orders[0]) / 2
        while sum(len(listener.acknowledged) for listener in crowd) < half and any(one.is_alive() for one in crowd):
            time.sleep(0.01)
        at_kill = sum(len(listener.acknowledged) for listener in crowd)
        served.kill()
        served.start()
        for listener in crowd:
            listener.join(timeout=300)
        seconds = time.monotonic() - began
    finally:
        served.kill()
    return _judge(folder / "test", design, crowd, at_kill, seconds)


def _judge(folder: Path, design: Design, crowd: list[RemoteListener], at_kill: int, seconds: float) -> bool:
    store = AnswerStore(folder, design)
    kept = {listener.token: listener for listener in store.listeners()}
    store.close()
    sent = sum(len(listener.acknowledged) for listener in crowd)
    wanted = sum(len(design.orders[kept[one.token].row]) for one in crowd if one.token in kept)
    lost = sum(one.token not in kept or trial not in kept[one.token].answers or
               (kept[one.token].answers[trial].value, kept[one.token].answers[trial].revision) != value
               for one in crowd for trial, value in one.acknowledged.items())
    more = sum(len(listener.answers) for listener in kept.values()) - sent
    rows = [sum(listener.row == row for listener in kept.values()) for row in range(len(design.orders))]
    times = sorted(time for one in crowd for time in one.seconds)
    print(f"{len(crowd)} listeners at once, {sent} answers acknowledged ({at_kill} before the kill), {seconds:.1f} s, "
          f"{sum(one.again for one in crowd)} requests sent again")
    print(f"a request takes {1000 * statistics.median(times):.0f} ms (median), {1000 * times[int(0.99 * len(times))]:.0f} ms "
          "(99 %)")
    print(f"lost or changed: {lost}; doubled or never sent: {more}; listeners {len(kept)}; listeners an order {min(rows)} to "
          f"{max(rows)}")
    return lost == 0 and more == 0 and sent == wanted and len(kept) == len(crowd) and max(rows) - min(rows) <= 1


def main() -> int:
    options = command_line.parse(BenchOptions, sys.argv[1:], __doc__)
    if options.what == "server":
        with tempfile.TemporaryDirectory() as folder:
            return 0 if bench_server(Path(folder), options.listeners or 100, options.items) else 1
    methods = METHODS if options.method == "all" else (options.method,)
    return 0 if all([simulate(options, method) for method in methods]) else 1


if __name__ == "__main__":
    command_line.run(main)
