"""`harness judge`: verdicts over a table of other people's results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption, ReportOptions, expand_options
from harness.errors import RequestError
from harness.options import option
from harness.system.console import emit, note, say


@expand_options
def judge(
    *,
    results: Annotated[Path, typer.Argument(help="A table of results: CSV, Parquet or JSON lines; W&B's and MLflow's too.")],
    arm: str | None = option(None, "Column that names what is compared; several: A,B. Default: guessed and shown."),
    seed: str | None = option(None, "Column that pairs the runs of different arms."),
    metric: list[str] | None = option(None, "Column to judge by; repeated, the first decides and others are secondary."),
    higher_is_better: bool = option(False, "More of the first metric is better.", flag="--higher-is-better"),
    lower_is_better: bool = option(False, "Less of the first metric is better.", flag="--lower-is-better"),
    reference: str | None = option(None, "The arm that the others are compared with."),
    cost: list[str] | None = option(None, "Column of a cost, shown as a ratio; may be repeated."),
    test: str | None = option(None, "t (default), or signed-rank where runs may collapse: by seeds, from 6 seeds on."),
    out: Path | None = option(None, "Folder for the page. Default: NAME-report here, none with --json.", flag="--out -o"),
    pdf: bool = option(False, "Print the page to report.pdf, too.", flag="--pdf"),
    asked: ReportOptions,
    as_json: JsonOption = False,
) -> None:
    """Judge the arms of a table of results, whoever made it: which helps, by how much, how sure. Nothing is trained."""
    if higher_is_better and lower_is_better:
        raise RequestError("--higher-is-better and --lower-is-better exclude each other; give one")
    report = asked.load()
    if report.judge is None:
        raise RequestError(f"report {asked.report!r} cannot judge; choose another with --report")
    judged = report.judge(
        results,
        arm=arm,
        seed=seed,
        metrics=tuple(metric or ()),
        higher_is_better=True if higher_is_better else False if lower_is_better else None,
        reference=reference,
        costs=tuple(cost or ()),
        **report.options(report.judge, margin=asked.margin, test=test),
    )
    for text in judged.notes:
        note(text)
    if as_json:
        emit(judged.document)
    else:
        for line in judged.lines:
            say(line)
    if out is None and as_json and not pdf:
        return
    first, *others = judged.write(out or Path(f"{results.stem}-report"), pdf)
    note(f"{first}, and {len(others)} more files beside it: Markdown, data, and every table and plot as a file")
