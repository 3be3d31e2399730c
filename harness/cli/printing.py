"""What the command line prints: JSON documents, messages, and tables that paste well."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from harness.system.secrets import redact

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that act on a terminal, or on the order of others, instead of being seen: other people's names may hold them."""


def visible(text: str) -> str:
    """The text with characters that would act on a terminal written out, and without secrets.

    >>> visible("a name\x1b[2J")
    'a name\\\\x1b[2J'
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), redact(text))


def emit(document: object) -> None:
    """Prints one JSON document on stdout."""
    text = redact(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    sys.stdout.write(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def say(text: str) -> None:
    """Prints a line on stdout."""
    sys.stdout.write(visible(text) + "\n")


def note(text: str) -> None:
    """Prints a message on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def figure(value: float | None, digits: int) -> str:
    """A number with so many decimals; 'none' for one that is not finite."""
    return "none" if value is None else f"{value:.{digits}f}"  # a value that was not finite is null in the record


_FIGURE = re.compile(r"none|[-+]?[\d.,]+(e[-+]?\d+)?%?")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a plain table that pastes well: words to the left, figures to the right."""
    rows = [[visible(cell).replace("\n", "\\n") for cell in row] for row in rows]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    widths = [max(map(len, (name, *column))) for name, column in zip(header, columns, strict=True)]
    figures = [any(column) and all(_FIGURE.fullmatch(cell) for cell in column if cell) for column in columns]
    for row in [header, *rows]:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, figures, strict=True)
        ]
        say("  ".join(parts).rstrip())


def print_checks(checks: Sequence[dict[str, Any]], name: str) -> None:
    """One line per check: 'ok' or 'FAIL', the check's `name`, and the finding."""
    for check in checks:
        say(f"{'ok  ' if check['ok'] else 'FAIL'}  {check[name]}: {check['finding']}")
