"""The rates that a table can promise, against one table at a time through scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.analysis import simulated
from reports.analysis.comparisons import compare_all


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


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "unequal variances", simulated.OUTSIDE])
def test_noise_has_mean_zero_and_the_spread_that_it_states(kind: str) -> None:
    drawn, sd = simulated.noise(kind, (60_000, 3, 1), np.random.default_rng(0))
    falls = simulated.DEPTH**2 * simulated.COLLAPSES * (1 - simulated.COLLAPSES) / 2 if kind == simulated.OUTSIDE else 0.0
    expected = np.sqrt(sd**2 + falls)
    assert np.abs(drawn.mean(axis=(0, 2)) / expected).max() < 4 / math.sqrt(60_000)
    assert drawn.std(axis=(0, 2)) == pytest.approx(expected, rel=0.1 if kind == "heavy tails" else 0.03)
    if kind == "unequal variances":
        assert sd == pytest.approx(np.sqrt((1 + np.array([0.2, 1.0, 5.0]) ** 2) / 2))
