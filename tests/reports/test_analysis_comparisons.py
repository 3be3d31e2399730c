"""The statistics of reports, against scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import sample, shifted

from reports.analysis import ttests
from reports.analysis.comparisons import compare, compare_all, compare_unpaired, regression
from reports.analysis.verdicts import Kind


@pytest.mark.parametrize("n", [3, 5, 10])
def test_paired_comparison_equals_scipy_and_statsmodels(n: int) -> None:
    from scipy import stats
    from statsmodels.stats.weightstats import ttost_paired

    a = sample(n)
    b = shifted(a, 0.003, 0.004)
    x, y = np.array(list(a.values())), np.array(list(b.values()))
    found = compare(a, b, margin=0.005)
    reference = stats.ttest_rel(y, x)
    interval = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.mean == pytest.approx(np.mean(y - x))
    assert found.sd == pytest.approx(np.std(y - x, ddof=1))
    assert found.p_equivalence == pytest.approx(ttost_paired(y, x, -0.005, 0.005)[0], rel=1e-9)
    assert found.relative == pytest.approx(np.mean(y - x) / np.mean(x))


def test_unpaired_comparison_equals_scipy_and_statsmodels() -> None:
    from scipy import stats
    from statsmodels.stats.weightstats import ttost_ind

    a, b = sample(5), {seed + 100: value for seed, value in sample(7, 0.805, 0.02, 3).items()}
    x, y = np.array(list(a.values())), np.array(list(b.values()))
    found = compare_unpaired(a, b, margin=0.02)
    reference = stats.ttest_ind(y, x, equal_var=False)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.low == pytest.approx(reference.confidence_interval(0.95).low, rel=1e-9)
    assert found.p_equivalence == pytest.approx(ttost_ind(y, x, -0.02, 0.02, usevar="unequal")[0], rel=1e-9)
    assert found.method == "unpaired"
    assert found.n == 5


def test_one_constant_arm_is_a_welch_test_without_warnings() -> None:
    found = compare_unpaired(dict.fromkeys(range(4), 0.8), sample(5, 0.9, 0.001))
    assert found.verdict.kind is Kind.HELPS


def test_the_table_is_adjusted_by_holm_and_untested_comparisons_count() -> None:
    from statsmodels.stats.multitest import multipletests

    a = sample(6)
    table = {"one": shifted(a, 0.01, 0.004, 1), "two": shifted(a, 0.002, 0.004, 2), "broken": {**a, 3: math.nan}}
    found = compare_all(a, table)
    assert [c.name for c in found] == list(table)
    raw = [c.p if c.p is not None else 1.0 for c in found]
    adjusted = multipletests(raw, method="holm")[1]
    assert found[0].p_adjusted == pytest.approx(adjusted[0])
    assert found[1].p_adjusted == pytest.approx(adjusted[1])
    assert found[2].p is None
    assert found[2].p_adjusted is None
    alone = compare_all(a, {name: table[name] for name in ("one", "two")})
    assert found[0].p_adjusted > alone[0].p_adjusted


def test_adjusted_intervals_are_scipys_at_holms_levels() -> None:
    from scipy import stats

    base = sample(6)
    treated = {str(k): shifted(base, by, 0.004, seed=k) for k, by in enumerate((0.03, 0.008, 0.0, -0.02))}
    found = {one.name: one for one in compare_all(base, treated)}
    p = {k: stats.ttest_1samp([treated[k][s] - base[s] for s in base], 0).pvalue for k in treated}
    left = 4
    for k in sorted(p, key=lambda k: p[k]):
        interval = stats.ttest_1samp([treated[k][s] - base[s] for s in base], 0).confidence_interval(1 - 0.05 / left)
        assert (found[k].low, found[k].high) == pytest.approx((interval.low, interval.high))
        left -= p[k] <= 0.05 / left
    assert left < 4  # some were rejected, so that levels differ


@pytest.mark.parametrize("n", [1, 2])
def test_identical_runs_are_identical_whatever_the_number_of_common_seeds(n: int) -> None:
    a = sample(5)
    found = regression(a, {seed: a[seed] for seed in range(n)})
    assert (found.method, found.verdict.kind) == ("paired", Kind.EQUIVALENT)
    assert f"in {'1 common seed' if n == 1 else 'all 2 common seeds'}, to the last bit" in found.verdict.words


def test_a_gain_beyond_the_margin_is_said_apart_from_one_above_zero() -> None:
    a = sample(6)
    sure, open_ = (compare(a, {s: v + by + 0.002 * (-1) ** s for s, v in a.items()}) for by in (0.03, 0.006))
    assert (sure.verdict.kind, sure.verdict.words, sure.verdict.beyond_margin) == (
        Kind.HELPS,
        "helps by more than 0.005",
        True,
    )
    assert sure.low > 0.005
    assert (open_.verdict.kind, open_.verdict.beyond_margin) == (Kind.HELPS, False)
    assert 0 < open_.low < 0.005 < open_.high
    assert "by more than 0.005 is not shown" in open_.verdict.words


def test_distribution_free_facts() -> None:
    differences = [0.5, 0.1, 0.3, 0.2, 0.4]
    five = compare(dict.fromkeys(range(5), 0.0), dict(enumerate(differences)))
    assert (five.better, five.worse, five.median) == (5, 0, 0.3)
    assert five.p_sign == pytest.approx(2 / 2**5)
    assert five.median_low is None
    six = compare(dict.fromkeys(range(6), 0.0), dict(enumerate([*differences, -0.1])))
    assert (six.median_low, six.median_high) == (-0.1, 0.5)
    assert six.p_sign == pytest.approx(2 * 7 / 2**6)
    assert ttests.median_interval(list(range(10))) == (1, 8)


def test_regression_pairs_common_seeds_and_falls_back_to_welch() -> None:
    a = sample(5)
    worse = shifted(a, -0.02, 0.001)
    assert regression(a, worse).verdict.kind is Kind.HURTS
    assert regression(worse, a).verdict.kind is Kind.HELPS
    assert regression(a, a).verdict.kind is Kind.EQUIVALENT
    assert regression(a, shifted(a, 0.0, 0.0005)).method == "paired"
    elsewhere = regression(a, {seed + 50: value - 0.1 for seed, value in a.items()})
    assert (elsewhere.method, elsewhere.verdict.kind) == ("unpaired", Kind.HURTS)
    assert regression({0: 0.8}, {0: 0.7}).verdict.kind is Kind.UNDECIDED
    assert regression(a, worse, higher_is_better=False).verdict.kind is Kind.HELPS
