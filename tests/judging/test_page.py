"""The page of a judged table: the first screen, the tables, and the data that give it again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from filled_stores import not_drawn
from judged_results import ARMS, BASE, SEEDS, VERDICTS, tidy

from reports.figures import canvas
from reports.judging import families
from reports.judging.columns import Asked, read_runs
from reports.judging.page import MOST_RUNS, make_page
from reports.page import Page, Table


@pytest.fixture(autouse=True)
def plots_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "save", not_drawn)


def page_of(frame: pd.DataFrame, *metrics: str, costs: tuple[str, ...] = ()) -> Page:
    runs = read_runs(frame, Asked(metrics=metrics or ("ssim",), costs=costs))
    judged = [families.compared(runs, name, None) for name in runs.metrics]
    return make_page(frame, runs, judged, families.cost_ratios(runs), families.plan(runs, judged), ("a note",))


def table(page: Page, id_: str) -> Table:
    return next(one for one in page.tables if one.id == id_)


def test_the_first_screen_has_the_reference_and_every_arm_with_its_verdict() -> None:
    answer = page_of(tidy()).answer
    assert answer is not None
    base, *arms = answer.effects
    assert (base.name, base.sure, base.text[:6]) == ("base", f"{SEEDS} seeds", f"{np.mean(BASE):.4f}")
    assert {one.name: one.verdict for one in arms} == VERDICTS
    for one in arms:
        assert one.gain == pytest.approx(np.mean(ARMS[one.name] - BASE))
    assert [(one.passed, one.words) for one in answer.controls] == [
        (True, "no run failed"),
        (True, f"{SEEDS} seeds an arm, paired by seed"),
    ]


def test_a_failed_run_and_a_metric_that_says_the_opposite_are_controls_that_fail() -> None:
    frame = tidy().assign(mae=lambda f: f["ssim"])  # lower is better, so that each claim turns
    frame.loc[(frame["arm"] == "noisy") & (frame["seed"] == 0), "ssim"] = np.nan
    answer = page_of(frame, "ssim", "mae").answer
    assert answer is not None
    failed, few, flipped = answer.controls
    assert (failed.passed, failed.words) == (False, "1 arm with a failed run")
    assert few.words.startswith(f"{SEEDS - 1} to {SEEDS} seeds an arm")
    assert (flipped.passed, flipped.words) == (False, "mae says the opposite of better, worse")


def test_the_data_of_a_page_give_its_comparisons_again() -> None:
    page = page_of(tidy(), "ssim")
    runs = next(one for one in page.data if one.id == "runs")
    again = page_of(
        pd.DataFrame(runs.rows, columns=list(runs.columns)).rename(columns={"value": "ssim"}).drop(columns="metric")
    )
    shown = [[[cell.text for cell in row] for row in table(one, "statistics").rows] for one in (page, again)]
    assert shown[0] == shown[1]


def test_a_cost_has_a_table_a_front_and_a_column_of_the_paper() -> None:
    frame = tidy().assign(seconds=lambda f: f["arm"].map({"base": 10.0, "better": 20.0}).fillna(30.0))
    page = page_of(frame, costs=("seconds",))
    assert {row[0].text: row[1].text for row in table(page, "costs").rows}["better"] == "2.00x"
    assert page.answer is not None
    assert page.answer.tradeoff == ("Not beaten by another arm's means (Pareto front) against seconds: base, better.",)
    assert page.paper is not None
    assert {row[0].text: row[1].text for row in page.paper.table.rows}["better"] == "2.00x"


def test_more_runs_than_a_table_shows_are_counted() -> None:
    frame = pd.DataFrame({"arm": ["base", "b"] * MOST_RUNS, "seed": np.repeat(np.arange(MOST_RUNS), 2), "ssim": 0.5})
    frame["ssim"] += 0.01 * np.random.default_rng(0).standard_normal(len(frame))
    shown = table(page_of(frame), "runs")
    assert len(shown.rows) == MOST_RUNS
    assert shown.note == "The first 2,000 of 4,000 runs; the file has all."


def test_how_the_table_was_read_is_said_and_the_verdicts_are_exploratory() -> None:
    sections = {one.id: one for one in page_of(tidy()).sections}
    assert "a note" in sections["method"].paragraphs
    assert "Judged after the runs were made, so exploratory unless this digest" in sections["statistics"].paragraphs[0]
