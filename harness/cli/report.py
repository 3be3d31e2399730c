"""`harness report`: tables and a page from the store's records."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import ReportOptions, StoreOptions, expand_options
from harness.cli.printing import print_answer
from harness.errors import RequestError
from harness.options import option
from harness.system.console import note, say
from harness.system.garbage import uncollected

if TYPE_CHECKING:
    from harness.reports import Answer


@expand_options
def report(
    *,
    out: Path | None = option(None, "Folder to write. Default: report/ in the store.", flag="--out -o"),
    pdf: bool = option(
        False, "Print the page to report.pdf: needs Chromium, or WeasyPrint (the extra 'pdf').", flag="--pdf"
    ),
    site: Path | None = option(None, "Instead: a static site in this folder, a page for each plan and an index."),
    stored: StoreOptions,
    asked: ReportOptions,
) -> None:
    """Rebuild the tables from the store's records and print the verdicts; train nothing."""
    chosen = asked.load()
    if site is not None:
        if out is not None or pdf:
            raise RequestError("--site writes pages of its own; leave out --out and --pdf")
        if chosen.site is None:
            raise RequestError(f"report {asked.report!r} makes no site; choose another with --report")
        index, *others = chosen.site(
            stored.open(), asked.variants(), site, **chosen.options(chosen.site, margin=asked.margin)
        )
        say(str(index))
        note(
            f"and {len(others)} more files in {site}; its links are relative, so any web server or GitHub Pages can serve it"
        )
        return
    options = chosen.options(chosen.build, margin=asked.margin, pdf=pdf or None)
    store = stored.open()
    if out is None and (out := store.root / "report").is_symlink():
        raise RequestError(f"{out} is a link, which may lead out of the store; remove it, or name the folder with --out")
    answers: list[Answer] = []
    if "told" in inspect.signature(chosen.build).parameters:
        options["told"] = answers.append
    with uncollected():
        first, *others = chosen.build(store, asked.variants(), out, **options)
    say(str(first))
    note(f"and {len(others)} more files in {out}: Markdown, data, and every table, plot and picture as a file")
    for one in answers:
        print_answer(one)
