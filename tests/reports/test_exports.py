"""A page as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sample_page import ablation_table, sample_page
from small_pages import NASTY, page_of, table_of

from reports.exports.csv import to_csv
from reports.exports.latex import to_latex
from reports.exports.markdown import to_markdown
from reports.exports.text import clean
from reports.page import Page, Section, Table, Value


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
    ("name", "cost", "gain"),
    [
        ("base(training.data_order=1)", "1.94x", "-38.8 [-45.4, -32.2]"),
        ("base(training.data_order=1)", "12.94x", "-138.8 [-145.4, -132.2]"),
        ("attention+curriculum+residual+tta", "0.74x", "+24.4 [18.2, 30.6]"),
        ("attention+curriculum+residual+tta", "12.94x", "-138.8 [-145.4, -132.2]"),
    ],
    ids=["usual", "wide", "long name", "long name and wide"],
)
def test_the_papers_table_fits_a_column(tmp_path: Path, name: str, cost: str, gain: str) -> None:
    """In article's two columns of 229 points, which no usual style undercuts."""
    words = (name, cost, "0.594", gain, "<.001", "equivalent")
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
