"""A page as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from reports.exports.text import clean, one_line
from reports.page import EXTENSIONS, Page, Table, check_page


def to_markdown(page: Page, figures_dir: str = "figures") -> str:
    """The page as GitHub-flavoured Markdown.

    Args:
        page: what to write.
        figures_dir: where the plots lie, relative to the document; pictures lie beside that folder, in `pictures`.
    """
    check_page(page)
    figures = PurePosixPath(figures_dir)
    blocks = [f"# {_md(page.title)}", *(_md_start(text) for text in page.summary)]
    if page.answer:
        marks = {True: "\u2713", False: "!", None: "?"}
        blocks += map(_md_start, page.answer.tradeoff)
        blocks.append("\n".join(f"- {marks[one.passed]} {_md(one.words)}" for one in page.answer.controls))
        blocks += map(_md_start, page.answer.remaining)
    if page.warnings:
        blocks.append("\n".join(["> [!WARNING]", *(f"> - {_md_start(text)}" for text in page.warnings)]))
    if page.facts:
        blocks.append("\n".join(f"- **{_md(label)}:** {_md(text)}" for label, text in page.facts.items()))
    for section in page.sections:
        blocks += [f"## {_md(section.title)}", *(_md_start(text) for text in section.paragraphs)]
        for table in section.tables:
            blocks += [
                f"### {_md(table.title)}",
                _md_table(table),
                *(_md_start(one) for one in (table.cut, table.note) if one),
            ]
        for figure in section.figures:
            blocks += _md_image(figure.title, figure.caption, figure.alt, figures / f"{figure.id}.svg")
        for picture in section.pictures:
            path = figures.parent / "pictures" / f"{picture.id}.{EXTENSIONS[picture.mime]}"
            blocks += _md_image(picture.title, picture.caption, picture.alt, path)
        if section.commands:
            code = clean("\n".join(section.commands))
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
            blocks.append(f"{fence}sh\n{code}\n{fence}")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _md(text: str) -> str:
    """Plain text within a line of Markdown."""
    text = re.sub(r"[\\`*_<>|~$]", r"\\\g<0>", one_line(text))
    text = re.sub(r"&(?=#?\w+;)", r"\\&", text)  # an entity
    text = re.sub(r"\](?=[\[(:])", r"\\]", text)  # a link, an image, a link's definition
    return re.sub(r"\[(?=\^)", r"\\[", text)  # a footnote


def _md_start(text: str) -> str:
    """Plain text at the beginning of a line of Markdown, where more characters have a meaning."""
    text = re.sub(r"^(\d{1,9})(?=[.)]( |$))", r"\1\\", _md(text))
    return re.sub(r"^(?=[#+=-]|\[[ xX]\])", r"\\", text)


def _md_table(table: Table) -> str:
    lines = [
        [_md(column) for column in table.columns],
        ["---:" if numeric else "---" for numeric in table.numeric],
        *([_md(value.text) for value in row] for row in table.shown),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _md_image(title: str, caption: str, alt: str, path: PurePosixPath) -> list[str]:
    # Brackets must pair up inside a link's text: here all are escaped.
    label = re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", _md(alt))
    return [f"![{label}]({quote(str(path))})", f"**{_md(title)}** {_md(caption)}" if title.strip() else _md_start(caption)]
