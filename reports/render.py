"""Writes a `reports.page.Page` as one self-contained HTML page, GitHub Markdown, CSV and LaTeX.

Every text of a page is untrusted: it is escaped for its format here and nowhere else.
"""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from harness.errors import HarnessError, RequestError
from harness.system import files
from harness.system.secrets import redact
from reports.page import Figure, Page, Picture, Table

MANIFEST = "report-files.json"
"""Lists the files of the last report in a folder, so that the next one can remove those that it no longer writes."""

FOLDERS = ("tables", "figures", "pictures")
"""The folders in a report's own, for what is shown on its page."""

MAX_MANIFEST_BYTES = 2**20
MAX_PAGE_BYTES = 5_000_000
"""Size of index.html above which its largest images are left out, each with a link to its file in their place."""

MAX_SVG_BYTES = 500_000
"""Size above which a plot is embedded as PNG: a browser draws it faster."""

LONG_TEXT = 300
"""Length above which a table's cell shows the beginning of its text and opens on demand, characters."""

EXTENSIONS = {"image/png": "png", "image/gif": "gif"}
"""The kinds of pictures and their file names' endings."""

_ID = "[a-z0-9][a-z0-9-]{0,99}"
_OURS = re.compile(rf"index\.html|report\.md|tables/{_ID}\.(csv|tex)|figures/{_ID}\.(svg|png)|pictures/{_ID}\.(png|gif)")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"


def write(page: Page, out: Path) -> list[Path]:
    """Writes the page and all that it shows into a folder, and returns the paths of the files, index.html first.

    A reader of the folder sees the old index.html or the new one, never a part. Files that an earlier report left here
    and that this one does not have are removed; files of others stay.

    Args:
        page: what to write.
        out: the folder; made if it is missing.

    Raises:
        RequestError: `out` is a file.
        HarnessError: the page is malformed, `out` cannot be written, or holds a file of the same name that no report wrote,
            or a link in the place of one of its folders.
    """
    contents = _contents(page)
    names = [*contents, MANIFEST]
    temporary: list[Path] = []
    try:
        if out.exists() and not out.is_dir():
            raise RequestError(f"cannot write the report to {out}: it is a file; remove it or choose another folder (--out)")
        for part in FOLDERS:
            if (out / part).is_symlink():
                raise HarnessError(
                    f"cannot write the report to {out}: its {part} is a link, which may lead to files of others; remove the "
                    "link or choose another folder (--out)"
                )
        earlier = _manifest(out)
        for name in contents:
            if name not in earlier and (out / name).exists():
                raise HarnessError(
                    f"cannot write the report to {out}: no report wrote its {name}; move it away or choose another folder (--out)"
                )
        for folder in sorted({(out / name).parent for name in names}):
            folder.mkdir(parents=True, exist_ok=True)
        staged = [(_stage(out / name, content, temporary), out / name) for name, content in contents.items()]
        # Both reports' files are listed while either may be there, so that an interrupted run leaves nothing unlisted.
        _stage(out / MANIFEST, _listing({*earlier, *contents}), temporary).replace(out / MANIFEST)
        for source, target in reversed(staged):  # index.html comes first in contents and last into the folder
            source.replace(target)
        for name in earlier - contents.keys():
            with suppress(FileNotFoundError, NotADirectoryError):
                (out / name).unlink()
            with suppress(OSError):  # others' files are in it
                (out / name).parent.rmdir()
        _stage(out / MANIFEST, _listing(contents), temporary).replace(out / MANIFEST)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable"
        raise HarnessError(
            f"cannot write the report to {out}: {error.strerror or error}; {remedy} or choose another folder (--out)"
        ) from error
    finally:
        for path in temporary:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return [out / name for name in names]


def to_html(page: Page) -> str:
    """The page as one HTML document that loads nothing: styles, scripts, plots and pictures are inside it.

    Where it would be larger than `MAX_PAGE_BYTES`, its largest images are replaced by links to the files that `write` makes.
    """
    _check(page)
    images = {
        **{f"figures/{figure.id}": _figure_image(figure) for figure in _figures(page)},
        **{f"pictures/{picture.id}": _picture_image(picture) for picture in _pictures(page)},
    }
    document = _render(page, images)
    while len(document.encode()) > MAX_PAGE_BYTES and any(image.uri for image in images.values()):
        largest = max(images, key=lambda key: images[key].size)
        images[largest] = _Image(images[largest].path)
        document = _render(page, images)
    return document


