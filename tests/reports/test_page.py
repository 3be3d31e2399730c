"""What a page must be, whatever writes it."""

from __future__ import annotations

import dataclasses

import pytest
from small_pages import page_of, table_of

from harness.errors import HarnessError
from reports.exports.csv import to_csv
from reports.exports.latex import to_latex
from reports.exports.markdown import to_markdown
from reports.page import MOST_ROWS, Data, Page, Picture, Section, Table, Value, check_page
from reports.pages import html


@pytest.mark.parametrize("bad", ["../x", "", "A", "a b", "a/b", "-a", "x" * 101, "a\n"])
def test_ids_that_cannot_name_a_file_are_refused(bad: str) -> None:
    with pytest.raises(HarnessError, match="use lower-case letters, digits"):
        html.to_html(page_of(table_of("a", id=bad)))
    with pytest.raises(HarnessError, match="use lower-case letters, digits"):
        to_latex(table_of("a", id=bad))


def test_malformed_pages_are_refused() -> None:
    table = table_of("a")
    with pytest.raises(HarnessError, match="two tables with the id 't'"):
        html.to_html(page_of(table, table))
    with pytest.raises(HarnessError, match="2 columns, but 1 cells in row 1"):
        to_csv(dataclasses.replace(table, rows=((Value("a"),),)))
    with pytest.raises(HarnessError, match="2 columns and 1 entries"):
        to_markdown(page_of(dataclasses.replace(table, numeric=(True,))))
    with pytest.raises(HarnessError, match="of type 'text/html'"):
        html.to_html(page_of(pictures=(Picture("p", "", "", "", "text/html", b""),)))


def test_a_table_beyond_a_page_s_rows_says_which_its_file_has() -> None:
    rows = tuple((Value(str(k)),) for k in range(MOST_ROWS + 2))
    table = Table("t", "T", ("n",), rows, (False,))
    assert table.shown == rows[:MOST_ROWS]
    assert table.cut == "Rows 1,001 to 1,002 are left out here: tables/t.csv has all."
    whole = dataclasses.replace(table, rows=rows[:MOST_ROWS])
    assert (whole.shown, whole.cut) == (whole.rows, "")


def test_what_sections_hold_is_found_in_the_page_in_its_order() -> None:
    page = Page(
        "P", (), (Section("a", "A", tables=(table_of("x", id="t"),)), Section("b", "B", tables=(table_of("y", id="u"),)))
    )
    assert [one.id for one in page.tables] == ["t", "u"]
    assert (page.figures, page.pictures) == ([], [])
    check_page(page)
    with pytest.raises(HarnessError, match="two data tables with the id 'd'"):
        check_page(dataclasses.replace(page, data=(Data("d", (), ()), Data("d", (), ()))))
