"""Every number in the page's tables, traced from the raw records by plain numpy and scipy, apart from the report's code."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import fake_store

from harness.conventions import METRICS
from harness.plan import COPY
from harness.registry import Variants
from harness.store import Store
from reports import ablation, plots
from reports.page import Figure, Page, Table
from reports.records import read_store

SEEDS = (0, 1, 2, 3)
METHODS = ("base", "attention", "tta", "attention+tta")
LOSSES = {"1 MSE": fake_store.LOSSES[0], "0.5 MSE + 0.5 (1 - SSIM)": fake_store.LOSSES[2]}
DECIMALS = {"ssim": 4, "ssim_article": 4, "ssim_openstl": 4, "mse": 2, "mae": 2, "psnr": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("numbers")
    with fake_store.without_sync():
        cells = [(name, fake_store.cell(name, seed)) for seed in SEEDS for name in METHODS]
        for _, made in cells:
            fake_store.write_run(root, made)
        fake_store.write_plan(root, "factorial", cells)
        for settings in (*LOSSES.values(), {"training.max_lr": 1e-2}):
            for seed in SEEDS[:3]:
                fake_store.write_run(root, fake_store.cell("base", seed, settings=settings))
        copies = [(COPY, fake_store.cell("base", 10 + seed)) for seed in SEEDS]
        for _, made in copies:
            fake_store.write_run(root, made)
        fake_store.write_plan(root, "a-a", [*(one for one in cells if one[0] == "base"), *copies])
        matched = [one for one in cells if one[0] in ("base", "tta")]
        for seed in SEEDS:
            made = fake_store.cell("attention", seed, settings={"training.seconds": 240.0})
            fake_store.write_run(root, made, fake_store.Fake(seconds=240.0))
            matched.append(("attention", made))
        fake_store.write_plan(root, "add-one", matched, match="seconds")
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> Page:
    saved = plots._save
    plots._save = lambda canvas, id_, title, caption, alt: Figure(id_, title, caption, alt, "<svg/>", b"png")
    try:
        store = Store(root)
        return ablation.make_page(store, read_store(store), Variants(third_party=False))
    finally:
        plots._save = saved


@pytest.fixture(scope="module")
def raw(root: Path) -> list[dict]:
    """Raw result records with their settings, read without the harness."""
    found = []
    for path in sorted((root / "runs").iterdir()):
        result = json.loads((path / "result.json").read_text())
        result["settings"] = json.loads((path / "experiment.json").read_text())["experiment"]
        found.append(result)
    return found


def table(page: Page, id_: str) -> Table:
    return next(table for section in page.sections for table in section.tables if table.id == id_)


def rows(page: Page, id_: str) -> dict[str, dict[str, str]]:
    found = table(page, id_)
    return {row[0].text: {name: cell.text for name, cell in zip(found.columns, row, strict=True)} for row in found.rows}


def main_runs(raw: list[dict], method: str) -> dict[int, dict]:
    """Seed -> record of the first table's runs."""
    usual = {"mse": 0.7, "ssim": 0.3}
    return {
        one["seed"]: one
        for one in raw
        if one["variant"] == method
        and one["seed"] in SEEDS
        and {name: one["settings"]["loss"][name] for name in usual} == usual
        and one["settings"]["training"]["max_lr"] == 5e-3
        and one["settings"]["training"]["seconds"] is None
    }


def equal_seconds(raw: list[dict], method: str) -> dict[int, dict]:
    if method != "attention":
        return main_runs(raw, method)
    return {one["seed"]: one for one in raw if one["settings"]["training"]["seconds"] == 240.0}


def signed(value: float, decimals: int = 4) -> str:
    value = round(value, decimals) + 0.0
    return f"{value:+.{decimals}f}" if value else f"{0:.{decimals}f}"


