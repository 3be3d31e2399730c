"""`harness report`: tables and a page from the store's records."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import ReportOptions, StoreOptions, expand_options
from harness.errors import RequestError
from harness.options import option
from harness.system.console import note, say


@expand_options
def report(
    *,
    out: Path | None = option(None, "Folder to write. Default: report/ in the store.", flag="--out -o"),
    pdf: bool = option(
        False, "Print the page to report.pdf: needs Chromium, or WeasyPrint (the extra 'pdf').", flag="--pdf"
    ),
    stored: StoreOptions,
    asked: ReportOptions,
) -> None:
    """Rebuild the tables from the store's records; train nothing."""
    chosen = asked.load()
    options = chosen.options(chosen.build, margin=asked.margin, pdf=pdf or None)
    store = stored.open()
    if out is None and (out := store.root / "report").is_symlink():
        raise RequestError(f"{out} is a link, which may lead out of the store; remove it, or name the folder with --out")
    first, *others = chosen.build(store, asked.variants(), out, **options)
    say(str(first))
    note(f"and {len(others)} more files in {out}: Markdown, data, and every table, plot and picture as a file")
