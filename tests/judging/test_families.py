"""The statistics of a judged table: a family for each metric, its margin, and ratios of costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged_results import ARMS, BASE, RANDOM, SEEDS, save, tidy
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.errors import RequestError
from reports.judging import families
from reports.judging.columns import Asked, read_runs
from reports.judging.judge import judge


def test_the_plan_s_digest_rests_on_the_question_not_on_results(tmp_path: Path) -> None:
    def digest(frame: pd.DataFrame, **asked: Any) -> str:
        return str(judge(frame, **asked).document["plan"]["digest"])

    other = tidy().assign(ssim=RANDOM.random(len(tidy())))
    assert digest(tidy()) == digest(other)
    changed = [digest(tidy(), margin=0.01), digest(tidy(), reference="same"), digest(tidy()[tidy()["seed"] > 0])]
    changed += [digest(tidy()[tidy()["arm"] != "worse"]), digest(tidy(), higher_is_better=False)]
    assert len({digest(tidy()), *changed}) == 6


def test_secondary_metrics_have_families_of_their_own(tmp_path: Path) -> None:
    frame = tidy().assign(mae=lambda f: (1 - f["ssim"]) * 50)
    document = judge(save(frame, tmp_path / "r.csv"), metrics=("ssim", "mae")).document
    (second,) = document["secondary"]
    assert (second["metric"], second["higher_is_better"]) == ("mae", False)
    p = [stats.ttest_rel(ARMS[row["arm"]], BASE).pvalue for row in second["comparisons"]]
    assert [row["p"] for row in second["comparisons"]] == pytest.approx(multipletests(p, method="holm")[1])


def test_costs_are_ratios_to_the_reference_with_intervals(tmp_path: Path) -> None:
    seconds = {arm: 100 * (1 + index) * (1 + 0.01 * np.arange(SEEDS)) for index, arm in enumerate(ARMS)}
    seconds["noisy"] = seconds["noisy"] * np.linspace(0.9, 1.1, SEEDS)
    frame = tidy().assign(seconds=[value for arm in ARMS for value in seconds[arm]])
    rows = {row["arm"]: row["costs"]["seconds"] for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert rows["better"]["ratio"] == pytest.approx(2.0)
    logs = np.log(seconds["noisy"] / seconds["base"])
    interval = stats.t.interval(0.95, SEEDS - 1, logs.mean(), stats.sem(logs))
    assert (rows["noisy"]["low"], rows["noisy"]["high"]) == pytest.approx(tuple(np.exp(interval)))
    judge(tmp_path / "r.csv").write(tmp_path / "page", False)
    text = (tmp_path / "page" / "report.md").read_text()
    assert "Not beaten by another arm's means (Pareto front) against seconds: base, better." in text
    table = pd.read_csv(tmp_path / "page" / "data" / "costs.csv").set_index("arm")
    assert tuple(table.loc["noisy", ["low", "high"]]) == pytest.approx(tuple(np.exp(interval)))


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "a reference without results": ("arm,seed,ssim\nbase,0,nan\nb,0,1\n", {}, "'base' has no finite 'ssim' in any run"),
    "a reference of zeros": (
        "arm,seed,acc\nbase,0,0\nbase,1,0\nb,0,1\nb,1,1\n", {}, "no margin can be derived from it; name one with --margin",
    ),
    "a margin of zero": ("arm,seed,acc\nbase,0,0\nb,0,1\n", {"margin": 0.0}, "the margin must be a positive number"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_margin_that_cannot_be_derived_is_asked_for(case: str, tmp_path: Path) -> None:
    text, asked, message = BROKEN[case]
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(RequestError) as raised:
        judge(tmp_path / "results.csv", **asked)
    assert message in str(raised.value)


def test_the_margin_is_a_share_of_the_reference_s_mean_but_for_ssim(tmp_path: Path) -> None:
    frame = tidy().assign(acc=lambda f: 100 * f["ssim"])
    runs = read_runs(save(frame, tmp_path / "r.csv"), Asked(metrics=("ssim", "acc")))
    ssim, acc = (families.compared(runs, name, None) for name in ("ssim", "acc"))
    assert (ssim.margin, ssim.margin_from) == (0.005, "default for SSIM")
    assert acc.margin == pytest.approx(np.mean(BASE), rel=0.1)  # 1% of a hundred times as much, two digits of it
    assert acc.margin == float(f"{acc.margin:.2g}")
    assert families.compared(runs, "acc", 3.0).margin_from == "given"


def test_a_test_that_pairs_runs_needs_seeds(tmp_path: Path) -> None:
    paired = read_runs(save(tidy(), tmp_path / "a.csv"), Asked())
    apart = read_runs(save(tidy().drop(columns="seed"), tmp_path / "b.csv"), Asked())
    families.check_test(paired, "signed-rank")
    families.check_test(apart, "t")
    with pytest.raises(RequestError, match="name the column of seeds with --seed"):
        families.check_test(apart, "signed-rank")
    with pytest.raises(RequestError, match="--test welch; choose t, signed-rank"):
        families.check_test(paired, "welch")


def test_without_common_seeds_a_cost_is_a_ratio_of_means_and_without_any_none(tmp_path: Path) -> None:
    frame = tidy().drop(columns="seed")
    frame["seconds"] = frame["arm"].map({"base": 100.0, "better": 150.0, "worse": 0.0}).fillna(np.nan)
    ratios = families.cost_ratios(read_runs(save(frame, tmp_path / "r.csv"), Asked(costs=("seconds",))))
    assert ratios["better"]["seconds"].ratio == pytest.approx(1.5)
    assert ratios["better"]["seconds"].low is None
    assert ratios["worse"] == ratios["noisy"] == {}  # what costs nothing was not measured