def to_markdown(page: Page, figures_dir: str = "figures") -> str:
    """The page as GitHub-flavoured Markdown.

    Args:
        page: what to write.
        figures_dir: where the plots lie, relative to the document; pictures lie beside that folder, in `pictures`.
    """
    _check(page)
    figures = PurePosixPath(figures_dir)
    blocks = [f"# {_md(page.title)}", *(_md_start(text) for text in page.summary)]
    if page.warnings:
        blocks.append("\n".join(["> [!WARNING]", *(f"> - {_md_start(text)}" for text in page.warnings)]))
    if page.facts:
        blocks.append("\n".join(f"- **{_md(label)}:** {_md(text)}" for label, text in page.facts.items()))
    for section in page.sections:
        blocks += [f"## {_md(section.title)}", *(_md_start(text) for text in section.paragraphs)]
        for table in section.tables:
            blocks += [f"### {_md(table.title)}", _md_table(table), *([_md_start(table.note)] if table.note else [])]
        for figure in section.figures:
            blocks += _md_image(figure.title, figure.caption, figure.alt, figures / f"{figure.id}.svg")
        for picture in section.pictures:
            path = figures.parent / "pictures" / f"{picture.id}.{EXTENSIONS[picture.mime]}"
            blocks += _md_image(picture.title, picture.caption, picture.alt, path)
        if section.commands:
            code = _clean("\n".join(section.commands))
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
            blocks.append(f"{fence}sh\n{code}\n{fence}")
    return "\n\n".join(block for block in blocks if block) + "\n"


def to_csv(table: Table) -> str:
    """The table as RFC 4180 text: a header line, CRLF line ends, quotes where they are needed.

    A cell that a spreadsheet would take for a formula gets a leading apostrophe, unless it is a plain number.
    """
    _check_table(table)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_csv_cell(column) for column in table.columns])
    writer.writerows([_csv_cell(value.text) for value in row] for row in table.rows)
    return text.getvalue()


def to_latex(table: Table) -> str:
    """The table as a LaTeX `table` that needs the package booktabs, with caption and the label `tab:<id>`."""
    _check_table(table)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(table.title)}}}",
        rf"  \label{{tab:{table.id}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if numeric else 'l' for numeric in table.numeric)}}}",
        r"    \toprule",
        "    " + _tex_row(table.columns),
        r"    \midrule",
        *("    " + _tex_row(value.text for value in row) for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]
    if table.note:
        lines.append(rf"  \par\medskip\begin{{minipage}}{{\linewidth}}\footnotesize {_tex(table.note)}\end{{minipage}}")
    return "\n".join([*lines, r"\end{table}", ""])


# HTML


@dataclass(frozen=True)
class _Image:
    """What the template needs to show an image; without `uri` it says where the file is."""

    path: str
    uri: str = ""
    still: str = ""
    """The first frame of an animation, which shows until a reader plays it."""

    @property
    def size(self) -> int:
        return len(self.uri) + len(self.still)


def _figure_image(figure: Figure) -> _Image:
    svg = _clean(figure.svg).encode()
    # As an image, a plot's ids cannot clash with another's, and nothing in it can run or load.
    uri = _data_uri("image/svg+xml", svg) if 0 < len(svg) <= MAX_SVG_BYTES else _data_uri("image/png", figure.png)
    return _Image(f"figures/{figure.id}.svg", uri)


def _picture_image(picture: Picture) -> _Image:
    still = _first_frame(picture.content)
    return _Image(
        f"pictures/{picture.id}.{EXTENSIONS[picture.mime]}",
        _data_uri(picture.mime, picture.content),
        _data_uri("image/png", still) if still else "",
    )


def _first_frame(content: bytes) -> bytes | None:
    """The first frame of an animation as PNG; None for a still picture and for one that cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if getattr(image, "n_frames", 1) == 1:
                return None
            still = io.BytesIO()
            image.convert("RGB").save(still, format="PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return still.getvalue()


def _data_uri(mime: str, content: bytes) -> Markup:
    """Marked as safe: base64 needs no escaping, and must not be searched for secrets, which it holds by chance."""
    return Markup(f"data:{mime};base64,{base64.b64encode(content).decode()}")


def _render(page: Page, images: dict[str, _Image]) -> str:
    template = _environment().get_template("page.html.j2")
    return template.render(page=page, images=images, plain_title=_one_line(page.title)[:200] or "Report")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    for name in ("css", "js"):
        source = _asset(environment, f"page.{name}")
        environment.globals[name] = Markup(source)  # this package's own file
        environment.globals[f"{name}_hash"] = Markup(base64.b64encode(hashlib.sha256(source.encode()).digest()).decode())
    environment.globals["long_text"] = LONG_TEXT
    environment.filters["sort_key"] = _sort_key
    environment.filters["breakable"] = lambda name: escape(_clean(name)).replace("+", Markup("+<wbr>"))
    environment.filters["csv_uri"] = lambda table: _data_uri("text/csv;charset=utf-8", to_csv(table).encode())
    environment.filters["latex_uri"] = lambda table: _data_uri("text/plain;charset=utf-8", to_latex(table).encode())
    return environment


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _sort_key(value: float | None) -> str:
    """A number as JavaScript reads it; empty for none."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


# Escaping


def _clean(text: str) -> str:
    """Without secrets, and without the characters that no document may hold: controls, halves of surrogate pairs."""
    return _CONTROL.sub("\ufffd", redact(text))


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())


