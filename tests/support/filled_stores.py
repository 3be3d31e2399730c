"""Stores of made-up runs for tests of the report: filled, changed, and their pages looked into."""

from __future__ import annotations

from pathlib import Path

from fake_store import Fake, cell, write_run

from harness.store import Folder, Store
from harness.variant import Variants
from reports.analysis.groups import Group
from reports.analysis.overview import Analysis, analyse
from reports.analysis.reading import read_store
from reports.page import Figure, Page, Table
from reports.pages.sections import make_page

VARIANTS = Variants(third_party=False)
USUAL = Fake()


def fill(
    root: Path, names: tuple[str, ...] = ("base", "attention"), seeds: tuple[int, ...] = (0, 1, 2), fake: Fake = USUAL,
    **settings: object,
) -> list[str]:  # fmt: skip
    """Writes runs and returns their ids. `settings`: paths with two underscores for a dot."""
    changes = {path.replace("__", "."): value for path, value in settings.items()}
    return [write_run(root, cell(name, seed, settings=changes), fake) for name in names for seed in seeds]


def rewrite(root: Path, run_id: str, record: str = "result.json", /, **fields: object) -> None:
    """Replaces fields of a run's record."""
    folder = Folder(root / "runs" / run_id)
    folder.write(record, folder.read(record) | fields)


def analysis(root: Path) -> Analysis:
    """What the store says."""
    return analyse(read_store(Store(root)))


def first_group(root: Path) -> Group:
    """The store's first table."""
    return analysis(root).groups[0]


def make(root: Path, margin: float = 0.005) -> Page:
    """The store's page."""
    store = Store(root)
    return make_page(store, read_store(store), VARIANTS, margin)


def table(page: Page, id_: str) -> Table:
    """A table of a page."""
    return next(table for section in page.sections for table in section.tables if table.id == id_)


def ids(page: Page) -> set[str]:
    """The tables of a page."""
    return {table.id for section in page.sections for table in section.tables}


def column(found: Table, name: str) -> dict[str, str]:
    """First cell of a row -> its cell of a column."""
    index = found.columns.index(name)
    return {row[0].text: row[index].text for row in found.rows}


def not_drawn(canvas: object, id_: str, title: str, caption: str, alt: str) -> Figure:
    """Stands for `reports.figures.canvas.save`: plots are composed, not rendered."""
    return Figure(id_, title, caption, alt, "<svg/>", b"png")
