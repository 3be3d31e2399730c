"""Shows a plan while a block of code runs: the table on a terminal, the page in a file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.system import files
from harness.watching.board import Board, Reader
from harness.watching.page import page
from harness.watching.table import Drawn

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 1.0
PAGE_EVERY = 5.0
"""Seconds between two tables, and between two pages."""


@contextmanager
def shown(reader: Reader, out: Path | None = None) -> Iterator[None]:
    """Redraws the table on stderr, where that is a terminal, and rewrites the page `out`, until the block ends.

    What cannot be read or written just now is shown next time: no view is worth the work that it shows.
    """
    ended = threading.Event()
    writer = threading.Thread(target=_write, args=(reader, out, ended), name="page", daemon=True)
    if out is not None:
        writer.start()
    try:
        if sys.stderr.isatty():
            with _live(reader):
                yield
        else:
            yield
    finally:
        ended.set()
        if out is not None:
            writer.join()


@contextmanager
def _live(reader: Reader) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    last = reader.read()

    def draw() -> RenderableType:
        nonlocal last
        with suppress(HarnessError, OSError):
            last = reader.read()
        return Drawn(last)

    # Notes are printed above it: rich passes on what is written to stderr.
    with Live(get_renderable=draw, console=Console(stderr=True), refresh_per_second=1 / EVERY, redirect_stdout=False):
        yield


def _write(reader: Reader, out: Path, ended: threading.Event) -> None:
    own = Reader(reader.store, reader.name)  # the table's thread has the other
    while True:
        over = ended.is_set()
        with suppress(HarnessError, OSError):
            write_page(own.read, out)
        if over:
            return
        ended.wait(PAGE_EVERY)


def write_page(read: Callable[[], Board], out: Path) -> Board:
    """Writes the page whole, so that no browser sees half of it. Raises OSError; HarnessError when the plan cannot be read."""
    board = read()
    out.parent.mkdir(parents=True, exist_ok=True)
    files.write(out, page(board).encode())
    return board
