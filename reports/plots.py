"""The report's plots: measured values with their spread, in styles that hold in grey and for the colour-blind."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.evaluation.conventions import METRICS
from reports.analysis import MATCHES, Factorial, Group, Method, pareto, shorten
from reports.page import Figure
from reports.statistics import Estimate, Kind
from reports.tables import BASELINE_TITLES, NONE, figure, interval

MOST_LINES = 7
"""More lines than this in one plot cannot be told apart."""
MOST_ROWS = 40
MOST_PANELS = 3
NAME_LENGTH = 34
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


def label(text: str, most: int = NAME_LENGTH) -> str:
    """A name that can be drawn: on one line, printable, not too long."""
    line = "".join(character if character.isprintable() else "?" for character in shorten(text, 10_000))
    return line if len(line) <= most else f"{line[: most - 3]}..."


@contextmanager
def _canvas(width: float, height: float, *shape: int, **options: Any) -> Iterator[tuple[Canvas, list[Axes]]]:
    """A figure of its own, apart from pyplot's state, and its axes."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name may hold letters that the font lacks
        warnings.filterwarnings("ignore", "The set_(bad|over|under)", PendingDeprecationWarning)  # seaborn's own call
        # The pads hold what the widths of text differ by between SVG and PNG, which share one layout.
        canvas = Canvas(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
        axes = canvas.subplots(*(shape or (1, 1)), squeeze=False, **options)
        yield canvas, list(axes.ravel())


def _save(canvas: Canvas, id_: str, title: str, caption: str, alt: str) -> Figure:
    svg, png = io.StringIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.set_layout_engine("none")  # the layout stands, and finding it takes as long as drawing
    canvas.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return Figure(id_, title, caption, alt, svg.getvalue(), png.getvalue())


def _error(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None or estimate.mean is None:
        return None
    return estimate.mean - estimate.low, estimate.high - estimate.mean


# --- SSIM against cost


def against_cost(group: Group, matched: Sequence[Group], attribute: str) -> Figure | None:
    """SSIM against training time ('seconds', a panel for each budget) or parameters ('params'), with the Pareto front."""
    by_time = attribute == "seconds"
    known = {method.label for method in group.methods}
    looks = styles([*group.methods, *(method for one in matched for method in one.methods if method.label not in known)])
    shown = [group, *matched][: MOST_PANELS if by_time else 1]
    words, fronts, drawn = [], [], []
    width = 7.4 if len(shown) == 1 else 2.6 + 3.3 * len(shown)
    with _canvas(width, 4.6, 1, len(shown), sharex=True, sharey=True) as (canvas, panels):
        for axes, one in zip(panels, shown, strict=True):
            points = _points(axes, one, attribute, looks)
            drawn += [y for _, y in points.values()]
            front = pareto(points)
            line = [points[name] for name in front]
            axes.plot([x for x, _ in line], [y for _, y in line], color=GREY, linewidth=1.2, linestyle="--", zorder=1)
            fronts.append(f"{MATCHES[one.match]}: {', '.join(map(label, front)) or 'none'}")
            words += [
                f"{label(name)} {ssim:.4f} at {cost:,.3g} {'s' if by_time else 'million parameters'}"
                + ("" if one is group else f" ({MATCHES[one.match]})")
                for name, (cost, ssim) in points.items()
            ]
            axes.set_xlabel("training time (s)" if by_time else "parameters (millions)")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
            axes.margins(0.1)
            if len(shown) > 1:
                axes.set_title(MATCHES[one.match])
        if not drawn:
            return None
        hidden = _baseline_lines(panels, group, drawn)
        panels[0].set_ylabel("test SSIM")
        handles: dict[str, Any] = {}
        for axes in panels:
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        handles["Pareto front"] = Line2D([], [], color=GREY, linewidth=1.2, linestyle="--")
        canvas.legend(list(handles.values()), list(handles), loc="outside right upper")
        stands = f"On the Pareto front ({'; '.join(fronts)}) no method is beaten in both."
        caption = f"Means over seeds with 95% intervals. {stands}{hidden}"
        what = "training time" if by_time else "parameters"
        alt = f"Test SSIM against {what}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        id_ = "ssim-against-time" if by_time else "ssim-against-parameters"
        return _save(canvas, id_, f"SSIM against {what}", caption, alt)


def _points(axes: Axes, group: Group, attribute: str, looks: Mapping[str, Style]) -> dict[str, tuple[float, float]]:
    """Draws the methods of a group; returns label -> (cost, SSIM)."""
    scale = 1.0 if attribute == "seconds" else 1e6
    points = {}
    for method in group.methods:
        ssim, cost, style = method.estimate(), method.estimate_number(attribute), looks.get(method.label)
        if style is None or ssim.mean is None or cost.mean is None or ssim.excluded or cost.excluded:
            continue
        x, y = cost.mean / scale, ssim.mean
        points[method.label] = (x, y)
        if attribute == "seconds" and (spread := _error(cost)) is not None:
            error = [[min(spread[0], x)], [spread[1]]]
            axes.errorbar(x, y, xerr=error, fmt="none", ecolor=style.color, elinewidth=1, alpha=0.35)
        height = _error(ssim)
        axes.errorbar(
            x,
            y,
            yerr=None if height is None else [[height[0]], [height[1]]],
            fmt=style.marker,
            color=style.color,
            markersize=8,
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
    for (key, words), dash in zip(BASELINE_TITLES.items(), (":", "-."), strict=True):
        ssim = group.baseline(key).get("ssim", math.nan)
        if not math.isfinite(ssim):
            continue
        if low - reach <= ssim <= high + reach:
            for axes in panels:
                axes.axhline(ssim, color=GREY, linestyle=dash, linewidth=1.2, zorder=0, label=f"{words} ({ssim:.3f})")
        else:
            hidden.append(f"{words} {ssim:.4f}")
    return f" Outside the plot: {', '.join(hidden)}." if hidden else ""


# --- by predicted frame


def by_frame(group: Group) -> Figure | None:
    """SSIM and MSE for each predicted frame: above as they are, with the baselines; below minus base's, seed by seed."""
    methods = chosen(group)
    looks = styles(group.methods)
    horizon = max((len(run.per_frame.get("ssim", ())) for run in group.runs), default=0)
    if not horizon:
        return None
    frames = np.arange(1, horizon + 1)
    reference = group.reference if len(methods) > 1 else None
    words = []
    with _canvas(9.6, 7.2 if reference else 4.2, 2 if reference else 1, 2, sharex=True) as (canvas, panels):
        for column, metric in enumerate(("ssim", "mse")):
            name = METRICS[metric].title
            base = _frames(reference, metric, horizon) if reference else None
            for method in methods:
                values = _frames(method, metric, horizon)
                if values is None:
                    continue
                style = looks[method.label]
                mean = np.mean(list(values.values()), axis=0)
                _line(panels[column], frames, np.array(list(values.values())), style, label(method.label))
                if metric == "ssim":
                    words.append(f"{label(method.label)} from {mean[0]:.3f} to {mean[-1]:.3f}")
                common = sorted(set(values) & set(base or {}))
                if base is not None and common and method is not reference:
                    _line(panels[2 + column], frames, np.array([values[seed] - base[seed] for seed in common]), style, "")
            for (key, title), dash in zip(BASELINE_TITLES.items(), (":", "-."), strict=True):
                row = methods[0].first.baselines_per_frame[key].get(metric, ())
                if len(row) == horizon:
                    panels[column].plot(frames, row, color=GREY, linestyle=dash, linewidth=1.5, label=title)
            panels[column].set_ylabel(f"test {name}" + ("" if metric == "ssim" else " (sum over a frame's pixels)"))
            if reference:
                panels[2 + column].axhline(0, color="black", linewidth=1)
                panels[2 + column].set_ylabel(f"test {name} minus that of {label(reference.label, 16)}")
            panels[-2 + column].set_xlabel("predicted frame")
            panels[-2 + column].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        handles, names = panels[0].get_legend_handles_labels()
        canvas.legend(handles, names, loc="outside lower center", ncols=min(4, max(1, len(names))))
        below = " Below: differences from base at the same seed." if reference else ""
        caption = f"Means over seeds; bands from the lowest to the highest seed.{below}{_left_out(group, methods)}"
        alt = f"SSIM and MSE for predicted frames 1 to {horizon}. SSIM: {'; '.join(words) or 'no usable values'}."
        return _save(canvas, "by-frame", "Quality by predicted frame", caption, alt)


def _frames(method: Method, metric: str, horizon: int) -> dict[int, np.ndarray[Any, Any]] | None:
    """Seed -> values by frame; None unless every seed has all of them."""
    rows = {seed: np.array(run.per_frame.get(metric, ()), dtype=np.float64) for seed, run in method.runs.items()}
    return rows if all(len(row) == horizon and np.isfinite(row).all() for row in rows.values()) else None


def _line(axes: Axes, x: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], style: Style, name: str) -> None:
    """The mean over rows, with a band from the lowest to the highest."""
    look = {"color": style.color, "marker": style.marker, "linestyle": style.dash}
    axes.plot(x, rows.mean(axis=0), markersize=4, linewidth=1.5, label=name, **look)
    if len(rows) > 1:
        axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=style.color, alpha=0.13, linewidth=0)


def _left_out(group: Group, methods: Sequence[Method]) -> str:
    count = len(group.methods) - len(methods)
    return f" {count} further method{'s are' if count > 1 else ' is'} in the tables alone." if count else ""


# --- validation curves

Curves = Mapping[str, Mapping[int, Mapping[int, tuple[float, float]]]]
"""Label -> seed -> step -> (seconds, validation SSIM)."""


def validation(group: Group, curves: Curves) -> Figure | None:
    """Validation SSIM against steps and against seconds of training: mean over seeds, band from worst to best seed."""
    looks = styles(group.methods)
    frame = pd.DataFrame(
        [
            (name, seed, step, seconds, ssim)
            for name, by_seed in curves.items()
            for seed, points in by_seed.items()
            for step, (seconds, ssim) in points.items()
        ],
        columns=["method", "seed", "step", "seconds", "ssim"],
    ).dropna()
    if frame.empty:
        return None
    words = []
    with _canvas(9.6, 4.2, 1, 2, sharey=True) as (canvas, panels):
        for name in [method.label for method in chosen(group)]:
            part = frame[frame["method"] == name]
            if part.empty:
                continue
            # A step that some seed did not reach would move the mean for no reason but who is left.
            means = part.groupby("step").agg(
                n=("seed", "nunique"),
                ssim=("ssim", "mean"),
                low=("ssim", "min"),
                high=("ssim", "max"),
                seconds=("seconds", "mean"),
            )
            means = means[means["n"] == part["seed"].nunique()]
            if means.empty:
                continue
            style = looks[name]
            for axes, x in zip(panels, (means.index.to_numpy(), means["seconds"].to_numpy()), strict=True):
                axes.plot(
                    x,
                    means["ssim"].to_numpy(),
                    color=style.color,
                    marker=style.marker,
                    linestyle=style.dash,
                    markersize=4,
                    linewidth=1.5,
                    markevery=max(1, len(means) // 12),
                    label=label(name),
                )
                axes.fill_between(x, means["low"], means["high"], color=style.color, alpha=0.12, linewidth=0)
            words.append(f"{label(name)} ends at {means['ssim'].iloc[-1]:.3f}")
        if not words:
            return None
        panels[0].set_xlabel("training step")
        panels[1].set_xlabel("training time (s)")
        panels[0].set_ylabel("validation SSIM")
        for axes in panels:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=axes is panels[0], min_n_ticks=1))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        handles, names = panels[0].get_legend_handles_labels()
        canvas.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)))
        caption = (
            "Mean over seeds at the steps that all of a method's seeds reached; bands from the worst to the best seed. "
            f"Test-time augmentation does not show here: validation predicts without it.{_left_out(group, chosen(group))}"
        )
        alt = f"Validation SSIM against steps and seconds of training: {'; '.join(words)}."
        return _save(canvas, "validation", "Validation SSIM during training", caption, alt)


