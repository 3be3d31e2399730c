"""The lowest layer of what is printed: text that no terminal acts on and no secret is in, JSON documents, and plain tables."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence

from harness.system.secrets import redact

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that act on a terminal, or on the order of others, instead of being seen: other people's names may hold them."""
_MANY = 500
"""Rows up to which a table is fitted to a terminal's width: that takes a millisecond a row."""


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


_FIGURE = re.compile(r"none|[-+]?[\d.,]+(e[-+]?\d+)?%?")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table on stdout: words to the left, figures to the right.

    On a terminal it fits the width; elsewhere it has plain columns without lines or colours, one line a row, which paste well.
    """
    terminal = sys.stdout.isatty() and len(rows) <= _MANY
    rows = [_cells(row) for row in rows]
    columns = [[row[index] for row in rows] for index in range(len(header))]
    right = [any(column) and all(map(_FIGURE.fullmatch, filter(None, column))) for column in columns]
    if not terminal:
        _print_plain(list(map(visible, header)), rows, columns, right)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name, figures in zip(header, right, strict=True):
        table.add_column(Text(visible(name)), justify="right" if figures else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(file=sys.stdout, force_terminal=True)
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines() if line.strip()))


def _cells(row: Sequence[str]) -> list[str]:
    """The cells of a row, each as one line; `visible` leaves the tab between them alone."""
    joined = visible("\t".join(cell.replace("\t", " ") for cell in row))
    return joined.replace("\n", "\\n").split("\t")


def _print_plain(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[Sequence[str]], right: Sequence[bool]
) -> None:
    from rich.cells import cell_len

    def width(text: str) -> int:
        return len(text) if text.isascii() else cell_len(text)

    widths = [max(map(width, (name, *column))) for name, column in zip(header, columns, strict=True)]
    for row in (header, *rows):
        padded = [
            (cell.rjust if figures else cell.ljust)(wide + len(cell) - width(cell))
            for cell, wide, figures in zip(row, widths, right, strict=True)
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
