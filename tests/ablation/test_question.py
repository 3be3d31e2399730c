"""What a plan asks is written before its first run, stays as it was written, and says what departs from it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from scipy import stats

from harness.ablation.auto import SeedRule
from harness.ablation.plan import Ablation
from harness.ablation.runner import Runner
from harness.errors import RequestError
from harness.runs.request import Request
from harness.store import Folder, Store

PLAN = Ablation(plan="base,attention,base(training.batch_size=2)", variants=(), seeds=(0, 1), request=Request(preset="tiny"))


def asked(plan: Ablation, root: Path) -> Runner:
    runner = Runner(plan, Store(root), lambda text: None)
    runner.prepare()
    return runner


def test_the_question_has_metric_margin_family_and_what_differs(tmp_path: Path) -> None:
    question = asked(PLAN, tmp_path).question()
    assert question is not None
    assert [(one.treated, one.reference) for one in question.contrasts] == [
        ("attention", "base"),
        ("base(training.batch_size=2)", "base"),
    ]
    assert (question.metric, question.higher_is_better, question.margin, question.seeds) == ("ssim", True, 0.005, (0, 1))
    assert question.differs == {"base(training.batch_size=2)": ["training.batch_size 2 (base: 4)"]}
    assert question.held_equal == ["steps", "data"]


def test_an_arm_that_changes_its_steps_is_not_held_equal(tmp_path: Path) -> None:
    question = asked(replace(PLAN, plan="base,base(training.steps=3)"), tmp_path).question()
    assert question is not None
    assert question.held_equal == ["batch size", "data"]
    assert list(question.differs) == ["base(training.steps=3)"]


def test_a_budget_in_seconds_holds_seconds_equal(tmp_path: Path) -> None:
    question = asked(replace(PLAN, request=Request(preset="tiny", settings={"training.seconds": 9})), tmp_path).question()
    assert question is not None
    assert question.text.endswith("at equal seconds?")
    assert question.held_equal == ["seconds", "data"]


def test_a_plan_of_one_arm_asks_what_it_reaches(tmp_path: Path) -> None:
    question = asked(replace(PLAN, plan="base", controls=True), tmp_path).question()
    assert question is not None
    assert question.text == "What does the plan's one arm reach in ssim (higher is better)?"


def test_what_differs_is_listed_whatever_is_held_equal(tmp_path: Path) -> None:
    """At equal operations the plan itself sets the steps; batches, and how early a training may stop, are still the arm's own."""
    arm = "base(training.batch_size=2, training.patience=3)"
    runner = asked(replace(PLAN, plan=f"base,{arm}", match="flops"), tmp_path)
    question = runner.question()
    assert question is not None
    (found,) = question.differs.values()
    assert [one.split()[0] for one in found] == ["training.batch_size", "training.patience"]
    assert question.held_equal == ["flops", "data"]


def test_leave_one_out_compares_everything_with_everything_but_one(tmp_path: Path) -> None:
    plan = replace(PLAN, plan="leave-one-out", variants=("attention", "curriculum", "tta"))
    question = asked(plan, tmp_path).question()
    assert question is not None
    full = "attention+curriculum+tta"
    assert {(one.name, one.treated, one.reference) for one in question.contrasts} == {
        (full, full, "base"),
        ("attention with the others", full, "curriculum+tta"),
        ("curriculum with the others", full, "attention+tta"),
        ("tta with the others", full, "attention+curriculum"),
    }


def test_the_first_question_stays_and_another_is_a_departure(tmp_path: Path) -> None:
    first, second = (asked(replace(PLAN, margin=margin), tmp_path) for margin in (0.01, 0.02))
    for runner in (first, second, second):
        question = runner.question()
        assert question is not None
        runner._record.register(question, runner.rows)
        runner._record.save(runner.rows)
    (path,) = (tmp_path / "plans").iterdir()
    record = Folder(path.parent).read(path.name)
    assert record["question"]["margin"] == 0.01
    (departure,) = record["departures"]
    assert departure.startswith("asked again with another margin (digest ")
    assert record["question"]["digest"] not in departure


