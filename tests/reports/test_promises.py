"""What a fixed number of seeds promises, and the signed-rank test."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from samples import sample, shifted

from reports.analysis import signed_rank, simulated
from reports.analysis.comparisons import compare_all
from reports.analysis.promises import promise
from reports.analysis.verdicts import Kind


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
