"""Tables with a row for each method: what is measured, what sources claim, and values that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_store import Fake, cell, write_run
from filled_stores import VARIANTS, column, fill, first_group, make, rewrite, table
from samples import sample, shifted

from harness.evaluation.conventions import CONVENTIONS
from harness.store import Folder
from reports.analysis.comparisons import compare
from reports.analysis.estimates import estimate
from reports.pages import methods

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_one_run(tmp_path: Path) -> None:
    fill(tmp_path, names=("attention",), seeds=(7,))
    page = make(tmp_path)
    assert "no finished run of base" in " ".join(page.summary).replace("There is no", "no")
    assert any("harness ablate --plan base --preset cpu --seeds 7," in text for text in page.warnings)
    verdicts = column(table(page, "ablation"), "verdict")
    assert verdicts["attention"] == "undecided: 1 seed, no base to compare with"
    assert column(table(page, "ablation"), "SSIM, 95% interval")["attention"] == "-"


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    page = make(tmp_path)
    found = table(page, "ablation")
    assert column(found, "verdict")["attention"] == "undecided (1 of about 3 seeds)"
    assert column(found, "gain, adjusted interval")["attention"] == column(found, "p (Holm)")["attention"] == "-"
    assert any("fewer than 3 seeds" in text for text in page.warnings)
    assert not any("helps" in text or "hurts" in text for text in page.summary)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_run_without_finite_ssim_leaves_no_mean(tmp_path: Path, value: float | None) -> None:
    run_id = fill(tmp_path)[-1]
    metrics = dict.fromkeys(("mse", "mae", "psnr", "ssim_article", "ssim_openstl"), 1.0) | {"ssim": value}
    rewrite(tmp_path, run_id, metrics=metrics)
    page = make(tmp_path)
    found = table(page, "ablation")
    assert column(found, "SSIM, mean")["attention"] == "not finite (seed 2)"
    assert column(found, "gain over base (SSIM)")["attention"] == "-"
    assert column(found, "verdict")["attention"].startswith("failed: its seed 2 gave no finite result")
    assert any("seed 2 is missing or not finite" in text for text in page.warnings)
    assert "not finite" in {cell.text for row in table(page, "seeds").rows for cell in row}


def test_nan_everywhere(tmp_path: Path) -> None:
    nothing = {name: None for name in CONVENTIONS if name not in ("version", "headline", "values")}
    for run_id in fill(tmp_path):
        rewrite(
            tmp_path,
            run_id,
            metrics=nothing,
            params=None,
            flops_per_sequence=None,
            baselines={"blank": {}, "repeat_last": {}},
        )
        rewrite(tmp_path, run_id, metrics_per_frame={})
        rewrite(tmp_path, run_id, "sequences.json", ssim=[None] * 5)
    page = make(tmp_path)
    assert column(table(page, "ablation"), "parameters")["base"] == "-"
    assert "no finite SSIM" in page.summary[0]
    assert {figure.id for section in page.sections for figure in section.figures} <= {"validation"}


def test_runs_of_a_removed_plugin_stay_readable(tmp_path: Path) -> None:
    for run_id in fill(tmp_path):
        record = Folder(tmp_path / "runs" / run_id).read("experiment.json")
        if record["variant"] == "attention":
            record["experiment"]["architecture"]["bottleneck"] = {"type": "gone.Module", "size": 3}
            rewrite(tmp_path, run_id, "experiment.json", **(record | {"variant": "gone"}))
    page = make(tmp_path)
    row = {
        name: cells["gone"] for name in table(page, "ablation").columns if (cells := column(table(page, "ablation"), name))
    }
    assert row["claimed SSIM"] == row["claimed time"] == "-"
    assert float(row["SSIM, mean"]) > 0
    assert any("plugins that are not installed" in text and "gone" in text for text in page.warnings)
    assert column(table(page, "sources"), "what it does")["gone"] == "its plugin is not installed"


def test_costs_are_means_over_seeds_and_what_nobody_used_has_no_column(tmp_path: Path) -> None:
    for seed, seconds in enumerate((100.0, 104.0)):
        write_run(tmp_path, cell("base", seed), Fake(seconds=seconds))
    shown = methods.costs(first_group(tmp_path), "t", "T")
    assert column(shown, "training time (s)")["base"] == "102.0"
    assert not any("GPU" in heading for heading in shown.columns)
    assert column(shown, "process memory (GiB)")["base"] == f"{1.2e9 / 2**30:.2f}"


def test_validation_stands_beside_test(tmp_path: Path) -> None:
    fill(tmp_path)
    shown = methods.validation(first_group(tmp_path), "t", "T")
    assert set(column(shown, "validation minus test").values()) == {"+0.0020"}
    gains = [column(shown, f"gain over base on {part}")["attention"] for part in ("validation", "test")]
    assert gains[0] == gains[1]
    assert column(shown, "gain over base on test")["base"] == "-"


def test_claims_are_the_article_s_alone_and_go_together(tmp_path: Path) -> None:
    stated = {plugin.name for plugin in VARIANTS if plugin.value.claim.ssim and plugin.value.changes}
    assert "attention" in stated
    assert methods.claim("attention", VARIANTS) == VARIANTS.plugin("attention").value.claim
    assert methods.claim("+".join(sorted(stated)), VARIANTS).ssim == methods.ARTICLE_TOGETHER
    assert methods.claim("attention+gone", VARIANTS).ssim == ""


def test_a_verdict_is_short_where_room_is_short() -> None:
    base, arm = sample(4), shifted(sample(4), 0.004, 0.01)
    found = compare(base, arm)
    needed = found.verdict.seeds_needed
    assert needed is not None
    assert methods.verdict(found, estimate(arm)) == f"undecided (4 of about {needed} seeds)"
    assert methods.verdict(None, estimate([0.5, 0.6])) == "undecided: 2 seeds, no base to compare with"
    assert methods.verdict(None, estimate([0.5, 0.6, 0.7])) == "undecided: no base to compare with"