def t_interval(values: list[float]) -> tuple[float, float]:
    mean, n = np.mean(values), len(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    return float(mean - half), float(mean + half)


def bracket(values: list[float], decimals: int, sign: bool = False) -> str:
    low, high = t_interval(values)
    form = (lambda v: signed(v, decimals)) if sign else (lambda v: f"{v:,.{decimals}f}")
    return f"[{form(low)}, {form(high)}]"


def holm(p: list[float]) -> list[float]:
    order = np.argsort(p)
    adjusted, highest = [0.0] * len(p), 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - step) * p[index]))
        adjusted[index] = highest
    return adjusted


def chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def about(text: str, value: float) -> None:
    """A figure of three significant digits."""
    assert float(text.replace(",", "")) == pytest.approx(value, rel=6e-3, abs=0.51 if value >= 1000 else 0)


def differences(raw: list[dict], method: str, select=main_runs) -> list[float]:
    base, other = select(raw, "base"), select(raw, method)
    return [other[seed]["metrics"]["ssim"] - base[seed]["metrics"]["ssim"] for seed in SEEDS]


@pytest.mark.parametrize(("id_", "methods", "select"), [
    ("ablation", METHODS, main_runs),
    ("ablation-seconds", ("base", "attention", "tta"), equal_seconds),
])  # fmt: skip
def test_ablation_table(page: Page, raw: list[dict], id_: str, methods: tuple[str, ...], select) -> None:
    shown = rows(page, id_)
    assert set(shown) == {*methods, "blank frame", "repeat last frame"}
    others = [method for method in methods if method != "base"]
    p = [stats.ttest_1samp(differences(raw, method, select), 0.0).pvalue for method in others]
    adjusted = dict(zip(others, holm(p), strict=True))
    base = select(raw, "base")
    for method in methods:
        runs, row = select(raw, method), shown[method]
        assert len(runs) == len(SEEDS)
        ssim = [runs[seed]["metrics"]["ssim"] for seed in SEEDS]
        ratio = np.mean([runs[seed]["training"]["seconds"] / base[seed]["training"]["seconds"] for seed in SEEDS])
        assert row["parameters"] == f"{runs[0]['params'] / 1e6:.2f}M"
        assert row["training time (x base)"] == f"{ratio:.2f}x"
        assert row["SSIM, mean"] == f"{np.mean(ssim):.4f}"
        assert row["SSIM, 95% interval"] == bracket(ssim, 4)
        assert row["seeds"] == "4"
        if method == "base":
            assert {row["gain over base (SSIM)"], row["gain, 95% interval"], row["p (Holm)"]} == {"-"}
        else:
            delta = differences(raw, method, select)
            assert row["gain over base (SSIM)"] == signed(float(np.mean(delta)))
            assert row["gain, 95% interval"] == bracket(delta, 4, sign=True)
            assert row["p (Holm)"] == chance(adjusted[method])
    for words, key in (("blank frame", "blank"), ("repeat last frame", "repeat_last")):
        assert shown[words]["SSIM, mean"] == f"{base[0]['baselines'][key]['ssim']:.4f}"
        measured = {"parameters", "SSIM, mean", "verdict", "method"}
        assert all(text == "-" for name, text in shown[words].items() if name not in measured)


def test_claims_stand_in_their_own_columns(page: Page) -> None:
    shown = rows(page, "ablation")
    assert [shown["attention"][f"claimed {what}"] for what in ("parameters", "time", "SSIM")] == ["10.3M", "1.3x", "+0.03"]
    assert shown["base"]["claimed SSIM"] == "0.82"
    assert shown["attention+tta"]["claimed SSIM"] == "-"  # not all of the article's ideas


def test_metrics_table(page: Page, raw: list[dict]) -> None:
    found = table(page, "metrics")
    assert len(found.columns) == 1 + 2 * len(METRICS)
    for row in found.rows:
        cells = [cell.text for cell in row]
        for index, (metric, decimals) in enumerate(DECIMALS.items()):
            mean, interval = cells[1 + 2 * index], cells[2 + 2 * index]
            baseline = {"blank frame": "blank", "repeat last frame": "repeat_last"}.get(cells[0])
            if baseline:
                assert (mean, interval) == (f"{raw[0]['baselines'][baseline][metric]:,.{decimals}f}", "-")
                continue
            values = [one["metrics"][metric] for one in main_runs(raw, cells[0]).values()]
            assert mean == f"{np.mean(values):,.{decimals}f}"
            assert interval == bracket(values, decimals)


