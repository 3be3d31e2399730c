"""The board on a terminal, as wide as it is."""

from __future__ import annotations

import io
import re

from rich.console import Console

from harness.watching.board import Reader
from harness.watching.table import Drawn


def test_a_narrow_terminal_shows_counts_instead_of_squeezing_names(whole: Reader) -> None:
    def drawn(width: int) -> str:
        console = Console(width=width, file=io.StringIO())
        console.print(Drawn(whole.read()))
        return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

    arms = list(whole.read().arms)
    wide, narrow = drawn(120), drawn(56)
    assert "seed 0" in wide
    assert "seed 0" not in narrow
    assert "finished" in narrow
    assert all(re.search(rf"^ {re.escape(arm)} ", text, re.MULTILINE) for arm in arms for text in (wide, narrow))
