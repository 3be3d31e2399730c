"""Cells show a number, its sort key and nothing that is not there; tables follow their declared columns."""

from __future__ import annotations

import math

import pytest

from reports import cells
from reports.cells import Column, counts, names, table, words
from reports.page import Value


@pytest.mark.parametrize(
    ("cell", "text", "sort"),
    [
        (cells.figure(None, 2), "-", None),
        (cells.figure(math.nan, 2), "-", None),
        (cells.figure(-0.00001, 4, sign=True), "0.0000", -0.00001),
        (cells.figure(1234.5, 1, sign=True, suffix="x"), "+1,234.5x", 1234.5),
        (cells.significant(0.0012345), "0.00123", 0.0012345),
        (cells.significant(1234.5), "1,234", 1234.5),
        (cells.interval(-1.0, 2.0, 1, sign=True), "[-1.0, +2.0]", -1.0),
        (cells.interval(None, 2.0, 1), "-", None),
        (cells.probability(0.0001), "<0.001", 0.0001),
        (cells.millions(8_710_000), "8.71M", 8_710_000),
        (cells.millions(999), "999", 999),
    ],
)
def test_a_cell_shows_and_sorts(cell: Value, text: str, sort: float | None) -> None:
    assert (cell.text, cell.sort) == (text, sort)


def test_a_table_follows_its_columns() -> None:
    columns: list[Column[tuple[str, float]]] = [
        names("name", lambda row: row[0]),
        Column("value", lambda row: cells.figure(row[1], 1)),
        counts("count", lambda row: None),
        words("note", lambda row: "x"),
    ]
    rows = [("n" * 1000, 1.0), ("b", math.nan)]
    made = table("t", "T", columns, rows, "note", more=[{"name": Value("blank"), "value": Value("0", 0.0)}])
    assert made.columns == ("name", "value", "count", "note")
    assert made.numeric == (False, True, True, False)
    assert [[cell.text for cell in row[1:]] for row in made.rows] == [["1.0", "-", "x"], ["-", "-", "x"], ["0", "-", "-"]]
    assert len(made.rows[0][0].text) < 250
    assert table("t", "T", columns, rows, drop_empty=True).columns == ("name", "value", "note")
