"""The statistics of reports, against scipy and statsmodels, against simulated truth, and against bad input."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RequestError
from reports.analysis import power, promises, signed_rank, simulated, ttests
from reports.analysis.comparisons import Comparison, compare, compare_all, compare_unpaired, estimate, regression
from reports.analysis.contrasts import factorial_effects
from reports.analysis.promises import promise
from reports.analysis.verdicts import Kind


def sample(n: int, mean: float = 0.8, sd: float = 0.01, seed: int = 0) -> dict[int, float]:
    return dict(enumerate(np.random.default_rng(seed).normal(mean, sd, n).tolist()))


def shifted(values: dict[int, float], by: float, sd: float, seed: int = 1) -> dict[int, float]:
    rng = np.random.default_rng(seed)
    return {key: value + by + float(rng.normal(0, sd)) for key, value in values.items()}


# --- against other implementations ---


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


# --- factorial plans ---


def plan(
    k: int, seeds: int, effects: dict[tuple[str, ...], float], sd: float = 0.3
) -> dict[frozenset[str], dict[int, float]]:
    """A full 2^k plan with known effects (in the -1/2, +1/2 coding) and a shared shift for each seed."""
    rng = np.random.default_rng(5)
    names = "abcd"[:k]
    shift = rng.normal(0, 5, seeds)
    cells = {}
    for size in range(k + 1):
        for cell in itertools.combinations(names, size):
            clean = sum(e * math.prod(0.5 if part in cell else -0.5 for part in name) for name, e in effects.items())
            cells[frozenset(cell)] = {seed: clean + float(shift[seed] + rng.normal(0, sd)) for seed in range(seeds)}
    return cells


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


# --- verdicts ---


@pytest.mark.parametrize(
    ("by", "sd", "n", "kind"),
    [
        (0.02, 0.003, 5, Kind.HELPS),
        (-0.02, 0.003, 5, Kind.HURTS),
        (0.0, 0.0005, 5, Kind.EQUIVALENT),
        (0.0, 0.02, 5, Kind.UNDECIDED),
        (0.02, 0.003, 2, Kind.UNDECIDED),
        (0.02, 0.003, 1, Kind.UNDECIDED),
    ],
)
def test_verdicts(by: float, sd: float, n: int, kind: Kind) -> None:
    a = sample(n)
    assert compare(a, shifted(a, by, sd, seed=4)).verdict.kind is kind


def test_a_small_sure_gain_says_that_it_is_small() -> None:
    a = sample(8)
    assert compare(a, shifted(a, 0.001, 0.0002)).verdict.words == "equivalent within 0.005, better by less"


def test_the_margin_is_the_users() -> None:
    a = sample(5)
    b = shifted(a, 0.0, 0.003, seed=4)
    assert compare(a, b, margin=0.02).verdict.words == "equivalent within 0.02"
    assert compare(a, b, margin=0.0001).verdict.kind is Kind.UNDECIDED


def test_not_enough_seeds_says_how_many_more() -> None:
    a = sample(5)
    verdict = compare(a, shifted(a, 0.0, 0.01)).verdict
    assert verdict.seeds_needed is not None
    assert verdict.seeds_more == verdict.seeds_needed - 5 > 0
    assert f"about {verdict.seeds_needed} in all ({verdict.seeds_more} more)" in verdict.words
    large = compare(a, shifted(a, 0.02, 0.03, seed=2)).verdict
    assert large.seeds_if_as_observed is not None
    assert large.seeds_needed is not None
    assert 5 < large.seeds_if_as_observed < large.seeds_needed
    assert "more than 100,000" in compare(a, shifted(a, 0.0, 10.0)).verdict.words


def test_an_effect_at_the_margin_asks_for_more_seeds_than_it_has() -> None:
    offsets = np.array([-1.0, 1.0] * 5) * 0.004
    for mean in (0.0, 0.001, 0.0025, 0.003):
        verdict = compare(dict.fromkeys(range(10), 0.5), dict(enumerate((0.5 + mean + offsets).tolist()))).verdict
        if verdict.kind is Kind.UNDECIDED:
            assert verdict.seeds_needed is None or verdict.seeds_needed > 10


def test_seeds_needed_keeps_its_word() -> None:
    """With the seeds asked for, about 80% of true differences of the margin are found, and as many nil ones shown."""
    rng = np.random.default_rng(11)
    for margin in (0.6, 1.5):
        n = power.seeds_needed(1.0, margin)
        assert n is not None
        found = ttests.paired_t(margin + rng.standard_normal((4000, n)), margin).p <= 0.05
        shown = ttests.paired_t(rng.standard_normal((4000, n)), margin).p_equivalence <= 0.05
        assert 0.78 < np.mean(found) < 0.97
        assert 0.78 < np.mean(shown) < 0.97
    arms = power.seeds_needed(1.0, 1.0, arms=2)
    assert arms is not None
    test = ttests.welch_t(rng.standard_normal((4000, arms)), 1 + rng.standard_normal((4000, arms)), 1.0)
    assert 0.78 < np.mean(test.p <= 0.05) < 0.9


# --- symmetries ---


def essence(found: Comparison) -> tuple[object, ...]:
    return found.mean, found.low, found.high, found.p, found.verdict.kind


def test_the_order_of_seeds_does_not_matter() -> None:
    a = sample(6)
    b = shifted(a, 0.004, 0.004)
    turned = dict(reversed(a.items()))
    assert compare(turned, b) == compare(a, b)
    cells = plan(2, 4, {("a",): 1.0})
    assert factorial_effects({c: dict(reversed(v.items())) for c, v in reversed(cells.items())}) == factorial_effects(cells)


OPPOSITE = {Kind.HELPS: Kind.HURTS, Kind.HURTS: Kind.HELPS}
pairs = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=8)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(pairs)
def test_swapping_the_arms_or_the_direction_turns_the_verdict(rows: list[tuple[float, float]]) -> None:
    a, b = {s: r[0] for s, r in enumerate(rows)}, {s: r[1] for s, r in enumerate(rows)}
    ahead, back, costs = (
        compare(a, b, margin=0.3),
        compare(b, a, margin=0.3),
        compare(a, b, margin=0.3, higher_is_better=False),
    )
    turned = OPPOSITE.get(ahead.verdict.kind, ahead.verdict.kind)
    assert back.verdict.kind is turned
    assert costs.verdict.kind is turned
    assert back.mean == pytest.approx(-ahead.mean)
    assert back.p == (None if ahead.p is None else pytest.approx(ahead.p, abs=1e-9))
    assert (costs.better, costs.worse) == (ahead.worse, ahead.better)
    if ahead.low is not None:
        assert (back.high, back.low) == pytest.approx((-ahead.low, -ahead.high))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.integers(-50, 50), min_size=3, max_size=8), st.sampled_from([2.0**-40, 0.5, 4.0, 2.0**60]))
def test_units_do_not_matter(differences: list[int], unit: float) -> None:
    nil = dict.fromkeys(range(len(differences)), 0.0)
    small = compare(nil, dict(enumerate(map(float, differences))), margin=10.0)
    scaled = compare(nil, {s: d * unit for s, d in enumerate(differences)}, margin=10.0 * unit)
    assert scaled.verdict.kind is small.verdict.kind
    assert scaled.verdict.seeds_needed == small.verdict.seeds_needed
    assert scaled.mean == pytest.approx(small.mean * unit)
    assert scaled.p == (None if small.p is None else pytest.approx(small.p, abs=1e-12))


anything = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 0.8, 1e308, 5e-324]))
mappings = st.dictionaries(st.integers(0, 6), anything, max_size=6)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(mappings, mappings)
def test_no_input_raises_or_is_claimed_without_ground(a: dict[int, float | None], b: dict[int, float | None]) -> None:
    for found in (compare(a, b), compare_unpaired(a, b), regression(a, b)):
        claim = found.verdict.kind in (Kind.HELPS, Kind.HURTS, Kind.EQUIVALENT)
        identical = found.verdict.words.startswith("equivalent: identical") and found.n >= 1
        assert claim <= (not found.excluded and (identical or (found.p is not None and found.n >= 3)))
        for number in (found.mean, found.sd, found.low, found.high, found.p, found.relative, found.median):
            assert number is None or math.isfinite(number)
    assert estimate(a).n + len(estimate(a).excluded) == len(a)


# --- bad input ---


def test_empty_and_single() -> None:
    empty = compare({}, {})
    assert (empty.mean, empty.low, empty.p, empty.n) == (None, None, None, 0)
    assert (empty.verdict.kind, empty.verdict.seeds_more) == (Kind.UNDECIDED, 3)
    single = compare({0: 0.8}, {0: 0.9})
    assert (single.mean, single.low, single.p) == (pytest.approx(0.1), None, None)
    assert "1 seed seen; at least 3 are needed" in single.verdict.words
    assert compare_all({0: 1.0}, {}) == []
    assert estimate({}).mean is None
    assert (estimate([0.5]).mean, estimate([0.5]).low) == (0.5, None)
    assert compare_unpaired({}, {0: 1.0}).verdict.kind is Kind.UNDECIDED


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, 1e200, 10**400])
def test_a_failed_run_blocks_the_verdict_and_is_named(bad: float | None) -> None:
    a = sample(6)
    b = {**shifted(a, 0.05, 0.001), 3: bad}
    found = compare(a, b)
    assert found.verdict.kind is Kind.FAILED
    assert "seed 3" in found.verdict.words
    assert (found.excluded, found.n, found.p) == ((3,), 5, None)
    assert found.mean == pytest.approx(0.05, abs=0.01)
    assert len(found.treated.values) == 6
    assert compare_unpaired(a, b).verdict.kind is Kind.FAILED
    assert estimate(b).excluded == (3,)


def test_unpaired_seeds_are_named_and_left_out() -> None:
    a = sample(6)
    found = compare({**a, 17: 0.1}, {**shifted(a, 0.01, 0.001), 99: 5.0})
    assert found.unpaired == (17, 99)
    assert found.seeds == tuple(range(6))


def test_identical_and_constant_differences_are_not_tests() -> None:
    a = sample(5)
    same = compare(a, dict(a))
    assert (same.verdict.kind, same.mean, same.p, same.low) == (Kind.EQUIVALENT, 0.0, None, None)
    assert same.verdict.words == "equivalent: identical in all 5 common seeds, to the last bit"
    nearly = compare(a, {seed: math.nextafter(value, 2) for seed, value in a.items()})
    assert "up to rounding" in nearly.verdict.words
    constant = compare(a, {seed: value + 0.1 for seed, value in a.items()})
    assert constant.verdict.kind is Kind.UNDECIDED
    assert "+0.1 in every seed" in constant.verdict.words
    assert constant.p is None
    flat = dict.fromkeys(range(4), 0.8)
    assert compare_unpaired(flat, {9: 0.8, 8: 0.8, 7: 0.8}).verdict.kind is Kind.EQUIVALENT
    assert compare_unpaired(flat, {9: 0.9, 8: 0.9, 7: 0.9}).verdict.kind is Kind.UNDECIDED
    assert (estimate(flat).sd, estimate(flat).low) == (0.0, None)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_wrong_margin_is_refused(margin: float) -> None:
    for call in (compare, compare_unpaired, regression):
        with pytest.raises(RequestError, match="margin must be a positive number"):
            call({}, {}, margin=margin)


def test_other_wrong_requests_are_refused() -> None:
    with pytest.raises(RequestError, match="alpha must lie between"):
        compare({}, {}, alpha=1.0)
    with pytest.raises(RequestError, match="one number for each seed; given: 'high'"):
        compare({0: "high"}, {0: 1.0})


# --- the rest ---


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


# --- what is promised ---


def brute_force(kind: str, n: int, arms: int, test: str, tables: int) -> dict[str, float]:
    """The promised rates by another path: one table at a time through scipy's tests, with Holm's steps written out."""
    from scipy import stats

    rng = np.random.default_rng(99)

    def run(spread: float = 1.0) -> np.ndarray:
        return spread * (stats.t.rvs(3, size=n, random_state=rng) / 3**0.5 if kind == "heavy tails" else rng.normal(size=n))

    def p_of(d: np.ndarray) -> float:
        return float(stats.ttest_1samp(d, 0).pvalue if test == "t" else stats.wilcoxon(d, method="exact").pvalue)

    def holm_rejects(p: list[float]) -> list[bool]:
        out = [False] * arms
        for step, k in enumerate(sorted(range(arms), key=lambda k: p[k])):
            if p[k] > 0.05 / (arms - step):
                break
            out[k] = True
        return out

    false = joint = found = 0
    for _ in range(tables):
        base, treated = run(), [run() for _ in range(arms)]
        if kind == "collapse":
            for one in (base, *treated):
                one -= 30 * (rng.random(n) < 0.03)
        d = [(one - base) / 2**0.5 for one in treated]
        p = [p_of(one) for one in d]
        false += any(holm_rejects(p))
        if test == "t":
            joint += all(
                low <= 0 <= high for low, high in (stats.ttest_1samp(o, 0).confidence_interval(1 - 0.05 / arms) for o in d)
            )
        found += holm_rejects([p_of(d[0] + 2), *p[1:]])[0]
    return {"false": false / tables, "joint": joint / tables, "power": found / tables}


@pytest.mark.parametrize(
    ("kind", "n", "arms", "test"),
    [("normal", 5, 4, "t"), ("heavy tails", 6, 2, "t"), ("collapse", 8, 2, "t"), ("collapse", 8, 2, "signed-rank")],
)
def test_promised_rates_are_those_of_brute_force(kind: str, n: int, arms: int, test: str) -> None:
    tables = 400
    found, promised = brute_force(kind, n, arms, test, tables), simulated.rates(kind, n, arms, test, 4000)

    def near(value: float) -> object:
        return pytest.approx(value, abs=4 * math.sqrt(max(value * (1 - value), 0.01) * (1 / tables + 1 / 4000)))

    assert found["false"] == near(promised.false_difference)
    assert found["power"] == near(promised.power_2sd)
    if test == "t":  # joint intervals hold the truth as often as no false claim is made
        assert found["joint"] == near(1 - promised.false_difference)


def test_a_simulated_table_is_judged_as_a_report_judges_it() -> None:
    rng = np.random.default_rng(3)
    for test in ("t", "signed-rank"):
        drawn, _ = simulated.noise("heavy tails", (5, 3, 9), rng)
        drawn[:, 0] += 1.5
        p, q, sign = simulated.p_values(drawn, test, 1.0)
        for table in range(5):
            treated = {str(k): dict(enumerate(drawn[table, k].tolist())) for k in range(3)}
            for k, one in enumerate(compare_all(dict.fromkeys(range(9), 0.0), treated, margin=1.0, test=test)):
                assert one.p == pytest.approx(p[table, k], rel=1e-9)
                assert one.p_equivalence == pytest.approx(q[table, k], rel=1e-9)
                assert np.sign(one.mean) == sign[table, k] or one.p > 0.5


def test_the_promise_states_the_simulated_figures_and_the_issue_of_power_after_adjustment() -> None:
    """Unadjusted, the t test finds an effect of one spread with 41% at 5 seeds; Holm over five leaves about 13%."""
    from scipy import stats

    alone = stats.nct.sf(stats.t.isf(0.025, 4), 4, math.sqrt(5)) + stats.nct.cdf(-stats.t.isf(0.025, 4), 4, math.sqrt(5))
    assert alone == pytest.approx(0.40, abs=0.01)
    assert simulated.rates("normal", 5, 5).power_1sd == pytest.approx(0.13, abs=0.02)
    assert simulated.rates("normal", 3, 5).power_1sd == pytest.approx(0.04, abs=0.01)
    assert simulated.rates("normal", 8, 5).power_1sd == pytest.approx(0.35, abs=0.03)
    text = promise(8, 5)
    worst = max(simulated.rates(kind, 8, 5).false_difference for kind in simulated.PROMISED)
    assert f"at most {worst:.1%} of such tables make a false claim" in text
    assert f"{simulated.rates(simulated.OUTSIDE, 8, 5).false_difference:.0%} of tables claim a difference" in text


def test_committed_promises_are_those_of_this_code() -> None:
    path = Path(__file__).parents[2] / "docs" / "results" / "2026-11-26-promises" / "promises.json"
    found = json.loads(path.read_text())
    assert (found["tables"], found["broken"]) == (10_000, [])
    rows = [row for row in found["rows"] if row["seeds"] == 8 and row["arms"] == 5]
    assert len(rows) == 2 * 5
    for row in rows:
        now = simulated.rates(row["noise"], 8, 5, row["test"], 2000, seed=1)._asdict()
        for name, value in now.items():
            error = 4.5 * math.sqrt(max(value * (1 - value), 0.001) * (1 / 2000 + 1 / 10_000))
            assert row[name] == pytest.approx(value, abs=error), (row, name)


# --- the signed-rank test ---


@pytest.mark.parametrize("n", [3, 6, 9, 14])
def test_the_signed_rank_test_is_scipys_and_its_interval_is_its_inverse(n: int) -> None:
    from scipy import stats

    given = np.random.default_rng(n).normal(0.3, 1.0, n).tolist()
    assert signed_rank.two_sided(given) == pytest.approx(stats.wilcoxon(given, method="exact").pvalue)
    for margin in (0.2, 1.0):
        shifted_down, shifted_up = [d - margin for d in given], [d + margin for d in given]
        below = stats.wilcoxon(shifted_down, alternative="less", method="exact").pvalue
        above = stats.wilcoxon(shifted_up, alternative="greater", method="exact").pvalue
        assert signed_rank.equivalence(given, margin) == pytest.approx(max(below, above))
    for level in (0.3, 0.05, 0.01):
        low, high = signed_rank.interval(given, level)
        if low is None or high is None:
            assert signed_rank.least_p(n) > level
            continue
        for end, out in ((low, -1), (high, 1)):  # just inside is not rejected, just outside is
            inside, outside = ([d - (end + step * out) for d in given] for step in (-1e-6, 1e-6))
            assert stats.wilcoxon(inside, method="exact").pvalue > level
            assert stats.wilcoxon(outside, method="exact").pvalue <= level
    pairs = [(a + b) / 2 for i, a in enumerate(given) for b in given[i:]]
    assert signed_rank.centre(given) == pytest.approx(float(np.median(pairs)))


def test_a_seed_that_collapses_costs_the_t_test_its_verdict_and_the_signed_rank_test_one_seed() -> None:
    base = sample(12)
    gain = shifted(base, 0.02, 0.003) | {5: base[5] - 0.6}
    by_t, by_rank = (compare_all(base, {"arm": gain}, test=test)[0] for test in ("t", "signed-rank"))
    assert by_t.verdict.kind is Kind.UNDECIDED
    assert (by_rank.verdict.kind, by_rank.test) == (Kind.HELPS, "signed-rank")
    assert by_rank.mean == pytest.approx(0.02, abs=0.003)
    assert 0 < by_rank.low < by_rank.mean < by_rank.high


def test_three_seeds_never_reach_five_percent_by_ranks_and_the_verdict_asks_for_enough() -> None:
    base = sample(5)
    arms = {str(k): shifted(base, 0.5, 0.001, seed=k) for k in range(5)}
    for one in compare_all(base, arms, test="signed-rank"):
        assert one.p == pytest.approx(2 / 2**5)
        assert (one.verdict.kind, one.low_joint) == (Kind.UNDECIDED, None)
        assert one.verdict.seeds_needed == 8  # 2 / 2**8 is the first below .05 / 5
    assert signed_rank.least_p(3) == 0.25


# --- joint intervals ---


def test_joint_intervals_are_scipys_at_bonferronis_level_and_decide_what_is_beyond_the_margin() -> None:
    from scipy import stats

    base = sample(5)
    treated = {str(k): shifted(base, by, 0.004, seed=k) for k, by in enumerate((0.03, 0.03, 0.017, -0.03))}
    for one in compare_all(base, treated, margin=0.01):
        d = [treated[one.name][s] - base[s] for s in base]
        joint = stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / 4)
        assert (one.low_joint, one.high_joint) == pytest.approx((joint.low, joint.high))
        assert one.low_joint <= one.low
        if one.verdict.kind in (Kind.HELPS, Kind.HURTS):
            assert one.verdict.beyond_margin == (joint.low > 0.01 or joint.high < -0.01)


def test_helps_means_above_zero_and_not_shown_to_be_within_the_margin() -> None:
    """Over random tables, from scipy's tests and statsmodels' Holm: equivalent first, then by sign."""
    from scipy import stats
    from statsmodels.stats.multitest import multipletests

    rng, seen = np.random.default_rng(8), set()
    for _ in range(30):
        drawn = rng.normal(rng.choice([0.0, 0.7, 2.0], 3)[:, None], 0.6, (3, 6))
        p = multipletests([stats.ttest_1samp(d, 0).pvalue for d in drawn], method="holm")[1]
        two = [
            max(stats.ttest_1samp(d, -1, alternative="greater").pvalue, stats.ttest_1samp(d, 1, alternative="less").pvalue)
            for d in drawn
        ]
        q = multipletests(two, method="holm")[1]
        treated = {str(k): dict(enumerate(d.tolist())) for k, d in enumerate(drawn)}
        for k, one in enumerate(compare_all(dict.fromkeys(range(6), 0.0), treated, margin=1.0)):
            differs = "helps" if np.mean(drawn[k]) > 0 else "hurts"
            expected = "equivalent" if q[k] <= 0.05 else differs if p[k] <= 0.05 else "undecided"
            assert one.verdict.kind.value == expected
            seen.add(expected)
    assert {"helps", "equivalent", "undecided"} <= seen
