"""`harness compare`: what changed between two stores or reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption, ReportOptions, expand_options
from harness.errors import RequestError
from harness.system.console import emit, say


@expand_options
def compare(
    *,
    a: Annotated[Path, typer.Argument(help="A store, or the folder of a report: before.")],
    b: Annotated[Path, typer.Argument(help="A store, or the folder of a report: after.")],
    asked: ReportOptions,
    metric: Annotated[str | None, typer.Option(help="The metric that is compared, such as mse. Default: ssim.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what changed beyond noise from A to B.

    Exit code 0: every row is equivalent within the margin, or better. 1: something got worse. 3: undecided, with the seeds that
    it would take. 2: nothing is comparable.
    """
    report = asked.load()
    if report.compare is None:
        raise RequestError(f"report {asked.report!r} cannot compare; choose another with --report")
    options = report.options(report.compare, margin=asked.margin, metric=metric)
    difference = report.compare(a, b, asked.variants(), **options)
    if as_json:
        emit(difference.document)
    else:
        for line in difference.lines:
            say(line)
    if difference.regressed or difference.undecided:
        raise typer.Exit(1 if difference.regressed else 3)
