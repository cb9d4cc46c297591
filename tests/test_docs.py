"""The docs hold what they say: links lead somewhere, commands parse, names exist, and README's Python speaks."""

import ast
import importlib
import itertools
import os
import re
import shlex
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from chatterbox_es import command_line
from chatterbox_es.config import Config, compose

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "chatterbox_es"
READMES = [REPOSITORY / "README.md", REPOSITORY / "README.es.md"]
GUIDES = sorted((REPOSITORY / "docs").rglob("*.md"))
PAGES = [*READMES, REPOSITORY / "CONTRIBUTING.md", *GUIDES]
OF_TODAY = [page for page in PAGES if page.parent.name != "history"]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
every_page_of_today = pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: str(page.relative_to(REPOSITORY)))

FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    return [block for kind, block in FENCED.findall(page.read_text(encoding="utf-8")) if kind == language]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        left_the_site = page in GUIDES and not target.is_relative_to(REPOSITORY / "docs")
        if left_the_site or not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@every_page
def test_relative_links_and_anchors_lead_somewhere(page):
    assert not broken_links(page)


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Über `uns` und sie\n[a](#über-uns-und-sie) [b](#nowhere) [c](nothing.md) [d](page.md#no) [e](https://x.org)\n",
                    encoding="utf-8")
    assert broken_links(page) == ["#nowhere", "nothing.md", "page.md#no"]


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of this package in a page's shell blocks: module and arguments."""
    for block in blocks(page, "sh"):
        variables = dict(re.findall(r'^(\w+)="(.*)"$', block, re.MULTILINE))
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(string.Template(line).safe_substitute(variables), comments=True)
            words = list(itertools.takewhile(lambda word: word not in ("|", "<", ">", "&&"), words))
            for place, word in enumerate(words):
                if word.startswith("chatterbox_es.") and words[place - 1] == "-m":
                    yield word, words[place + 1:]
                elif words[place - 1:place] == ["chatterbox-es"] and word.isidentifier():
                    yield f"chatterbox_es.{word}", words[place + 1:]


class Parsed(Exception):  # noqa: N818
    """The arguments were understood; the command goes no further."""


def parse_train(arguments: list[str]) -> None:
    """As Hydra would: a list or a range of a sweep counts by its key."""
    config = compose([])
    single = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key.startswith("hydra") or not equals:
            assert key.startswith("hydra") or key in ("-m", "--cfg", "job"), argument
        elif "-m" in arguments and (re.match(r"\w+\(", value) or key == "sweep"):
            assert (REPOSITORY / f"conf/sweep/{value}.yaml").is_file() or _has_key(config, key), argument
        elif "-m" in arguments and "," in value and value[0] not in "[{'":
            single.append(f"{key}={value.split(',')[0]}")
        else:
            single.append(argument)
    compose(single)


def _has_key(config: Config, key: str) -> bool:
    for name in key.split("."):
        if name not in config:
            return False
        config = config[name]
    return True


def parse(module_name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if module_name == "chatterbox_es.train":
        parse_train(arguments)
        return
    module = importlib.import_module(module_name)
    last = "compose" if hasattr(module, "compose") else "parse"

    def stopping(name: str, real):
        def call(*given, **named):
            result = real(*given, **named)
            if name == last:
                raise Parsed
            return result

        return call

    monkeypatch.setattr(sys, "argv", [module_name, *arguments])
    for owner in (module, command_line):
        for name in ("parse", "compose"):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, stopping(name, getattr(owner, name)))
    with pytest.raises(Parsed):
        module.main()


@every_page_of_today
def test_commands_parse(page, monkeypatch, tmp_path):
    for run in ("RUN", "outputs/4_3/TIME"):
        (tmp_path / run).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    failed = []
    for module, arguments in commands(page):
        with monkeypatch.context() as patch:
            try:
                parse(module, arguments, patch)
            except Exception as error:  # all of a page's wrong commands at once
                failed.append(f"{module} {shlex.join(arguments)}: {error}")
    assert not failed


