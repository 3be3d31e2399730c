"""What several commands print: figures and checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.system.console import print_table, say

if TYPE_CHECKING:
    from harness.reports import Answer


def figure(value: float | None, digits: int) -> str:
    """A number with so many decimals; 'none' for one that is not finite."""
    return "none" if value is None else f"{value:.{digits}f}"  # a value that was not finite is null in the record


def print_checks(checks: Sequence[dict[str, Any]], name: str) -> None:
    """One line per check: 'ok' or 'FAIL', the check's `name`, and the finding."""
    for check in checks:
        say(f"{'ok  ' if check['ok'] else 'FAIL'}  {check[name]}: {check['finding']}")


def print_answer(found: Answer) -> None:
    """A sentence, a row for each arm, and what to check or do next; an empty line before."""
    say("")
    say(found.headline)
    print_table(found.columns, found.rows)
    for line in found.lines:
        say(line)
