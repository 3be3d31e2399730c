"""A mean over seeds with its interval, against scipy."""

from __future__ import annotations

import math

import pytest
from samples import sample

from harness.errors import RequestError
from reports.analysis.estimates import estimate


def test_estimate_equals_scipy() -> None:
    from scipy import stats

    values = sample(5)
    found = estimate(values)
    interval = stats.ttest_1samp(list(values.values()), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.values == tuple(values.values())
    assert estimate(list(values.values())) == found


def test_a_seed_without_a_number_is_named_and_left_out_of_the_mean() -> None:
    found = estimate({3: 0.9, 1: None, 2: 0.7, 0: math.inf})
    assert (found.seeds, found.excluded, found.n) == ((0, 1, 2, 3), (0, 1), 2)
    assert found.mean == pytest.approx(0.8)
    assert estimate({}).mean is None


def test_one_value_and_equal_values_have_no_interval() -> None:
    one, equal = estimate([0.5]), estimate([0.5, 0.5, 0.5])
    assert (one.mean, one.sd, one.low) == (0.5, None, None)
    assert (equal.mean, equal.sd, equal.low, equal.high) == (0.5, 0.0, None, None)


def test_a_value_that_is_no_number_is_a_clear_request() -> None:
    with pytest.raises(RequestError, match="given: 'many'"):
        estimate(["many"])  # type: ignore[list-item]  # what is refused