# --- comparisons

_LOOKS = {
    Kind.HELPS: ("#0173b2", "^", "helps"),
    Kind.HURTS: ("#d55e00", "v", "hurts"),
    Kind.NO_DIFFERENCE: ("#029e73", "s", "no difference beyond the margin"),
    Kind.IDENTICAL: ("#029e73", "s", "no difference beyond the margin"),
    Kind.NOT_ENOUGH: ("0.35", "o", "not enough seeds"),
    Kind.NO_VERDICT: ("0.35", "o", "no verdict"),
}


def forest(group: Group, id_: str, title: str) -> Figure | None:
    """Paired differences from the reference: every seed, mean and interval, and the zone within the margin."""
    rows = [one for one in group.comparisons.values() if one.mean is not None][:MOST_ROWS]
    if not rows or group.reference is None:
        return None
    base = label(group.reference.label)
    words = []
    with _canvas(7.8, 1.7 + 0.42 * len(rows)) as (canvas, (axes,)):
        axes.axvspan(-group.margin, group.margin, color="0.88", linewidth=0, zorder=0, label=f"within {group.margin:g}")
        axes.axvline(0, color="0.3", linewidth=1, zorder=1)
        named: set[str] = set()
        for row, one in enumerate(rows):
            assert one.mean is not None
            color, marker, kind = _LOOKS[one.verdict.kind]
            axes.plot(
                one.differences,
                np.full(len(one.differences), row + 0.24),
                linestyle="",
                marker="|",
                markersize=6,
                color=GREY,
                zorder=2,
                label="one seed" if row == 0 else None,
            )
            error = None if one.low is None or one.high is None else [[one.mean - one.low], [one.high - one.mean]]
            axes.errorbar(
                one.mean,
                row,
                xerr=error,
                fmt=marker,
                color=color,
                markersize=8,
                elinewidth=1.8,
                capsize=3.5,
                label=None if kind in named else kind,
                zorder=3,
            )
            named.add(kind)
            shown = [figure(one.mean, 4, sign=True).text, interval(one.low, one.high, 4, sign=True).text]
            words.append(f"{label(one.name)} {' '.join(part for part in shown if part != NONE)}, {kind}")
        axes.set_yticks(range(len(rows)), [f"{label(one.name)} (n={one.n})" for one in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"test SSIM minus that of {base} at the same seed")
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        cut = len(group.comparisons) - len(rows)
        caption = (
            f"{MATCHES[group.match].capitalize()}. Marker and bar: mean difference with its 95% interval; ticks: single seeds; "
            f"grey zone: differences below the margin of {group.margin:g}."
            + (f" {cut} more are in the table alone." if cut else "")
        )
        alt = f"Differences in test SSIM from {base}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        return _save(canvas, id_, title, caption, alt)


def interactions(factorial: Factorial) -> Figure:
    """Main effects on the diagonal, pairwise interactions beside it."""
    factors = list(factorial.factors)
    size = len(factors)
    values = np.full((size, size), np.nan)
    notes = np.full((size, size), "", dtype=object)
    words = []
    for effect in factorial.effects:
        one = effect.comparison
        if one.mean is None:
            continue
        row, column = factors.index(effect.factors[-1]), factors.index(effect.factors[0])
        values[row, column] = one.mean
        sure = one.p_adjusted is not None and one.p_adjusted <= 0.05
        shown = figure(one.mean, 4, sign=True).text
        notes[row, column] = f"{shown}{'*' if sure else ''}"
        words.append(f"{label(one.name)} {shown}{' (significant)' if sure else ''}")
    reach = max(float(np.nanmax(np.abs(values))) if words else 0.0, 1e-6)
    with _canvas(2.6 + 1.25 * size, 1.6 + 0.8 * size) as (canvas, (axes,)):
        sns.heatmap(
            pd.DataFrame(values, index=factors, columns=factors),
            ax=axes,
            mask=np.isnan(values),
            annot=notes,
            fmt="",
            cmap=sns.color_palette("vlag_r", as_cmap=True),
            center=0,
            vmin=-reach,
            vmax=reach,
            linewidths=2,
            linecolor="white",
            annot_kws={"fontsize": 9.5},
            cbar_kws={"label": "effect on test SSIM"},
        )
        axes.grid(visible=False)
        names = [label(factor, 18) for factor in factors]
        axes.set_xticks(np.arange(size) + 0.5, names, rotation=20 if size > 3 else 0, ha="right" if size > 3 else "center")
        axes.set_yticks(np.arange(size) + 0.5, names, rotation=0)
        caption = (
            "Diagonal: what the variant adds on average over all settings of the others. Below it: how much more (or less) two "
            "variants add together than the sum of each. Star: Holm-adjusted p of at most 0.05."
        )
        return _save(
            canvas, "interactions", "Main effects and interactions", caption, f"Effects on SSIM: {'; '.join(words)}."
        )
