"""Main effects and interactions of factorial plans, against regressions and sums by hand."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import fake_store
import numpy as np
import pytest
from filled_stores import fill, first_group
from samples import plan

from harness.errors import RequestError
from reports.analysis.contrasts import factorial, factorial_effects
from reports.analysis.groups import Group
from reports.analysis.verdicts import Kind


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


def test_import_is_light() -> None:
    heavy = ("scipy", "statsmodels", "pandas", "torch")
    code = f"import sys, reports.analysis.contrasts; print(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def group_of(tmp_path: Path, *names: str) -> Group:
    with fake_store.without_sync():
        fill(tmp_path, names=names)
    return first_group(tmp_path)


def test_the_largest_full_set_of_compositions_is_found(tmp_path: Path) -> None:
    group = group_of(tmp_path, "base", "attention", "tta", "residual", "attention+tta", "attention+residual")
    found = factorial(group)
    assert found is not None
    assert found.factors in (("attention", "tta"), ("attention", "residual"))
    values = {one.label: one.values() for one in group.methods}
    first, second = found.factors
    both = values[f"{first}+{second}"]
    added = [both[s] - values[first][s] - values[second][s] + values["base"][s] for s in (0, 1, 2)]
    assert found.effects[-1].comparison.mean == pytest.approx(np.mean(added))


def test_without_every_composition_there_is_no_factorial_set(tmp_path: Path) -> None:
    assert factorial(group_of(tmp_path, "base", "attention", "tta")) is None
