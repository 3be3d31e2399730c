"""What differences scatter, and what a plan finds under it, against simulated plans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.ablation.noise import NOISE, Noise, default_margin, reach


def test_default_margins_are_one_sd_of_differences_to_one_digit() -> None:
    for metric, found in NOISE["cpu"].items():
        margin = default_margin("cpu", metric)
        assert margin is not None
        assert f"{margin[0]:.0e}" == f"{found.sd:.0e}"
    assert default_margin("tiny", "mae") is None


def test_three_seeds_tell_what_a_plan_can_find_and_set_no_margin() -> None:
    assert {found.seeds for found in NOISE["evening"].values()} == {3}
    assert default_margin("evening", "ssim") == (
        0.005,
        "the default for SSIM; no noise of five seeds was measured for this preset",
    )
    assert default_margin("evening", "mse") is None


def test_what_a_plan_can_find_is_what_simulated_plans_find() -> None:
    found = reach(Noise(0.003, 5, "a test"), seeds=5, comparisons=4, margin=0.004)
    assert found is not None
    draws = np.random.default_rng(0).normal(found.gain, 0.003, (4000, 5))
    share = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05 / 4)
    assert share == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 4000))
    more = found.seeds_for_margin
    assert more is not None
    enough, fewer = (
        np.mean(stats.ttest_1samp(np.random.default_rng(1).normal(0.004, 0.003, (4000, n)), 0, axis=1).pvalue <= 0.05 / 4)
        for n in (more, more - 2)
    )
    assert enough > 0.77
    assert fewer < 0.8
