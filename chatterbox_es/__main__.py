"""All commands of chatterbox_es under one name.

    chatterbox-es COMMAND key=value …       the same as python -m chatterbox_es.COMMAND key=value …
    chatterbox-es COMMAND --help            what a command does, and what it may be told
"""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from chatterbox_es import __version__, command_line
from chatterbox_es.errors import UserError

COMMANDS = ("phonemize", "prepare", "lint", "train", "review", "select", "synthesize", "demo", "serve", "export", "evaluate",
            "refine", "listening_test")  # in the order of the work


def main() -> None:
    command_line.run(_command)


def _command() -> None:
    """
    Raises:
        UserError: there is no such command.
    """
    asked = sys.argv[1] if len(sys.argv) > 1 else "--help"
    name = asked.replace("-", "_")
    if asked in ("-h", "--help"):
        command_line.print_utf8("backslashreplace")
        print(_described())
    elif asked == "--version":
        print(f"chatterbox-es {__version__}")
    elif name in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"chatterbox_es.{name}", run_name="__main__", alter_sys=True)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        raise UserError(f"'{asked}' is no command{f'; did you mean {near[0]}?' if near else ''} "
                        f"There are: {', '.join(COMMANDS)}")


def _described() -> str:
    """The help: each command with the first line of its own, read without importing what the command needs."""
    lines = []
    for name in COMMANDS:
        source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        lines.append(f"  {name:<15} {(ast.get_docstring(ast.parse(source)) or '').splitlines()[0]}")
    return "\n".join([(__doc__ or "").strip(), "", "commands:", *lines])


if __name__ == "__main__":
    main()
