"""Which verdict figures get, what must not change it, and what bad input gets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import plan, sample, shifted

from harness.errors import RequestError
from reports.analysis import power, ttests
from reports.analysis.comparisons import Comparison, compare, compare_all, compare_unpaired, regression
from reports.analysis.contrasts import factorial_effects
from reports.analysis.estimates import estimate
from reports.analysis.verdicts import Kind


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
