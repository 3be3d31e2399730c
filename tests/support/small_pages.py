"""Pages of one table, and texts that are hard to write."""

from __future__ import annotations

from reports.page import Figure, Page, Picture, Section, Table, Value

NASTY = "<script>alert(1)</script>\"'&amp; | `x` [a](http://b) ![i](j) *b* _c_ $d$ {{ 7 * 7 }} {% raw %} \\"
LONG = "n" * 10_000


def table_of(*texts: str, id: str = "t") -> Table:
    rows = tuple((Value(text), Value("1", 1.0)) for text in texts)
    return Table(id=id, title="A table", columns=("name", "number"), rows=rows, numeric=(False, True))


def page_of(*tables: Table, pictures: tuple[Picture, ...] = (), figures: tuple[Figure, ...] = ()) -> Page:
    return Page(
        title="A page", summary=(), sections=(Section("s", "A section", tables=tables, pictures=pictures, figures=figures),)
    )
