"""Lines over predicted frames and over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.evaluation.conventions import METRICS
from reports.analysis.groups import Group, Method
from reports.analysis.records import BASELINES
from reports.analysis.words import label
from reports.figures import canvas
from reports.figures.canvas import GREY, Style, chosen, styles
from reports.page import Figure

Curves = Mapping[str, Mapping[int, Mapping[int, tuple[float, float]]]]
"""Label -> seed -> step -> (seconds, validation SSIM)."""


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
    with canvas.draw(9.6, 7.2 if reference else 4.2, 2 if reference else 1, 2, sharex=True) as (plot, panels):
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
            for (key, title), dash in zip(BASELINES.items(), (":", "-."), strict=True):
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
        plot.legend(handles, names, loc="outside lower center", ncols=min(4, max(1, len(names))))
        below = " Below: differences from base at the same seed." if reference else ""
        caption = f"Means over seeds; bands from the lowest to the highest seed.{below}{_left_out(group, methods)}"
        alt = f"SSIM and MSE for predicted frames 1 to {horizon}. SSIM: {'; '.join(words) or 'no usable values'}."
        return canvas.save(plot, "by-frame", "Quality by predicted frame", caption, alt)


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
    with canvas.draw(9.6, 4.2, 1, 2, sharey=True) as (plot, panels):
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
        plot.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)))
        caption = (
            "Mean over seeds at the steps that all of a method's seeds reached; bands from the worst to the best seed. "
            f"Test-time augmentation does not show here: validation predicts without it.{_left_out(group, chosen(group))}"
        )
        alt = f"Validation SSIM against steps and seconds of training: {'; '.join(words)}."
        return canvas.save(plot, "validation", "Validation SSIM during training", caption, alt)
