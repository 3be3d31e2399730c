"""Differences from base as a forest plot, and the effects of a factorial plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns

from reports import cells
from reports.analysis.contrasts import Factorial
from reports.analysis.groups import MATCHES, Group
from reports.analysis.verdicts import Kind
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import GREY
from reports.page import Figure

MOST_ROWS = 40
_LOOKS = {
    Kind.HELPS: ("#0173b2", "^", "helps"),
    Kind.HURTS: ("#d55e00", "v", "hurts"),
    Kind.EQUIVALENT: ("#029e73", "s", "equivalent within the margin"),
    Kind.UNDECIDED: ("0.35", "o", "undecided"),
    Kind.FAILED: ("#cc78bc", "X", "failed: surviving seeds only"),
}


def forest(group: Group, id_: str, title: str) -> Figure | None:
    """Paired differences from the reference: every seed, mean and interval, and the zone within the margin."""
    rows = [one for one in group.comparisons.values() if one.mean is not None][:MOST_ROWS]
    if not rows or group.reference is None:
        return None
    base = label(group.reference.label)
    words = []
    with canvas.draw(7.8, 1.7 + 0.42 * len(rows)) as (plot, (axes,)):
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
            shown = [cells.figure(one.mean, 4, sign=True).text, cells.interval(one.low, one.high, 4, sign=True).text]
            words.append(f"{label(one.name)} {' '.join(part for part in shown if part != cells.NONE)}, {kind}")
        axes.set_yticks(range(len(rows)), [f"{label(one.name)} (n={one.n})" for one in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"test SSIM minus that of {base} at the same seed")
        plot.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        cut = len(group.comparisons) - len(rows)
        caption = (
            f"{MATCHES[group.match].capitalize()}. Marker and bar: mean difference, adjusted interval; ticks: single seeds; "
            f"grey zone: differences below the margin of {group.margin:g}."
            + (f" {cut} more are in the table alone." if cut else "")
        )
        alt = f"Differences in test SSIM from {base}: {'; '.join(words[:12])}{'; and others' if len(words) > 12 else ''}."
        return canvas.save(plot, id_, title, caption, alt)


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
        shown = cells.figure(one.mean, 4, sign=True).text
        notes[row, column] = f"{shown}{'*' if sure else ''}"
        words.append(f"{label(one.name)} {shown}{' (significant)' if sure else ''}")
    reach = max(float(np.nanmax(np.abs(values))) if words else 0.0, 1e-6)
    with canvas.draw(2.6 + 1.25 * size, 1.6 + 0.8 * size) as (plot, (axes,)):
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
        return canvas.save(
            plot, "interactions", "Main effects and interactions", caption, f"Effects on SSIM: {'; '.join(words)}."
        )
