"""A plan that is shown while a block runs: the page is whole at the end, and no view stops the work."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.watching import follow
from harness.watching.board import Reader


def test_the_page_is_written_once_more_when_the_block_ends(whole: Reader, tmp_path: Path) -> None:
    out = tmp_path / "below" / "page.html"
    with follow.shown(whole, out):
        pass
    assert "8 of 9 cells finished, 1 failed" in out.read_text()


def test_a_plan_that_cannot_be_read_stops_nothing_and_leaves_no_half_page(whole: Reader, tmp_path: Path) -> None:
    (whole.store.root / "plans" / whole.name).write_text("{")
    out = tmp_path / "page.html"
    worked = False
    with follow.shown(whole, out):
        worked = True
    assert worked
    assert not out.exists()
    with pytest.raises(HarnessError):
        follow.write_page(whole.read, out)


def test_an_error_of_the_block_comes_out_after_a_last_page(whole: Reader, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(KeyError, match="mine"), follow.shown(whole, out):
        raise KeyError("mine")
    assert out.exists()


def test_without_a_terminal_nothing_is_drawn(whole: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    with follow.shown(whole):
        pass
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_table_stands_there_at_the_end(whole: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with follow.shown(whole):
        print("a note", file=sys.stderr)
    assert "8 of 9 cells finished" in terminal.getvalue()
    assert terminal.getvalue().index("a note") < terminal.getvalue().rindex("8 of 9 cells finished")
