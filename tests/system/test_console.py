"""Text that would act on a terminal is written out, and tables paste well."""

from __future__ import annotations

import json
import re
import sys

import pytest

from harness.system.console import emit, note, print_table, visible


def test_what_acts_on_a_terminal_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J\u202egnp.exe\r\ud800"
    note(hostile)
    print_table(["name"], [[hostile + "\nsecond line"], ["x"]])
    emit({hostile: hostile})
    streams = capsys.readouterr()
    for stream in streams:
        assert not set(stream) & set("\x1b\x07\x9b\u202e\r\ud800")
    assert "\\x1b]0;owned\\x07\\x9b2J\\u202egnp.exe\\r\\ud800" in streams.err
    table, _, document = streams.out.partition("{")
    assert len(table.splitlines()) == 3
    assert json.loads("{" + document) == {hostile: hostile}
    assert visible("Größe \u2212 µ\n\t€ 日本") == "Größe \u2212 µ\n\t€ 日本"


def test_a_table_has_plain_columns_figures_to_the_right_and_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "20"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    rows = [
        ["base", "0.5", ""],
        ["[red]x[/red]", "12.25", "日本 " + "long " * 60],
        ["none", "none", ":warning: https://x/1"],
    ]
    print_table(["name", "ssim", "[b]why"], rows)
    assert capsys.readouterr().out == (
        "name           ssim  [b]why\n"
        "base            0.5\n"
        f"[red]x[/red]  12.25  日本 {'long ' * 59}long\n"
        "none           none  :warning: https://x/1\n"
    )
    print_table(["name"], [])
    assert capsys.readouterr().out == "name\n"


def test_on_a_terminal_a_table_fits_the_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in (("COLUMNS", "40"), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    print_table(["name", "why"], [["base", "long " * 20]])
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
