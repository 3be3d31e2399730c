"""What all plots share: styles that hold in grey and for the colour-blind, the canvas, and how it is saved."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.analysis.groups import Group, Method
from reports.analysis.words import label
from reports.page import Figure

MOST_LINES = 7
"""More lines than this in one plot cannot be told apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
GREY = "0.45"
BASELINE_DASHES = (":", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))
COLUMN = 3.4
"""Every plot is this wide, inches: a column of a paper, and the screen of a phone. Panels stand below each other."""
SHORT = 22
"""Characters of a name beside an axis or in a legend."""
_LETTER = 0.062
"""The mean width of a letter of a legend, inches."""
_RC: dict[Any, Any] = {
    "font.size": 8,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 2.5,
    "legend.columnspacing": 1.2,
    "pdf.fonttype": 42,
    "svg.hashsalt": "ablation",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


@dataclass(frozen=True)
class Style:
    """How a method looks in every plot."""

    color: Any
    marker: str
    dash: Any


def styles(methods: Sequence[Method]) -> dict[str, Style]:
    """Label -> style; the reference is black and solid."""
    palette = [color for index, color in enumerate(sns.color_palette("colorblind", 10)) if index != 7]  # 7 is grey
    return {
        method.label: Style(
            "black" if index == 0 else palette[(index - 1) % len(palette)],
            MARKERS[index % len(MARKERS)],
            DASHES[index % len(DASHES)],
        )
        for index, method in enumerate(methods)
    }


def chosen(group: Group, most: int = MOST_LINES) -> list[Method]:
    """The methods that a plot of lines shows: the reference, each variant alone, controls where there is room, and the largest
    composition."""
    checks = {check.name for check in group.controls}
    single = [method for method in group.methods if "+" not in method.variant]
    single.sort(key=lambda method: method.label in checks)  # stable
    several = [method for method in group.methods if "+" in method.variant]
    largest = sorted(several, key=lambda method: -method.variant.count("+"))[:1]
    return [*single[: most - len(largest)], *largest]


def in_lines(name: str) -> str:
    """A name beside an axis, in two lines where one is too short: its end may be all that tells it from another."""
    whole = label(name, 2 * SHORT)
    if len(whole) <= SHORT:
        return whole
    cut = max((place for place in range(1, SHORT + 1) if whole[place - 1] in "+(.=_, "), default=SHORT)
    return f"{whole[:cut]}\n{label(whole[cut:], SHORT)}"


@contextmanager
def draw(height: float, panels: int = 1, **options: Any) -> Iterator[tuple[Canvas, list[Axes]]]:
    """A figure of its own, apart from pyplot's state, and its panels from top to bottom; `height` in inches."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name may hold letters that the font lacks
        warnings.filterwarnings("ignore", "The set_(bad|over|under)", PendingDeprecationWarning)  # seaborn's own call
        # The pads hold what the widths of text differ by between SVG and PNG, which share one layout.
        canvas = Canvas(figsize=(COLUMN, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.05))
        axes = canvas.subplots(panels, 1, squeeze=False, **options)
        yield canvas, list(axes.ravel())


def legend(canvas: Canvas, axes: Axes, more: Mapping[str, Any] | None = None) -> None:
    """The legend of `axes` (and `more`: name -> handle) below the panels, in as many columns as its names leave room for."""
    handles, names = axes.get_legend_handles_labels()
    handles, names = [*handles, *(more or {}).values()], [label(name, 40) for name in (*names, *(more or {}))]
    if not names:
        return
    columns = max(1, min(len(names), int((COLUMN - 0.2) / (0.55 + _LETTER * max(map(len, names))))))
    height = canvas.get_figheight() + 0.16 * -(-len(names) // columns)
    canvas.set_figheight(height)
    canvas.legend(handles, names, loc="outside lower center", ncols=columns)


def save(canvas: Canvas, id_: str, title: str, caption: str, alt: str) -> Figure:
    """The figure as SVG, PNG and PDF. Equal canvases give equal bytes."""
    svg, png, pdf = io.StringIO(), io.BytesIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.set_layout_engine("none")  # the layout stands, and finding it takes as long as drawing
    canvas.savefig(png, format="png", dpi=220, metadata={"Software": None})
    canvas.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return Figure(id_, title, caption, alt, svg.getvalue(), png.getvalue(), pdf.getvalue())
