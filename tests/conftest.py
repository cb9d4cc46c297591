"""What the tests of the training road share: a corpus made of tones, its prepared set, tiny runs, the command line."""

import collections
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import settings

from chatterbox_es.__main__ import COMMANDS
from chatterbox_es.config import Config, compose
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.runs import checkpoint_files
from chatterbox_es.training.tracking import Tracker
from tests.fork_server import ForkServer

# Every run tries the same examples, so that a change is judged by itself; tests marked slow look for new ones.
settings.register_profile("same_examples", derandomize=True, deadline=None)
settings.load_profile("same_examples")

# Where the tests themselves were begun in the background, Ctrl-C would be ignored by all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SENTENCES = (
    "La casa es alta.", "¿Tú qué tal estás?", "El gato come pan.", "Un zorro cruza la calle.", "Hay 2 mesas.",
    "¡Qué día tan bonito!", "Una rosa roja.", "El niño lee un libro.", "Vamos al mar.", "Se fue ayer, muy tarde.",
)  # fmt: skip
TINY = ("model.width=32", "model.heads=2", "model.layers=1", "model.feedforward=64", "model.duration_hidden=16",
        "model.decoder_hidden=[32]", "model.decoder_start=random",
        "phase.lr=3e-3", "phase.validate_every=1", "hw.threads=1", "hw.precision=32-true",
        "data.workers=1", "train.epochs=2", "train.samples=1", "train.log_every=1", "train.wandb=disabled")  # fmt: skip


def tones(text: str, seconds: float = 1.0, rate: int = 24_000) -> np.ndarray:
    """A harmonic tone a letter, (samples,) in [-1, 1]: not speech, but what is heard depends on what is written."""
    letters = [letter for letter in text.lower() if letter.isalpha()] or ["a"]
    pieces = np.array_split(np.arange(round(seconds * rate)) / rate, len(letters))
    sound = [sum(np.sin(2 * np.pi * harmonic * (120 + 17 * (ord(letter) % 29)) * time) / harmonic for harmonic in range(1, 9))
             for letter, time in zip(letters, pieces, strict=True)]
    noise = np.random.default_rng(len(text)).normal(0, 0.01, round(seconds * rate))
    return 0.2 * np.concatenate(sound) + noise


def write_corpus(folder: Path, sentences: tuple[str, ...] = SENTENCES, pitch: float = 1.0) -> Path:
    """A folder in LJSpeech's layout; ``pitch`` above 1 plays the recordings faster, which gives other statistics."""
    (folder / "wavs").mkdir(parents=True)
    for number, text in enumerate(sentences):
        soundfile.write(folder / f"wavs/r{number}.wav", tones(text, 1 + 0.05 * number), round(24_000 * pitch))
    (folder / "metadata.csv").write_text("".join(f"r{n}|{text}\n" for n, text in enumerate(sentences)), encoding="utf-8")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for all that was skipped: how many, and why."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if isinstance(report.longrepr, tuple)]
    if skipped:
        reasons = collections.Counter(reason.removeprefix("Skipped: ") for reason in skipped)
        why = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"skipped {len(skipped)}: {why}")


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., Path]:
    return write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten recordings of a second or so."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "tones")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of prepared sets that all tests share, so that the corpus is prepared once."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="session")
def arguments(corpus: Path, prepared: Path) -> Callable[..., list[str]]:
    """What is written on the command line for a tiny model on the corpus; later arguments win over earlier ones."""
    def written(*more: str, corpus: Path = corpus) -> list[str]:
        settings = {argument.partition("=")[0]: argument
                    for argument in ("data=folder", f"data.path={corpus}", f"data.prepared={prepared}", *TINY, *more)}
        return [argument for argument in settings.values() if not argument.endswith("=default")]

    return written


@pytest.fixture(scope="session")
def config_of(arguments: Callable[..., list[str]]) -> Callable[..., Config]:
    """The composed configuration of a tiny run."""
    return lambda *more, **options: compose(arguments(*more, **options))


