"""What a fixed number of seeds promises, in words and figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from reports.analysis import promises, simulated
from reports.analysis.promises import promise


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


def test_method_and_promise_are_plain_lines() -> None:
    assert "\n" not in promises.METHOD
    for word in ("seed", "paired t", "Holm", "TOST", "Welch", "80% power", "Bonferroni", "signed-rank"):
        assert word in promises.METHOD
    assert "no verdict below 3" in promise(1, 4)
    assert promise(4, 2).startswith("4 seeds, 2 comparisons, after Holm's steps: ")
    assert "simulated for 100 and 40, the most" in promise(2000, 500)
    assert "so no arm alone can be found" in promise(5, 5, "signed-rank")