def test_costs_table(page: Page, raw: list[dict]) -> None:
    shown = rows(page, "costs")
    assert set(shown) == set(METHODS)
    base = main_runs(raw, "base")
    for method, row in shown.items():
        runs = main_runs(raw, method)
        seconds = [runs[seed]["training"]["seconds"] for seed in SEEDS]
        assert row["parameters"] == f"{runs[0]['params']:,}"
        assert row["training time (s)"] == f"{np.mean(seconds):.1f}"
        assert row["training time, 95% interval (s)"] == bracket(seconds, 1)
        ratio = np.mean([runs[seed]["training"]["seconds"] / base[seed]["training"]["seconds"] for seed in SEEDS])
        assert row["training time (x base)"] == f"{ratio:.2f}x"
        assert row["steps"] == f"{runs[0]['training']['steps']:,}"
        about(row["GFLOP a sequence"], runs[0]["flops_per_sequence"] / 1e9)
        about(row["training sequences/s"], np.mean([one["training"]["sequences_per_second"] for one in runs.values()]))
        about(row["predicted frames/s"], np.mean([one["inference"]["frames_per_second"] for one in runs.values()]))
        batch_1 = [one["inference"]["frames_per_second_batch_1"] for one in runs.values()]
        about(row["predicted frames/s, batch 1"], np.mean(batch_1))
        about(row["process memory (GiB)"], np.mean([one["memory"]["host_peak_bytes"] for one in runs.values()]) / 2**30)
        assert len(row) == 11  # all columns are checked: those of a GPU's memory are left out


def test_seeds_table(page: Page, raw: list[dict]) -> None:
    found = table(page, "seeds")
    assert len(found.rows) == len(METHODS) * len(SEEDS)
    by_id = {one["run_id"]: one for one in raw}
    for cells in found.rows:
        row = {name: cell.text for name, cell in zip(found.columns, cells, strict=True)}
        run = by_id[row["run"]]
        assert (row["method"], row["seed"]) == (run["variant"], str(run["seed"]))
        for metric, info in METRICS.items():
            assert row[info.title] == f"{run['metrics'][metric]:,.{DECIMALS[metric]}f}"
        assert row["validation SSIM"] == f"{run['training']['validation_ssim']:.4f}"
        for name, key in (("steps", "steps"), ("best step", "best_step"), ("skipped steps", "skipped_steps")):
            assert row[name] == f"{run['training'][key]:,}"
        assert row["training time (s)"] == f"{run['training']['seconds']:.1f}"
        about(row["training sequences/s"], run["training"]["sequences_per_second"])
        about(row["predicted frames/s"], run["inference"]["frames_per_second"])
        about(row["process memory (GiB)"], run["memory"]["host_peak_bytes"] / 2**30)
        assert len(row) == 17


