"""`harness data`: fetch and verify MNIST's digits; export sequences."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.cli.options import DigitsOptions, JsonOption, PluginOptions, RequestOptions, expand_options
from harness.cli.printing import print_checks
from harness.options import option
from harness.system.console import emit, say


@expand_options
def fetch(*, folder: Path | None = option(None, "Folder to write. Default: the user's cache.", flag="--out")) -> None:
    """Download MNIST's four files from its public mirrors and check their digests."""
    from harness.data.mirrors import fetch_digits

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


@expand_options
def export(
    *,
    split: str = option("test", "test or validation."),
    out: Path = option(Path("test.npy"), "The .npy file to write; a .json beside it says what it holds.", flag="--out -o"),
    asked: RequestOptions,
    drawn: DigitsOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Write the test sequences of a preset, for a program that predicts them elsewhere; `harness score` tests what it answers."""
    from harness.data.export import export as write

    _, source = asked.request("cpu", drawn.digits).cell(plugins.variants(), "base")
    about = write(source, split, out)
    if as_json:
        emit(about)
        return
    say(f"{out}: {split} sequences of the shape {tuple(about['shape'])}, float32 in [0, 1]")
    say(f"shown: the first {about['shown']} frames; to be predicted: the last {about['horizon']}")
