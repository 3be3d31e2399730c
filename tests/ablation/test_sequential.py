"""Boundaries over all looks, and what the simulation of the rule promises."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sequential_simulation as simulation
from scipy import stats

from harness.ablation import rule, sequential
from harness.ablation.noise import power
from harness.errors import RequestError

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "2026-11-26-seeds"


@cache
def nominal(most: int, sides: int, plans: int = 40_000) -> tuple[tuple[int, ...], Any]:
    """p values (plans, looks) of normal numbers of mean 0, by scipy's t test at each look."""
    rng = np.random.default_rng([most, sides])
    at = sequential.looks(most)
    drawn = rng.standard_normal((plans, most))
    alternative = "two-sided" if sides == 2 else "greater"
    return at, np.stack([stats.ttest_1samp(drawn[:, :n], 0, axis=1, alternative=alternative).pvalue for n in at], axis=1)


def agrees(count: int, trials: int, chance: float) -> bool:
    """Whether a count is no surprise at this chance (once in 10,000)."""
    return bool(stats.binomtest(count, trials, chance).pvalue > 1e-4)


def test_a_plan_looks_after_preset_numbers_of_seeds_and_at_its_end() -> None:
    assert sequential.looks(30) == (4, 6, 9, 13, 20, 30)
    assert sequential.looks(12) == (4, 6, 9, 12)
    assert sequential.looks(10) == (4, 6, 10)
    assert sequential.looks(4) == (4,)
    for most in (3, 101):
        with pytest.raises(RequestError, match="4 to 100"):
            sequential.looks(most)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("most", [8, 30])
def test_the_chance_that_any_look_crosses_is_that_of_direct_simulation(most: int, sides: sequential.Sides) -> None:
    at, p = nominal(most, sides)
    for level in (0.2, 0.05, 0.01):
        levels = level * np.sqrt(np.array(at) / most)
        crossed = int((p <= levels).any(axis=1).sum())
        assert agrees(crossed, len(p), sequential.crossing(tuple(levels.tolist()), at, sides))


def test_one_look_is_the_fixed_t_test_and_two_are_its_joint_distribution() -> None:
    assert sequential.crossing((0.03,), (7,)) == pytest.approx(0.03)
    # For many seeds t is nearly normal, and looks after n and 2n correlate by sqrt(1/2): scipy's bivariate normal says how often
    # neither crosses.
    z = stats.norm.isf(0.025)
    inside = stats.multivariate_normal([0, 0], [[1, 0.5**0.5], [0.5**0.5, 1]])
    neither = inside.cdf([z, z], lower_limit=[-z, -z])
    assert sequential.crossing((0.05, 0.05), (200, 400)) == pytest.approx(1 - neither, abs=5e-4)


def test_a_p_value_over_all_looks_is_uniform_or_larger_and_levels_are_its_inverse() -> None:
    at, p = nominal(30, 2)
    whole = np.min([sequential.sequential_p(p[:, index], n, at) for index, n in enumerate(at)], axis=0)
    for alpha in (0.5, 0.1, 0.05, 0.01):
        assert agrees(int((whole <= alpha).sum()), len(whole), alpha)
        for n in at:
            assert float(sequential.sequential_p(sequential.level(alpha, n, at), n, at)) == pytest.approx(alpha, rel=1e-3)
    assert float(sequential.sequential_p(1e-9, 4, at)) == pytest.approx(
        1e-9 / np.sqrt(4 / 30) * np.sqrt(np.array(at) / 30).sum()
    )


# --- the promises, from a small part of the committed simulation ---


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "simulation.json").read_text())
    return found


def test_the_committed_simulation_keeps_every_promise(committed: dict[str, Any]) -> None:
    assert committed["plans"] >= 10_000
    assert simulation.broken(committed) == committed["broken"] == []
    assert set(simulation.PROMISED) == {"normal", "heavy tails", "unequal variances", "failed seeds"}
    assert committed["nominal levels of one arm"]["30"] == pytest.approx(sequential.level(0.05, 30, sequential.looks(30)))


@pytest.mark.parametrize("kind", simulation.PROMISED)
def test_a_small_run_agrees_with_the_committed_error_rates_and_coverage(kind: str, committed: dict[str, Any]) -> None:
    plans, rng = 400, np.random.default_rng(77)
    for what, one in simulation.errors(kind, plans, rng).items():
        if isinstance(one, dict):
            high = committed["errors"][kind][what]["high"]
            assert stats.binomtest(round(one["rate"] * plans), plans, high, alternative="greater").pvalue > 1e-4, what
    drawn = simulation.noise(kind, plans, rng)
    found = simulation.play(drawn + 0.5, simulation.MARGIN)
    held = ((found.low <= 0.5) & (found.high >= 0.5)) | np.isnan(found.mean)
    # One arm a plan: arms of a plan share their reference.
    assert stats.binomtest(int(held[:, 2].sum()), plans, 0.95, alternative="less").pvalue > 1e-4


def test_a_gain_of_two_sd_takes_at_most_seven_tenths_of_the_seeds_of_the_fixed_plan() -> None:
    one = simulation.power((2.0,) * simulation.ARMS, 400, np.random.default_rng(78))
    assert one["power"] >= 0.99
    assert one["seeds of the arm"] < 0.7 * 20
    # The fixed plan of 14 seeds, 70% of 20, has less power at the strictest of Holm's steps, by the noncentral t.
    assert stats.nct.sf(stats.t.isf(0.005, 13), 13, np.sqrt(2 * 14)) < 0.99


def test_what_a_plan_with_looks_can_find_is_what_its_rule_finds() -> None:
    one_look, seeds = sequential.reach((12,), 1, 0.8)
    assert seeds == 12
    assert power(one_look, 1.0, 12) == pytest.approx(0.8, abs=0.03)
    at = sequential.looks(13)
    gain, seeds = sequential.reach(at, 4, 0.8)
    drawn = np.random.default_rng(8).standard_normal((4000, 1, 13)) + gain
    found = rule.start((4000, 1))
    for n in at:
        found = rule.look(found, drawn[..., :n], at, 1e-9, 0.05 / 4)
    assert agrees(int((found.kind == rule.ABOVE).sum()), 4000, 0.8)
    assert float(found.seeds.mean()) == pytest.approx(seeds, abs=0.3)
