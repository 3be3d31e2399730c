"""The judged metric as a function of one number, with intervals."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import cells
from reports.analysis.doses import Curves
from reports.analysis.groups import Group
from reports.analysis.secondary import title_of
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import DASHES, GREY, MARKERS, MOST_LINES
from reports.page import Figure

MOST_TICKS = 8
"""Values of a dose that each get a tick; more would overlap."""


def response(group: Group, path: str, curves: Curves, id_: str) -> Figure:
    """A dose-response curve for each composition: mean over seeds with its 95% interval at every value that was run."""
    shown = list(curves.items())[:MOST_LINES]
    metric = title_of(group)
    doses = sorted({dose for _, points in shown for dose in points})
    words = []
    with canvas.draw(2.6) as (plot, (axes,)):
        for index, (name, points) in enumerate(shown):
            found = [(dose, method.estimate(group.metric)) for dose, method in points.items()]
            rows = [(dose, one, one.mean) for dose, one in found if one.mean is not None and not one.excluded]
            errors = [
                (0.0, 0.0) if one.low is None or one.high is None else (mean - one.low, one.high - mean)
                for _, one, mean in rows
            ]
            axes.errorbar(
                [dose for dose, _, _ in rows],
                [mean for _, _, mean in rows],
                yerr=[[low for low, _ in errors], [high for _, high in errors]] if rows else None,
                marker=MARKERS[index % len(MARKERS)],
                linestyle=DASHES[index % len(DASHES)],
                color=f"C{index}",
                capsize=3,
                label=label(name),
            )
            for dose, one, _ in rows:
                interval = cells.spread(one, 4).text
                words.append(
                    f"{label(name)} at {dose:g}: {cells.mean(one, 4).text} {'' if interval == cells.NONE else interval}".strip()
                )
        reference = group.reference.estimate(group.metric).mean if group.reference else None
        if reference is not None and group.reference is not None:
            axes.axhline(reference, color=GREY, linestyle=":", linewidth=1.2, label=label(group.reference.label), zorder=0)
        if doses[0] > 0 and doses[-1] >= 8 * doses[0]:
            axes.set_xscale("log")
        if len(doses) <= MOST_TICKS:
            axes.set_xticks(doses)
        elif axes.get_xscale() == "linear":
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(label(path, 40))
        axes.set_ylabel(f"test {metric}")
        canvas.legend(plot, axes)
        more = f" {len(curves) - len(shown)} more are in the tables alone." if len(curves) > len(shown) else ""
        title = f"Dose-response: {label(path, 60)}"
        caption = f"{group.equal.capitalize()}. Means over seeds with 95% intervals, where seeds allow one.{more}"
        alt = f"Test {metric} by {label(path, 60)}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        return canvas.save(plot, id_, title, caption, alt)
