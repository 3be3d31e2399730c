"""The rule over arms: scipy's t tests with Holm's adjustment at each look, and what becomes of an arm."""

from __future__ import annotations

import numpy as np
import pytest
import sequential_simulation as simulation
from scipy import stats

from harness.ablation import rule, sequential
from reports.analysis.comparisons import compare_all
from reports.analysis.verdicts import Kind


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random((8, 5)) ** 3
    assert rule.holm(p) == pytest.approx(np.stack([multipletests(row, method="holm")[1] for row in p]))


def test_at_the_first_look_the_rule_is_holms_over_scipys_t_tests() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.standard_normal((3, 4)) + np.array([8.0, -8.0, 0.0])[:, None]
    found = rule.look(rule.start((3,)), drawn, (4,), 0.1, 0.05)
    p = [stats.ttest_1samp(row, 0).pvalue for row in drawn]
    assert found.p == pytest.approx(rule.holm(p))
    assert found.kind.tolist() == [rule.ABOVE, rule.BELOW, rule.OPEN]
    alone = [stats.ttest_1samp(row, 0).confidence_interval(0.95) for row in drawn]
    assert found.low_alone == pytest.approx([one.low for one in alone])
    strictest = stats.ttest_1samp(drawn[int(np.argmin(p))], 0).confidence_interval(1 - 0.05 / 3)
    assert found.high[int(np.argmin(p))] == pytest.approx(strictest.high)


def test_an_interval_excludes_nil_if_and_only_if_the_arm_is_claimed_to_differ() -> None:
    rng = np.random.default_rng(2)
    found = simulation.play(rng.standard_normal((400, 5, 30)) + rng.normal(0, 0.7, (400, 5, 1)), 1.2)
    claimed = found.p <= 0.05
    assert 0.2 < claimed.mean() < 0.8
    helps_or_hurts = (found.kind == rule.ABOVE) | (found.kind == rule.BELOW)
    assert (helps_or_hurts <= claimed).all()
    assert set(found.kind[claimed & ~helps_or_hurts]) == {rule.EQUIVALENT}  # better or worse by less than the margin
    assert ((found.low > 0) | (found.high < 0)).tolist() == claimed.tolist()
    assert (found.high > found.high_alone - 1e-12).all()


def test_equivalence_is_two_one_sided_tests_over_all_looks() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(0.1, 1.0, (1, 4))
    margin, at = 2.5, sequential.looks(6)
    found = rule.look(rule.start((1,)), drawn, at, margin, 0.05)
    nearer = stats.ttest_1samp(
        drawn[0], margin * np.sign(drawn.mean()), alternative="less" if drawn.mean() > 0 else "greater"
    )
    assert found.q[0] == pytest.approx(float(sequential.sequential_p(nearer.pvalue, 4, at, 1)))


def test_a_small_sure_gain_is_equivalent_first_as_in_tables_and_stays_rejected() -> None:
    rng = np.random.default_rng(12)
    sure = 0.02 + 0.001 * rng.standard_normal(6)
    drawn, at = np.stack([sure, rng.standard_normal(6)]), sequential.looks(6)
    first = rule.look(rule.start((2,)), drawn[:, :4], at, 0.1, 0.05)
    assert first.kind.tolist() == [rule.EQUIVALENT, rule.OPEN]
    assert first.p[0] <= 0.05
    table = compare_all(dict.fromkeys(range(4), 0.0), {"sure": dict(enumerate(sure[:4].tolist()))}, margin=0.1)
    assert table[0].verdict.kind is Kind.EQUIVALENT
    assert table[0].verdict.words.endswith("better by less")
    # Its rejected difference leaves the other arm the whole level at the next look.
    second = rule.look(first, drawn, at, 0.1, 0.05)
    alone = float(sequential.sequential_p(stats.ttest_1samp(drawn[1], 0).pvalue, 6, at))
    assert second.p[1] == pytest.approx(alone)


def test_identical_runs_are_equivalent_and_a_constant_shift_is_undecided() -> None:
    found = rule.look(rule.start((2,)), np.array([[0.0] * 4, [0.01] * 4]), (4,), 0.005, 0.05, size=0.8)
    assert found.kind.tolist() == [rule.EQUIVALENT, rule.OPEN]


def test_an_arm_with_a_failed_seed_fails_keeps_its_figures_and_stays_in_the_family() -> None:
    rng = np.random.default_rng(4)
    drawn = rng.standard_normal((2, 6)) + np.array([0.0, 3.0])[:, None]
    at = sequential.looks(6)
    first = rule.look(rule.start((2,)), drawn[:, :4], at, 0.01, 1e-9)
    drawn[0, 5] = np.nan
    second = rule.look(first, drawn, at, 0.01, 0.05)
    assert second.kind.tolist() == [rule.FAILED, rule.ABOVE]
    assert (second.mean[0], second.seeds[0]) == (first.mean[0], 4)
    whole = sequential.sequential_p(stats.ttest_1samp(drawn[1], 0).pvalue, 6, at)
    assert second.p[1] == pytest.approx(2 * float(whole))
