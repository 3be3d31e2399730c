"""The exact signed-rank test, against scipy, and what it does to verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from samples import sample, shifted

from reports.analysis import signed_rank
from reports.analysis.comparisons import compare_all
from reports.analysis.verdicts import Kind


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
