"""The renderers: whatever a name holds comes out as text, and a folder never holds half a report."""

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import errno
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image
from sample_page import METHODS, ablation_table, sample_page

from harness.errors import HarnessError
from reports.exports.csv import to_csv
from reports.exports.latex import to_latex
from reports.exports.markdown import to_markdown
from reports.exports.text import clean
from reports.figures import canvas
from reports.page import Figure, Page, Picture, Section, Table, Value
from reports.pages import folder, html

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}
NASTY = "<script>alert(1)</script>\"'&amp; | `x` [a](http://b) ![i](j) *b* _c_ $d$ {{ 7 * 7 }} {% raw %} \\"
LONG = "n" * 10_000


def table_of(*texts: str, id: str = "t") -> Table:
    rows = tuple((Value(text), Value("1", 1.0)) for text in texts)
    return Table(id=id, title="A table", columns=("name", "number"), rows=rows, numeric=(False, True))


def page_of(*tables: Table, pictures: tuple[Picture, ...] = (), figures: tuple[Figure, ...] = ()) -> Page:
    return Page(
        title="A page", summary=(), sections=(Section("s", "A section", tables=tables, pictures=pictures, figures=figures),)
    )


class Document(HTMLParser):
    """Elements with their attributes and texts; complains where tags do not pair up."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="module")
def document() -> Document:
    return Document(html.to_html(sample_page()))


# HTML


def test_structure(document: Document) -> None:
    assert len(document.all("h1")) == len(document.all("main")) == len(document.all("title")) == 1
    assert document.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = Counter(attributes["id"] for _, attributes in document.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= ids.keys()
        if (href := attributes.get("href") or "").startswith("#"):
            assert href[1:] in ids
    assert all(image["alt"] for image in document.all("img"))
    assert [heading["scope"] for heading in document.all("th")].count("row") == 3 * len(
        METHODS
    )  # the first screen has them, too
    regions = [attributes for _, attributes in document.elements if attributes.get("role") == "region"]
    assert len(regions) == 2
    assert all(region["tabindex"] == "0" and region["aria-labelledby"] for region in regions)


def test_nothing_is_loaded_from_elsewhere(document: Document) -> None:
    policies = [
        meta["content"] or "" for meta in document.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policies[0]
    for tag, attributes in document.elements:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "srcset" not in attributes
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        allowed = ("data:,",) if tag == "link" else ("#", "data:text/")
        assert (attributes.get("href") or allowed[0]).startswith(allowed)
    css = (Path(html.__file__).parent / "templates/page.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_every_text_of_a_page_comes_out_as_text() -> None:
    texts = iter(f"{NASTY} {number}" for number in range(100))
    used: list[str] = []

    def nasty() -> str:
        used.append(next(texts))
        return used[-1]

    png = sample_page().sections[2].pictures[0].content
    page = Page(
        title=nasty(),
        summary=(nasty(),),
        warnings=(nasty(),),
        facts={nasty(): nasty()},
        sections=(
            Section(
                id="a",
                title=nasty(),
                paragraphs=(nasty(),),
                commands=(nasty(),),
                tables=(
                    Table("t", nasty(), (nasty(), "n"), ((Value(nasty()), Value(nasty(), 1.0)),), (False, True), nasty()),
                ),
                figures=(Figure("f", nasty(), nasty(), "alt", "<svg/>", png),),
                pictures=(Picture("p", nasty(), nasty(), "alt", "image/png", png),),
            ),
        ),
    )
    document = Document(html.to_html(page))
    for text in used:
        assert text in document.text
    assert len(document.all("script")) == 1
    alts = dataclasses.replace(page.sections[0].pictures[0], alt='"><script>x</script>')
    images = Document(html.to_html(page_of(pictures=(alts,)))).all("img")
    assert images[0]["alt"] == '"><script>x</script>'


@pytest.mark.parametrize("text", [LONG, "\x00\x1b[31m\ud800", "\u202egnp.exe", "", "a\nb\r\nc"])
def test_odd_names_are_written_in_every_format(tmp_path: Path, text: str) -> None:
    page = dataclasses.replace(page_of(table_of(text)), title=text, facts={text: text}, warnings=(text,))
    folder.write(page, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    Document(html)
    assert not re.search("[\x00-\x08\x1b]", html)
    if text == LONG:
        assert LONG in Document(html).text


def test_numbers_are_sorted_by_their_value() -> None:
    values = (
        Value("one", 1),
        Value("big", float("inf")),
        Value("less", float("-inf")),
        Value("?", float("nan")),
        Value("—"),
    )
    table = Table("t", "T", ("name", "n"), tuple((Value(str(i)), value) for i, value in enumerate(values)), (False, True))
    cells = Document(html.to_html(page_of(table))).all("td")
    assert [cell.get("data-sort") for cell in cells] == ["1.0", "Infinity", "-Infinity", None, None]


def test_an_empty_page_and_an_empty_table() -> None:
    assert "No rows." in Document(html.to_html(page_of(table_of()))).text
    Document(html.to_html(Page(title="", summary=(), sections=())))


def test_an_animation_stands_still_until_it_is_played(document: Document) -> None:
    kinds = [(image["src"] or "").split(";")[0] for image in document.all("img")]
    assert kinds == ["data:image/svg+xml", "data:image/png", "data:image/gif", "data:image/png"]
    assert len([element for element in document.all("details") if element["class"] == "play"]) == 1


def test_what_stands_still_is_the_last_frame() -> None:
    """The first frames show the input, and nothing that was predicted."""
    frames = [Image.new("RGB", (8, 8), color) for color in ("black", "white", "red")]
    content = io.BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:], duration=100)
    text = html.to_html(page_of(pictures=(Picture("p", "P", "", "moving", "image/gif", content.getvalue()),)))
    (still,) = re.findall(r'<img class="still" src="data:image/png;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(still))) as image:
        assert image.getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("attention", "attention"),
        ("base(training.steps=3600)", "base(training.steps=\n3600)"),
        ("attention+curriculum+residual", "attention+curriculum+\nresidual"),
        ("n" * 30, "n" * 22 + "\n" + "n" * 8),
    ],
)
def test_a_long_name_beside_an_axis_keeps_its_end(name: str, shown: str) -> None:
    assert canvas.in_lines(name) == shown
    assert max(map(len, canvas.in_lines("x+" * 200).splitlines())) <= canvas.SHORT


def test_rendering_is_deterministic() -> None:
    page = sample_page()
    assert html.to_html(page) == html.to_html(page)


def noise(id: str, side: int) -> Picture:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, format="PNG")
    return Picture(id, "Noise.", "", f"noise {id}", "image/png", content.getvalue())


def test_a_page_stays_under_five_megabytes(tmp_path: Path) -> None:
    page = page_of(pictures=(noise("large", 1000), noise("small", 100), noise("larger", 1100)))
    assert sum(len(picture.content) for picture in page.sections[0].pictures) > 5e6
    folder.write(page, tmp_path)
    assert (tmp_path / "index.html").stat().st_size <= html.MAX_PAGE_BYTES
    document = Document((tmp_path / "index.html").read_text())
    assert len(document.all("img")) == 2
    assert [link["href"] for link in document.all("a") if "pictures" in (link["href"] or "")] == ["pictures/larger.png"]
    assert "noise larger" in document.text
    assert (tmp_path / "pictures/larger.png").read_bytes() == page.sections[0].pictures[2].content


def test_an_image_is_not_searched_for_secrets() -> None:
    looks_like_one = "AAAApwdAAAA="  # after '...;base64,' this is a field of a query that names a password
    figure = Figure("f", "A figure", "", "what it shows", "", base64.b64decode(looks_like_one))
    assert f"data:image/png;base64,{looks_like_one}" in html.to_html(page_of(figures=(figure,)))


def test_a_name_may_be_broken_after_its_parts_and_comes_out_as_text() -> None:
    assert "a+<wbr>&lt;b&gt;" in html.to_html(page_of(table_of("a+<b>")))
    assert "base(<wbr>training.<wbr>data_<wbr>order=<wbr>1)" in html.to_html(
        page_of(table_of("base(training.data_order=1)"))
    )
    assert "p:***@host" in html.to_html(page_of(table_of("x://p:hunter2@host+")))


def test_a_heavy_plot_is_embedded_as_png() -> None:
    figure = dataclasses.replace(sample_page().sections[0].figures[0], svg="<svg>" + " " * html.MAX_SVG_BYTES + "</svg>")
    images = Document(html.to_html(page_of(figures=(figure,)))).all("img")
    assert (images[0]["src"] or "").startswith("data:image/png")


# Markdown


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


# CSV


def test_csv_neutralises_formulas_and_keeps_numbers() -> None:
    given = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        " =1",
        "-0.5",
        "+1.25e-3",
        "−0.5",
        "1",
        "a,b",
        'q"q',
        "x\ny",
    ]
    read = [row[0] for row in csv.reader(io.StringIO(to_csv(table_of(*given)), newline=""))]
    assert read == [
        "name",
        *("'=1+1", "'+cmd|' /C calc'!A0", "'-2+3", "'@SUM(A1)", "'\tx", "'\rx", "' =1"),
        *("-0.5", "+1.25e-3", "-0.5", "1", "a,b", 'q"q', "x\ny"),
    ]
    assert to_csv(table_of("a")) == "name,number\r\na,1\r\n"


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_csv_reads_back(texts: list[str]) -> None:
    read = list(csv.reader(io.StringIO(to_csv(table_of(*texts)), newline="")))
    assert len(read) == 1 + len(texts)
    for row, text in zip(read[1:], texts, strict=True):
        assert row[0].lstrip("'") in (clean(text).lstrip("'"), text.strip().replace("\N{MINUS SIGN}", "-"))
        assert row[0][:1] not in "=@\t\r\n" or not row[0]


# LaTeX


def test_latex_escapes_its_specials() -> None:
    latex = to_latex(table_of(r"\input{x} 50% $a_b^c$ & # ~ <|> \\ −1 ± 2 × 3 -- α", "[0, 1]", "*"))
    rows = latex.split("\\midrule\n")[1].splitlines()
    assert rows[0].strip() == (
        r"\textbackslash{}input\{x\} 50\% \$a\_b\textasciicircum{}c\$ \& \# \textasciitilde{} "
        r"\textless{}\textbar{}\textgreater{} \textbackslash{}\textbackslash{} $-$1 $\pm$ 2 $\times$ 3 -{}- $\alpha$ & 1 \\"
    )
    assert rows[1].strip().startswith("{[}0, 1] &")
    assert rows[2].strip().startswith("{*} &")
    assert re.findall(r"\\(\w+rule)", latex) == ["toprule", "midrule", "bottomrule"]
    assert r"\caption{A table}" in latex
    assert r"\label{tab:t}" in latex
    assert r"\begin{tabular}{lr}" in latex


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
def test_latex_compiles(tmp_path: Path) -> None:
    tables = [ablation_table(), table_of(NASTY, "[x]", "*", "x" * 500, "", "µ² → ∞ °C … “q”", id="u")]
    body = "\n".join(to_latex(table) for table in tables)
    (tmp_path / "a.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
@pytest.mark.parametrize(
    ("cost", "gain"), [("1.94x", "-38.8 [-45.4, -32.2]"), ("12.94x", "-138.8 [-145.4, -132.2]")], ids=["usual", "wide"]
)
def test_the_papers_table_fits_a_column(tmp_path: Path, cost: str, gain: str) -> None:
    """In article's two columns of 229 points, which no usual style undercuts."""
    words = ("base(training.data_order=1)", cost, "0.594", gain, "<.001", "equivalent")
    headings = ("arm", "cost", "SSIM", "gain \u00d7 1,000", "p", "verdict")
    numeric = (False, False, True, True, True, False)
    table = Table("paper", "A caption", headings, (tuple(map(Value, words)),), numeric)
    preamble = r"\documentclass[twocolumn]{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "a.tex").write_text(rf"{preamble}{to_latex(table, narrow=True)}\end{{document}}")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


