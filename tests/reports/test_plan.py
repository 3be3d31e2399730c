"""The plan in words: what was asked, what departs from it, and whether the controls passed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from filled_stores import fill, first_group
from samples import sample, shifted

from reports.analysis.comparisons import compare
from reports.analysis.groups import Group
from reports.analysis.records import PlannedCell, PlanRecord
from reports.pages.plan import checked_controls, control_words, exploratory, held_equal, plan_words

BASE = sample(5)
HURTS, NONE = (
    compare(BASE, shifted(BASE, by, sd), name=name) for name, by, sd in (("half", -0.05, 0.002), ("other", 0.0, 0.02))
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Group:
    root = tmp_path_factory.mktemp("plan")
    fill(root, seeds=(0, 1))
    return first_group(root)


def asked(group: Group, seeds: tuple[int, ...] = (0, 1), **question: Any) -> Group:
    """The group with a plan that asked before the first run."""
    cells = tuple(
        PlannedCell(label=name, variant=name, seed=seed, run_id=None, status="finished", error="")
        for name in ("base", "attention")
        for seed in seeds
    )
    usual = {
        "question": "Which?",
        "digest": "d1",
        "margin": 0.005,
        "margin_from": "given",
        "budget": "steps",
        "held_equal": ["data"],
    }
    record = PlanRecord(
        key="k", plan="add-one", match="steps", preset="cpu", reference="base", command="", cells=cells,
        question=usual | question,
    )  # fmt: skip
    return replace(group, plan=record, exploratory=())


def test_without_a_plan_all_is_exploratory(plain: Group) -> None:
    assert plan_words(plain) == ["Exploratory: no plan made these runs, so every row of the table is in one family."]
    assert exploratory(plain) == held_equal(plain) == control_words(plain) == []


def test_a_plan_that_was_kept_states_its_question_and_no_departure(plain: Group) -> None:
    first, second = plan_words(asked(plain))
    assert first == "Plan d1, written before its first run: Which?"
    assert second == "Margin 0.005: given. Family: 0 comparisons, Holm at 5%. Held equal and checked: steps, data."


def test_what_departs_from_the_plan_is_named(plain: Group) -> None:
    group = replace(asked(plain, seeds=(0,)), margin=0.01, exploratory=("tta",))
    assert exploratory(group) == [
        "the margin was set to 0.01 afterwards",
        "seeds 1 lie in the store and are not the plan's: they are in means, not in verdicts",
        "not in the plan's family: tta",
    ]
    assert [one for one in plan_words(group) if one.startswith("Exploratory")] == [
        f"Exploratory: {one}." for one in exploratory(group)
    ]


def test_a_budget_is_held_equal_unless_an_arm_differs_in_it(plain: Group) -> None:
    assert held_equal(asked(plain, differs={"half": ["steps"]}, controls={"half": "hurts"})) == ["steps", "data"]
    assert held_equal(asked(plain, differs={"attention": ["training.batch_size 8"]})) == ["data"]
    assert "attention differs beside its idea: training.batch_size 8." in plan_words(
        asked(plain, differs={"attention": ["training.batch_size 8"]})
    )


def test_a_control_passes_with_its_verdict_and_a_null_where_it_is_not_called(plain: Group) -> None:
    group = replace(asked(plain, controls={"half": "hurts", "other": "equivalent"}), controls=(HURTS, NONE))
    assert NONE.verdict.kind.value == "undecided"
    assert [(must, passed) for _, must, passed in checked_controls(group)] == [("hurts", True), ("equivalent", True)]
    (words,) = control_words(group)
    assert words.startswith("The regime passed its controls: half hurts by more than 0.005 (as it must); other undecided")


def test_a_control_that_failed_and_one_that_was_not_run_are_told_apart(plain: Group) -> None:
    wrong = replace(asked(plain, controls={"half": "helps"}), controls=(HURTS,))
    (words,) = control_words(wrong)
    assert words.startswith("The regime failed its controls, so its verdicts mean little: half hurts")
    assert words.endswith("(must be helps).")
    absent = replace(asked(plain, controls={"half": "hurts"}), controls=(compare(BASE, {}, name="half"),))
    assert control_words(absent)[0].startswith("The controls are not all run")


def test_a_control_with_seeds_to_come_neither_passed_nor_failed(plain: Group) -> None:
    group = replace(asked(plain, controls={"half": "helps"}), controls=(HURTS,))
    assert group.plan is not None
    for more, passed in ((0, False), (1, None)):
        cells = tuple(replace(group.plan.cells[0], label="half", seed=seed) for seed in range(HURTS.n + more))
        later = replace(group, plan=replace(group.plan, cells=cells))
        assert checked_controls(later) == [(HURTS, "helps", passed)]
    assert control_words(later)[0].startswith("The controls are not all run")
