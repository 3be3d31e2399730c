"""What several commands print: figures, checks, and the answer of a plan."""

from __future__ import annotations

import pytest

from harness.cli.printing import figure, print_answer, print_checks
from harness.reports import Answer


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(0.12345, 4, "0.1235"), (2.0, 0, "2"), (-0.5, 2, "-0.50"), (None, 4, "none")]
)
def test_a_figure_has_so_many_decimals_and_a_missing_one_a_word(value: float | None, digits: int, text: str) -> None:
    assert figure(value, digits) == text


def test_checks_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [{"file": "a", "ok": True, "finding": "whole"}, {"file": "b", "ok": False, "finding": "truncated"}]
    print_checks(checks, "file")
    assert capsys.readouterr().out == "ok    a: whole\nFAIL  b: truncated\n"


def test_an_answer_is_a_sentence_a_table_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(
        Answer(
            headline="Attention helps.",
            columns=("arm", "gain"),
            rows=(("attention", "+0.01"),),
            lines=("next",),
            document={},
        )
    )
    assert capsys.readouterr().out.splitlines() == ["", "Attention helps.", "arm         gain", "attention  +0.01", "next"]
