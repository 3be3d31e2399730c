"""Tables and data as CSV."""

from __future__ import annotations

import csv
import io
import re

from reports.exports.text import clean
from reports.page import Data, Table, check_table

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"


def to_csv(table: Table) -> str:
    """The table as RFC 4180 text: a header line, CRLF line ends, quotes where they are needed.

    A cell that a spreadsheet would take for a formula gets a leading apostrophe, unless it is a plain number.
    """
    check_table(table)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_csv_cell(column) for column in table.columns])
    writer.writerows([_csv_cell(value.text) for value in row] for row in table.rows)
    return text.getvalue()


def data_to_csv(data: Data) -> str:
    """The data as RFC 4180 text: floats with all the digits that they need, nothing for None."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(data.columns)
    writer.writerows([_csv_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in data.rows)
    return text.getvalue()


def _csv_cell(text: str) -> str:
    text = clean(text)
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if _NUMBER.fullmatch(plain):
        return plain
    risky = text[:1] in ("\t", "\r", "\n") or text.lstrip()[:1] in tuple(_FORMULA)
    return f"'{text}" if risky else text
