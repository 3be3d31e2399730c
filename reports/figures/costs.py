"""The judged metric against cost, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import cells
from reports.analysis.comparisons import Estimate
from reports.analysis.costs import pareto
from reports.analysis.groups import Group
from reports.analysis.secondary import title_of
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import BASELINE_DASHES, GREY, Style, styles
from reports.page import Figure

MOST_PANELS = 3


def against_cost(group: Group, matched: Sequence[Group], attribute: str) -> Figure | None:
    """The judged metric against training time ('seconds', a panel for each budget) or 'params', with the Pareto front."""
    by_time, metric, sign = attribute == "seconds", title_of(group), 1 if group.higher_is_better else -1
    known = {method.label for method in group.methods}
    looks = styles([*group.methods, *(method for one in matched for method in one.methods if method.label not in known)])
    shown = [group, *matched][: MOST_PANELS if by_time else 1]
    words, drawn = [], []
    with canvas.draw(0.5 + 2.2 * len(shown), len(shown), sharex=True, sharey=True) as (plot, panels):
        for axes, one in zip(panels, shown, strict=True):
            points = _points(axes, one, attribute, looks)
            drawn += [y for _, y in points.values()]
            checks = {check.name for check in one.controls}
            line = [
                points[name]
                for name in pareto({name: (x, sign * y) for name, (x, y) in points.items() if name not in checks})
            ]
            axes.plot([x for x, _ in line], [y for _, y in line], color=GREY, linewidth=1.2, linestyle="--", zorder=1)
            words += [
                f"{label(name)} {value:.4f} at {cells.significant(cost).text} {'s' if by_time else 'million parameters'}"
                + ("" if one is group else f" ({one.equal})")
                for name, (cost, value) in points.items()
            ]
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.margins(0.1)
            if len(shown) > 1:
                axes.set_title(one.equal)
            axes.set_ylabel(f"test {metric}")
        if not drawn:
            return None
        hidden = _baseline_lines(panels, group, drawn)
        panels[-1].set_xlabel("training time (s)" if by_time else "parameters (millions)")
        more: dict[str, Any] = {}
        for axes in panels[1:]:
            more |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        for name in panels[0].get_legend_handles_labels()[1]:
            more.pop(name, None)
        canvas.legend(plot, panels[0], more | {"Pareto front": Line2D([], [], color=GREY, linewidth=1.2, linestyle="--")})
        caption = f"Means over seeds with 95% intervals; controls are not on the front.{hidden}"
        what = "training time" if by_time else "parameters"
        alt = f"Test {metric} against {what}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        id_ = f"{group.metric.replace('_', '-')}-against-{'time' if by_time else 'parameters'}"
        return canvas.save(plot, id_, f"{metric} against {what}", caption, alt)


def _points(axes: Axes, group: Group, attribute: str, looks: Mapping[str, Style]) -> dict[str, tuple[float, float]]:
    """Draws the methods of a group; returns label -> (cost, the judged metric)."""
    scale = 1.0 if attribute == "seconds" else 1e6
    points = {}
    for method in group.methods:
        judged, cost, style = method.estimate(group.metric), method.estimate_number(attribute), looks.get(method.label)
        if style is None or judged.mean is None or cost.mean is None or judged.excluded or cost.excluded:
            continue
        x, y = cost.mean / scale, judged.mean
        points[method.label] = (x, y)
        if attribute == "seconds" and (spread := _error(cost)) is not None:
            error = [[min(spread[0], x)], [spread[1]]]
            axes.errorbar(x, y, xerr=error, fmt="none", ecolor=style.color, elinewidth=1, alpha=0.35)
        height = _error(judged)
        axes.errorbar(
            x,
            y,
            yerr=None if height is None else [[height[0]], [height[1]]],
            fmt=style.marker,
            color=style.color,
            markersize=6,
            elinewidth=1,
            capsize=2.5,
            label=label(method.label),
        )
    return points


def _baseline_lines(panels: Sequence[Axes], group: Group, values: Sequence[float]) -> str:
    """Draws the baselines that lie near; says the values of those that do not."""
    low, high = min(values), max(values)
    reach = max(high - low, 0.02) * 1.5
    hidden = []
    for (key, words), dash in zip(group.baselines.items(), BASELINE_DASHES, strict=False):
        score = group.baseline(key).get(group.metric, math.nan)
        if not math.isfinite(score):
            continue
        if low - reach <= score <= high + reach:
            for axes in panels:
                axes.axhline(score, color=GREY, linestyle=dash, linewidth=1.2, zorder=0, label=f"{words} ({score:.3f})")
        else:
            hidden.append(f"{words} {score:.4f}")
    return f" Outside the plot: {', '.join(hidden)}." if hidden else ""


def _error(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None or estimate.mean is None:
        return None
    return estimate.mean - estimate.low, estimate.high - estimate.mean
