"""A page as PDF: by the first browser on the path, else by WeasyPrint, else with words on what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError, RequestError
from reports.exports import pdf


def browser(folder: Path, name: str, script: str) -> Path:
    """A program of that name on the path, instead of a browser."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the path, apart from that of the shell's tools; WeasyPrint is not there."""
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    monkeypatch.setattr(pdf, "BROWSERS", ("first-browser", "second-browser"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_nothing_that_prints_is_a_request_with_a_remedy(alone: Path) -> None:
    assert pdf.printer() is None
    with pytest.raises(RequestError, match=r"looked for first-browser, second-browser.*ablation-harness\[pdf\]"):
        pdf.to_pdf("<p>x</p>")


def test_browsers_are_tried_in_their_order_and_before_weasyprint(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_spec", lambda name: object() if name == "weasyprint" else None)
    assert pdf.printer() == "weasyprint"
    second = browser(alone, "second-browser", "exit 0")
    assert pdf.printer() == str(second)
    first = browser(alone, "first-browser", "exit 0")
    assert pdf.printer() == str(first)


def test_a_browser_gets_the_page_and_its_file_is_the_answer(alone: Path) -> None:
    browser(
        alone,
        "first-browser",
        "for word; do case $word in --print-to-pdf=*) out=${word#*=};; file://*) page=${word#file://};; esac; done\n"
        'printf "%%PDF " >"$out"; cat "$page" >>"$out"',
    )
    assert pdf.to_pdf("<p>Größe</p>") == "%PDF <p>Größe</p>".encode()


def test_a_browser_that_prints_nothing_is_named_with_what_it_said(alone: Path) -> None:
    browser(alone, "first-browser", "echo no display >&2; exit 3")
    with pytest.raises(HarnessError, match=r"first-browser did not print the page \(exit code 3\): no display"):
        pdf.to_pdf("<p>x</p>")


def test_a_browser_that_hangs_is_given_up(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser(alone, "first-browser", "exec sleep 60")
    monkeypatch.setattr(pdf, "SECONDS", 0.05)
    with pytest.raises(HarnessError, match=r"did not print the page: .*timed out"):
        pdf.to_pdf("<p>x</p>")
