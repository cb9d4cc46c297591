"""An installation without a clone: a wheel, installed into an environment of its own, used in an empty folder by a user with an
empty home and no network. And what building reads: lower bounds of dependencies, the Dockerfile."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

BUILT_FROM = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds, with what an earlier build has left."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("chatterbox_es", "conf"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT_FROM:
        shutil.copy(REPOSITORY / name, folder / name)
    stale = folder / "build/lib/chatterbox_es/conf/data/gone.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("name: gone\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-index", "--no-build-isolation",
                           "--wheel-dir", folder], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


class Installed(NamedTuple):
    """An environment with the wheel in it, beside the libraries of the environment that tests run in."""

    bin: Path
    home: Path

    def run(self, program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        own = {"HOME": str(self.home), "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
               "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}
        return subprocess.run([self.bin / program, *arguments], cwd=cwd, text=True, encoding="utf-8", capture_output=True,
                              timeout=900, env=kept | NO_NETWORK | own)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installation")
    (folder / "home").mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", folder / "venv"], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")  # whose own .pth are not followed
    done = subprocess.run([sys.executable, "-m", "pip", "--python", folder / "venv/bin/python", "install", "--no-deps",
                           "--no-index", "--ignore-installed", wheel], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(folder / "venv/bin", folder / "home")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def succeeded(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess, *said: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in done.stderr


# ---- the wheel


def test_the_wheel_holds_all_files_of_the_package_and_a_copy_of_conf(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("chatterbox_es/")}
    package = {str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "chatterbox_es").rglob("*")
               if file.is_file() and "__pycache__" not in file.parts and file.name != "README.md"}
    conf = {f"chatterbox_es/{file.relative_to(REPOSITORY)}" for file in (REPOSITORY / "conf").rglob("*.yaml")}
    assert len(conf) > 30 and len(package) > 300
    assert {name for name in held if not name.endswith("README.md")} == package | conf  # and nothing of an earlier build


def test_a_source_archive_holds_conf(source, tmp_path):
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    assert len(list(tmp_path.glob("unpacked/*/conf/*/*.yaml"))) > 30
    assert list(tmp_path.glob("unpacked/*/chatterbox_es/weights/*.safetensors"))


# ---- commands, where there is no clone


def test_help_names_every_command(installed, empty):
    helped = succeeded(installed.run("chatterbox-es", "--help", cwd=empty))
    runs_main = [file.stem for file in (REPOSITORY / "chatterbox_es").glob("*.py")
                 if file.stem != "__main__" and "run(main)" in file.read_text(encoding="utf-8")]
    assert sorted(runs_main) == sorted(re.findall(r"^  (\w+) +[A-Z]", helped, re.MULTILINE))
    assert succeeded(installed.run("chatterbox-es", cwd=empty)) == helped
    assert "chatterbox_es" in succeeded(installed.run("chatterbox-es", "--version", cwd=empty)).replace("-", "_")


def test_a_slip_is_named(installed, empty):
    refused(installed.run("chatterbox-es", "syntesize", "text=Hola.", cwd=empty), "did you mean synthesize?", "train")
    refused(installed.run("chatterbox-es", "phonemize", "texto=Hola.", cwd=empty), "texto=Hola.")
    refused(installed.run("chatterbox-es", "train", "phase=4_9", cwd=empty), "phase/4_9")
    refused(installed.run("chatterbox-es", "train", "--config-dir", "nowhere", "phase=4_2", cwd=empty), "nowhere")
    refused(installed.run("chatterbox-es", "synthesize", "text=Hola.", "run=nowhere", cwd=empty), "nowhere")
    assert not list(empty.iterdir())


def test_text_is_read(installed, empty):
    assert "ˈo l a" in succeeded(installed.run("chatterbox-es", "phonemize", "text=Hola.", cwd=empty))
    assert "ˈo l a" in succeeded(installed.run("python", "-m", "chatterbox_es.phonemize", "text=Hola.", cwd=empty))


def test_configurations_come_along_and_ones_own_are_added(installed, empty):
    (empty / "mine/data").mkdir(parents=True)
    (empty / "mine/data/mía.yaml").write_text("defaults: [schema]\nname: mia\nkind: folder\npath: voz\ndialect: mexican\n",
                                              encoding="utf-8")
    ours = succeeded(installed.run("chatterbox-es", "train", "--cfg", "job", "phase=4_3", cwd=empty))
    assert ours == succeeded(installed.run("python", "-m", "chatterbox_es.train", "--cfg", "job", "phase=4_3", cwd=empty))
    assert "decoder_start: grown" in ours
    mine = succeeded(installed.run("chatterbox-es", "train", "--config-dir", "mine", "data=mía", "--cfg", "job", cwd=empty))
    assert "dialect: mexican" in mine and "dialect: mexican" not in ours
    refused(installed.run("chatterbox-es", "prepare", "--config-dir=mine", "data=mía", cwd=empty), "voz")  # which it names


def test_a_voice_speaks(installed, road, empty):
    succeeded(installed.run("chatterbox-es", "synthesize", "text=Hola.", f"run={road.whole_run}", "out=hola.wav", cwd=empty))
    program = (f"from chatterbox_es import Voice; voice = Voice.load({str(road.whole_run)!r}); "
               "voice.say('Hola.').save('otra.wav')")
    succeeded(installed.run("python", "-c", program, cwd=empty))
    (first, rate), (second, _) = (soundfile.read(empty / name) for name in ("hola.wav", "otra.wav"))
    assert rate == 24_000 and len(first) > 1000
    assert (first == second).all()
    assert sorted(file.name for file in empty.iterdir()) == ["hola.wav", "otra.wav"]


def test_a_run_names_no_commit_of_somebody_elses_repository(installed, empty):
    """The environment may lie in a user's repository."""
    venv = installed.bin.parent
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", venv]
    subprocess.run([*git[:-2], "init", "--quiet", venv], check=True)
    try:
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "theirs"], check=True)
        asked = "from chatterbox_es.runs.run_directory import commit; print(commit())"
        assert succeeded(installed.run("python", "-c", asked, cwd=empty)).startswith("unknown")
    finally:
        shutil.rmtree(venv / ".git")