def test_statistics_and_pairs(page: Page, raw: list[dict]) -> None:
    shown = rows(page, "statistics")
    others = METHODS[1:]
    assert set(shown) == {f"{method} - base" for method in others}
    delta = {method: differences(raw, method) for method in others}
    p = [stats.ttest_1samp(delta[method], 0.0).pvalue for method in others]
    tost = [
        max(
            stats.ttest_1samp(delta[method], -0.005, alternative="greater").pvalue,
            stats.ttest_1samp(delta[method], 0.005, alternative="less").pvalue,
        )
        for method in others
    ]
    for index, method in enumerate(others):
        row, values = shown[f"{method} - base"], delta[method]
        up = sum(value > 0 for value in values)
        assert row["pairs"] == "4"
        assert row["mean difference (SSIM)"] == signed(float(np.mean(values)))
        assert row["95% interval"] == bracket(values, 4, sign=True)
        assert row["sd of differences"] == f"{np.std(values, ddof=1):.4f}"
        assert row["p (paired t)"] == chance(p[index])
        assert row["p (Holm)"] == chance(holm(p)[index])
        assert row["p (equivalence, Holm)"] == chance(holm(tost)[index])
        assert row["seeds better / worse"] == f"{up} / {4 - up}"
        assert row["p (sign test)"] == chance(stats.binomtest(up, 4).pvalue)
        assert row["median difference"] == signed(float(np.median(values)))
        assert row["median, at least 95%"] == "-"
        kind = ("helps" if np.mean(values) > 0 else "hurts") if holm(p)[index] <= 0.05 else "no"
        assert row["verdict"].startswith(kind)
        assert len(row) == 13
    pairs = table(page, "pairs")
    assert len(pairs.rows) == 3 * len(SEEDS)
    for cells in pairs.rows:
        method, seed, base, value, difference = (cell.text for cell in cells)
        a = main_runs(raw, "base")[int(seed)]["metrics"]["ssim"]
        b = main_runs(raw, method)[int(seed)]["metrics"]["ssim"]
        assert (base, value, difference) == (f"{a:.4f}", f"{b:.4f}", signed(b - a))


def test_effects_are_the_contrasts_of_the_four_cells(page: Page, raw: list[dict]) -> None:
    y = {method: np.array([main_runs(raw, method)[seed]["metrics"]["ssim"] for seed in SEEDS]) for method in METHODS}
    none, a, t, both = (y[method] for method in METHODS)
    contrasts = {
        "attention": (a + both) / 2 - (none + t) / 2,
        "tta": (t + both) / 2 - (none + a) / 2,
        "attention x tta": (both - t) - (a - none),
    }
    p = holm([stats.ttest_1samp(values, 0.0).pvalue for values in contrasts.values()])
    shown = rows(page, "effects")
    assert set(shown) == set(contrasts)
    for (name, values), adjusted in zip(contrasts.items(), p, strict=True):
        assert shown[name]["seeds"] == "4"
        assert shown[name]["mean (SSIM)"] == signed(float(np.mean(values)))
        assert shown[name]["95% interval"] == bracket(list(values), 4, sign=True)
        assert shown[name]["p (Holm)"] == chance(adjusted)


@pytest.mark.parametrize("id_", ["losses", "rates"])
def test_losses_and_rates(page: Page, raw: list[dict], id_: str) -> None:
    def select(label: str) -> dict[int, dict]:
        found = {}
        for one in raw:
            loss, training = one["settings"]["loss"], one["settings"]["training"]
            if one["variant"] != "base" or one["seed"] not in SEEDS:
                continue
            if id_ == "rates":
                fits = loss["mse"] == 0.7 and f"max lr {training['max_lr']:g}," in label
            else:
                fits = training["max_lr"] == 5e-3 and label.startswith(f"{loss['mse']:g} MSE")
            if fits:
                found[one["seed"]] = one
        return found

    found = table(page, id_)
    reference = select(found.rows[0][0].text)
    assert len(reference) == 4
    assert len(found.rows) == (3 if id_ == "losses" else 2)
    p, seen = [], []
    for cells in found.rows:
        row = {name: cell.text for name, cell in zip(found.columns, cells, strict=True)}
        runs = select(cells[0].text)
        ssim = [one["metrics"]["ssim"] for one in runs.values()]
        assert row["seeds"] == str(len(runs))
        assert row["validation SSIM, mean"] == f"{np.mean([r['training']['validation_ssim'] for r in runs.values()]):.4f}"
        assert row["SSIM, mean"] == f"{np.mean(ssim):.4f}"
        assert row["SSIM, 95% interval"] == bracket(ssim, 4)
        assert row["MSE, mean"] == f"{np.mean([one['metrics']['mse'] for one in runs.values()]):.2f}"
        if runs is not reference and row["verdict"] != "reference":
            delta = [runs[seed]["metrics"]["ssim"] - reference[seed]["metrics"]["ssim"] for seed in runs]
            assert row["gain (SSIM)"] == signed(float(np.mean(delta)))
            assert row["gain, 95% interval"] == bracket(delta, 4, sign=True)
            p.append(stats.ttest_1samp(delta, 0.0).pvalue)
            seen.append(row["p (Holm)"])
    assert seen == [chance(one) for one in holm(p)]
    if id_ == "losses":
        assert {row["kind"]: row["claimed SSIM"] for row in rows(page, "losses").values()} == {
            "MSE": "~0.78",
            "MSE + SSIM": "0.85+",
        }


