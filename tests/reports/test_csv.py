"""Tables and data as CSV: read back by another program, and no formula among them."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st
from small_pages import table_of

from reports.exports.csv import data_to_csv, to_csv
from reports.exports.text import clean
from reports.page import Data


def test_csv_neutralises_formulas_and_keeps_numbers() -> None:
    given = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        " =1",
        "-0.5",
        "+1.25e-3",
        "−0.5",
        "1",
        "a,b",
        'q"q',
        "x\ny",
    ]
    read = [row[0] for row in csv.reader(io.StringIO(to_csv(table_of(*given)), newline=""))]
    assert read == [
        "name",
        *("'=1+1", "'+cmd|' /C calc'!A0", "'-2+3", "'@SUM(A1)", "'\tx", "'\rx", "' =1"),
        *("-0.5", "+1.25e-3", "-0.5", "1", "a,b", 'q"q', "x\ny"),
    ]
    assert to_csv(table_of("a")) == "name,number\r\na,1\r\n"


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_csv_reads_back(texts: list[str]) -> None:
    read = list(csv.reader(io.StringIO(to_csv(table_of(*texts)), newline="")))
    assert len(read) == 1 + len(texts)
    for row, text in zip(read[1:], texts, strict=True):
        assert row[0].lstrip("'") in (clean(text).lstrip("'"), text.strip().replace("\N{MINUS SIGN}", "-"))
        assert row[0][:1] not in "=@\t\r\n" or not row[0]


def test_data_keep_every_digit_and_nothing_stands_for_none() -> None:
    data = Data("d", ("arm", "value", "better"), (("=1+1", 0.1 + 0.2, True), ("b", None, False)))
    assert data_to_csv(data) == f"arm,value,better\r\n'=1+1,{0.1 + 0.2!r},True\r\nb,,False\r\n"