@pytest.fixture(scope="session")
def features(config_of: Callable[..., Config]) -> FeatureSet:
    return prepare(config_of())


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with ForkServer(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="session")
def command(fork_server: ForkServer) -> Callable[..., subprocess.CompletedProcess]:
    """``python -m chatterbox_es.MODULE …`` as a user runs it, in ``cwd``; nothing is checked, everything is returned.

    A process that has imported everything forks it, which saves seconds; one that is to find other packages is begun anew.
    """
    began_with = dict(os.environ)

    def run(module: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
        if module not in COMMANDS or "PYTHONPATH" in environment:
            return begun_anew(module, *arguments, cwd=cwd, **environment)
        changed = {name: os.environ.get(name) for name in began_with.keys() | os.environ.keys()
                   if os.environ.get(name) != began_with.get(name) and not name.startswith("PYTEST")}
        return fork_server.completed(module, *arguments, cwd=cwd, environment=changed | environment)

    return run


def begun_anew(module: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """The same by an interpreter of its own."""
    paths = [environment.pop("PYTHONPATH", ""), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    machine = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONIOENCODING": "utf-8",
               "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    return subprocess.run([sys.executable, "-m", f"chatterbox_es.{module}", *arguments], cwd=cwd, text=True,
                          capture_output=True, encoding="utf-8", timeout=900, env=os.environ | machine | environment)


class Road(NamedTuple):
    """Both phases as a user trains them, one command after the other, in one folder."""

    folder: Path
    outputs: list[subprocess.CompletedProcess]
    encoder_run: Path  # of 4_2
    whole_run: Path  # of 4_3


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory, arguments: Callable[..., list[str]], features: FeatureSet,
         command: Callable[..., subprocess.CompletedProcess]) -> Road:
    folder = tmp_path_factory.mktemp("road")
    outputs = [command("train", "phase=4_2", *arguments("train.wandb=offline"), cwd=folder),
               command("train", "phase=4_3", *arguments("train.epochs=1"), cwd=folder)]
    for output in outputs:
        assert output.returncode == 0, output.stdout + output.stderr
    runs = [next(folder.glob(f"outputs/{phase}/*/run.json")).parent for phase in ("4_2", "4_3")]
    return Road(folder, outputs, *runs)


@pytest.fixture(scope="session")
def start_browser(tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """``start_browser("mute-audio", logs=("browser",))``: a headless Chromium with an empty profile, driven over its own
    protocol; whoever starts it quits it."""
    def start(*arguments: str, logs: tuple[str, ...] = ("browser",)):
        webdriver = pytest.importorskip("selenium.webdriver")
        engine = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        driver = shutil.which("chromedriver")
        if not engine or not driver:
            pytest.skip("no Chromium with chromedriver here (Debian: apt install chromium chromium-driver)")
        options = webdriver.ChromeOptions()
        options.binary_location = engine
        for argument in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                         "disable-background-networking", "disable-component-update", "disable-sync", *arguments,
                         f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        browser.set_page_load_timeout(200)
        return browser

    return start


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def without_base_voice(monkeypatch, tmp_path) -> Path:
    """Where the base voice would lie; nothing is there, so that tests say the same whether one comes along or not."""
    monkeypatch.setattr(checkpoint_files, "BASE_VOICE", tmp_path / "package/weights/voice_base.safetensors")
    return checkpoint_files.BASE_VOICE


@pytest.fixture
def at_step(monkeypatch):
    """Do something when a run logs a step, once."""
    def arrange(step: int, action):
        log, done = Tracker.log, []

        def logging(self, at: int, **metrics):
            if at == step and "train_loss" in metrics and not done:
                done.append(at)
                action()
            log(self, at, **metrics)

        monkeypatch.setattr(Tracker, "log", logging)

    return arrange
