"""Lines over predicted frames and over training: means over seeds, and what is left out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filled_stores import fill, first_group, rewrite

from reports.figures.curves import by_frame, validation

Axes = dict[str, list[Any]]


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.lines}


def test_frames_are_means_over_seeds_and_differences_are_paired(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path)
    group = first_group(tmp_path)
    figure = by_frame(group, "mse")
    assert figure is not None
    above, below = drawn["by-frame-mse"]
    frames = {one.label: np.array([one.runs[seed].per_frame["mse"] for seed in (0, 1, 2)]) for one in group.methods}
    np.testing.assert_allclose(lines(above)["attention"].get_ydata(), frames["attention"].mean(axis=0))
    (difference,) = (line for line in below.lines if len(line.get_xdata()) == frames["base"].shape[1])
    np.testing.assert_allclose(difference.get_ydata(), (frames["attention"] - frames["base"]).mean(axis=0))
    np.testing.assert_allclose(lines(above)["blank frame"].get_ydata(), 178.6)
    assert f"base from {frames['base'].mean(axis=0)[0]:.3f} to {frames['base'].mean(axis=0)[-1]:.3f}" in figure.alt


def test_one_method_alone_has_no_panel_of_differences(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, names=("base",))
    assert by_frame(first_group(tmp_path), "ssim") is not None
    assert len(drawn["by-frame"]) == 1


def test_a_method_with_a_seed_without_frames_is_left_out(tmp_path: Path, drawn: Axes) -> None:
    lost = fill(tmp_path)[-1]
    rewrite(tmp_path, lost, metrics_per_frame={"ssim": [0.5, None]})
    by_frame(first_group(tmp_path), "ssim")
    assert "base" in lines(drawn["by-frame"][0])
    assert "attention" not in lines(drawn["by-frame"][0])
    assert by_frame(first_group(tmp_path), "ssim_openstl") is not None


def test_without_figures_by_frame_there_is_no_plot(tmp_path: Path, drawn: Axes) -> None:
    for run_id in fill(tmp_path, seeds=(0,)):
        rewrite(tmp_path, run_id, metrics_per_frame={})
    assert by_frame(first_group(tmp_path), "ssim") is None


def test_a_validation_curve_ends_at_the_last_step_that_all_seeds_reached(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1))
    group = first_group(tmp_path)
    curves = {"base": {0: {10: (1.0, 0.2), 20: (2.0, 0.4), 30: (3.0, 0.9)}, 1: {10: (3.0, 0.4), 20: (4.0, 0.8)}}}
    figure = validation(group, curves, "ssim")
    assert figure is not None
    by_step, by_time = (lines(axes)["base"] for axes in drawn["validation"])
    assert list(by_step.get_xdata()) == [10, 20]
    assert by_step.get_ydata() == pytest.approx([0.3, 0.6])
    assert by_time.get_xdata() == pytest.approx([2.0, 3.0])
    assert "base ends at 0.600" in figure.alt


def test_validations_that_are_not_finite_or_not_there_give_no_plot(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, names=("base",), seeds=(0,))
    group = first_group(tmp_path)
    assert validation(group, {}, "ssim") is None
    assert validation(group, {"base": {0: {10: (1.0, float("nan"))}}}, "ssim") is None
