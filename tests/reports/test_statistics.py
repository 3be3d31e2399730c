"""The statistics of reports, against scipy and statsmodels."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from samples import plan, sample, shifted

from harness.errors import RequestError
from reports.analysis import power, promises, ttests
from reports.analysis.comparisons import compare, compare_all, compare_unpaired, regression
from reports.analysis.contrasts import factorial_effects
from reports.analysis.estimates import estimate
from reports.analysis.promises import promise
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


def test_holm_equals_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    for size in (1, 2, 4, 9):
        p = rng.uniform(size=size) ** 3
        assert ttests.holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)
    several = rng.uniform(size=(3, 2, 5))
    assert np.array_equal(ttests.holm(several)[2, 1], ttests.holm(several[2, 1]))


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


def test_estimate_equals_scipy() -> None:
    from scipy import stats

    values = sample(5)
    found = estimate(values)
    interval = stats.ttest_1samp(list(values.values()), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.values == tuple(values.values())
    assert estimate(list(values.values())) == found


def test_power_equals_statsmodels_and_solves_for_seeds() -> None:
    from statsmodels.stats.power import TTestPower

    assert power.power(0.5, 1.0, 20) == pytest.approx(TTestPower().power(0.5, 20, 0.05))
    n = power.seeds_needed(1.0, 0.5)
    assert n is not None
    for claim in (power.power, lambda m, sd, k: power.equivalence_power(m, sd, k)):
        assert claim(0.5, 1.0, n) >= 0.8
    assert min(power.power(0.5, 1.0, n - 1), power.equivalence_power(0.5, 1.0, n - 1)) < 0.8


@pytest.mark.parametrize("k", [1, 2, 3])
def test_effects_equal_the_regression_with_blocks(k: int) -> None:
    import pandas as pd
    import statsmodels.formula.api as smf
    from scipy import stats

    cells = plan(k, 5, {("a",): 1.0, ("a", "b"): 0.8} if k > 1 else {("a",): 1.0})
    found = factorial_effects(cells)
    names = "abcd"[:k]
    rows = [
        {"y": y, "seed": str(seed), **{name: 0.5 if name in cell else -0.5 for name in names}}
        for cell, values in cells.items()
        for seed, y in values.items()
    ]
    terms = [*names, *(":".join(pair) for pair in itertools.combinations(names, 2))]
    fit = smf.ols(f"y ~ {' + '.join(terms)} + C(seed)", pd.DataFrame(rows)).fit()
    assert [":".join(effect.factors) for effect in found] == terms
    for effect in found:
        assert effect.comparison.mean == pytest.approx(fit.params[":".join(effect.factors)])
        assert effect.comparison.p == pytest.approx(stats.ttest_1samp(effect.comparison.differences, 0).pvalue)
    if k == 1:  # one factor leaves the regression the same degrees of freedom
        assert found[0].comparison.p == pytest.approx(fit.pvalues["a"])


def test_interaction_is_what_one_factor_adds_to_the_other() -> None:
    cells = {frozenset(): dict.fromkeys(range(4), 1.0), frozenset("a"): {}, frozenset("b"): {}, frozenset("ab"): {}}
    for seed in range(4):
        wobble = 0.001 * (-1) ** seed
        cells[frozenset("a")][seed] = 1.2 + wobble
        cells[frozenset("b")][seed] = 1.1
        cells[frozenset("ab")][seed] = 1.8 + 2 * wobble
    a, b, both = factorial_effects(cells)
    assert a.comparison.mean == pytest.approx((0.2 + 0.7) / 2)
    assert b.comparison.mean == pytest.approx((0.1 + 0.6) / 2)
    assert both.factors == ("a", "b")
    assert both.comparison.name == "a x b"
    assert both.comparison.mean == pytest.approx(0.7 - 0.2)
    assert both.comparison.verdict.words == "together better than the sum by more than 0.005"
    worse = factorial_effects(cells, higher_is_better=False)[2].comparison.verdict
    assert (worse.kind, worse.words) == (Kind.HURTS, "together worse than the sum by more than 0.005")


def test_shared_influence_of_seeds_cancels() -> None:
    cells = plan(2, 4, {("a",): 1.0})
    moved = {cell: {seed: y + 1000 * seed for seed, y in values.items()} for cell, values in cells.items()}
    for before, after in zip(factorial_effects(cells), factorial_effects(moved), strict=True):
        assert after.comparison.differences == pytest.approx(before.comparison.differences, abs=1e-9)


def test_factorial_incomplete_seeds_are_dropped_and_named_and_failures_block() -> None:
    cells = plan(2, 5, {("a",): 1.0})
    del cells[frozenset("a")][2]
    assert all(e.comparison.unpaired == (2,) and e.comparison.n == 4 for e in factorial_effects(cells))
    cells[frozenset("b")][4] = math.inf
    for effect in factorial_effects(cells):
        assert effect.comparison.excluded == (4,)
        assert effect.comparison.verdict.kind is Kind.FAILED


def test_factorial_missing_cells_are_named() -> None:
    cells = plan(2, 3, {})
    del cells[frozenset("ab")]
    with pytest.raises(RequestError, match=r"lacks cells: a\+b"):
        factorial_effects(cells)
    with pytest.raises(RequestError, match="none active"):
        factorial_effects({frozenset("a"): {0: 1.0}})
    for empty in ({}, {frozenset(): {0: 1.0}}):
        with pytest.raises(RequestError, match="at least one factor"):
            factorial_effects(empty)


def test_factorial_accepts_a_clear_fraction_only() -> None:
    half = {cell: values for cell, values in plan(3, 4, {("a",): 1.0}).items() if len(cell) % 2}
    with pytest.raises(RequestError, match="lacks cells"):  # resolution III: each main effect is mixed with a pair
        factorial_effects(half)
    rng = np.random.default_rng(0)
    five = {
        frozenset(cell): {s: (2.0 if "a" in cell else 0.0) + float(rng.normal(0, 0.1)) for s in range(4)}
        for size in (1, 3, 5)
        for cell in itertools.combinations("abcde", size)
    }
    assert factorial_effects(five)[0].comparison.mean == pytest.approx(2.0, abs=0.1)


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


def test_method_and_promise_are_plain_lines() -> None:
    assert "\n" not in promises.METHOD
    for word in ("seed", "paired t", "Holm", "TOST", "Welch", "80% power", "Bonferroni", "signed-rank"):
        assert word in promises.METHOD
    assert "no verdict below 3" in promise(1, 4)
    assert promise(4, 2).startswith("4 seeds, 2 comparisons, after Holm's steps: ")
    assert "simulated for 100 and 40, the most" in promise(2000, 500)
    assert "so no arm alone can be found" in promise(5, 5, "signed-rank")


def test_import_is_light() -> None:
    heavy = ("scipy", "statsmodels", "pandas", "torch")
    code = f"import sys, reports.analysis.contrasts; print(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
