"""Tables of where results come from: conventions, sources, versions, tuned rates, and what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fake_store import BLANK
from filled_stores import VARIANTS, column, fill, first_group

from harness.evaluation.conventions import METRICS
from reports.analysis.records import MetricInfo, Trouble
from reports.pages import provenance


def test_metrics_have_their_range_and_what_the_blank_frame_scores(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0,))
    extra = MetricInfo(
        name="odd", title="ODD", higher_is_better=False, lowest=0.0, highest=None, unit="", convention="how odd it is"
    )
    shown = provenance.conventions("t", "T", first_group(tmp_path).first, [extra])
    assert [row[0].text for row in shown.rows] == [*(one.title for one in METRICS.values()), "ODD"]
    assert column(shown, "better")["MSE"] == "lower"
    assert column(shown, "blank frame")["SSIM"] == f"{BLANK['ssim']:.4f}"
    assert column(shown, "blank frame")["MSE"] == f"{BLANK['mse']:.2f}"  # it has a unit
    assert (column(shown, "range")["ODD"], column(shown, "blank frame")["ODD"]) == ("from 0", "-")
    assert column(shown, "what is computed")["ODD"] == "how odd it is"


def test_what_ran_in_several_versions_names_all_of_them(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0, 1))
    first, second = first_group(tmp_path).runs
    older = replace(second, device="GPU 9000", facts={**second.facts, "torch": "2.0.0"})
    bare = replace(second, facts={})
    shown = column(provenance.versions([first, older, bare], "t", "T"), "value")
    assert shown["torch"] == "2.13.0; 2.0.0; not recorded"
    assert shown["device"] == f"{first.device}; GPU 9000"
    assert shown["test set"] == first.test_digest, "once, however many runs"


def test_sources_say_why_a_variant_has_none() -> None:
    shown = column(provenance.sources(["attention", "gone"], VARIANTS, "t", "T"), "what it does")
    assert shown["attention"] == VARIANTS.plugin("attention").value.summary
    assert shown["gone"] == "its plugin is not installed"


def test_trials_of_a_tuned_rate_are_in_the_order_of_the_rates() -> None:
    trials = [{"rate": 0.03, "value": 0.71234}, {"rate": 0.001, "value": 0.5}]
    shown = provenance.tuned({"tau": {"rate": 0.03, "own": 0.001, "seed": 7, "trials": trials}}, "t", "T")
    assert [cell.text for cell in shown.rows[0]] == ["tau", "0.03", "0.001", "7", "0.001: 0.5, 0.03: 0.7123"]


def test_troubles_and_arms_left_out_keep_their_reasons_short() -> None:
    lost = Trouble(where="r" * 300, status="failed", reason="e" * 900)
    (row,) = provenance.troubles([lost], "t", "T").rows
    assert (row[1].text, row[2].text, row[3].text) == ("-", "-", "failed")
    assert row[4].text.endswith("(900 characters)")
    (row,) = provenance.left_out({"tau": "needs 3 channels"}, "t", "T").rows
    assert [cell.text for cell in row] == ["tau", "needs 3 channels"]
