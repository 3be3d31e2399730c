"""The judged metric against cost: points, the front, baselines that are far off, and more arms than can be told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_store import BLANK, Fake, cell, write_run
from filled_stores import fill, first_group, rewrite

from reports.analysis.groups import Group, Method
from reports.figures.costs import MOST_NAMED, against_cost

Axes = dict[str, list[Any]]
TIMES = {"base": (100.0, 0.80), "attention": (150.0, 0.83), "tta": (200.0, 0.82), "residual": (90.0, 0.70)}


def write(root: Path) -> None:
    for name, (seconds, ssim) in TIMES.items():
        for seed in (0, 1, 2):
            write_run(root, cell(name, seed), Fake(ssim=ssim + 0.001 * seed, seconds=seconds + seed))


def test_the_front_joins_the_arms_that_no_other_beats(tmp_path: Path, drawn: Axes) -> None:
    write(tmp_path)
    figure = against_cost(first_group(tmp_path), (), "seconds")
    assert figure is not None
    (axes,) = drawn["ssim-against-time"]
    points = {bar.get_label(): bar.lines[0].get_xydata()[0] for bar in axes.containers if bar.lines[0] is not None}
    for name, (seconds, ssim) in TIMES.items():
        assert points[name] == pytest.approx((seconds + 1, ssim + 0.001))
    (front,) = (
        line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata()) > 1 and line.get_zorder() == 1
    )
    assert front.get_xdata() == pytest.approx([91, 101, 151])  # residual, base, attention; tta costs more and brings less
    assert "attention 0.8310 at 151 s" in figure.alt


def test_baselines_far_below_are_said_and_not_drawn(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, fake=Fake(ssim=0.95))
    far = against_cost(first_group(tmp_path), (), "params")
    assert far is not None
    assert f"Outside the plot: blank frame {BLANK['ssim']:.4f}" in far.caption
    assert len(drawn["ssim-against-parameters"]) == 1


def test_a_baseline_that_is_near_is_a_line(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, fake=Fake(ssim=BLANK["ssim"] + 0.01))
    near = against_cost(first_group(tmp_path), (), "params")
    assert near is not None
    assert "blank frame" not in near.caption
    (axes,) = drawn["ssim-against-parameters"]
    assert [list(line.get_ydata()) for line in axes.lines if line.get_label().startswith("blank frame")] == [
        [BLANK["ssim"]] * 2
    ]


def test_nothing_is_drawn_where_no_arm_has_a_finite_metric(tmp_path: Path, drawn: Axes) -> None:
    for run_id in fill(tmp_path, seeds=(0,)):
        rewrite(tmp_path, run_id, metrics={"ssim": None})
    assert against_cost(first_group(tmp_path), (), "seconds") is None
    assert drawn == {}


def test_of_many_arms_those_on_the_front_are_named_and_the_rest_are_grey(tmp_path: Path, drawn: Axes) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1))
    group = first_group(tmp_path)
    assert group.reference is not None
    runs = dict(group.reference.runs)

    def arm(number: int) -> Method:
        ssim = 0.99 if number == MOST_NAMED else 0.7
        changed = {s: replace(run, metrics={**run.metrics, "ssim": ssim}) for s, run in runs.items()}
        return Method(f"arm-{number}", f"arm-{number}", changed)

    arms = [arm(number) for number in range(MOST_NAMED + 1)]
    many = Group("steps", group.context, (group.reference, *arms), group.reference)
    figure = against_cost(many, (), "seconds")
    assert figure is not None
    (axes,) = drawn["ssim-against-time"]
    named = {bar.get_label() for bar in axes.containers}
    assert {"base", f"arm-{MOST_NAMED}"} <= named
    (grey,) = (line for line in axes.lines if line.get_label() == "further arms")
    assert len(grey.get_xdata()) == len(arms) + 1 - len({name for name in named if not name.startswith("_")})
    assert np.isfinite(grey.get_ydata()).all()
    assert f"Grey points: {len(grey.get_xdata())} further arms" in figure.caption