def _md(text: str) -> str:
    """Plain text within a line of Markdown."""
    text = re.sub(r"[\\`*_<>|~$]", r"\\\g<0>", _one_line(text))
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
        *([_md(value.text) for value in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _md_image(title: str, caption: str, alt: str, path: PurePosixPath) -> list[str]:
    # Brackets must pair up inside a link's text: here all are escaped.
    label = re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", _md(alt))
    return [f"![{label}]({quote(str(path))})", f"**{_md(title)}** {_md(caption)}" if title.strip() else _md_start(caption)]


def _csv_cell(text: str) -> str:
    text = _clean(text)
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if _NUMBER.fullmatch(plain):
        return plain
    risky = text[:1] in ("\t", "\r", "\n") or text.lstrip()[:1] in tuple(_FORMULA)
    return f"'{text}" if risky else text


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "\u00a0": "~",
    "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{INFINITY}": r"$\infty$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{REPLACEMENT CHARACTER}": "?",
    "\N{WORD JOINER}": "{}",
}
for _letter in ("alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "rho", "sigma"):
    _TEX[unicodedata.lookup(f"GREEK SMALL LETTER {_letter.replace('lambda', 'lamda')}")] = rf"$\{_letter}$"
_TEX_TABLE = str.maketrans(_TEX)


def _tex(text: str) -> str:
    apart = re.sub("-(?=-)", "-\N{WORD JOINER}", _one_line(text))  # two hyphens would become a dash
    return apart.translate(_TEX_TABLE)


def _tex_row(cells: Iterable[str]) -> str:
    # At the start of a row, a bracket or a star would be an argument of the command that ends the line before it.
    escaped = [re.sub(r"^[\[*]", r"{\g<0>}", _tex(cell)) for cell in cells]
    return " & ".join(escaped) + r" \\"


# Files


def _contents(page: Page) -> dict[str, bytes]:
    """File name, relative to the report's folder -> what is in it. index.html comes first."""
    contents = {"index.html": to_html(page).encode(), "report.md": to_markdown(page).encode()}
    for table in _tables(page):
        contents[f"tables/{table.id}.csv"] = to_csv(table).encode()
        contents[f"tables/{table.id}.tex"] = to_latex(table).encode()
    for figure in _figures(page):
        contents[f"figures/{figure.id}.svg"] = _clean(figure.svg).encode()
        contents[f"figures/{figure.id}.png"] = figure.png
    for picture in _pictures(page):
        contents[f"pictures/{picture.id}.{EXTENSIONS[picture.mime]}"] = picture.content
    return contents


def _manifest(out: Path) -> set[str]:
    """The files that the last report wrote to `out`. Names that no report writes are ignored: a listing may be damaged."""
    try:
        path = out / MANIFEST
        if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
            return set()
        listed = json.loads(path.read_bytes())["files"]
        return {name for name in listed if isinstance(name, str) and _OURS.fullmatch(name)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return set()


def _listing(names: Iterable[str]) -> bytes:
    return (json.dumps({"files": sorted(names)}, indent=1) + "\n").encode()


def _stage(target: Path, content: bytes, temporary: list[Path]) -> Path:
    """Writes a file beside its target under a name of its own, and to disk."""
    path = files.stage(target, content)
    temporary.append(path)
    return path


# What a page must be


def _tables(page: Page) -> list[Table]:
    return [table for section in page.sections for table in section.tables]


def _figures(page: Page) -> list[Figure]:
    return [figure for section in page.sections for figure in section.figures]


def _pictures(page: Page) -> list[Picture]:
    return [picture for section in page.sections for picture in section.pictures]


def _check(page: Page) -> None:
    ids = {
        "section": [section.id for section in page.sections],
        "table": [table.id for table in _tables(page)],
        "figure": [figure.id for figure in _figures(page)],
        "picture": [picture.id for picture in _pictures(page)],
    }
    for kind, given in ids.items():
        for id_ in given:
            _check_id(kind, id_)
            if given.count(id_) > 1:
                raise HarnessError(f"the report has two {kind}s with the id {id_!r}; give each its own")
    for table in _tables(page):
        _check_table(table)
    for picture in _pictures(page):
        if picture.mime not in EXTENSIONS:
            raise HarnessError(f"picture {picture.id!r} is of type {picture.mime!r}; known: {', '.join(EXTENSIONS)}")


def _check_id(kind: str, given: str) -> None:
    # Ids become file names and labels, so nothing else may be in them.
    if not re.fullmatch(_ID, given):
        raise HarnessError(
            f"{kind} id {given[:80]!r} cannot name a file; use lower-case letters, digits and '-', at most 100 characters"
        )


def _check_table(table: Table) -> None:
    _check_id("table", table.id)
    if not table.columns or len(table.numeric) != len(table.columns):
        raise HarnessError(
            f"table {table.id!r} has {len(table.columns)} columns and {len(table.numeric)} entries in `numeric`"
        )
    for number, row in enumerate(table.rows, 1):
        if len(row) != len(table.columns):
            raise HarnessError(f"table {table.id!r} has {len(table.columns)} columns, but {len(row)} cells in row {number}")
