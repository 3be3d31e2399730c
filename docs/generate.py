"""Pages made from what is installed: commands, settings, components, variants, schemas, examples, results; and llms.txt.

`python docs/generate.py` writes llms.txt, which is kept in the repository; the pages are written by each build of the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
HOUSE = DOCS.parent
GENERATED = DOCS / "generated"
INCLUDED = {
    HOUSE / "README.md": GENERATED / "readme.md",
    HOUSE / "AGENTS.md": GENERATED / "agents.md",
    HOUSE / "CONTRIBUTING.md": GENERATED / "contributing.md",
    HOUSE / "examples" / "README.md": GENERATED / "examples.md",
}
"""Pages of the repository outside docs/ that the site has too."""
LINK = re.compile(r"(!?)\[([^\]\[]+)\]\(([^)\s]+)\)")
LOCAL = re.compile(r"(?!\w+:|#)")


def site_links(text: str, folder: Path) -> str:
    """Markdown of a page in `folder` with links that a site can follow: a folder's link leads to its README; what the site does not
    have becomes text.
    """

    def followed(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if not LOCAL.match(target):
            return found.group()
        path, _, anchor = target.partition("#")
        place = (folder / path).resolve()
        if place.is_dir():
            place /= "README.md"
        place = INCLUDED.get(place, place)
        if not place.is_relative_to(DOCS):
            return words
        return f"{picture}[{words}](/{place.relative_to(DOCS)}{'#' + anchor if anchor else ''})"

    return LINK.sub(followed, text)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A Markdown table's lines, without columns that have nothing in them."""
    columns = [column for column in zip(head, *rows, strict=True) if any(column[1:])]
    head, *rows = zip(*columns, strict=True)
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(one).replace('|', chr(92) + '|') for one in row)} |"
    yield ""


def _code(value: object) -> str:
    from harness.notation import call_text

    text = value if isinstance(value, str) else "" if value is None else call_text(value)
    return f"`{text}`" if text else ""


def commands() -> str:
    """Every command and option, from typer."""
    import typer.cli
    import typer.main

    from harness.cli.app import app

    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="harness")
    text: str = typer.cli.get_docs_for_click(obj=command, ctx=context, name="harness", title="Commands")
    for name, one in command.commands.items():  # whole, where typer cuts them to fit a terminal
        text = text.replace(f"* `{name}`: {one.get_short_help_str()}", f"* `{name}`: {one.get_short_help_str(limit=200)}")
    return re.sub(r"(?m)^\*\*(.+)\*\*:$", r"\1:", text)


def settings() -> str:
    """Every path that --set takes at preset paper, and how the presets differ."""
    from harness.cli import listing
    from harness.presets import PRESETS

    values = {name: {row["path"]: row["value"] for row in listing.settings(name)} for name in PRESETS}
    rows = listing.settings()
    differ = [row for row in rows if len({values[name].get(row["path"]) for name in PRESETS}) > 1]
    return "\n".join(
        (
            "# Settings\n",
            "Every path that `--set` takes at preset `paper`, and its value there; `harness list settings` prints it. A setting",
            "at its neutral value is left out of a run's identity. Fields of what is not chosen: [components](components.md).\n",
            *table(
                ("setting", "value", "meaning, range, neutral value"),
                ((f"`{row['path']}`", _code(re.sub(r"\(.*", "", row["value"])), _meaning(row)) for row in rows),
            ),
            "## Presets\n",
            *table(("preset", "what it is"), ((f"`{row['name']}`", row["summary"]) for row in listing.presets())),
            "Where they differ:\n",
            *table(
                ("setting", *PRESETS),
                ((f"`{row['path']}`", *(_code(values[name].get(row["path"])) for name in PRESETS)) for row in differ),
            ),
        )
    )


def _meaning(row: Mapping[str, Any]) -> str:
    """One column for all three, so that the meaning is seen without scrolling."""
    neutral = f"neutral: {_code(row['neutral']) or '`none`'}" if "neutral" in row else ""
    return "; ".join(one for one in (row["meaning"].rstrip("."), row["range"], neutral) if one)


def components() -> str:
    """Every component by slot, with its fields, from the registry."""
    from harness.cli import listing
    from harness.variant import Variants

    lines = [
        "# Components\n",
        "What stands at each slot of an experiment; `harness list components` prints it, those of your plugins too. Choose one by",
        "name (`--set training.optimizer=muon`), its fields by path (`--set training.optimizer.lr=0.02`) or in its call",
        '(`--set "training.optimizer=muon(lr=0.02)"`).\n',
    ]
    rows = sorted(listing.components(Variants(third_party=False).components), key=lambda row: row["slot"])
    for slot, found in groupby(rows, key=lambda row: row["slot"]):
        lines.append(f"## `{slot}`\n")
        for row in found:
            lines += [f"### `{row['name']}`\n", f"{row['summary']}\n"]
            if row["fields"]:
                lines += table(
                    ("field", "default", "meaning, range, neutral value"),
                    ((f"`{one['name']}`", _code(one["default"]), _meaning(one)) for one in row["fields"]),
                )
    return "\n".join(lines)


