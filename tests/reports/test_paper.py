"""What a paper takes from a report: tidy data in full precision, a table for a column, and the methods in a paragraph."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import fake_store
import numpy as np
import pandas as pd
import pytest
from fake_store import Fake, cell, write_run
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.store import Folder, Store
from harness.variant import Variants
from harness.version import __version__
from reports import ablation
from reports.analysis.comparisons import compare_all
from reports.analysis.estimates import estimate
from reports.analysis.reading import read_store
from reports.figures import canvas
from reports.judging.judge import judge
from reports.page import Figure
from reports.pages.paper import Arm, column_table
from reports.pages.sections import make_page

SEEDS = 5
RANDOM = np.random.default_rng(2)
BASE = 0.8 + 0.01 * RANDOM.standard_normal(SEEDS)
VALUES = {
    "base": BASE,
    "attention": BASE + 0.02 + 0.002 * RANDOM.standard_normal(SEEDS),
    "tta": BASE + 0.0003 * RANDOM.standard_normal(SEEDS),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("papers")
    stub = lambda canvas, id_, title, caption, alt: Figure(id_, title, caption, alt, "<svg/>", b"png")  # noqa: E731
    with pytest.MonkeyPatch.context() as patch, fake_store.without_sync():
        patch.setattr(canvas, "save", stub)
        for name, values in VALUES.items():
            for seed, value in enumerate(values):
                write_run(root / "store", cell(name, seed), Fake(ssim=float(value), seconds=100.0 + seed))
        ablation.build(Store(root / "store"), Variants(third_party=False), root / "report")
    return root / "report"


def test_a_row_for_each_run_and_metric_in_full_precision(report: Path) -> None:
    with (report / "data" / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ssim = {(row["arm"], int(row["seed"])): float(row["value"]) for row in rows if row["metric"] == "ssim"}
    assert ssim == {(name, seed): float(value) for name, values in VALUES.items() for seed, value in enumerate(values)}
    metrics = {row["metric"]: row["higher_is_better"] for row in rows}
    assert (metrics["ssim"], metrics["mse"]) == ("True", "False")
    assert len(rows) == len(metrics) * len(VALUES) * SEEDS


def test_a_row_for_each_comparison(report: Path) -> None:
    found = pd.read_csv(report / "data" / "comparisons.csv").query("metric == 'ssim'").set_index("arm")
    tests = [stats.ttest_rel(VALUES[name], BASE) for name in ("attention", "tta")]
    adjusted = multipletests([test.pvalue for test in tests], method="holm")[1]
    for name, test, p in zip(("attention", "tta"), tests, adjusted, strict=True):
        row = found.loc[name]
        assert row["difference"] == pytest.approx(np.mean(VALUES[name] - BASE), rel=1e-12)
        assert (row["p"], row["p_adjusted"]) == pytest.approx((test.pvalue, p), rel=1e-9)
        assert (row["reference"], row["metric"], row["seeds"]) == ("base", "ssim", SEEDS)
    assert list(found["verdict"]) == ["helps", "equivalent"]


def test_a_row_for_each_cost_of_an_arm(report: Path) -> None:
    runs = pd.read_csv(report / "data" / "runs.csv").query("metric == 'ssim'")
    found = pd.read_csv(report / "data" / "costs.csv").set_index(["arm", "cost"])
    columns = {"training time": "seconds", "training operations": "training_flops", "inference time": "seconds_a_frame"}
    columns |= {"inference operations": "flops", "memory": "memory_bytes", "parameters": "parameters"}
    assert len(found) == 2 * len(columns)
    for arm in ("attention", "tta"):
        for cost, column in columns.items():
            pair = [runs[runs["arm"] == name].set_index("seed")[column] for name in (arm, "base")]
            row = found.loc[(arm, cost)]
            assert row["ratio"] == pytest.approx(stats.gmean(pair[0] / pair[1]))
            assert (row["reference"], row["seeds"], row["at_most"]) == ("base", SEEDS, False)
            if np.ptp(np.log(pair[0] / pair[1])) > 1e-12:
                ends = np.exp(stats.ttest_1samp(np.log(pair[0] / pair[1]), 0).confidence_interval(0.95))
                assert (row["low"], row["high"]) == pytest.approx(tuple(ends))


def test_parquet_holds_what_csv_holds(report: Path) -> None:
    for name in ("runs", "comparisons", "costs"):
        a, b = pd.read_csv(report / "data" / f"{name}.csv"), pd.read_parquet(report / "data" / f"{name}.parquet")
        assert list(a.columns) == list(b.columns)
        for column in a.columns:
            if pd.api.types.is_float_dtype(a[column]) and a[column].notna().any():
                np.testing.assert_array_equal(a[column].to_numpy(float), b[column].to_numpy(float, na_value=np.nan))


def test_judge_reads_a_report_s_own_data(report: Path) -> None:
    found = judge(report / "data" / "runs.csv", metrics=("ssim",)).document
    theirs = pd.read_csv(report / "data" / "comparisons.csv").query("metric == 'ssim'").set_index("arm")
    for row in found["comparisons"]:
        assert row["verdict"] == theirs.loc[row["arm"], "verdict"]
        assert (row["difference"], row["low"], row["high"]) == tuple(theirs.loc[row["arm"], ["difference", "low", "high"]])


def test_the_table_fits_a_column(report: Path) -> None:
    text = (report / "tables" / "paper.tex").read_text()
    assert re.findall(r"\\(\w+rule)", text) == ["toprule", "midrule", "bottomrule"]
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
    rows = [line.strip() for line in body.strip().splitlines()]
    assert all(row.count(" & ") == 5 for row in rows)
    assert r"\footnotesize" in text
    (caption,) = re.findall(r"\\caption\{(.*)\}", text)
    for words in ("SSIM over 5 seeds", "Holm", "2 comparisons", "within 0.005", "Gaussian window 11"):
        assert words in caption
    low, high = stats.ttest_rel(VALUES["attention"], BASE).confidence_interval(0.95)
    mean = 1000 * np.mean(VALUES["attention"] - BASE)
    (gain,) = [row.split(" & ")[3] for row in rows if "attention" in row]
    shown = [float(one) for one in re.findall(r"[-+]?\d+\.\d", gain)]
    assert shown[0] == pytest.approx(mean, abs=0.051)
    assert shown[1] <= 1000 * low + 0.051  # adjusted intervals are no narrower
    assert shown[2] >= 1000 * high - 0.051


def test_the_methods_name_the_design_the_versions_and_the_sources(report: Path) -> None:
    text = (report / "methods.md").read_text()
    for words in (
        "We compared attention, tta with base over 5 seeds (0, 1, 2, 3, 4).", "paired by seed", "Holm 1979", "Schuirmann 1987",
        "within 0.005", "No plan was written before the first run",
        f"ablation-harness {__version__}", "torch 2.13.0", "800 steps", "- S. Holm,", "- attention: A. Vaswani",
    ):  # fmt: skip
        assert words in text
    assert "Welch" not in text  # every comparison is paired


def test_controls_are_no_arms_of_the_paper_and_the_plan_is_named(tmp_path: Path) -> None:
    ids = {}
    with fake_store.without_sync():
        for name, values in VALUES.items():
            for seed, value in enumerate(values):
                ids[name, seed] = write_run(tmp_path, cell(name, seed), Fake(ssim=float(value)))
    cells = [
        {"label": name, "variant": name, "seed": seed, "run_id": run_id, "status": "finished", "error": None}
        for (name, seed), run_id in ids.items()
    ]
    question = {
        "contrasts": [{"name": "attention", "treated": "attention", "reference": "base"}], "metric": "ssim",
        "higher_is_better": True, "margin": 0.004, "margin_from": "given with --margin", "digest": "d1", "budget": "steps",
        "held_equal": ["data"], "differs": {}, "controls": {"tta": "equivalent"}, "seeds": list(range(SEEDS)),
        "test": "exact Wilcoxon signed-rank over seeds",
    }  # fmt: skip
    record = {"plan": "custom", "match": "steps", "preset": "tiny", "reference": "base", "command": "", "cells": cells}
    Folder(tmp_path / "plans").write("p.json", record | {"question": question, "known_before": 0, "departures": []})
    store = Store(tmp_path)
    paper = make_page(store, read_store(store), Variants(third_party=False)).paper
    assert paper is not None
    assert [row[0].text for row in paper.table.rows] == ["base", "attention"]
    assert "p Holm-adjusted over 1 comparison; equivalent: within 0.004" in paper.table.title
    text, sources = paper.methods
    for words in (
        "We compared attention with base", "margin (0.004: given with --margin) and seeds are those of the plan d1, written before",
        "held equal: steps, data.", "exact signed-rank tests over seeds (Wilcoxon 1945)", "The regime passed its controls: tta",
    ):  # fmt: skip
        assert words in text
    assert "- F. Wilcoxon" in sources
    assert "Welch" not in sources


def test_a_judged_table_has_the_same_files(report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = lambda canvas, id_, title, caption, alt: Figure(id_, title, caption, alt, "<svg/>", b"png", b"%PDF")  # noqa: E731
    monkeypatch.setattr(canvas, "save", stub)
    judge(report / "data" / "runs.csv", metrics=("ssim", "mse")).write(tmp_path, False)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there >= {
        "index.html", "report.md", "methods.md", "tables/paper.tex", "data/runs.csv", "data/runs.parquet",
        "data/comparisons.csv", "data/comparisons.parquet", "figures/differences.pdf", "tables/statistics.csv",
    }  # fmt: skip
    assert judge(tmp_path / "data" / "runs.csv", metrics=("ssim",)).document["comparisons"][0]["verdict"] == "helps"


def test_an_arm_with_a_failed_seed_has_no_mean_of_the_others_in_the_table() -> None:
    base, arm = VALUES["base"], VALUES["attention"]
    arms = {"whole": dict(enumerate(arm)), "failed": {**dict(enumerate(arm)), 3: None}}
    compared = {one.name: one for one in compare_all(dict(enumerate(base)), arms)}
    rows = [
        Arm(name, "", estimate({seed: v for seed, v in values.items() if v}), compared[name])
        for name, values in arms.items()
    ]
    table = column_table([Arm("base", "", estimate(dict(enumerate(base)))), *rows], "SSIM", 0.005, "", "paired by seed")
    texts = {row[0].text: [value.text for value in row[2:]] for row in table.rows}
    assert texts["failed"] == ["-", "-", "-", "failed"]
    assert texts["whole"][0] == f"{np.mean(arm):.3f}"


@pytest.mark.parametrize(
    ("unit", "heading"),
    [(1.0, "gain \u00d7 1,000"), (1000.0, "gain"), (1e5, "gain / 1,000"), (1e-3, "gain \u00d7 1,000,000")],
)
def test_gains_are_written_in_a_unit_in_which_the_margin_has_few_digits(unit: float, heading: str) -> None:
    base, arm = ({seed: unit * float(v) for seed, v in enumerate(VALUES[name])} for name in ("base", "attention"))
    (one,) = compare_all(base, {"attention": arm}, margin=0.005 * unit)
    arms = [Arm("base", "", estimate(base)), Arm("attention", "", estimate(arm), one)]
    table = column_table(arms, "SSIM", 0.005 * unit, "", "paired by seed")
    assert table.columns[3] == heading
    shown = float(table.rows[1][3].text.split()[0])
    assert 1 <= abs(shown) < 10_000
    factor = {"gain": 1.0, "gain / 1,000": 1e-3}.get(heading) or float(heading.split()[-1].replace(",", ""))
    assert shown == pytest.approx(factor * np.mean(VALUES["attention"] - BASE) * unit, rel=0.06)
