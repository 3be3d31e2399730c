"""A static site over the plans of a store: a page for each, and an index that says what was asked, the answer, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import HarnessError, RequestError
from harness.store import Store
from harness.system import files
from harness.variant import Variants
from reports.analysis.reading import read_store
from reports.analysis.records import PlanRecord, Records
from reports.analysis.words import counted, shorten
from reports.pages.folder import check_folder, write
from reports.pages.html import site_html
from reports.pages.sections import make_page

GENERATOR = "ablation-harness site"
TITLE = "Ablations"


@dataclass(frozen=True)
class Entry:
    """A plan on the index. `page` is the relative address of its page, empty where no run is finished; `when` is a POSIX time."""

    id: str
    page: str
    asked: str
    answer: str
    facts: str
    when: float


def build(store: Store, variants: Variants, out: Path, *, margin: float | None = None) -> list[Path]:
    """Writes the site into the folder `out` and returns the paths of its files, the index first.

    Every link is relative, and nothing is loaded from elsewhere, so the folder can be served from any address: GitHub Pages (a
    file .nojekyll is there), or opened from a disk.

    Raises RequestError when the store has no plan, HarnessError when `out` has another program's index.html.
    """
    check_folder(out)
    index = out / "index.html"
    if index.exists() and GENERATOR not in index.read_text(errors="replace")[:4096]:
        raise HarnessError(
            f"cannot write {index}: no site of the harness is there; move it away or choose another folder (--site)"
        )
    found = read_store(store)
    if not found.plans:
        raise RequestError(f"the store {store.root} has no plan; harness ablate makes one, harness report a page without")
    entries: list[Entry] = []
    written: list[Path] = []
    for plan in found.plans:
        entry, paths = _entry(store, found.of(plan), plan, variants, out, margin)
        entries.append(entry)
        written += paths
    entries.sort(key=lambda one: (-one.when, one.id))
    try:
        files.write(out / ".nojekyll")
        files.write(index, site_html(TITLE, GENERATOR, entries).encode())
    except OSError as error:
        raise HarnessError(f"cannot write {index}: {error.strerror or error}; choose another folder (--site)") from error
    return [index, *written]


def _entry(
    store: Store, mine: Records, plan: PlanRecord, variants: Variants, out: Path, margin: float | None
) -> tuple[Entry, list[Path]]:
    id_ = f"plan-{plan.key}"
    asked = str(plan.question.get("question") or plan.command or f"plan {shorten(plan.plan)}")
    when = max(_times(store, mine, plan))
    seeds = len({cell.seed for cell in plan.cells})
    facts = (
        f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d} · preset {shorten(plan.preset, 60)} · {counted(seeds, 'seed')} · "
        f"{len(mine.runs)} of {counted(len(plan.cells), 'run')} finished · plan {plan.key}"
    )
    if not mine.runs:
        return Entry(id_, "", asked, "No run is finished yet.", facts, when), []
    page = make_page(store, mine, variants, margin)
    answer = page.answer.headline if page.answer is not None else page.summary[0]
    paths = write(page, out / "plans" / plan.key)
    return Entry(id_, f"plans/{plan.key}/index.html", asked, answer, facts, when), paths


def _times(store: Store, mine: Records, plan: PlanRecord) -> Iterator[float]:
    """When the plan's results were written, by their files; records hold no time."""
    yield (store.root / "plans" / f"{plan.key}.json").stat().st_mtime
    results = [store.root / "runs" / run.run_id / "result.json" for run in mine.runs]
    yield from (path.stat().st_mtime for path in results if path.is_file())
