"""Rows that are doses of one thing, and the curve through them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_store import cell, write_run

import harness
from harness.store import Store
from reports.analysis.doses import _without_one, doses
from reports.analysis.overview import analyse
from reports.analysis.reading import read_document, read_store
from reports.figures.doses import response


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("attention", []),
        ("attention(heads=8)", [("attention", "heads")]),
        ("attention(blocks=1, heads=8)+tta", [("attention(heads=8)+tta", "blocks"), ("attention(blocks=1)+tta", "heads")]),
        ("attention+base(training.batch_size=2)", [("attention", "training.batch_size")]),
    ],
)
def test_an_argument_is_taken_out_of_a_name(text: str, found: list[tuple[str, str]]) -> None:
    assert _without_one(text) == found


def test_a_report_draws_a_curve_for_each_number_that_varies(tmp_path: Path, quick: None) -> None:
    settings = {"training.steps": 2, "training.validate_every": 2}
    for arms in (
        {"variants": ["attention(heads=1)", "attention(heads=8)", "attention"]},
        {"sweep": {"training.optimizer.lr": [0.001]}},
        {"sweep": {"training.data_order": [1]}},  # names other sequences: no amount
    ):
        harness.ablate(**arms, seeds=3, preset="tiny", settings=settings, store=tmp_path, progress=False)  # type: ignore[arg-type]
    main = analyse(read_store(harness.library._store(tmp_path))).groups[0]
    found = doses(main)
    assert {path: {name: list(points) for name, points in curves.items()} for path, curves in found.items()} == {
        "architecture.bottleneck.heads": {"attention": [1, 4, 8]},
        "training.optimizer.lr": {"base": [0.001, 0.003]},
    }
    figure = response(main, "architecture.bottleneck.heads", found["architecture.bottleneck.heads"], "dose-1")
    assert "attention at 8: " in figure.alt
    assert figure.svg.startswith("<?xml")
    page = harness.report(tmp_path, tmp_path / "page")
    text = (page.parent / "report.md").read_text()
    assert "How much of it" in text
    assert "Dose-response: architecture.bottleneck.heads" in text
    assert "harness ablate --plan 'attention(heads=8)'" in text
    assert "not installed" not in text
    assert "Arms that plans left out" in text
    assert "| attention+attention(heads=1)+attention(heads=8) | " in text
    (again,) = (one.left_out for one in read_document(page.parent / "data.json").plans if one.left_out)
    assert again["attention+attention(heads=1)+attention(heads=8)"] in text
    assert {one.name for one in (page.parent / "figures").glob("dose-*")} == {
        f"dose-{number}.{ending}" for number in (1, 2) for ending in ("pdf", "png", "svg")
    }


def test_arms_that_change_the_loss_alone_stand_in_the_loss_table(tmp_path: Path) -> None:
    for seed in range(3):
        for name in ("base", "base(loss=mse)", "attention"):
            write_run(tmp_path, cell(name, seed, "tiny"))
    losses = analyse(read_store(Store(tmp_path))).losses
    assert losses is not None
    assert [(one.label, one.seeds) for one in losses.methods] == [
        ("0.7 MSE + 0.3 (1 - SSIM)", [0, 1, 2]),
        ("1 MSE", [0, 1, 2]),
    ]
    assert losses.comparisons["1 MSE"].seeds == (0, 1, 2)
