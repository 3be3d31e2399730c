"""Tables of comparisons: what stands in them for whole, failed and partly paired arms, and where a plan of looks stopped."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from filled_stores import column, fill, first_group, rewrite
from samples import plan, sample, shifted
from scipy import stats

from harness.ablation.auto import Decision, SeedRule
from reports.analysis.comparisons import compare, compare_all
from reports.analysis.contrasts import Factorial, factorial_effects
from reports.analysis.groups import Decided
from reports.pages import comparisons

BASE = sample(6)


def test_a_whole_comparison_has_scipys_figures() -> None:
    gain = shifted(BASE, 0.02, 0.004)
    found = compare_all(BASE, {"arm": gain})
    shown = comparisons.statistics({one.name: one for one in found}, "base", "t", "T", "SSIM")
    (row,) = shown.rows
    texts = dict(zip(shown.columns, (cell.text for cell in row), strict=True))
    test = stats.ttest_rel(list(gain.values()), list(BASE.values()))
    low, high = test.confidence_interval(0.95)
    assert texts["comparison"] == "arm - base"
    assert texts["95%, alone"] == f"[{low:+.4f}, {high:+.4f}]"
    assert texts["p (t test)"] == ("<0.001" if test.pvalue < 0.001 else f"{test.pvalue:.3f}")
    assert texts["seeds better / worse"] == "6 / 0"


def test_seeds_that_a_verdict_leaves_out_are_named_beside_it() -> None:
    arm: dict[int, float | None] = {**shifted(BASE, 0.02, 0.004), 9: 0.8, 2: math.nan}
    (found,) = compare_all(BASE, {"arm": arm})
    shown = comparisons.statistics({"arm": found}, "", "t", "T", "SSIM")
    assert column(shown, "verdict")["arm"].endswith("(seeds that only one side has: 9; seeds without a finite value: 2)")
    assert column(shown, "p (Holm)")["arm"] == "-"


def test_the_signed_rank_test_is_named_in_its_column() -> None:
    found = compare(BASE, shifted(BASE, 0.02, 0.004), name="arm", test="signed-rank")
    columns = comparisons.statistics({"arm": found}, "base", "t", "T", "SSIM").columns
    assert "p (signed-rank)" in columns
    assert "p (t test)" not in columns


def test_every_seed_of_both_sides_is_a_row_of_the_pairs(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1, 2, 3))
    lost = fill(tmp_path, names=("attention",), seeds=(0, 1, 2))[1]
    rewrite(tmp_path, lost, metrics={"ssim": None})
    group = first_group(tmp_path)
    shown = comparisons.pairs(group, "t", "T", "SSIM")
    assert [[cell.text for cell in row[:2]] for row in shown.rows] == [["attention", str(seed)] for seed in (0, 1, 2)]
    assert [row[4].text == "-" for row in shown.rows] == [False, True, False]
    first, base = (next(one for one in group.methods if one.label == name).values()[0] for name in ("attention", "base"))
    assert shown.rows[0][4].sort == pytest.approx(first - base)


def test_a_plan_without_contrasts_of_its_own_has_no_table_of_them(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    assert comparisons.contrasts(first_group(tmp_path), "t", "T", "SSIM") is None


def test_effects_are_told_from_interactions() -> None:
    found = factorial_effects(plan(2, 5, {("a",): 1.0}))
    shown = comparisons.effects(Factorial(("a", "b"), tuple(found)), "t", "T", "SSIM")
    assert column(shown, "kind") == {"a": "main effect", "b": "main effect", "a x b": "interaction"}


def test_a_decision_names_its_look() -> None:
    rule = SeedRule(most=12)
    at = rule.looks[1]
    sure = Decision("sure", "helps", at, 12, 0.01, 0.002, 0.018, 0.003, 0.017, 0.01, 1.0)
    decided = Decided(rule, (sure, Decision("none yet", "undecided", 0, 12, None, None, None, None, None, 1.0, 1.0)))
    shown = comparisons.decisions(decided, "t", "T", "SSIM")
    assert column(shown, "look") == {"sure": f"2 of {len(rule.looks)}", "none yet": "-"}
    assert column(shown, "interval after stopping") == {"sure": "[+0.0020, +0.0180]", "none yet": "-"}


def test_a_copy_that_is_called_better_is_a_false_alarm() -> None:
    same, other = compare(BASE, shifted(BASE, 0.0, 0.02), name="a"), compare(BASE, shifted(BASE, 0.05, 0.004), name="b")
    verdicts = column(comparisons.copies([same, other], "t", "T", "SSIM"), "verdict")
    assert verdicts["b"] == "helps by more than 0.005 - a false alarm"
    assert "alarm" not in verdicts["a"]
