"""Two stores or reports side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fake_store
import numpy as np
import pytest
from fake_store import Fake, cell, write_run
from scipy import stats

from harness.cli import app as cli
from harness.errors import HarnessError, RequestError
from harness.store import Store
from harness.variant import Variants
from reports import ablation
from reports.analysis.stores import compare
from reports.figures import canvas
from reports.page import Figure

VARIANTS = Variants(third_party=False)
SEEDS = range(5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    stub = lambda canvas, id_, title, caption, alt: Figure(id_, title, caption, alt, "<svg/>", b"png")  # noqa: E731
    monkeypatch.setattr(canvas, "save", stub)
    with fake_store.without_sync():
        yield


def store(root: Path, shift: dict[str, float], *, seeds=SEEDS, **more) -> Path:
    """Runs of the variants named in `shift`, with a known SSIM: 0.8 + shift + what the seed does + a little noise."""
    for index, (name, moved) in enumerate(shift.items()):
        for seed in seeds:
            ssim = 0.8 + moved + 0.01 * (seed % 3) + 0.0005 * ((seed * 7 + index) % 4)
            write_run(root, cell(name, seed), Fake(ssim=ssim, seconds=100.0, **more))
    return root


def rows(a: Path, b: Path) -> dict[str, dict]:
    return {row["name"]: row for row in compare(a, b, VARIANTS).document["rows"]}


def test_the_same_store_twice_shows_no_change(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.01})
    found = compare(a, a, VARIANTS)
    assert not found.regressed
    assert all(row["verdict"].startswith("equivalent: identical in all 5 common seeds") for row in found.document["rows"])
    assert found.lines[-1] == "no regression: 2 comparable rows equivalent within 0.005, or better"


def test_a_regression_is_found_and_named_first(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.01})
    b = store(tmp_path / "b", {"base": 0.0, "attention": -0.02})
    b_noise = {seed: 0.0007 * (seed % 2) for seed in SEEDS}
    for seed in SEEDS:  # a spread of differences, so that a test can be made
        write_run(b, cell("attention", seed), Fake(ssim=0.78 + 0.01 * (seed % 3) + b_noise[seed], seconds=120.0))
    found = compare(a, b, VARIANTS)
    assert found.regressed
    assert found.lines[0].startswith("attention: SSIM 0.8")
    assert found.lines[0].endswith("1.20x time: regressed by more than 0.005")
    assert found.lines[-1] == "1 of 2 comparable rows regressed"
    assert not compare(b, a, VARIANTS).regressed
    assert rows(b, a)["attention"]["verdict"] == "improved by more than 0.005"


def test_another_metric_is_judged_in_its_own_direction(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    errors = {a: [25.0, 25.4, 24.9, 25.1], b: [26.1, 26.3, 26.2, 26.0]}
    for root, values in errors.items():
        for seed, mse in enumerate(values):
            write_run(root, cell("base", seed), Fake(ssim=0.8, metrics={"ssim": 0.8, "mse": mse}, seconds=100.0))
    found = compare(a, b, VARIANTS, metric="mse", margin=0.1)
    (row,) = found.document["comparisons"]
    test = stats.ttest_rel(errors[b], errors[a])
    low, high = test.confidence_interval(0.95)
    assert (row["difference"], row["p"]) == pytest.approx((np.mean(np.subtract(errors[b], errors[a])), test.pvalue))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert found.regressed
    assert found.lines[0].startswith("base: MSE 25.1000 -> 26.1500 (+1.0500 [")
    assert not compare(b, a, VARIANTS, metric="mse", margin=0.1).regressed
    assert not compare(a, b, VARIANTS).regressed, "SSIM is the same"
    with pytest.raises(RequestError, match="unknown metric 'msee'; did you mean 'mse'"):
        compare(a, b, VARIANTS, metric="msee", margin=0.1)
    with pytest.raises(RequestError, match=r"no default margin for 'mse'; give .* --margin"):
        compare(a, b, VARIANTS, metric="mse")


def test_a_regression_must_hold_over_all_rows(tmp_path: Path) -> None:
    names = ["base", "attention", "curriculum", "residual", "tta", "attention+tta", "attention+residual", "residual+tta"]
    a = store(tmp_path / "a", dict.fromkeys(names, 0.0))
    b = shutil.copytree(a, tmp_path / "b")
    for seed, moved in zip(SEEDS, (-0.001, -0.004, -0.0005, -0.003, -0.002), strict=True):  # p = 0.03
        run = cell("attention", seed)
        old = Store(a).run(run).read("result.json")["metrics"]["ssim"]
        write_run(b, run, Fake(ssim=old + moved, seconds=100.0))
    found = compare(a, b, VARIANTS)
    assert not found.regressed
    row = rows(a, b)["attention"]
    assert row["p"] < 0.05 < row["p_adjusted"]
    assert row["verdict"] == "equivalent within 0.005"


def test_one_seed_is_no_verdict(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0}, seeds=(0,))
    b = store(tmp_path / "b", {"base": -0.5}, seeds=(0,))
    found = compare(a, b, VARIANTS)
    assert not found.regressed
    assert "undecided: 1 seed seen" in found.lines[0]
    assert found.undecided


def test_seeds_that_became_non_finite_are_a_regression(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0})
    b = shutil.copytree(a, tmp_path / "b")
    write_run(b, cell("base", 3), Fake(metrics={"ssim": None}))
    found = compare(a, b, VARIANTS)
    assert found.regressed
    assert "no longer finite for seed 3" in found.lines[0]
    json.dumps(found.document, allow_nan=False)


def test_rows_that_came_and_went_are_named(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.0})
    b = store(tmp_path / "b", {"base": 0.0, "tta": 0.0})
    lines = compare(a, b, VARIANTS).lines
    assert "only in A: attention, preset cpu" in lines
    assert "only in B: tta, preset cpu" in lines


def test_another_test_set_is_not_compared(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.0})
    b = store(tmp_path / "b", {"base": 0.0})
    store(b, {"attention": -0.5}, test_digest="cd34" * 16)
    found = compare(a, b, VARIANTS)
    assert not found.regressed
    assert "not comparable: attention: two test sets: ab12ab12.. and cd34cd34.." in found.lines
    c = store(tmp_path / "c", {"base": 0.0}, test_digest="cd34" * 16)
    with pytest.raises(RequestError, match="two test sets"):
        compare(a, c, VARIANTS)


def test_a_report_folder_stands_for_its_store(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.01})
    ablation.build(Store(a), VARIANTS, tmp_path / "report")
    by_report = compare(tmp_path / "report", a, VARIANTS).document
    assert by_report["rows"] == compare(a, a, VARIANTS).document["rows"]


def test_equal_cost_cells_are_one_row_whatever_their_budgets(tmp_path: Path) -> None:
    for side in ("a", "b"):
        cells = []
        for seed in SEEDS:
            base = cell("base", seed)
            write_run(tmp_path / side, base)
            made = cell("attention", seed, settings={"training.seconds": 100.0 + seed})
            write_run(tmp_path / side, made)
            cells += [("base", base), ("attention", made)]
        fake_store.write_plan(tmp_path / side, "add-one", cells, match="seconds")
    assert {name: row["seeds_a"] for name, row in rows(tmp_path / "a", tmp_path / "b").items()} == {
        "base": list(SEEDS),
        "attention": list(SEEDS),
    }


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kind": "other"}', '{"kind": "ablation-harness report data", "format": 9}']
)
def test_damaged_report_data_is_a_clear_error(tmp_path: Path, content: str) -> None:
    a = store(tmp_path / "a", {"base": 0.0}, seeds=(0,))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "data.json").write_text(content)
    with pytest.raises(HarnessError, match=r"data\.json"):
        compare(tmp_path / "report", a, VARIANTS)


def test_empty_and_absent_folders_are_clear_requests(tmp_path: Path) -> None:
    a = store(tmp_path / "a", {"base": 0.0}, seeds=(0,))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="no finished run"):
        compare(a, tmp_path / "empty", VARIANTS)
    with pytest.raises(RequestError, match="no folder"):
        compare(tmp_path / "absent", a, VARIANTS)


# --- the command line


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_report_command_takes_a_margin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = store(tmp_path / "a", {"base": 0.0, "attention": 0.001})
    assert run("report", "--store", a, "--out", tmp_path / "out", "--margin", "0.03") == 0
    listed = capsys.readouterr().out.split()
    assert str(tmp_path / "out" / "index.html") in listed
    assert json.loads((tmp_path / "out" / "data.json").read_text())["margin"] == 0.03
    assert "margin of the verdicts: 0.03 SSIM" in (tmp_path / "out" / "report.md").read_text()
    assert run("report", "--store", a, "--out", tmp_path / "out", "--margin", "0") == 2
    assert run("report", "--store", tmp_path / "nothing", "--out", tmp_path / "out") == 2