def variants() -> str:
    """Every variant's README."""
    pages = [site_links(path.read_text(), path.parent) for path in sorted((HOUSE / "variants").glob("*/README.md"))]
    return "# Variants\n\n" + "\n\n".join(re.sub(r"(?m)^#", "##", page) for page in pages)


PICTURES = ("pictures/sequence-median.png", "figures/differences.png")


def gallery() -> str:
    """The folders of docs/results, the newest first, each with a picture or figure where it has one."""
    row = re.compile(r"(?m)^\| \[([^]]+)\]\([^)]+\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$")
    about = {
        name: f"{question[0].upper()}{question[1:]}: {answer} ({preset.removeprefix('none: ')})"
        for name, preset, question, answer in row.findall((DOCS / "results" / "README.md").read_text())
    }
    lines = ["# Results\n", "::::{grid} 1 1 2 2", ":gutter: 3\n"]
    folders = sorted((path.parent for path in (DOCS / "results").glob("*/README.md")), reverse=True)
    for folder in folders:
        title = (folder / "README.md").read_text().splitlines()[0].removeprefix("# ")
        lines += [f":::{{grid-item-card}} {title}", f":link: /results/{folder.name}/README", ":link-type: doc"]
        found = [f"/results/{folder.name}/{one}" for one in PICTURES if (folder / one).is_file()]
        lines += [f":img-bottom: {one}" for one in found[:1]]
        lines += ["\n" + about.get(folder.name, ""), ":::\n"]
    names = "\n".join(f"/results/{folder.name}/README" for folder in folders)
    return "\n".join((*lines, "::::\n", "```{toctree}", ":hidden:\n", "/results/README", names, "```\n"))


def examples() -> str:
    """What each example shows, and the scripts as they are."""
    page = HOUSE / "examples" / "README.md"
    scripts = (f"## {path.name}\n\n```python\n{path.read_text()}```\n" for path in sorted(page.parent.glob("*.py")))
    return "\n".join((site_links(page.read_text(), page.parent), *scripts))


def schemas() -> str:
    """What every --json prints."""
    from harness.cli.schema import SCHEMAS

    lines = [
        "# JSON documents\n",
        "With `--json` a command prints one document; `harness schema NAME` prints its JSON Schema (draft 2020-12). Properties are",
        "added in minor releases and removed as [What stays and what changes](../library.md#what-stays-and-what-changes) says.\n",
    ]
    lines += table(
        ("schema", "command", "what it holds"),
        ((f"[`{one.name}`](path:../schemas/{one.name}.json)", f"`{one.command}`", one.summary) for one in SCHEMAS),
    )
    return "\n".join(lines)


def in_repository(page: Path) -> str:
    """The link to a Markdown page from docs/."""
    return str(page.relative_to(DOCS)) if page.is_relative_to(DOCS) else f"../{page.relative_to(HOUSE)}"


def on_site(page: Path) -> str:
    """The link to a page's Markdown from the root of the site, which has the sources beside the pages."""
    return f"_sources/{INCLUDED.get(page, page).relative_to(DOCS)}"


def llms(link: Callable[[Path], str] = in_repository) -> str:
    """llms.txt: what the pages are, for a machine that looks for one (llmstxt.org)."""
    order = re.findall(r":caption: (.+)\n+((?:[^\n`]+\n)+)", (DOCS / "index.md").read_text())
    sources = {page.stem: source for source, page in INCLUDED.items()}
    lines = ["# ablation-harness\n", f"> {_first_words(HOUSE / 'README.md')}\n"]
    for caption, names in order:
        found = []
        for line in names.splitlines():
            name = line.partition("<")[2].rstrip(">") or line
            source = sources.get(Path(name).name, DOCS / f"{name}.md")
            if not source.is_relative_to(GENERATED) and source.is_file():
                title = source.read_text().splitlines()[0].removeprefix("# ")
                found.append(f"- [{title}]({link(source)}): {_first_words(source)}")
        if found:
            lines += [f"## {caption}\n", *found, ""]
    results = DOCS / "results" / "README.md"
    lines += ["## Results\n", f"- [Results]({link(results)}): {_first_words(results)}\n", "## From the program itself\n"]
    lines += ["- `harness list components --json`, `harness list settings --json`, `harness schema`"]
    return "\n".join(lines) + "\n"


def _first_words(page: Path) -> str:
    """The first sentence of a page's first paragraph of prose, without markup."""
    for paragraph in page.read_text().split("\n\n")[1:]:
        if paragraph[0].isalpha() or paragraph.startswith(("**", "`")):
            text = LINK.sub(r"\2", " ".join(paragraph.split())).replace("**", "")
            return re.split(r"(?<=[.?]) (?=[A-Z])", text)[0].rstrip(":")
    return ""


def pages() -> dict[str, str]:
    """The generated pages by name."""
    made = {
        "commands": commands(),
        "settings": settings(),
        "components": components(),
        "variants": variants(),
        "schemas": schemas(),
        "gallery": gallery(),
    }
    for source, page in INCLUDED.items():
        made[page.stem] = site_links(source.read_text(), source.parent)
    made["examples"] = examples()
    return {f"{name}.md": text for name, text in made.items()}


def write() -> None:
    """Writes what has changed, so that a second build reads only that."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = GENERATED / name
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    (DOCS / "llms.txt").write_text(llms())