# Files


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_write_makes_every_file_and_returns_it(tmp_path: Path) -> None:
    out = tmp_path / "a" / "report"
    written = folder.write(sample_page(), out)
    assert written[0] == out / "index.html"
    expected = {
        "index.html",
        "report.md",
        "tables/ablation.csv",
        "tables/ablation.tex",
        "tables/costs.csv",
        "tables/costs.tex",
    }
    expected |= {"figures/gains.svg", "figures/gains.png", "pictures/strip.png", "pictures/animation.gif"}
    assert files(out) == {path.relative_to(out).as_posix() for path in written} == expected | {"report-files.json"}
    assert set(json.loads((out / "report-files.json").read_text())["files"]) == expected
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in written} == {0o666 & ~umask}


def test_stale_files_go_and_foreign_files_stay(tmp_path: Path) -> None:
    folder.write(sample_page(), tmp_path)
    for foreign in ("notes.txt", "tables/mine.csv"):
        (tmp_path / foreign).write_text("mine")
    folder.write(page_of(table_of("a", id="new")), tmp_path)
    ours = {"index.html", "report.md", "report-files.json", "tables/new.csv", "tables/new.tex"}
    assert files(tmp_path) == ours | {"notes.txt", "tables/mine.csv"}
    assert not (tmp_path / "figures").exists()


