"""A table as LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from reports.exports.text import one_line
from reports.page import Table, check_table

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}", "\u00a0": "~", "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{NOT EQUAL TO}": r"$\neq$", "\N{LESS-THAN OR EQUAL TO}": r"$\leq$", "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$", "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$", "\N{INFINITY}": r"$\infty$", "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{DEGREE SIGN}": r"$^\circ$", "\N{MICRO SIGN}": r"$\mu$", "\N{EN DASH}": "--", "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}", "\N{REPLACEMENT CHARACTER}": "?", "\N{WORD JOINER}": "{}",
}  # fmt: skip
for _letter in ("alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "rho", "sigma"):
    _TEX[unicodedata.lookup(f"GREEK SMALL LETTER {_letter.replace('lambda', 'lamda')}")] = rf"$\{_letter}$"
_TEX_TABLE = str.maketrans(_TEX)

_COLUMN = 229.0
"""A column of article's two, points; no usual style has a narrower one."""
_FITS = ((r"\footnotesize", 1.0, 2), (r"\scriptsize", 0.94, 2), (r"\scriptsize", 0.94, 1))
"""Sizes of type, their letters' widths against 8 points', and the space at each side of a column in points; the first that fits."""
_POINTS = {
    **dict.fromkeys(".,:;'[]()il|", 2.4), **dict.fromkeys(" -", 2.9), **dict.fromkeys("Ifrst", 3.4), **dict.fromkeys("ce", 3.8),
    **dict.fromkeys("0123456789ago", 4.25), **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ", 5.8),
    **dict.fromkeys("+<=>w\N{MULTIPLICATION SIGN}", 6.6), **dict.fromkeys("mM", 7.8), "W": 8.7,
}  # fmt: skip
"""Widths of Computer Modern's letters at 8 points."""
_BREAKS = r"[_+(.,=-]"
"""Characters after which a name may be broken into lines."""


def _width(text: str) -> float:
    return sum(_POINTS.get(letter, 4.7) for letter in text)


def to_latex(table: Table, *, narrow: bool = False) -> str:
    """The table as a LaTeX `table` that needs the package booktabs, with caption and the label `tab:<id>`.

    `narrow` is for six columns in a column of a paper: small type, little space, and names that break where they are long.
    """
    check_table(table)
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    size: list[str] = []
    if narrow:
        others = [
            max(map(_width, texts))
            for texts in list(zip(table.columns, *([value.text for value in row] for row in table.rows), strict=True))[1:]
        ]
        name = max(_width(part) for row in table.rows for part in re.split(rf"(?<={_BREAKS})", row[0].text))
        name = min(80.0, max(36.0, name))
        needed = [scale * (name + sum(others)) + 2 * space * len(others) for _, scale, space in _FITS]
        letters, scale, space = next((fit for fit, width in zip(_FITS, needed, strict=True) if width <= _COLUMN), _FITS[-1])
        size = [f"  {letters}", rf"  \setlength{{\tabcolsep}}{{{space}pt}}"]
        columns = rf"@{{}}p{{{scale * name / _COLUMN:.3g}\linewidth}}{columns[1:]}@{{}}"
    rows = [_tex_row([value.text for value in row], breaks=narrow) for row in table.rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        *size,
        rf"  \caption{{{_tex(table.title)}}}",
        rf"  \label{{tab:{table.id}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + _tex_row(table.columns),
        r"    \midrule",
        *(f"    {row}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]
    if table.note:
        lines.append(rf"  \par\medskip\begin{{minipage}}{{\linewidth}}\footnotesize {_tex(table.note)}\end{{minipage}}")
    return "\n".join([*lines, r"\end{table}", ""])


def _tex(text: str) -> str:
    apart = re.sub("-(?=-)", "-\N{WORD JOINER}", one_line(text))  # two hyphens would become a dash
    return apart.translate(_TEX_TABLE)


def _tex_row(cells: Iterable[str], breaks: bool = False) -> str:
    # At the start of a row, a bracket or a star would be an argument of the command that ends the line before it.
    escaped = [re.sub(r"^[\[*]", r"{\g<0>}", _tex(cell)) for cell in cells]
    if breaks:
        escaped[0] = r"\raggedright " + re.sub(_BREAKS, r"\g<0>\\allowbreak{}", escaped[0])
    return " & ".join(escaped) + r" \\"
