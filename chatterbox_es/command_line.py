"""The command line that every ``python -m chatterbox_es.X`` shares: ``key=value`` or ``--key=value``, and errors to be read."""

import dataclasses
import io
import os
import sys
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from chatterbox_es.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")
USER_ERROR_EXIT = 2


def parse(options: type[Options], argv: list[str], doc: str) -> Options:
    """An ``options`` dataclass filled from ``key=value`` arguments.

    A value is taken as it stands: no quoting, lists or interpolation, so that any sentence can be one. Fields are
    ``str``, ``int``, ``float``, ``bool``, a ``Literal`` of strings or one of these ``| None``; ``metadata={"help": …}``
    describes one. ``--help`` prints ``doc`` and the fields.

    Raises:
        UserError: naming the key and what it may be.
    """
    if any(argument in ("-h", "--help") for argument in argv):
        print(describe(options, doc))
        raise SystemExit(0)
    types = typing.get_type_hints(options)
    given: dict[str, Any] = {}
    for argument in argv:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not equals or key not in types:
            raise UserError(f"'{argument}' is not one of this command's arguments; "
                            f"write key=value with one of: {', '.join(types)}")
        given[key] = _convert(key, value, types[key])
    missing = [field.name for field in dataclasses.fields(options)
               if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
               and field.name not in given]
    if missing:
        raise UserError(f"missing: {', '.join(f'{name}=…' for name in missing)} (see --help)")
    return options(**given)


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


def choices_of(kind: Any) -> list[str]:
    """What a ``Literal``, or one ``| None``, allows; nothing for other types."""
    return [choice for part in (kind, *typing.get_args(kind)) if typing.get_origin(part) is typing.Literal
            for choice in typing.get_args(part)]


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
    """Call ``main`` and leave with its exit code; a `UserError` becomes a message and exit code 2."""
    try:
        sys.exit(main() or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR_EXIT)
    except BrokenPipeError:  # `… | head` closed our output: nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
