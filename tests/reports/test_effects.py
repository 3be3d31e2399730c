"""The forest plot of differences, and the effects of a factorial plan as a square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from samples import plan, sample, shifted

from reports.analysis.comparisons import compare_all
from reports.analysis.contrasts import Factorial, factorial_effects
from reports.figures.effects import MOST_ROWS, forest, interactions

Axes = dict[str, list[Any]]
BASE = sample(5)


def test_each_arm_has_its_interval_and_a_dot_for_each_seed(drawn: Axes) -> None:
    arms = {"better": shifted(BASE, 0.03, 0.003), "noisy": shifted(BASE, 0.0, 0.03, seed=2)}
    found = compare_all(BASE, arms)
    figure = forest(found, "base", "differences", "equal steps", "SSIM")
    assert figure is not None
    (axes,) = drawn["differences"]
    bars = [list(bar.lines[2][0].get_segments()[0][:, 0]) for bar in axes.containers]
    assert bars == [pytest.approx((one.low, one.high)) for one in found]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    for shown, arm in zip(dots, arms.values(), strict=True):
        assert list(shown) == pytest.approx([arm[seed] - BASE[seed] for seed in BASE])
    better, _ = found
    assert f"better {better.mean:+.4f} [{better.low:+.4f}, {better.high:+.4f}], helps" in figure.alt


def test_an_arm_without_any_pair_is_no_row_and_none_is_no_plot(drawn: Axes) -> None:
    found = compare_all(BASE, {"gone": {}, "there": shifted(BASE, 0.01, 0.003)})
    assert forest(found, "base", "differences", "equal steps", "SSIM") is not None
    assert [label.get_text() for label in drawn["differences"][0].get_yticklabels()] == ["there"]
    assert forest(found[:1], "base", "none", "equal steps", "SSIM") is None


def test_arms_beyond_the_plot_s_rows_are_counted(drawn: Axes) -> None:
    found = compare_all(BASE, {f"arm-{k}": shifted(BASE, 0.01, 0.003, seed=k) for k in range(MOST_ROWS + 2)})
    figure = forest(found, "base", "differences", "equal steps", "SSIM")
    assert figure is not None
    assert "2 more are in the table alone" in figure.caption
    assert figure.alt.endswith("; and others.")


def test_main_effects_are_on_the_diagonal_and_interactions_below(drawn: Axes) -> None:
    effects = {("a",): 2.0, ("b",): -1.0, ("a", "b"): 0.5}
    cells = plan(2, 6, effects, sd=0.01)
    found = Factorial(("a", "b"), tuple(factorial_effects(cells)))
    figure = interactions(found, "SSIM")
    heat = drawn["interactions"][0].collections[0].get_array()
    shown = np.ma.filled(heat.reshape(2, 2).astype(float), math.nan)
    assert math.isnan(shown[0, 1])  # what is above the diagonal would say it twice
    assert (shown[0, 0], shown[1, 1]) == pytest.approx((2.0, -1.0), abs=0.05)
    assert shown[1, 0] == pytest.approx(next(one.comparison.mean for one in found.effects if len(one.factors) == 2))
    assert figure.alt.count("(significant)") == 3
