"""How many seeds a claim needs, against statsmodels and by counting up."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from reports.analysis import power


def test_power_equals_statsmodels_and_solves_for_seeds() -> None:
    from statsmodels.stats.power import TTestPower

    assert power.power(0.5, 1.0, 20) == pytest.approx(TTestPower().power(0.5, 20, 0.05))
    n = power.seeds_needed(1.0, 0.5)
    assert n is not None
    for claim in (power.power, lambda m, sd, k: power.equivalence_power(m, sd, k)):
        assert claim(0.5, 1.0, n) >= 0.8
    assert min(power.power(0.5, 1.0, n - 1), power.equivalence_power(0.5, 1.0, n - 1)) < 0.8


@pytest.mark.parametrize("arms", [1, 2])
def test_power_of_equivalence_is_the_share_of_drawn_samples_that_show_it(arms: Literal[1, 2]) -> None:
    from scipy import stats

    rng, n = np.random.default_rng(3), 12
    a, b = rng.normal(0.2, 1.0, (4000, n)), rng.normal(0.0, 1.0, (4000, n))
    if arms == 1:
        above = stats.ttest_1samp(a, -1.0, axis=1, alternative="greater")
        below = stats.ttest_1samp(a, 1.0, axis=1, alternative="less")
    else:
        above = stats.ttest_ind(a + 1.0, b, axis=1, alternative="greater")
        below = stats.ttest_ind(a - 1.0, b, axis=1, alternative="less")
    shown = np.mean(np.maximum(above.pvalue, below.pvalue) <= 0.05)
    assert power.equivalence_power(1.0, 1.0, n, effect=0.2, arms=arms) == pytest.approx(shown, abs=0.03)


def test_an_effect_at_the_margin_is_never_shown_to_lie_within() -> None:
    assert power.equivalence_power(0.5, 1.0, 1000, effect=-0.5) == 0.0
    assert math.isnan(power.equivalence_power(0.5, 1.0, 1))
    assert math.isnan(power.equivalence_power(0.5, 0.0, 10))


def test_no_number_of_seeds_where_there_is_no_spread_or_too_much() -> None:
    assert power.seeds_needed(0.0, 0.5) is None
    assert power.seeds_needed(math.inf, 0.5) is None
    assert power.seeds_needed(1000.0, 0.5) is None  # more than 100,000


def test_a_large_effect_needs_fewer_seeds_than_the_margin_and_never_below_three() -> None:
    as_seen = power.seeds_as_observed(1.5, 1.0, 0.5, 0.05, 1)
    planned = power.seeds_needed(1.0, 0.5)
    assert as_seen is not None
    assert planned is not None
    assert power.power(1.5, 1.0, as_seen) >= power.POWER > power.power(1.5, 1.0, as_seen - 1)
    assert power.MINIMUM_SEEDS < as_seen < planned
    assert power.seeds_as_observed(100.0, 1.0, 0.5, 0.05, 1) == power.MINIMUM_SEEDS
