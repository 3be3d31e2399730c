"""The docs site: the Markdown pages of this folder, and `generated/`, which generate.py writes before a build."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

import harness

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402 - of this folder

project = "ablation-harness"
author = copyright = "the ablation-harness authors"
version = release = harness.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["results/**/report.md", "results/**/methods.md", "results/**/records/**"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
highlight_language = "text"
smartquotes_action = "qe"  # quotes and ellipses; two dashes before an option stay two
default_role = "code"  # docstrings write `code` as Markdown does
autodoc_typehints = "description"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = f"{project} {release}"
html_sourcelink_suffix = ""  # _sources/tutorial.md: llms.txt leads to the Markdown
html_show_sourcelink = False


def _read(app: Sphinx, page: str, text: list[str]) -> None:
    text[0] = generate.site_links(text[0], (DOCS / page).parent)


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        (Path(app.outdir) / "llms.txt").write_text(generate.llms(generate.on_site))


def setup(app: Sphinx) -> None:
    """Writes the generated pages and llms.txt, and turns links that only a checkout can follow into text."""
    app.connect("builder-inited", lambda app: generate.write())
    app.connect("source-read", _read)
    app.connect("build-finished", _finish)