def test_a_file_of_others_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my site")
    with pytest.raises(HarnessError, match=r"no report wrote its index\.html; move it away or choose another folder"):
        folder.write(sample_page(), tmp_path)
    assert files(tmp_path) == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "my site"


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"files": 3}', '{"files": [3, "../precious.txt", "/etc/x", "notes.txt"]}']
)
def test_a_damaged_manifest_removes_nothing(tmp_path: Path, manifest: str) -> None:
    out = tmp_path / "report"
    out.mkdir()
    for path in (tmp_path / "precious.txt", out / "notes.txt"):
        path.write_text("mine")
    (out / "report-files.json").write_text(manifest)
    folder.write(page_of(), out)
    assert files(tmp_path) == {
        "precious.txt",
        *(f"report/{name}" for name in ("notes.txt", "index.html", "report.md", "report-files.json")),
    }


def test_out_is_a_file(tmp_path: Path) -> None:
    out = tmp_path / "report"
    out.write_text("mine")
    with pytest.raises(HarnessError, match=rf"{out}: it is a file; remove it or choose another folder \(--out\)$"):
        folder.write(sample_page(), out)
    with pytest.raises(HarnessError, match="cannot write the report to"):
        folder.write(sample_page(), out / "below")
    assert out.read_text() == "mine"