def test_the_test_is_chosen_before_and_another_is_a_departure(tmp_path: Path) -> None:
    first, second = (asked(replace(PLAN, test=test), tmp_path) for test in ("t", "signed-rank"))
    for runner in (first, second):
        question = runner.question()
        assert question is not None
        runner._record.register(question, runner.rows)
        runner._record.save(runner.rows)
    (path,) = (tmp_path / "plans").iterdir()
    record = Folder(path.parent).read(path.name)
    assert record["question"]["test"] == "paired t over seeds"  # as in records from before there was a choice
    assert record["departures"][0].startswith("asked again with another test (digest ")
    with pytest.raises(RequestError, match="--test bayes; choose t, signed-rank"):
        replace(PLAN, test="bayes")
    with pytest.raises(RequestError, match="boundaries for the t test alone"):
        replace(PLAN, seeds=tuple(range(4)), rule=SeedRule(most=4), test="signed-rank")


def test_a_dry_run_says_that_few_seeds_can_never_reach_the_level(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--preset", "cpu", "--set", "training.steps=2", "--dry-run", "--store", tmp_path)
    found = harness(*words, "--plan", "base,tta,curriculum", "--seeds", 3, "--test", "signed-rank")
    assert "3 seeds: the least p of the signed-rank test is 0.25; Holm's first level is 0.025" in found.out
    assert "no arm alone can be found; give 7 seeds or more" in found.out  # 2 / 2**7 = .016, 2 / 2**6 = .031


def test_a_metric_without_measured_noise_needs_a_margin(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--metric mse: no noise of five seeds was measured .* give --margin"):
        asked(replace(PLAN, metric="mse"), tmp_path).question()
    question = asked(replace(PLAN, metric="mse", margin=0.5), tmp_path).question()
    assert question is not None
    assert (question.higher_is_better, question.margin) == (False, 0.5)
    with pytest.raises(RequestError, match="unknown metric"):
        asked(replace(PLAN, metric="sism"), tmp_path).question()


def test_a_plan_that_finds_next_to_nothing_is_warned_of(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--preset", "cpu", "--set", "training.steps=2", "--dry-run", "--store", tmp_path)
    few = harness(*words, "--plan", "base,tta,curriculum,attention,residual,convgru", "--seeds", 3)
    assert "3 seeds and 5 comparisons find a gain of" in few.out
    assert "warning: that is" in few.out
    many = harness(*words, "--plan", "base,tta", "--seeds", 20, "--json").document
    assert many["power"]["gain"] < many["question"]["margin"]
    assert many["power"]["comparisons"] == 1


def test_without_measured_noise_it_is_said_in_sd(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--preset", "tiny", "--dry-run", "--store", tmp_path, "--plan", "base,tta,curriculum")
    few = harness(*words, "--seeds", 3).out
    found = re.search(
        r"3 seeds and 2 comparisons find a gain of ([\d.]+) sd of the differences in ssim with 80% power after Holm", few
    )
    assert found is not None
    draws = np.random.default_rng(0).normal(float(found[1]), 1, (4000, 3))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05 / 2) == pytest.approx(0.8, abs=0.03)
    more = re.search(r"warning: a gain of one sd takes (\d+) seeds", few)
    assert more is not None
    draws = np.random.default_rng(1).normal(1, 1, (4000, int(more[1])))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05 / 2) == pytest.approx(0.8, abs=0.04)
    assert "one seed finds nothing in ssim: give --seeds 3 or more" in harness(*words, "--seeds", 1).out
    alone = harness(*words, "--seeds", 3, "--plan", "base", "--controls").out
    assert "no arm is compared in ssim, so there is no gain to find; controls are judged by themselves" in alone
