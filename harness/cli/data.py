"""`harness data`: fetch and verify MNIST's digits."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.cli.options import DigitsOptions, JsonOption, expand_options
from harness.cli.printing import print_checks
from harness.options import option
from harness.system.console import emit, say


@expand_options
def fetch(*, folder: Path | None = option(None, "Folder to write. Default: the user's cache.", flag="--out")) -> None:
    """Download MNIST's four files from its public mirrors and check their digests."""
    from harness.data.digits import fetch_digits

    where = fetch_digits(folder)
    say(f"MNIST is in {where}; use it with --digits {where} or HARNESS_DIGITS={where}")


@expand_options
def verify(*, asked: DigitsOptions, as_json: JsonOption = False) -> None:
    """Check MNIST's files: those of --digits or HARNESS_DIGITS, else those that `harness data fetch` downloaded."""
    from harness.data.digits import verify_digits

    findings = [{"file": one.file, "ok": one.ok, "finding": one.message} for one in verify_digits(asked.digits)]
    ok = bool(findings) and all(one["ok"] for one in findings)
    emit({"files": findings, "ok": ok}) if as_json else print_checks(findings, "file")
    if not ok:
        raise typer.Exit(1)
