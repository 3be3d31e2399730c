"""Differences from base as a forest plot, and the effects of a factorial plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from reports import cells
from reports.analysis.comparisons import Comparison
from reports.analysis.contrasts import Factorial
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import GREY
from reports.page import Figure

MOST_ROWS = 40
_LOOKS = {
    "helps": ("#0173b2", "^", "helps"),
    "hurts": ("#d55e00", "v", "hurts"),
    "equivalent": ("#029e73", "s", "equivalent"),
    "undecided": ("0.35", "o", "undecided"),
    "failed": ("0.35", "x", "failed"),
}


def forest(comparisons: Iterable[Comparison], base: str, id_: str, at: str, metric: str) -> Figure | None:
    """Differences from the reference: every seed as a dot, mean and interval, and the zone within the margin."""
    there = [one for one in comparisons if one.mean is not None]
    rows = there[:MOST_ROWS]
    if not rows:
        return None
    base, margin, decimals = label(base), rows[0].margin, cells.decimals_of(rows[0].margin)
    words = []
    with canvas.draw(1.4 + 0.34 * len(rows)) as (plot, (axes,)):
        axes.axvspan(-margin, margin, color="0.88", linewidth=0, zorder=0, label=f"within {margin:g}")
        axes.axvline(0, color="0.3", linewidth=1, zorder=1)
        named: set[str] = set()
        for row, one in enumerate(rows):
            assert one.mean is not None
            color, marker, kind = _LOOKS[one.verdict.kind.value]
            seeds: dict[str, Any] = {"linestyle": "", "marker": ".", "markersize": 4, "color": GREY, "zorder": 2}
            axes.plot(
                one.differences, np.full(len(one.differences), row + 0.27), label=None if named else "one seed", **seeds
            )
            error = None if one.low is None or one.high is None else [[one.mean - one.low], [one.high - one.mean]]
            bar: dict[str, Any] = {"color": color, "markersize": 6, "elinewidth": 1.5, "capsize": 2.5, "zorder": 3}
            axes.errorbar(one.mean, row, xerr=error, fmt=marker, label=None if kind in named else kind, **bar)
            named.add(kind)
            shown = [
                cells.figure(one.mean, decimals, sign=True).text,
                cells.interval(one.low, one.high, decimals, sign=True).text,
            ]
            words.append(f"{label(one.name)} {' '.join(part for part in shown if part != cells.NONE)}, {kind}")
        axes.set_yticks(range(len(rows)), [canvas.in_lines(one.name) for one in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"test {metric} minus that of {label(base, canvas.SHORT)}")
        canvas.legend(plot, axes)
        cut = len(there) - len(rows)
        caption = (
            f"{at.capitalize()}. Marker and bar: mean difference, adjusted interval; dots: single seeds; "
            f"grey zone: differences below the margin of {margin:g}."
            + (f" {cut} more are in the table alone." if cut else "")
        )
        alt = (
            f"Differences in test {metric} from {base}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        )
        return canvas.save(plot, id_, f"Differences from {base}, every seed", caption, alt)


def interactions(factorial: Factorial, metric: str) -> Figure:
    """Main effects on the diagonal, pairwise interactions beside it; `metric` names what they are effects on."""
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
        shown = cells.figure(one.mean, 4, sign=True).text
        notes[row, column] = f"{shown}{'*' if sure else ''}"
        words.append(f"{label(one.name)} {shown}{' (significant)' if sure else ''}")
    reach = max(float(np.nanmax(np.abs(values))) if words else 0.0, 1e-6)
    with canvas.draw(1.2 + 0.45 * size) as (plot, (axes,)):
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
            annot_kws={"fontsize": 8 if size < 5 else 6},
            cbar_kws={"label": f"effect on test {metric}"},
        )
        axes.grid(visible=False)
        names = [label(factor, canvas.SHORT) for factor in factors]
        axes.set_xticks(np.arange(size) + 0.5, names, rotation=30, ha="right")
        axes.set_yticks(np.arange(size) + 0.5, names, rotation=0)
        caption = (
            "Diagonal: what the variant adds on average over all settings of the others. Below it: how much more (or less) two "
            "variants add together than the sum of each. Star: Holm-adjusted p of at most 0.05."
        )
        return canvas.save(
            plot, "interactions", "Main effects and interactions", caption, f"Effects on {metric}: {'; '.join(words)}."
        )
