"""The judged metric against cost, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import cells
from reports.analysis.costs import pareto
from reports.analysis.estimates import Estimate
from reports.analysis.groups import Group
from reports.analysis.secondary import title_of
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import BASELINE_DASHES, GREY, Style, styles
from reports.page import Figure

MOST_PANELS = 3
MOST_NAMED = 24
"""Arms that the plot tells apart; from one more on, it names those on the fronts and the first few others."""
_FEW = 10


def against_cost(group: Group, matched: Sequence[Group], attribute: str) -> Figure | None:
    """The judged metric against training time ('seconds', a panel for each budget) or 'params', with the Pareto front."""
    by_time, metric, sign = attribute == "seconds", title_of(group), 1 if group.higher_is_better else -1
    shown = [group, *matched][: MOST_PANELS if by_time else 1]
    points = [_points(one, attribute) for one in shown]
    fronts = [
        pareto(
            {name: (one.cost, sign * one.value) for name, one in found.items() if name not in {c.name for c in of.controls}}
        )
        for of, found in zip(shown, points, strict=True)
    ]
    methods = {method.label: method for one in (group, *matched) for method in one.methods}
    named = _named(list(methods), fronts)
    looks = styles([methods[name] for name in named])
    words, drawn = [], []
    with canvas.draw(0.5 + 2.2 * len(shown), len(shown), sharex=True, sharey=True) as (plot, panels):
        for axes, one, found, front in zip(panels, shown, points, fronts, strict=True):
            _draw(axes, found, looks)
            drawn += [point.value for point in found.values()]
            line = [found[name] for name in front]
            axes.plot([p.cost for p in line], [p.value for p in line], color=GREY, linewidth=1.2, linestyle="--", zorder=1)
            words += [
                f"{label(name)} {point.value:.4f} at {cells.significant(point.cost).text} "
                + ("s" if by_time else "million parameters")
                + ("" if one is group else f" ({one.equal})")
                for name, point in found.items()
                if name in looks
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
        rest = len({name for found in points for name in found if name not in looks})
        few = f" Grey points: {rest} further arms, without intervals; the tables name them." if rest else ""
        caption = f"Means over seeds with 95% intervals; controls are not on the front.{few}{hidden}"
        what = "training time" if by_time else "parameters"
        alt = f"Test {metric} against {what}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 or rest else ''}."
        id_ = f"{group.metric.replace('_', '-')}-against-{'time' if by_time else 'parameters'}"
        return canvas.save(plot, id_, f"{metric} against {what}", caption, alt)


class _Point(NamedTuple):
    """An arm's mean cost and judged metric, and how far their intervals reach below and above (None: there is none)."""

    cost: float
    value: float
    cost_error: tuple[float, float] | None
    value_error: tuple[float, float] | None


def _points(group: Group, attribute: str) -> dict[str, _Point]:
    """The arms that have both figures. Parameters are in millions, and have no interval."""
    by_time = attribute == "seconds"
    points = {}
    for method in group.methods:
        judged, cost = method.estimate(group.metric), method.estimate_number(attribute)
        if judged.mean is None or cost.mean is None or judged.excluded or cost.excluded:
            continue
        spread = _error(cost) if by_time else None
        points[method.label] = _Point(cost.mean / (1.0 if by_time else 1e6), judged.mean, spread, _error(judged))
    return points


def _named(arms: Sequence[str], fronts: Sequence[Sequence[str]]) -> list[str]:
    """The arms that have a style and a name: all, or the first, those on a front, and as many others as can be told apart."""
    if len(arms) <= MOST_NAMED:
        return list(arms)
    front = {name for one in fronts for name in one}
    first = [arms[0], *(name for name in arms[1:] if name in front)]
    others = [name for name in arms if name not in first][: max(0, _FEW - len(first))]
    return [*first, *others][:MOST_NAMED]


def _draw(axes: Axes, points: Mapping[str, _Point], looks: Mapping[str, Style]) -> None:
    """Draws the arms: those with a style each by itself, with intervals; all others as grey points."""
    rest = [point for name, point in points.items() if name not in looks]
    if rest:
        where = [point.cost for point in rest], [point.value for point in rest]
        axes.plot(*where, linestyle="", marker=".", markersize=4, color=GREY, zorder=1, label="further arms")
    for name, (x, y, spread, height) in points.items():
        if (style := looks.get(name)) is None:
            continue
        if spread is not None:
            error = [[min(spread[0], x)], [spread[1]]]
            axes.errorbar(x, y, xerr=error, fmt="none", ecolor=style.color, elinewidth=1, alpha=0.35)
        axes.errorbar(
            x,
            y,
            yerr=None if height is None else [[height[0]], [height[1]]],
            fmt=style.marker,
            color=style.color,
            markersize=6,
            elinewidth=1,
            capsize=2.5,
            label=label(name),
        )


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
