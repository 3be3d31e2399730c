"""A table as LaTeX: what it escapes, and that pdflatex takes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_page import ablation_table
from small_pages import NASTY, table_of

from reports.exports.latex import to_latex
from reports.page import Table, Value


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
