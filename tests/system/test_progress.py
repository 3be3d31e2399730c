"""Progress: one line that is redrawn, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest


def test_a_notebook_shows_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.system import progress
    from harness.system.progress import LiveLine, NotebookLine, PlainLines, Status

    drawn: list[str] = []

    class Shown:
        def update(self, data: dict[str, str], raw: bool) -> None:
            drawn.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Shown:
        drawn.append(data["text/plain"])
        return Shown()

    shell, module = ModuleType("IPython"), ModuleType("IPython.display")
    monkeypatch.setattr(shell, "get_ipython", lambda: SimpleNamespace(kernel=object()), raising=False)
    monkeypatch.setattr(module, "display", display, raising=False)
    assert isinstance(progress.progress("base"), PlainLines | LiveLine)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with progress.progress("base") as line:
        assert isinstance(line, NotebookLine)
        for step in range(1, 4):
            line.update(Status(step, step / 3, 0.5, None, None, None, None))
    assert [one.split(" · ")[0] for one in drawn] == ["base: starting", "base: step 1", "base: step 3"]
    monkeypatch.setattr(shell, "get_ipython", lambda: None)  # imported, but not the program that runs
    assert isinstance(progress.progress("base"), PlainLines | LiveLine)


def test_a_terminal_gets_one_line_that_is_redrawn_and_anything_else_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.system.progress import LiveLine, PlainLines, Status, progress

    assert isinstance(progress("base seed 0"), PlainLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    with progress("base seed 0") as shown:
        assert isinstance(shown, LiveLine)
        shown.update(Status(7, 0.5, 0.25, 0.125, 0.025, 60.0, 61.0))
        shown.note("a line \x1b[31mabove")
    drawn = capsys.readouterr().err
    assert "base seed 0" in drawn
    assert "step 7 ·  50% · loss 0.2500 · val SSIM 0.1250 (+0.100 on blank) · 60.0 seq/s · 1:01 left" in drawn
    assert "a line" in drawn
    assert "\x1b[31m" not in drawn
    assert "\x1b[2K" in drawn  # it leaves no line behind
