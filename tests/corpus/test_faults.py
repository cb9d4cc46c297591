"""The lint report: a file, counts, and an error when too much is wrong."""

import json

import pytest

from chatterbox_es.corpus import Fault, LintReport
from chatterbox_es.errors import UserError


def report(path, missing: int = 3, empty: int = 1) -> LintReport:
    lint = LintReport(path / "prepared" / "lint.jsonl", [Fault(9, "z", "empty-text", "the row has no text")] * empty)
    for row in range(missing, 0, -1):
        lint.add(row, f"r{row}", "missing-audio", f"no recording «r{row}ñ»")
    return lint


def test_file_holds_every_fault_in_row_order(tmp_path):
    lines = report(tmp_path).write().read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2, 3, 9]
    assert json.loads(lines[0]) == {
        "row": 1, "id": "r1", "reason": "missing-audio", "detail": "no recording «r1ñ»"
    }  # fmt: skip
    assert list(tmp_path.rglob("*.partial")) == []


def test_counts_and_summary(tmp_path):
    lint = report(tmp_path)
    assert lint.counts() == {"missing-audio": 3, "empty-text": 1} and len(lint) == 4
    summary = "\n".join(lint.summary())
    assert "4 rows" in summary and "3 missing-audio" in summary and str(lint.path) in summary
    assert LintReport(tmp_path / "lint.jsonl").summary() == ["lint: no row is left out"]


def test_a_share_within_the_limit_passes(tmp_path):
    report(tmp_path).check_share(total=40, max_share=0.1)
    LintReport(tmp_path / "lint.jsonl").check_share(total=0, max_share=0)


def test_a_share_above_the_limit_says_what_to_do(tmp_path):
    with pytest.raises(UserError) as error:
        report(tmp_path).check_share(total=39, max_share=0.1)
    message = str(error.value)
    for part in (
        "4 of 39",
        "3 missing-audio",
        "no recording",
        "1 empty-text",
        "lint.jsonl",
        "data.max_fault_share=0.11",
    ):
        assert part in message


def test_the_advised_share_is_enough(tmp_path):
    lint = report(tmp_path, missing=17, empty=0)
    with pytest.raises(UserError) as error:
        lint.check_share(total=190, max_share=0)
    lint.check_share(total=190, max_share=float(str(error.value).split("data.max_fault_share=")[1]))


def test_no_usable_row_is_an_error_at_any_limit(tmp_path):
    with pytest.raises(UserError, match="no row can be used"):
        report(tmp_path).check_share(total=4, max_share=1.0)
