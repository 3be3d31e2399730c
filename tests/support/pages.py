"""What the documentation says to type: the commands and Python snippets of a Markdown page, and its links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

HOUSE = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [HOUSE / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md", "examples/README.md")]
    + list((HOUSE / "docs").glob("*.md"))
    + list((HOUSE / "variants").glob("*/README.md"))
)
RESULTS = sorted((HOUSE / "docs/results").rglob("README.md"))
PROGRAMS = (
    "harness",
    "make",
    "pip",
    "python",
    "git",
    "ray",
    "torchrun",
    "createdb",
    "export",
    "pytest",
    "podman",
    "uv",
    "pipx",
)


@dataclass(frozen=True)
class Snippet:
    """A command line, or the text of a Python block."""

    line: int
    text: str
    python: bool = False

    @property
    def words(self) -> list[str]:
        """The words of a command, without its comment."""
        return shlex.split(self.text, comments=True)


def snippets(page: Path) -> Iterator[Snippet]:
    """The commands and Python blocks of a page, in its order."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type not in ("fence", "code_block") or token.map is None:
            continue
        if token.info == "python":
            yield Snippet(token.map[0] + 1, token.content, python=True)
        elif token.info in ("", "console", "sh"):
            for offset, line in enumerate(token.content.replace("\\\n", "").splitlines()):  # a long command goes on
                if line.split(" ")[0] in PROGRAMS:
                    yield Snippet(token.map[0] + offset + 1, line)


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        for child in token.children or ():
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
