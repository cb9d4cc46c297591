"""The command line that every ``python -m chatterbox_es.X`` shares: ``key=value`` or ``--key=value``, and errors to be read."""

import dataclasses
import io
import logging
import os
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chatterbox_es.errors import NO_TEXT, UserError, is_out_of_memory, sentence_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")
USER_ERROR_EXIT = 2


def parse(options: type[Options], argv: list[str], doc: str) -> Options:
    """An ``options`` dataclass filled from ``key=value`` arguments.

    A value is taken as it stands: no quoting, lists or interpolation, so that any sentence can be one. Fields are
    ``str``, ``int``, ``float``, ``bool``, a ``Literal`` of strings or one of these ``| None``; ``metadata={"help": …}``
    describes one, and in a `path_field` a ``~`` before it is the home folder. ``--help`` prints ``doc`` and the fields.

    Raises:
        UserError: naming the key and what it may be.
    """
    if any(argument in ("-h", "--help") for argument in argv):
        print(describe(options, doc))
        raise SystemExit(0)
    types = typing.get_type_hints(options)
    paths = {field.name for field in dataclasses.fields(options) if field.metadata.get("path")}
    given: dict[str, Any] = {}
    for argument in argv:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not equals or key not in types:
            raise UserError(f"'{argument}' is not one of this command's arguments; "
                            f"write key=value with one of: {', '.join(types)}")
        given[key] = os.path.expanduser(value) if key in paths else _convert(key, _as_utf8(value), types[key])
    missing = [field.name for field in dataclasses.fields(options)
               if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
               and field.name not in given]
    if missing:
        raise UserError(f"missing: {', '.join(f'{name}=…' for name in missing)} (see --help)")
    return options(**given)


def path_field(help: str, default: Any = "") -> Any:
    """A field that holds a path, as `parse` reads one."""
    return dataclasses.field(default=default, metadata={"help": help, "path": True})


def own_arguments(options: type, argv: list[str]) -> tuple[list[str], list[str]]:
    """The arguments that set a field of ``options`` or ask for help, and the others, which are somebody else's."""
    names = {field.name for field in dataclasses.fields(options)}
    own = [argument for argument in argv
           if argument.removeprefix("--").partition("=")[0] in names or argument in ("-h", "--help")]
    return own, [argument for argument in argv if argument not in own]


def split_paths(options: type, argv: list[str]) -> tuple[list[str], list[str]]:
    """The paths among the arguments, which may have ``=`` in their names, and what `parse` is to read."""
    own, others = own_arguments(options, argv)
    paths = [argument for argument in others
             if not argument.startswith("-") and ("=" not in argument or os.path.lexists(argument))]
    return paths, own + [argument for argument in others if argument not in paths]


def listed_paths(written: str) -> list[Path]:
    """The paths of a list with commas between; a path that is there may have commas in its name."""
    if os.path.lexists(os.path.expanduser(written)):
        return [Path(written).expanduser()]
    return [Path(part).expanduser() for part in map(str.strip, written.split(",")) if part]


def named_folders(key: str, written: str) -> dict[str, Path]:
    """``NAME:DIR,NAME:DIR``.

    Raises:
        UserError: it is not of that form, or a name is there twice.
    """
    folders: dict[str, Path] = {}
    for part in filter(None, (part.strip() for part in re.split(r",(?=[^,:/]+:)", written))):  # other commas are of paths
        name, colon, folder = (word.strip() for word in part.partition(":"))
        if not (name and colon and folder):
            raise UserError(f"{key}={written}: write NAME:DIR,NAME:DIR; {part!r} is not of that form")
        if name in folders:
            raise UserError(f"{key}={written}: the name {name!r} is there twice")
        folders[name] = Path(folder).expanduser()
    return folders


def choices_of(kind: Any) -> list[str]:
    """What a ``Literal``, or one ``| None``, allows; nothing for other types."""
    return [choice for part in (kind, *typing.get_args(kind)) if typing.get_origin(part) is typing.Literal
            for choice in typing.get_args(part)]


def _as_utf8(value: str) -> str:
    """What was typed in UTF-8, also where Python took it for the letters of another locale."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _convert(key: str, value: str, kind: Any) -> Any:
    if choices := choices_of(kind):
        if value not in choices:
            raise UserError(f"{key}={value}: must be {' | '.join(choices)}")
        return value
    kinds = [k for k in typing.get_args(kind) or (kind,) if k is not type(None)]
    if bool in kinds:
        try:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        except KeyError:
            raise UserError(f"{key}={value}: must be true or false") from None
    for number in (int, float):
        if number in kinds:
            try:
                return number(value)
            except ValueError:
                raise UserError(f"{key}={value}: must be {'a whole number' if number is int else 'a number'}") from None
    return value


def describe(options: "type[DataclassInstance]", doc: str) -> str:
    """The help text: ``doc``, then one line for each field."""
    lines, types = [doc.strip(), "", "arguments (key=value):"], typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        described = ": ".join(filter(None, (" | ".join(choices_of(types[field.name])), field.metadata.get("help", ""))))
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = "required" if required else f"default: {field.default if field.default != '' else 'none'}"
        lines.append(f"  {field.name:<14} {described} [{default}]")
    return "\n".join(lines)


def print_utf8(errors: str = "strict") -> None:
    """Let what is printed be UTF-8, whatever the terminal's locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=errors)


def run(main: Callable[[], int | None]) -> None:
    """Call ``main`` and leave with its exit code; what a user or the machine has to mend becomes a message and exit code 2."""
    logging.raiseExceptions = False  # a log that cannot be written ends nothing
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever letters the terminal has
    sys.exit(_outcome(main))


def _outcome(main: Callable[[], int | None]) -> int:
    code: Any = 0
    try:
        code = main() or 0
    except SystemExit as end:
        code = end.code or 0
    except BrokenPipeError:  # `… | head` closed our output: nothing is wrong
        pass
    except KeyboardInterrupt:
        code = 130
    except (UserError, OSError, MemoryError, RuntimeError, UnicodeEncodeError) as error:
        code = _say(error)
    try:
        sys.stdout.flush()
    except OSError as error:  # also said here, since the interpreter's own words for it are a traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code if isinstance(error, BrokenPipeError) else code or _say(error)
    return code


def _say(error: Exception) -> int:
    """Print what is wrong; the exit code. Errors of other kinds than those of files and memory are defects."""
    sentence = str(error) if isinstance(error, UserError) else sentence_of(error) if isinstance(error, OSError) else None
    if is_out_of_memory(error):
        sentence = ("there is too little memory for this: take less at once (smaller sizes of model.* and mel.*, "
                    "hw.micro_batch_frames), or a machine that has more "
                    f"({' '.join(str(error).split())[:200] or type(error).__name__})")
    if isinstance(error, UnicodeEncodeError):
        sentence = f"{error.object[error.start:error.end]!a} cannot be written down: {NO_TEXT}"
    if sentence is None:
        raise error
    print(f"error: {sentence}", file=sys.stderr)
    return USER_ERROR_EXIT
