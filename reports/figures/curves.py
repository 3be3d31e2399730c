"""Lines over predicted frames and over training."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.analysis.groups import Group, Method
from reports.analysis.secondary import metrics_of
from reports.analysis.words import label, shorten
from reports.figures import canvas
from reports.figures.canvas import BASELINE_DASHES, GREY, Style, chosen, styles
from reports.page import Figure

Curves = Mapping[str, Mapping[int, Mapping[int, tuple[float, float]]]]
"""Label -> seed -> step -> (seconds, the metric in validation)."""


def by_frame(group: Group, metric: str) -> Figure | None:
    """A metric for each predicted frame: above as it is, with the baselines; below minus base's, seed by seed.

    None where the runs have no figures of it by frame.
    """
    methods = chosen(group)
    looks = styles(group.methods)
    horizon = max((len(run.per_frame.get(metric, ())) for run in group.runs), default=0)
    if not horizon:
        return None
    frames = np.arange(1, horizon + 1)
    reference = group.reference if len(methods) > 1 else None
    info = next(one for one in metrics_of(group) if one.name == metric)
    name = shorten(info.title, 40)
    words = []
    with canvas.draw(4.2 if reference else 2.4, 2 if reference else 1, sharex=True) as (plot, panels):
        base = _frames(reference, metric, horizon) if reference else None
        for method in methods:
            values = _frames(method, metric, horizon)
            if values is None:
                continue
            style = looks[method.label]
            mean = np.mean(list(values.values()), axis=0)
            _line(panels[0], frames, np.array(list(values.values())), style, label(method.label))
            words.append(f"{label(method.label)} from {mean[0]:.3f} to {mean[-1]:.3f}")
            common = sorted(set(values) & set(base or {}))
            if base is not None and common and method is not reference:
                _line(panels[1], frames, np.array([values[seed] - base[seed] for seed in common]), style, "")
        for (key, title), dash in zip(group.baselines.items(), BASELINE_DASHES, strict=False):
            row = methods[0].first.baselines_per_frame[key].get(metric, ())
            if len(row) == horizon:
                panels[0].plot(frames, row, color=GREY, linestyle=dash, linewidth=1.2, label=title)
        panels[0].set_ylabel(f"test {name}")
        if reference:
            panels[1].axhline(0, color="black", linewidth=1)
            panels[1].set_ylabel(f"minus {label(reference.label, 16)}'s")
        panels[-1].set_xlabel("predicted frame")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        canvas.legend(plot, panels[0])
        unit = f" In {shorten(info.unit, 80)}." if info.unit else ""
        below = " Below: differences from base at the same seed." if reference else ""
        caption = f"Means over seeds; bands from the lowest to the highest seed.{unit}{below}{_left_out(group, methods)}"
        alt = f"{name} for predicted frames 1 to {horizon}: {'; '.join(words) or 'no usable values'}."
        id_ = "by-frame" if metric == group.metric else f"by-frame-{re.sub('[^a-z0-9]+', '-', metric.lower())}"
        return canvas.save(plot, id_, f"{name} by predicted frame", caption, alt)


def _frames(method: Method, metric: str, horizon: int) -> dict[int, np.ndarray[Any, Any]] | None:
    """Seed -> values by frame; None unless every seed has all of them."""
    rows = {seed: np.array(run.per_frame.get(metric, ()), dtype=np.float64) for seed, run in method.runs.items()}
    return rows if all(len(row) == horizon and np.isfinite(row).all() for row in rows.values()) else None


def _line(
    axes: Axes, x: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], style: Style, name: str, markevery: int = 1
) -> None:
    """The mean over rows (seeds, points), with a band from the lowest to the highest."""
    look = {"color": style.color, "marker": style.marker, "linestyle": style.dash, "markevery": markevery}
    axes.plot(x, rows.mean(axis=0), markersize=3, linewidth=1.2, label=name, **look)
    if len(rows) > 1:
        axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=style.color, alpha=0.13, linewidth=0)


def _left_out(group: Group, methods: Sequence[Method]) -> str:
    count = len(group.methods) - len(methods)
    return f" {count} further method{'s are' if count > 1 else ' is'} in the tables alone." if count else ""


def validation(group: Group, curves: Curves, metric: str) -> Figure | None:
    """A metric in validation against steps and seconds of training: mean over seeds, band from lowest to highest seed."""
    looks = styles(group.methods)
    name = shorten({one.name: one.title for one in metrics_of(group)}.get(metric, metric), 40)
    words = []
    with canvas.draw(4.0, 2, sharey=True) as (plot, panels):
        for method in chosen(group):
            finite = [
                {step: point for step, point in points.items() if all(map(math.isfinite, point))}
                for points in curves.get(method.label, {}).values()
            ]
            seeds = [points for points in finite if points]
            # A step that some seed did not reach would move the mean only because that seed is missing.
            steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
            if not steps:
                continue
            seconds, values = np.array([[points[step] for step in steps] for points in seeds]).transpose(2, 0, 1)
            for axes, x in zip(panels, (np.array(steps), seconds.mean(axis=0)), strict=True):
                _line(axes, x, values, looks[method.label], label(method.label), markevery=max(1, len(steps) // 12))
            words.append(f"{label(method.label)} ends at {values[:, -1].mean():.3f}")
        if not words:
            return None
        panels[0].set_xlabel("training step")
        panels[1].set_xlabel("training time (s)")
        for axes in panels:
            axes.set_ylabel(f"validation {name}")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=axes is panels[0], min_n_ticks=1))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        canvas.legend(plot, panels[0])
        caption = (
            "Mean over seeds at the steps that all of a method's seeds reached; bands from the lowest to the highest seed. "
            f"Test-time augmentation does not show here: validation predicts without it.{_left_out(group, chosen(group))}"
        )
        alt = f"Validation {name} against steps and seconds of training: {'; '.join(words)}."
        return canvas.save(plot, "validation", f"Validation {name} during training", caption, alt)
