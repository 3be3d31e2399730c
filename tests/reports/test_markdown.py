"""A page as Markdown, read back by a parser."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sample_page import sample_page
from small_pages import page_of, table_of

from reports.exports.markdown import to_markdown
from reports.exports.text import clean
from reports.page import Page, Section


def markdown_cells(text: str) -> list[list[str]]:
    """A Markdown table as a reader of the rendered page sees it."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            kinds = {child.type for child in token.children or ()}
            assert kinds <= {"text", "text_special"}, kinds
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


@settings(deadline=None)
@given(st.lists(st.text(max_size=30) | st.text("\\|`*_[]()<>!&#;~$^:/.ab1 -+=\n", max_size=30), min_size=1, max_size=4))
def test_markdown_tables_come_back(texts: list[str]) -> None:
    markdown = to_markdown(page_of(table_of(*texts)))
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    expected = [[" ".join(clean(text).split()), "1"] for text in texts]
    assert markdown_cells("\n".join(lines)) == [["name", "number"], *expected]


@settings(deadline=None)
@given(st.text("\\|`*_[]()<>!&#;~$^:/.ab1 -+=\n", max_size=40))
def test_markdown_paragraphs_come_back(text: str) -> None:
    page = Page(title="T", summary=(text,), sections=())
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(to_markdown(page))[3:]
    expected = " ".join(text.split())
    assert [token.type for token in tokens] == (["paragraph_open", "inline", "paragraph_close"] if expected else [])
    if expected:
        assert {child.type for child in tokens[1].children or ()} <= {"text", "text_special"}
        assert "".join(child.content for child in tokens[1].children or ()) == expected


def test_markdown_shows_images_by_relative_path_and_fences_commands() -> None:
    markdown = to_markdown(sample_page(), figures_dir="my plots")
    assert "](my%20plots/gains.svg)" in markdown
    assert "](pictures/animation.gif)" in markdown
    assert "| base | 1.23 M | 1.00 | 0.8412 [0.8371, 0.8453] | — | baseline | 0.84 |" in markdown
    page = Page("T", (), (Section("s", "S", commands=("echo ```", "true")),))
    assert "````sh\necho ```\ntrue\n````" in to_markdown(page)
