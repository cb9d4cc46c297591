"""What .importlinter cannot say of the layout: how much lies in the root, and which imports hide inside functions."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "chatterbox_es"


def test_the_root_holds_the_commands_and_what_all_share():
    assert len([file for file in PACKAGE.glob("*.py") if file.name != "__init__.py"]) <= 20


def test_imports_of_our_own_stand_at_the_top_but_for_a_few_that_say_why():
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        lines = file.read_text(encoding="utf-8").split("\n")
        for function in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [(file.name, lines[node.lineno - 1]) for node in ast.walk(function)
                          if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chatterbox_es")]
    assert len(found) <= 11, found
    assert sum("  # " not in line for _, line in found) <= 2, found  # one comment speaks for the two lines below it