def test_missing_losses_are_named_with_their_command(page: Page) -> None:
    section = next(section for section in page.sections if section.id == "losses")
    assert any("Missing: SSIM." in text for text in section.paragraphs)
    assert section.commands == (
        "harness ablate --plan base --preset cpu --seeds 0,1,2,3 --set loss.mse=0 --set loss.ssim=1 "
        "--set loss.ssim_from=0 --set loss.ssim_ramp=0",
    )


def test_a_a_table_is_welch(page: Page, raw: list[dict]) -> None:
    (cells,) = table(page, "a-a").rows
    base = [one["metrics"]["ssim"] for one in main_runs(raw, "base").values()]
    copy = [one["metrics"]["ssim"] for one in raw if one["seed"] >= 10]
    test = stats.ttest_ind(copy, base, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert [cell.text for cell in cells[1:8]] == [
        "4", "4", f"{np.mean(base):.4f}", f"{np.mean(copy):.4f}", signed(float(np.mean(copy) - np.mean(base))),
        f"[{signed(low)}, {signed(high)}]", chance(test.pvalue),
    ]  # fmt: skip
    assert all(
        int(cell.text) < 10 for row in table(page, "seeds").rows for cell in [row[1]]
    )  # copies stay out of base's row


def test_summary_repeats_the_table(page: Page) -> None:
    shown = rows(page, "ablation")
    for method in METHODS[1:]:
        (sentence,) = [text for text in page.summary if text.startswith(f"{method}: ")]
        row = shown[method]
        assert f"{row['gain over base (SSIM)']} SSIM {row['gain, 95% interval']}" in sentence
        assert f"{row['training time (x base)']} training time" in sentence
        assert f"4 seeds: {rows(page, 'statistics')[f'{method} - base']['verdict']}." in sentence


def test_plots_show_what_the_tables_say(page: Page) -> None:
    figures = {figure.id: figure for section in page.sections for figure in section.figures}
    assert set(figures) >= {
        "ssim-against-time", "ssim-against-parameters", "differences", "differences-seconds", "interactions", "by-frame",
        "validation",
    }  # fmt: skip
    shown = rows(page, "ablation")
    for method in METHODS:
        assert f"{method} {shown[method]['SSIM, mean']} at " in figures["ssim-against-parameters"].alt
    assert all(figure.alt and figure.caption for figure in figures.values())


def test_sort_keys_are_the_numbers_shown(page: Page) -> None:
    for section in page.sections:
        for one in section.tables:
            for row in one.rows:
                for numeric, cell in zip(one.numeric, row, strict=True):
                    match = re.search(r"-?[\d,]+(\.\d+)?", cell.text)
                    if numeric and cell.sort is not None and match and not cell.text.startswith("<"):
                        value = float(match.group().replace(",", "")) * (1e6 if cell.text.endswith("M") else 1)
                        assert value == pytest.approx(cell.sort, rel=0.02, abs=6e-3), (one.id, cell)


def test_ids_are_unique(page: Page) -> None:
    ids = [item.id for section in page.sections for item in (*section.tables, *section.figures, *section.pictures)]
    assert len(ids) == len(set(ids))
    assert len(list(itertools.chain(ids))) > 12
