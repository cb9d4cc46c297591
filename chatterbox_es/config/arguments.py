"""What people type, in the words of Hydra's grammar, which keeps many signs and all letters with accents for itself."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from chatterbox_es.config.schema import declared, renamed
from chatterbox_es.errors import NO_TEXT, UserError

GROUPS = ("data", "hw", "model", "model_phase", "phase", "sweep")
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # paths that are Hydra's own keys
HYDRAS_FLAGS = ("--cfg", "--config-dir", "--config-name", "--config-path", "--experimental-rerun", "--info", "--package")
CONFIG_DIR = ("--config-dir", "-cd")
_NUMBER = re.compile(r"(?<![\w'\".=/\\:@-])(\d+(?:_\d+)*)(?![\w'\".:@-])")
_FOREIGN = re.compile(r"[^\s,:=\[\]{}()'\"]*[^\x00-\x7f][^\s,:=\[\]{}()'\"]*")
_IN_QUOTES = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""")
_NO_VALUE = re.compile(r"(?<![^\s,:=\[{('\"])\?\?\?(?![^\s,\]})'\"])")
_SWEPT = re.compile(r",|^(?:choice|glob|interval|range|shuffle|sort|tag)\(")


def hydra_arguments(argv: list[str]) -> list[str]:
    """Arguments as Hydra understands them; what is quoted already is left as it is.

    ``--key=value`` is ``key=value``. A path stands as it is typed, with any signs, ``~`` being the home folder; with ``-m``
    commas and ``choice(…)`` still sweep over several. In text, digits are text: a bare ``phase=4_3`` would be the integer 43.
    Words with letters beyond ASCII are quoted wherever they stand.

    Raises:
        UserError: a key of an earlier version, a value that is none, or bytes that are no text here.
    """
    for argument in argv:
        if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise UserError(f"{argument!a}: {NO_TEXT}")
    is_sweep = any(argument in ("-m", "--multirun") for argument in argv)
    return [_argument(argument, is_sweep) for argument in argv]


def configurations_of_ones_own(argv: list[str]) -> tuple[Path | None, list[str]]:
    """The folder that ``--config-dir DIR`` names, as Hydra's own flag does, and the arguments without it.

    Raises:
        UserError: there is no such folder.
    """
    folder, others, given = None, [], iter(argv)
    for argument in given:
        flag, equals, value = argument.partition("=")
        if flag not in CONFIG_DIR:
            others.append(argument)
            continue
        written = value if equals else next(given, "")
        folder = Path(written)
        if not written or not folder.is_dir():
            raise UserError(f"--config-dir {written}: there is no such folder; name one that holds groups, as data/NAME.yaml")
    return folder, others


def searched(folder: Path) -> str:
    """What has Hydra look for groups in a folder as well."""
    return f"hydra.searchpath=[{_quoted(f'file://{folder.absolute()}')}]"


def _argument(argument: str, is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key in HYDRAS_FLAGS:
        return argument
    key = key.removeprefix("--")
    name = key.lstrip("+~")
    if instead := renamed(name):
        raise UserError(f"{name} is now {instead}")
    if _NO_VALUE.search(value):
        raise UserError(f"{name}={value}: ??? stands for a value that is yet to be given, and is none")
    known = declared(name)
    if name in FOLDERS or known and known.is_path:
        if not (is_sweep and _SWEPT.search(value)):
            value = _path(value)
    elif name == "data.drop" or name == "train.recogniser" and not is_sweep:
        value = _quoted(value)  # they hold commas and signs that the grammar keeps for itself
    else:
        if name in GROUPS or known and known.is_text:
            value = _outside_quotes(value, lambda part: _NUMBER.sub(r"'\1'", part))
        value = _outside_quotes(value, lambda part: _FOREIGN.sub(lambda word: _quoted(word[0]), part))
    return f"{key}={value}"


def _path(value: str) -> str:
    return _quoted(os.path.expanduser(value)) if value.startswith("~") else _quoted(value)


def _quoted(value: str) -> str:
    """A value in quotes, unless it is, or is nothing; what stands before a quote is escaped as the grammar asks for it."""
    if value in ("", "null") or _IN_QUOTES.fullmatch(value):
        return value
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"


def _outside_quotes(value: str, rewrite: Callable[[str], str]) -> str:
    parts = _IN_QUOTES.split(value)  # every second one is quoted
    return "".join(part if place % 2 else rewrite(part) for place, part in enumerate(parts))
