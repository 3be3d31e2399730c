"""Student, Welch, Holm, sign test and median: against scipy, statsmodels and the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.errors import RequestError
from reports.analysis import ttests


def test_holm_equals_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    for size in (1, 2, 4, 9):
        p = rng.uniform(size=size) ** 3
        assert ttests.holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)
    several = rng.uniform(size=(3, 2, 5))
    assert np.array_equal(ttests.holm(several)[2, 1], ttests.holm(several[2, 1]))


def test_holm_levels_against_the_definition() -> None:
    """Brute force: sort, test at alpha / (m - i), stop at the first that fails; the rest stay at the level of the stop."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        p = (rng.random(5) ** 3).tolist()
        levels, stopped = {}, None
        for i, j in enumerate(sorted(range(5), key=lambda j: p[j])):
            levels[j] = stopped if stopped is not None else 0.05 / (5 - i)
            if p[j] > levels[j] and stopped is None:
                stopped = levels[j]
        assert ttests.holm_levels(p, 0.05).tolist() == pytest.approx([levels[j] for j in range(5)])


def test_both_t_tests_do_not_depend_on_the_unit_of_the_metric() -> None:
    d, b = np.array([0.5, 0.1, 0.3, 0.2]), np.array([1.0, 1.2, 0.9])
    for unit in (1e-140, 1e140):
        for found, plain in (
            (ttests.paired_t(d * unit, unit), ttests.paired_t(d, 1.0)),
            (ttests.welch_t(b * unit, d * unit, unit), ttests.welch_t(b, d, 1.0)),
        ):
            assert float(found.p) == pytest.approx(float(plain.p))
            assert float(found.p_equivalence) == pytest.approx(float(plain.p_equivalence))
            assert float(found.high) == pytest.approx(float(plain.high) * unit)


def test_welch_s_interval_follows_from_its_error_and_degrees_of_freedom() -> None:
    from scipy import stats

    a, b = np.array([1.0, 1.2, 0.9, 1.1]), np.array([0.5, 0.1, 0.3])
    found = ttests.welch_t(a, b, 0.1)
    low, high = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.99)
    assert ttests.t_interval(float(found.mean), float(found.error), float(found.df), 0.01) == pytest.approx((low, high))


@pytest.mark.parametrize(("up", "down"), [(0, 0), (5, 0), (3, 4), (1, 9)])
def test_the_sign_test_counts_coin_flips(up: int, down: int) -> None:
    n = up + down
    as_rare = [k for k in range(n + 1) if math.comb(n, k) <= math.comb(n, up)]
    assert ttests.sign_test(up, down) == pytest.approx(sum(math.comb(n, k) for k in as_rare) / 2**n)


def test_a_mean_does_not_overflow_and_of_nothing_is_none() -> None:
    assert ttests.mean_of([1.5e308, 1.5e308]) == pytest.approx(1.5e308)
    assert ttests.mean_of([]) is None
    assert ttests.mean_of([0.0, 0.0]) == 0.0


def test_flat_is_equal_up_to_rounding_of_the_numbers_that_were_subtracted() -> None:
    rounded = [0.8 + 0.1 - 0.9, 0.0]
    assert ttests.is_flat(rounded, [0.9])
    assert not ttests.is_flat([1e-9, 0.0], [0.9])
    assert ttests.is_flat([], [])


def test_a_value_is_a_number_or_none() -> None:
    assert math.isnan(ttests.as_float(None))
    assert ttests.as_float(-1e151) == -math.inf  # its square overflows
    assert ttests.as_float(10**400) == math.inf  # as JSON may hold it
    with pytest.raises(RequestError, match=r"one number for each seed; given: \[1\]"):
        ttests.as_float([1])  # type: ignore[arg-type]  # what is refused
