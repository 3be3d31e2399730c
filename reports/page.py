"""What a report says, apart from how it is written: sections of prose, tables, figures and pictures.

Every text in here is plain text: renderers escape it for their format. Nothing here is trusted to be free of markup.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Value:
    """A table's cell: its text, and what it is sorted by (None: by the text)."""

    text: str
    sort: float | None = None


@dataclass(frozen=True)
class Table:
    """A table. The first column names the row.

    Args:
        id: unique in the page; lower-case letters, digits and '-'. Also the stem of its CSV and LaTeX files.
        columns: headings, units in them ('training time (s)').
        rows: cells, as many as columns in every row.
        numeric: for every column, whether it holds figures (set to the right, sorted by `Value.sort`).
        note: what a reader must know to read it right; may be empty.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    numeric: tuple[bool, ...]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A plot as SVG text and PNG bytes, with a caption and a text alternative that says what it shows."""

    id: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Picture:
    """Predicted frames: a PNG or GIF ('image/png', 'image/gif') with a caption and a text alternative."""

    id: str
    title: str
    caption: str
    alt: str
    mime: str
    content: bytes


@dataclass(frozen=True)
class Section:
    """A part of the page. Paragraphs come first, then tables, figures and pictures, then commands to paste."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report. `summary` holds the sentences to read if one reads nothing else; `warnings` what is missing or unsure."""

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """Hardware, preset, seeds, budget, test digest, versions: label -> text, printed below the title."""