def test_commands_are_found_and_a_wrong_one_is_refused(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text('```sh\nC="hw=cpu data=demo"\nls\npython -m chatterbox_es.train phase=4_2 $C \\\n  hw.thread=1  # why\n'
                    "python -m chatterbox_es.export nothing=1 | cat\n```\n", encoding="utf-8")
    found = list(commands(page))
    assert found == [("chatterbox_es.train", ["phase=4_2", "hw=cpu", "data=demo", "hw.thread=1"]),
                     ("chatterbox_es.export", ["nothing=1"])]
    for module, arguments in found:
        with pytest.raises(Exception, match="hw.thread|nothing=1"):
            parse(module, arguments, monkeypatch)


def test_both_readmes_hold_the_same():
    english, spanish = READMES
    keys = [[(module, [argument.partition("=")[0] for argument in arguments]) for module, arguments in commands(page)]
            for page in READMES]
    assert len(keys[0]) > 15
    assert keys[0] == keys[1]
    assert len(HEADING.findall(prose(english))) == len(HEADING.findall(prose(spanish)))
    linked = [[link.replace(".es.md", ".md") for link in LINK.findall(prose(page)) if not link.startswith("README")]
              for page in READMES]
    assert sorted(linked[0]) == sorted(linked[1])


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_python_of_the_readme_speaks(page, road, tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/best").symlink_to(road.whole_run)
    (block,) = blocks(page, "python")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    samples, rate = soundfile.read(tmp_path / "hola.wav")
    assert rate == 24_000
    assert len(samples) > 0
    assert abs(samples).max() > 0


def defined_in(file: Path) -> set[str]:
    """The names that a module defines, those of classes' members with the class's before them."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        owners = {getattr(target, "id", getattr(target, "name", "")) for target in targets}
        names |= owners
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                targets = member.targets if isinstance(member, ast.Assign) else [getattr(member, "target", member)]
                names |= {f"{node.name}.{getattr(target, 'id', getattr(target, 'name', ''))}" for target in targets}
    return names


def exists(name: str) -> bool:
    """Whether a path (in the repository or the package) or a dotted name of the package is there."""
    if "/" in name or re.search(r"\.(py|md|sh|yaml|tsv|cfg|toml|jinja|js|css)$", name):
        return any(place.exists() for place in (REPOSITORY / name, PACKAGE / name))
    parts = name.removeprefix("chatterbox_es.").split(".")
    for cut in range(len(parts), 0, -1):
        module = PACKAGE.joinpath(*parts[:cut])
        if cut == len(parts) and module.is_dir():
            return True
        file = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
        if file.is_file():
            return cut == len(parts) or ".".join(parts[cut:]) in defined_in(file)
    return False


MADE_BY_COMMANDS = ("outputs", "site", ".venv")
OUR_PATH = re.compile(r"(?<![\w/~.*:-])(?:(?:scripts|tests|conf|docs|\.ci|\.github)/[\w./-]+|chatterbox_es/[\w/]+\.py)"
                      r"(?![\w*…])")


def test_architecture_names_what_exists():
    """Every name in backticks; red where a file, class or function was moved and the page was not."""
    names = [name for name in CODE.findall(prose(REPOSITORY / "docs/architecture.md"))
             if re.fullmatch(r"[\w./-]+", name) and name.split("/")[0] not in MADE_BY_COMMANDS]
    assert len(names) > 50
    assert not [name for name in names if not exists(name)]


@every_page_of_today
def test_paths_of_the_repository_exist(page):
    """In backticks and in shell blocks; names in capitals and `my_mix` are the user's."""
    texts = [*CODE.findall(prose(page)), *blocks(page, "sh")]
    paths = {path.rstrip(".") for text in texts for path in OUR_PATH.findall(text) if not re.search(r"[A-Z]{3}|my_mix", path)}
    assert not [path for path in paths if not (REPOSITORY / path).exists()]


@pytest.mark.parametrize(("name", "there"), [
    ("text/front_end.py", True), ("text/", True), ("text/nothing.py", False), ("scripts/train_voice.sh", True),
    ("text.symbols.SymbolTable", True), ("text.symbols.SymbolTables", False), ("train.freeze", False),
    ("errors.UserError", True), ("conf/hw/", True), ("command_line.parse", True), ("Nothing", False),
])  # fmt: skip
def test_what_exists_is_told_from_what_does_not(name, there):
    assert exists(name) == there


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("properdocs", reason="properdocs is not installed; the extra `docs` has it")
    done = subprocess.run([sys.executable, "-m", "properdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
                          cwd=REPOSITORY, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    assert len(list((tmp_path / "site").rglob("index.html"))) >= len(GUIDES)
