"""Verdicts over tables that others made: the numbers are scipy's and statsmodels', and bad input has one clear answer each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Command
from judged_results import ARMS, BASE, SEEDS, VERDICTS, save, tidy, verdicts
from scipy import stats
from statsmodels.stats.multitest import multipletests

import harness as api
from harness.errors import RequestError
from reports.judging.judge import judge


def test_the_numbers_are_those_of_scipy_and_statsmodels(harness: Command, tmp_path: Path) -> None:
    path = save(tidy(), tmp_path / "results.csv")
    document = harness("judge", path, "--json").document
    assert document["reference"] == "base"
    rows = document["comparisons"]
    assert {row["arm"]: row["verdict"] for row in rows} == VERDICTS
    tests = [stats.ttest_rel(ARMS[row["arm"]], BASE) for row in rows]
    holm = multipletests([test.pvalue for test in tests], method="holm")[1]
    order, rejected = np.argsort([test.pvalue for test in tests]).tolist(), int((holm <= 0.05).sum())
    for index, (row, test, adjusted) in enumerate(zip(rows, tests, holm, strict=True)):
        low, high = test.confidence_interval(0.95)
        step = 0.05 / (len(rows) - min(order.index(index), rejected, len(rows) - 1))  # where Holm's procedure tested it
        assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(1 - step)), rel=1e-9)
        assert (row["low"] > 0 or row["high"] < 0) == (adjusted <= 0.05)
        assert row["difference"] == pytest.approx(np.mean(ARMS[row["arm"]] - BASE), rel=1e-12)
        assert (row["low_alone"], row["high_alone"], row["p_alone"]) == pytest.approx((low, high, test.pvalue), rel=1e-9)
        assert row["p"] == pytest.approx(adjusted, rel=1e-9)


def test_signed_rank_is_scipy_s_exact_test(harness: Command, tmp_path: Path) -> None:
    frame = tidy()
    frame.loc[(frame["arm"] == "better") & (frame["seed"] == 0), "ssim"] += 0.5  # takes the t test its power
    path = save(frame, tmp_path / "results.csv")
    assert verdicts(path)["better"] == "undecided"
    document = harness("judge", path, "--test", "signed-rank", "--json").document
    assert document["plan"]["test"] == "exact Wilcoxon signed-rank over seeds"
    values = frame.pivot(index="seed", columns="arm", values="ssim")
    for row in document["comparisons"]:
        differences = (values[row["arm"]] - values["base"]).to_numpy()
        assert row["p_alone"] == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
        a, b = np.triu_indices(SEEDS)
        assert row["difference"] == pytest.approx(np.median((differences[a] + differences[b]) / 2))
    alone = frame[frame["arm"].isin(["base", "better"])]  # over four arms 6 seeds can never reach 5%: the least p is 2 / 2^6
    assert verdicts(save(alone, tmp_path / "alone.csv"), test="signed-rank") == {"better": "helps"}
    answer = harness("judge", save(tidy().drop(columns="seed"), tmp_path / "unpaired.csv"), "--test", "signed-rank")
    assert (answer.code, "name the column of seeds with --seed" in answer.error) == (2, True)
    assert "choose t, signed-rank" in harness("judge", path, "--test", "welch").error


def test_without_seeds_rows_are_runs_and_the_test_is_welch_s(tmp_path: Path) -> None:
    path = save(tidy().drop(columns="seed"), tmp_path / "results.csv")
    document = judge(path).document
    assert not document["paired"]
    for row in document["comparisons"]:
        test = stats.ttest_ind(ARMS[row["arm"]], BASE, equal_var=False)
        assert row["method"] == "unpaired"
        assert (row["low_alone"], row["high_alone"]) == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-9)
        assert row["p_alone"] == pytest.approx(test.pvalue, rel=1e-9)


def test_the_library_judges_files_and_data_frames_as_the_command_does(harness: Command, tmp_path: Path) -> None:
    path = save(tidy(), tmp_path / "results.csv")
    command = harness("judge", path, "--metric", "ssim", "--reference", "base", "--json").document
    called = api.judge(str(path), metrics="ssim", reference="base", out=tmp_path / "page")
    assert called.document == command
    assert "Plan " + command["plan"]["digest"] in (tmp_path / "page" / "report.md").read_text()
    mine = tidy().assign(start=pd.Timestamp("2026-01-05"))
    framed = api.judge(mine, metrics=["ssim"], reference="base").document
    assert framed["comparisons"] == command["comparisons"]
    assert list(mine.columns) == ["arm", "seed", "ssim", "start"], "the caller's frame stays as it was"
    with pytest.raises(RequestError, match="the data frame has no rows"):
        api.judge(mine.head(0))


def test_a_lower_is_better_metric_turns_the_verdicts(tmp_path: Path) -> None:
    frame = tidy().rename(columns={"ssim": "badness"})
    turned = {"better": "hurts", "worse": "helps", "same": "equivalent", "noisy": "undecided"}
    assert verdicts(save(frame, tmp_path / "a.csv"), higher_is_better=False, margin=0.005) == turned


def test_a_failed_seed_is_a_verdict_of_its_own_and_stays_in_the_family(tmp_path: Path) -> None:
    frame = tidy()
    frame.loc[(frame["arm"] == "better") & (frame["seed"] == 2), "ssim"] = np.inf
    frame.loc[frame["arm"] == "noisy", "ssim"] = np.nan
    found = {row["arm"]: row for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert (found["better"]["verdict"], found["better"]["failed_seeds"]) == ("failed", [2])
    assert (found["noisy"]["verdict"], found["noisy"]["failed_seeds"]) == ("failed", list(range(SEEDS)))
    assert found["better"]["difference"] is found["noisy"]["p"] is None
    p = stats.ttest_rel(ARMS["worse"], BASE).pvalue
    assert found["worse"]["p"] == pytest.approx(4 * p)  # over four arms, the failed ones too


def test_one_seed_is_undecided_and_says_what_it_takes(tmp_path: Path) -> None:
    frame = tidy()
    (row, *_) = judge(save(frame[frame["seed"] == 0], tmp_path / "r.csv")).document["comparisons"]
    assert (row["verdict"], row["seeds"], row["seeds_needed"]) == ("undecided", 1, 3)
    assert row["low"] is row["p"] is None


def test_constant_results(tmp_path: Path) -> None:
    frame = tidy()
    frame["ssim"] = frame["arm"].map({"base": 0.5, "better": 0.5}).fillna(0.6)
    found = {row["arm"]: row for row in judge(save(frame, tmp_path / "r.csv")).document["comparisons"]}
    assert found["better"]["verdict"] == "equivalent"
    assert found["worse"]["verdict"] == "undecided"
    assert "do seeds act?" in found["worse"]["words"]


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"arm": np.repeat(["base", "b", "c", "d"], 25_000), "seed": np.tile(np.arange(25_000), 4)})
    frame["ssim"] = 0.8 + 0.01 * random.standard_normal(100_000) + 0.01 * (frame["arm"] == "b")
    path = save(frame, tmp_path / "r.csv")
    assert verdicts(path) == {"b": "helps", "c": "equivalent", "d": "equivalent"}
    ids = frame.assign(arm=np.arange(100_000))
    with pytest.raises(RequestError, match=r"'arm' has 100,000 values in 100,000 rows.*name another column with --arm"):
        judge(save(ids, tmp_path / "ids.csv"))


def test_it_needs_no_torch(tmp_path: Path) -> None:
    path = save(tidy().assign(seconds=1.0), tmp_path / "results.csv")
    code = f"""
import sys
from harness.cli.app import main
for words in (["judge", {str(path)!r}, "--json"], ["judge", {str(path)!r}, "--out", {str(tmp_path / "page")!r}]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, ended.code
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").is_file()