@contextlib.contextmanager
def locked_folder() -> Iterator[Path]:
    """A folder without write permission; root gives up its rights for the test, or the permission would not hold."""
    if sys.platform == "win32":
        pytest.skip("folders' permissions mean something else there")
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    folder = root / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    was = os.geteuid()
    try:
        if was == 0:
            try:
                os.seteuid(65534)
            except OSError:
                pytest.skip("root cannot give up its rights here")
        yield folder
    finally:
        os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(root)


def test_a_read_only_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = folder._contents(page_of())
    monkeypatch.setattr(folder, "_contents", lambda page: contents)  # the templates need not be readable for all
    with (
        locked_folder() as locked,
        pytest.raises(HarnessError, match=rf"{locked}: Permission denied; make it writable or choose"),
    ):
        folder.write(page_of(), locked)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_full_disk_leaves_the_old_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    folder.write(sample_page(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    stage, calls = folder._stage, Counter[str]()

    def full(target: Path, content: bytes, temporary: list[Path]) -> Path:
        calls["stage"] += 1
        if calls["stage"] > step:
            with target.with_name(".half.part").open("wb") as file:
                temporary.append(Path(file.name))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return stage(target, content, temporary)

    monkeypatch.setattr(folder, "_stage", full)
    with pytest.raises(HarnessError, match=r"No space left on device; free some space or choose another folder"):
        folder.write(page_of(table_of("a")), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_an_interrupted_report_is_cleaned_up_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, done = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.write(sample_page(), tmp_path)
    assert len(files(tmp_path)) == 3
    assert "index.html" not in files(tmp_path)
    folder.write(page_of(), tmp_path)
    assert files(tmp_path) == {"index.html", "report.md", "report-files.json"}


# What a page must be


@pytest.mark.parametrize("bad", ["../x", "", "A", "a b", "a/b", "-a", "x" * 101, "a\n"])
def test_ids_that_cannot_name_a_file_are_refused(bad: str) -> None:
    with pytest.raises(HarnessError, match="use lower-case letters, digits"):
        html.to_html(page_of(table_of("a", id=bad)))
    with pytest.raises(HarnessError, match="use lower-case letters, digits"):
        to_latex(table_of("a", id=bad))


def test_malformed_pages_are_refused() -> None:
    table = table_of("a")
    with pytest.raises(HarnessError, match="two tables with the id 't'"):
        html.to_html(page_of(table, table))
    with pytest.raises(HarnessError, match="2 columns, but 1 cells in row 1"):
        to_csv(dataclasses.replace(table, rows=((Value("a"),),)))
    with pytest.raises(HarnessError, match="2 columns and 1 entries"):
        to_markdown(page_of(dataclasses.replace(table, numeric=(True,))))
    with pytest.raises(HarnessError, match="of type 'text/html'"):
        html.to_html(page_of(pictures=(Picture("p", "", "", "", "text/html", b""),)))
