"""Hundreds of arms and thousands of rows: what a page and a plot leave out, and say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_store
import pytest
from fake_store import Fake, cell, write_run
from small_pages import page_of, table_of

from harness.store import Store
from reports.analysis.groups import Group, Method
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.exports.markdown import to_markdown
from reports.figures import canvas, costs
from reports.page import MOST_ROWS, Table, Value
from reports.pages import folder
from reports.pages.html import to_html

ARMS = 40
CHEAP_AND_GOOD = 33


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Group:
    """Forty arms, made of one run: the later, the dearer and the worse, but for one that is cheap and good."""
    root = tmp_path_factory.mktemp("crowd")
    with fake_store.without_sync():
        write_run(root, cell("base", 0), Fake(ssim=0.8, seconds=100.0))
    main = analyse(read_store(Store(root))).groups[0]
    (base,) = main.methods
    others = []
    for number in range(1, ARMS):
        ssim, seconds = (0.9, 50.0) if number == CHEAP_AND_GOOD else (0.8 - 0.001 * number, 100.0 + number)
        run = replace(base.first, seconds=seconds, metrics=base.first.metrics | {"ssim": ssim})
        others.append(Method(f"arm-{number}", "base", {0: run}))
    return replace(main, methods=(base, *others), comparisons={})


def test_a_plot_of_many_arms_names_the_front_and_shows_the_rest_in_grey(
    crowd: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    save = canvas.save
    monkeypatch.setattr(canvas, "save", lambda plot, *words: drawn.append(plot.axes) or save(plot, *words))
    figure = costs.against_cost(crowd, (), "seconds")
    assert figure is not None
    (axes,) = drawn[0]
    names = axes.get_legend_handles_labels()[1]
    assert "base" in names
    assert f"arm-{CHEAP_AND_GOOD}" in names
    assert len(names) < costs.MOST_NAMED
    named = set(names) - {"further arms"}
    (rest,) = (line for line in axes.lines if line.get_label() == "further arms")
    there = {(method.first.seconds, method.first.metrics["ssim"]) for method in crowd.methods if method.label not in named}
    assert {(x, y) for x, y in zip(*rest.get_data(), strict=True)} == there
    assert f"{len(there)} further arms" in figure.caption


def test_a_plot_of_few_arms_names_them_all(crowd: Group) -> None:
    figure = costs.against_cost(replace(crowd, methods=crowd.methods[: costs.MOST_NAMED]), (), "seconds")
    assert figure is not None
    assert "further arms" not in figure.caption


def test_a_page_shows_the_first_rows_of_a_long_table_and_its_files_have_all(tmp_path: Path) -> None:
    short = table_of("x")
    rows = tuple((Value(f"row-{number}", number), *short.rows[0][1:]) for number in range(MOST_ROWS + 5))
    page = page_of(replace(short, rows=rows, id="long"))
    for text in (to_html(page), to_markdown(page)):
        assert f"row-{MOST_ROWS - 1}" in text
        assert f"row-{MOST_ROWS}" not in text
        assert f"Rows {MOST_ROWS + 1:,} to {MOST_ROWS + 5:,} are left out here: tables/long.csv has all." in text
    folder.write(page, tmp_path)
    assert len((tmp_path / "tables" / "long.csv").read_text().splitlines()) == 1 + MOST_ROWS + 5
    assert 'href="tables/long.csv"' in (tmp_path / "index.html").read_text()


def test_a_table_that_fits_is_whole() -> None:
    table: Table = table_of("x")
    assert table.shown == table.rows
    assert table.cut == ""
