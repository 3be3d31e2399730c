"""What a report says, apart from how it is written: sections of prose, tables, figures and pictures.

Every text in here is plain text: renderers escape it for their format. Nothing here is trusted to be free of markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.errors import HarnessError

ID = "[a-z0-9][a-z0-9-]{0,99}"
"""Ids become file names and labels, so nothing else may be in them."""
EXTENSIONS = {"image/png": "png", "image/gif": "gif"}
"""The kinds of pictures and their file names' endings."""

MOST_ROWS = 1000
"""Rows of a table that a page shows; the table's own files have all."""


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

    @property
    def shown(self) -> tuple[tuple[Value, ...], ...]:
        """The rows that a page shows."""
        return self.rows[:MOST_ROWS]

    @property
    def cut(self) -> str:
        """What a page says of the rows that it does not show; empty where it shows all."""
        if len(self.rows) <= MOST_ROWS:
            return ""
        return f"Rows {MOST_ROWS + 1:,} to {len(self.rows):,} are left out here: tables/{self.id}.csv has all."


@dataclass(frozen=True)
class Figure:
    """A plot as SVG text, PNG and PDF bytes, with a caption and a text alternative that says what it shows."""

    id: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes = b""


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
class Effect:
    """A row of the first screen: an arm against the reference. What does not exist is None or empty.

    `verdict` is 'helps', 'hurts', 'equivalent', 'undecided' or 'failed', and empty for the reference; `gain` and its interval
    (`low`, `high`) are in units of the metric, `text` says them; `cost` and `sure` are words.
    """

    name: str
    verdict: str = ""
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    text: str = ""
    cost: str = ""
    sure: str = ""


@dataclass(frozen=True)
class Control:
    """A check of the experiment itself: whether it passed (None: it was not made), and what was found."""

    passed: bool | None
    words: str


@dataclass(frozen=True)
class Answer:
    """The first screen: which idea helps, by how much, at what cost, how sure, whether the controls passed, what is left to do.

    Args:
        headline: the answer in a sentence.
        setting: what was compared, in a line: metric, budget, seeds, adjustment.
        gain: what the plot's axis shows.
        margin: the smallest difference of interest, in units of the metric.
        effects: the arms, in one plot with one axis.
        tradeoff: gain against cost, in sentences.
        remaining: what would decide the rest, in sentences; `commands` do it.
    """

    headline: str
    setting: str
    gain: str
    margin: float
    effects: tuple[Effect, ...]
    controls: tuple[Control, ...] = ()
    tradeoff: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    higher_is_better: bool = True


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
class Data:
    """Numbers in full precision, for other programs: texts, whole numbers, floats, truth values, or None."""

    id: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Paper:
    """What a paper can use: a table of six columns whose title is the caption, and paragraphs that say how it was made."""

    table: Table
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A whole report. `summary` holds the sentences to read if one reads nothing else; `warnings` what is missing or unsure."""

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """Hardware, preset, seeds, budget, test digest, versions: label -> text."""
    answer: Answer | None = None
    """The first screen. `summary` says the same in sentences, where nothing can be drawn."""
    terms: dict[str, str] = field(default_factory=dict)
    """Terms in headings -> id of the row that explains them; the rows are those of the table 'conventions' with that name."""
    data: tuple[Data, ...] = ()
    paper: Paper | None = None

    @property
    def tables(self) -> list[Table]:
        """The tables of all sections."""
        return [table for section in self.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        """The figures of all sections."""
        return [figure for section in self.sections for figure in section.figures]

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of all sections."""
        return [picture for section in self.sections for picture in section.pictures]


def check_page(page: Page) -> None:
    """Raises HarnessError for ids that cannot name a file or come twice, and for tables and pictures that are malformed."""
    ids = {
        "section": [section.id for section in page.sections],
        "table": [table.id for table in page.tables],
        "figure": [figure.id for figure in page.figures],
        "picture": [picture.id for picture in page.pictures],
        "data table": [data.id for data in page.data],
    }
    for kind, given in ids.items():
        for id_ in given:
            _check_id(kind, id_)
            if given.count(id_) > 1:
                raise HarnessError(f"the report has two {kind}s with the id {id_!r}; give each its own")
    for table in page.tables:
        check_table(table)
    for picture in page.pictures:
        if picture.mime not in EXTENSIONS:
            raise HarnessError(f"picture {picture.id!r} is of type {picture.mime!r}; known: {', '.join(EXTENSIONS)}")


def _check_id(kind: str, given: str) -> None:
    if not re.fullmatch(ID, given):
        raise HarnessError(
            f"{kind} id {given[:80]!r} cannot name a file; use lower-case letters, digits and '-', at most 100 characters"
        )


def check_table(table: Table) -> None:
    """Raises HarnessError for an id that cannot name a file, and for rows of other lengths than the headings."""
    _check_id("table", table.id)
    if not table.columns or len(table.numeric) != len(table.columns):
        raise HarnessError(
            f"table {table.id!r} has {len(table.columns)} columns and {len(table.numeric)} entries in `numeric`"
        )
    for number, row in enumerate(table.rows, 1):
        if len(row) != len(table.columns):
            raise HarnessError(f"table {table.id!r} has {len(table.columns)} columns, but {len(row)} cells in row {number}")
