"""The report `ablation`: rebuilds tables, plots, pictures and the page from a store's records. It trains nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, RequestError
from harness.reports import Answer, Report
from harness.store import Store
from harness.system import files
from harness.variant import Variants
from reports.analysis.comparisons import MARGIN, check
from reports.analysis.overview import analyse
from reports.analysis.reading import DATA_FILE, read_store
from reports.analysis.records import KIND, Records
from reports.analysis.stores import compare
from reports.analysis.words import shorten
from reports.judging.judge import judge
from reports.page import Page
from reports.pages import studies
from reports.pages.answer import printed
from reports.pages.paper import compared
from reports.pages.sections import TITLE, first_screen, make_page

if TYPE_CHECKING:
    from pandas import DataFrame

    from harness.store.status import Standing


def build(
    store: Store,
    variants: Variants,
    out: Path,
    *,
    margin: float | None = None,
    pdf: bool = False,
    told: Callable[[Answer], None] | None = None,
) -> list[Path]:
    """Writes the report into the folder `out` and returns the paths of its files.

    Args:
        store: where the records are; only read.
        variants: the installed variants, for what their sources claim and how to cite them.
        out: the folder; made if it is missing.
        margin: the smallest difference of interest, in the judged metric; by default the plan's, or 0.005 SSIM without a plan.
        pdf: print the page to report.pdf, too.
        told: is called with the page's first screen.

    Raises:
        RequestError: the store has no finished run, the margin is not positive, or `out` is a file.
        HarnessError: `out` cannot be written.
    """
    from reports.pages.folder import check_folder, write

    check(MARGIN if margin is None else margin)
    check_folder(out)
    _refuse_foreign(out / DATA_FILE)
    found = read_store(store)
    searched = () if found.runs else tuple(studies.sections(store))
    if not found.runs and not searched:
        raise RequestError(_nothing(store, found))
    page = make_page(store, found, variants, margin) if found.runs else Page(TITLE, ("No run was tested yet.",), searched)
    paths = write(page, out, pdf=pdf)
    if told is not None and page.answer is not None:
        told(printed(page.answer))
    return [*paths, _write_data(out / DATA_FILE, found, margin)]


def comparisons(root: Path, runs: Mapping[str, Standing | None]) -> DataFrame:
    """A row for each comparison among these runs of a store, by their ids: columns as in the report's data/comparisons.

    What was read of a run is not read again.
    """
    import pandas as pd

    known = [one for one in runs.values() if one is not None]
    found = read_store(Store(root), known if len(known) == len(runs) else None, facts=False)
    found = replace(found, runs=tuple(run for run in found.runs if run.run_id in runs))
    result = analyse(found) if found.runs else None
    groups = {} if result is None else {"steps": result.groups[0], **{id_: group for group, id_ in result.matched_by_id}}
    table = compared(groups)
    return pd.DataFrame(list(table.rows), columns=list(table.columns))


def site(store: Store, variants: Variants, out: Path, *, margin: float | None = None) -> list[Path]:
    """Writes a page for each plan, and an index; see `reports.pages.site.build`."""
    from reports.pages.site import build as build_site

    check(MARGIN if margin is None else margin)
    return build_site(store, variants, out, margin=margin)


def answer(store: Store, variants: Variants, plan: str) -> Answer | None:
    """What the runs of a plan say: the first screen of its page, for a terminal. None while no run is finished."""
    found = read_store(store)
    mine = next((found.of(one) for one in found.plans if one.key == plan), None)
    result = analyse(mine) if mine is not None and mine.runs else None
    return None if mine is None or result is None or not result.groups else printed(first_screen(mine, result))


def _nothing(store: Store, found: Records) -> str:
    words = f"the store {store.root} has no finished run to report on"
    if found.troubles:
        shown = "; ".join(f"{shorten(one.where, 60)} {one.status}: {shorten(one.reason, 200)}" for one in found.troubles[:3])
        words += f" ({len(found.troubles)} others: {shown}{'; ...' if len(found.troubles) > 3 else ''})"
    return f"{words}; make some with `harness ablate --seeds 3`, or name another store with --store or HARNESS_STORE"


def _refuse_foreign(path: Path) -> None:
    """Raises HarnessError when another program's file has the name of the report's data."""
    if path.exists() and not path.is_file():  # a pipe would block
        raise HarnessError(f"cannot write {path}: it is not a file; move it away or choose another folder (--out)")
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}; choose another folder (--out)") from error
    if KIND.encode() not in start:
        raise HarnessError(
            f"cannot write {path}: no report wrote the file that is there; move it away or choose another folder"
        )


def _write_data(path: Path, found: Records, margin: float | None) -> Path:
    """Writes what the report used, so that `harness compare` can read a report's folder like a store."""
    document = found.document() | {"margin": margin}
    try:
        files.write(path, json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}") from error
    return path


REPORT = Report(
    name="ablation",
    summary="tables, plots, pictures and statistics of all runs in a store, as HTML, Markdown, CSV and LaTeX",
    build=build,
    compare=compare,
    judge=judge,
    comparisons=comparisons,
    site=site,
    answer=answer,
)
