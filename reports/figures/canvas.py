"""What all plots share: styles that hold in grey and for the colour-blind, the canvas, and how it is saved."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.analysis.groups import Group, Method
from reports.page import Figure

MOST_LINES = 7
"""More lines than this in one plot cannot be told apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
GREY = "0.45"
_RC: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 3,
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
    """The methods that a plot of lines shows: the reference, each variant alone, and the largest composition."""
    single = [method for method in group.methods if "+" not in method.variant]
    several = [method for method in group.methods if "+" in method.variant]
    largest = sorted(several, key=lambda method: -method.variant.count("+"))[:1]
    return [*single[: most - len(largest)], *largest]


@contextmanager
def draw(width: float, height: float, *shape: int, **options: Any) -> Iterator[tuple[Canvas, list[Axes]]]:
    """A figure of its own, apart from pyplot's state, and its axes."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name may hold letters that the font lacks
        warnings.filterwarnings("ignore", "The set_(bad|over|under)", PendingDeprecationWarning)  # seaborn's own call
        # The pads hold what the widths of text differ by between SVG and PNG, which share one layout.
        canvas = Canvas(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
        axes = canvas.subplots(*(shape or (1, 1)), squeeze=False, **options)
        yield canvas, list(axes.ravel())


def save(canvas: Canvas, id_: str, title: str, caption: str, alt: str) -> Figure:
    """The figure as SVG and PNG. Equal canvases give equal bytes."""
    svg, png = io.StringIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.set_layout_engine("none")  # the layout stands, and finding it takes as long as drawing
    canvas.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return Figure(id_, title, caption, alt, svg.getvalue(), png.getvalue())
