"""Rebuilds the pages beside published records with the present report, and prints which verdicts changed.

    python docs/results/rebuild.py [FOLDER ...]

Published records hold no checkpoints and no logs, so pictures and validation curves are taken from the page that is there. Plots
as PDF are left out: their SVG is beside them. Where a folder has `answer.png`, the first screen that README shows, Chromium
draws it again.
"""

from __future__ import annotations

import base64
import csv
import html
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.store import Store
from harness.variant import Variants
from reports import ablation
from reports.analysis.reading import DATA_FILE, read_store
from reports.exports.pdf import printer
from reports.page import Figure, Page, Picture
from reports.pages.folder import FOLDERS, MANIFEST, write
from reports.pages.sections import make_page

HERE = Path(__file__).parent
FILES = ("index.html", "report.md", "methods.md", DATA_FILE, MANIFEST)
CURVES = "validation"
SCREEN = "answer.png"
NOTE = "Drawn when the checkpoints were there; the rest of this page is rebuilt from the records."


def drawn(folder: Path) -> Iterator[Figure | Picture]:
    """The pictures of the page that is there, and its validation curves."""
    page = (folder / "index.html").read_text()
    for kind, name, inside in re.findall(r'<figure id="(figure|picture)-([a-z0-9-]+)">(.*?)</figure>', page, re.DOTALL):
        found = re.search(r"<figcaption><strong[^>]*>Figure \d+\. (.*?)</strong> (.*?)</figcaption>", inside, re.DOTALL)
        assert found is not None, f"{folder}: figure {name} has no caption"
        title, caption = map(html.unescape, found.groups())
        alt = html.unescape(re.findall(r'alt="(.*?)"', inside, re.DOTALL)[-1])
        if kind == "picture":
            shown = re.findall(r'src="data:([a-z/+]+);base64,([^"]*)"', inside)
            mime, content = min(shown, key=lambda one: one[0] != "image/gif")  # an animation has its first frame beside it
            yield Picture(name, title, caption, alt, mime, base64.b64decode(content))
        elif name == CURVES:
            svg, png = (folder / "figures" / f"{name}{ending}" for ending in (".svg", ".png"))
            yield Figure(name, title, caption, alt, svg.read_text(), png.read_bytes() if png.exists() else b"")


def page_of(folder: Path, store: Store, variants: Variants) -> Page:
    """The page of the records, with what was drawn of what they lack."""
    page = make_page(store, read_store(store), variants)
    kept = list(drawn(folder))
    curves = tuple(one for one in kept if one.id == CURVES)
    sections = []
    for one in page.sections:
        if one.id == "pictures":
            pictures = tuple(item for item in kept if isinstance(item, Picture) and item.id != CURVES)
            one = replace(one, paragraphs=(NOTE,), pictures=pictures)
        elif one.id == "frames" and curves and CURVES not in [item.id for item in one.figures]:
            figures = tuple(item for item in curves if isinstance(item, Figure))
            pictures = tuple(item for item in curves if isinstance(item, Picture))
            one = replace(one, paragraphs=(), figures=(*one.figures, *figures), pictures=pictures)
        sections.append(one)
    return replace(page, sections=tuple(sections))


def rebuild(folder: Path, variants: Variants) -> list[str]:
    """Replaces the page in `folder`; returns the verdicts that changed, a line each."""
    store, before = Store(folder / "records"), verdicts(folder)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        out = Path(made)
        ablation.build(store, variants, out)
        write(page_of(folder, store, variants), out)
        for path in out.rglob("*.pdf"):
            path.unlink()
        listed = [name for name in json.loads((out / MANIFEST).read_text())["files"] if not name.endswith(".pdf")]
        (out / MANIFEST).write_text(json.dumps({"files": listed}, indent=1) + "\n")
        for part in (*FILES, *FOLDERS):
            old, new = folder / part, out / part
            if old.is_dir():
                shutil.rmtree(old)
            old.unlink(missing_ok=True)
            if new.exists():
                new.rename(old)
    if (folder / SCREEN).exists():
        photograph(folder)
    after = verdicts(folder)
    names = dict.fromkeys((*before, *after))
    return [f"{name}: {before.get(name)} -> {after.get(name)}" for name in names if before.get(name) != after.get(name)]


def photograph(folder: Path) -> None:
    """Takes the first screen of the page as a picture."""
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=printer(), args=["--no-sandbox"]) as browser,
    ):
        tab = browser.new_page(viewport={"width": 1160, "height": 800}, device_scale_factor=1.5, bypass_csp=True)
        tab.goto((folder / "index.html").as_uri())
        tab.locator("section.answer").screenshot(path=folder / SCREEN)


def verdicts(folder: Path) -> dict[str, str]:
    """What the page claims: its headline, and each verdict of its tables by table, row and column."""
    found = re.search(r'id="answer-title">(.*?)<', (folder / "index.html").read_text())
    claims = {"headline": html.unescape(found.group(1)) if found else ""}
    for path in sorted((folder / "tables").glob("*.csv")):
        rows = list(csv.DictReader(path.open(newline="")))
        for number, row in enumerate(rows):
            first = next(iter(row.values()))
            claims |= {f"{path.stem}, {first} ({number}), {head}": text for head, text in row.items() if "verdict" in head}
    return claims


def main(names: list[str]) -> None:
    """Rebuilds these folders, by default all."""
    variants = Variants(third_party=False)
    published = sorted(HERE.rglob("records"))
    known = {str(records.parent.relative_to(HERE)) for records in published}
    if unknown := sorted({*names} - known):
        sys.exit(f"no published records in {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    for records in published:
        if not names or str(records.parent.relative_to(HERE)) in names:
            print(records.parent.relative_to(HERE), *rebuild(records.parent, variants), sep="\n  ", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