@pytest.mark.slow
def test_the_demo_trains_and_speaks(installed, empty):
    small = ("train.max_steps=3", "hw.threads=1", "train.wandb=disabled", "train.samples=1", "data.workers=1")
    for phase, program in (("4_2", ("chatterbox-es", "train")), ("4_3", ("python", "-m", "chatterbox_es.train"))):
        succeeded(installed.run(*program, f"phase={phase}", "data=demo", *small, cwd=empty))
    succeeded(installed.run("chatterbox-es", "synthesize", "text=Hola.", cwd=empty))
    assert soundfile.info(empty / "out.wav").frames > 1000
    assert "4_3" in succeeded(installed.run("chatterbox-es", "review", cwd=empty))


# ---- lower bounds


def bounds(*extras: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, REPOSITORY / "scripts/lower_bounds.py", *extras], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split("==") for line in done.stdout.splitlines())


def test_every_dependency_has_a_lower_bound_that_it_allows():
    from setuptools.config.setupcfg import read_configuration

    options = read_configuration(REPOSITORY / "setup.cfg")["options"]
    lowest = bounds()
    wanted = [Requirement(line) for line in options["install_requires"]]
    assert len(lowest) == len(wanted) > 20
    for requirement in wanted:
        assert requirement.specifier.contains(lowest[requirement.name], prereleases=True)
    assert lowest["hydra-core"] == "1.4.0rc3"
    assert lowest["numpy"] == "2.2"


def test_extras_bring_theirs_and_those_that_they_name():
    assert bounds("judge").keys() - bounds().keys() == {"jiwer", "pocketsphinx"}
    done = subprocess.run([sys.executable, REPOSITORY / "scripts/lower_bounds.py", "nothing"], text=True, capture_output=True)
    assert done.returncode == 2 and "nothing" in done.stderr and "Traceback" not in done.stderr
