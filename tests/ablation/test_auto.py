"""`--seeds auto`: decisions follow from the stored results and the plan alone, and decided arms get no more seeds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commands import Command
from plan_cells import auto_plan, ssim, stub_runner, submitted
from study_cells import AtOnce, Crash

from harness.ablation import rule as rules
from harness.ablation import sequential
from harness.ablation.auto import SeedRule, decide, seed_rule
from harness.ablation.sequential import looks
from harness.errors import RequestError
from harness.store import Folder

RULE = SeedRule(most=13, margin=0.005)
ARMS = ("attention", "curriculum", "residual", "tta")


def values(name: str, count: int) -> dict[int, float | None]:
    return {seed: ssim(name, seed) for seed in range(count)}


def test_a_decision_is_that_of_the_rule_at_the_look_where_the_arm_stopped() -> None:
    found = decide(RULE, range(13), values("base", 13), {name: values(name, 13) for name in ARMS})
    assert {one.arm: one.verdict for one in found.decisions} == {
        "attention": "helps", "curriculum": "hurts", "residual": "undecided", "tta": "equivalent"
    }  # fmt: skip
    assert (found.look, found.open) == (None, ())
    base = np.array([ssim("base", seed) for seed in range(13)])
    drawn = np.stack([[ssim(name, seed) for seed in range(13)] for name in ARMS]) - base
    state = rules.start((4,))
    for n in looks(13):
        state = rules.look(state, drawn[:, :n], looks(13), 0.005, 0.05, size=0.8)
    for one, seeds, low, high in zip(found.decisions, state.seeds, state.low, state.high, strict=True):
        assert (one.seeds, one.low, one.high) == (seeds, pytest.approx(low), pytest.approx(high))
    assert found.decisions[2].seeds == 13
    assert "undecided at 13 seeds: " in found.decisions[2].words
    assert "helps after" in found.decisions[0].words


def test_a_metric_to_be_lowered_turns_helps_and_hurts_around() -> None:
    lower = SeedRule(most=13, margin=0.005, higher_is_better=False)
    found = decide(lower, range(13), values("base", 13), {name: values(name, 13) for name in ARMS[:2]})
    assert [one.verdict for one in found.decisions] == ["hurts", "helps"]


def test_a_look_waits_for_all_seeds_of_the_open_arms_and_of_base_alone() -> None:
    assert decide(RULE, range(13), {}, {"attention": {}}).look == 4
    arms = {name: values(name, 4) for name in ARMS}
    found = decide(RULE, range(13), values("base", 4), arms)
    assert found.look == 6
    assert "tta" not in found.open
    more = {name: values(name, 6 if name in found.open else 4) for name in ARMS}
    assert decide(RULE, range(13), values("base", 5), more).look == 6
    assert decide(RULE, range(13), values("base", 6), more).look != 6
    # More seeds of a decided arm change nothing: its look was its last.
    assert decide(RULE, range(13), values("base", 6), more | {"tta": values("tta", 13)}) == decide(
        RULE, range(13), values("base", 6), more
    )


def test_a_failed_run_is_a_failed_arm_and_a_failed_base_fails_all_open_arms() -> None:
    broken = values("residual", 13) | {5: None}
    found = decide(RULE, range(13), values("base", 13), {"attention": values("attention", 13), "residual": broken})
    assert [one.verdict for one in found.decisions] == ["helps", "failed"]
    assert "failed after 4 of at most 13 seeds" in found.decisions[1].words
    nothing = decide(RULE, range(13), values("base", 13) | {0: float("nan")}, {"attention": values("attention", 13)})
    assert [(one.verdict, one.difference) for one in nothing.decisions] == [("failed", None)]


def test_the_record_of_a_rule_gives_the_rule_back() -> None:
    assert SeedRule.of(RULE.record()) == RULE
    assert RULE.record()["looks"] == [4, 6, 9, 13]


@pytest.mark.parametrize(
    ("text", "most", "margin", "error"),
    [("5", 9, None, "belongs to --seeds auto"), ("auto", 3, None, "--max-seeds 3"), ("auto", None, 0.0, "--margin 0.0")],
)
def test_options_out_of_place_are_refused(text: str, most: int | None, margin: float | None, error: str) -> None:
    with pytest.raises(RequestError, match=error):
        seed_rule(text, most, margin)


def test_the_rule_judges_the_metric_that_is_named_in_its_direction() -> None:
    assert seed_rule("auto", None, 0.5, "mse") == SeedRule(margin=0.5, metric="mse", higher_is_better=False)
    own = SimpleNamespace(name="distance", higher_is_better=False)
    found = seed_rule("auto", None, 0.1, "distance", more=lambda: (own,))  # type: ignore[arg-type, return-value]
    assert found is not None
    assert not found.higher_is_better
    with pytest.raises(RequestError, match="unknown metric 'distance'"):
        seed_rule("auto", None, 0.1, "distance")


def test_seeds_that_are_given_have_no_rule_and_a_plan_of_copies_takes_none() -> None:
    assert seed_rule("5", None, None) is None
    with pytest.raises(RequestError, match="not auto"):
        auto_plan((), plan="a-a")


# --- the run of a plan ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A plan run to its end without a break: its store and where it stands."""
    root = tmp_path_factory.mktemp("auto")
    runner = stub_runner(root, auto_plan())
    assert all(row.status == "finished" for row in runner.run())
    return root, runner.standing()


def test_decided_arms_get_no_more_seeds_and_base_as_many_as_the_last_open_arm(whole: tuple[Path, Any]) -> None:
    root, standing = whole
    ran = Counter(name for name, _ in submitted(root))
    assert ran == {one.arm: one.seeds for one in standing.decisions} | {"base": 13}
    assert ran["tta"] == 4
    assert ran["attention"] < 13
    assert len(set(submitted(root))) == len(submitted(root))


def test_the_plans_record_has_the_rule_and_the_decisions(whole: tuple[Path, Any]) -> None:
    root, standing = whole
    (path,) = (root / "plans").glob("*.json")
    record = Folder(path.parent).read(path.name)
    assert SeedRule.of(record["seed_rule"]) == RULE
    assert [(one["arm"], one["verdict"], one["seeds"], one["low"]) for one in record["decisions"]] == [
        (one.arm, one.verdict, one.seeds, one.low) for one in standing.decisions
    ]
    assert len(record["cells"]) == len(submitted(root))


def test_the_same_command_runs_nothing_again_and_decides_the_same(whole: tuple[Path, Any]) -> None:
    root, standing = whole
    before = submitted(root)
    runner = stub_runner(root, auto_plan())
    assert all(row.cached for row in runner.run())
    assert submitted(root) == before
    assert runner.standing() == standing


@pytest.mark.parametrize("after", [0, 1, 7, 19, 20, 21, 26, 33])
def test_killed_anywhere_and_resumed_it_takes_the_same_decisions(
    after: int, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    with pytest.raises(Crash):
        stub_runner(tmp_path, auto_plan(), lambda slots: AtOnce(slots, dies_after=after)).run()  # type: ignore[arg-type, return-value]
    assert len(submitted(tmp_path)) == after
    runner = stub_runner(tmp_path, auto_plan(workers=2))
    runner.run()
    assert runner.standing() == whole[1]
    assert sorted(submitted(tmp_path)) == sorted(submitted(whole[0]))


def test_runs_that_lie_in_the_store_beyond_the_look_change_nothing(whole: tuple[Path, Any], tmp_path: Path) -> None:
    """Seeds that another plan trained are there at once; the rule still looks after 4."""
    stub_runner(tmp_path, auto_plan(("attention", "tta"), rule=None, seeds=tuple(range(13)))).run()
    runner = stub_runner(tmp_path, auto_plan())
    runner.run()
    assert runner.standing() == whole[1]


def test_a_cell_that_fails_fails_its_arm_until_it_is_run_again(whole: tuple[Path, Any], tmp_path: Path) -> None:
    def breaks(name: str, seed: int) -> float | None:
        return None if (name, seed) == ("residual", 5) else ssim(name, seed)

    runner = stub_runner(tmp_path, auto_plan(), value=breaks)
    runner.run()
    verdicts = {one.arm: one.verdict for one in runner.standing().decisions}  # type: ignore[union-attr]
    assert verdicts == {"attention": "helps", "curriculum": "hurts", "residual": "failed", "tta": "equivalent"}
    assert Counter(name for name, _ in submitted(tmp_path))["residual"] == 6
    again = stub_runner(tmp_path, auto_plan())
    again.run()
    assert again.standing() == whole[1]


def test_the_command_says_the_rule_and_what_each_arm_came_to(whole: tuple[Path, Any], harness: Command) -> None:
    words = ["ablate", "--preset", "tiny", "--plan", "base,attention,curriculum,residual,tta", "--seeds", "auto"]
    words += ["--max-seeds", "13", "--store", str(whole[0])]
    answer = harness(*words)
    assert answer.code == 0
    assert "residual: undecided at 13 seeds" in answer.out
    assert "tta: equivalent after 4 of at most 13 seeds" in answer.out
    assert "looks after 4, 6, 9, 13 seeds; 65 cells at most" in answer.out
    document = harness(*words, "--json", "--dry-run").document
    assert [one["verdict"] for one in document["decisions"]] == ["helps", "hurts", "undecided", "equivalent"]
    assert document["seed_rule"]["margin"] == 0.005


def test_a_dry_run_shows_the_cells_of_the_first_look(tmp_path: Path, harness: Command) -> None:
    answer = harness("ablate", "--preset", "tiny", "--plan", "base,tta", "--seeds", "auto", "--dry-run", "--store", tmp_path)
    assert answer.code == 0
    assert answer.out.count("waiting") == 8
    assert "looks after 4, 6, 9, 13, 20, 30 seeds; 60 cells at most" in answer.out
    said = re.search(
        r"30 seeds at most and 1 comparison find a gain of (0\.\d+) sd of the differences in ssim with 80%", answer.out
    )
    assert said is not None
    assert float(said[1]) == pytest.approx(sequential.reach(sequential.looks(30), 1, 0.8)[0], abs=0.005)


def test_an_arm_without_a_network_is_judged_by_the_rule_too(tmp_path: Path, harness: Command) -> None:
    words = ["--preset", "tiny", "--plan", "base,base(inference.predictor=repeat-last)", "--store", tmp_path]
    answer = harness("ablate", *words, "--seeds", "auto", "--max-seeds", 4, "--json")
    assert answer.code == 0, answer.err
    (decided,) = answer.document["decisions"]
    assert decided["verdict"] == "helps"  # six steps of training are not enough to beat it


def test_in_a_notebook_the_verdicts_are_those_of_the_rule(whole: tuple[Path, Any]) -> None:
    import harness

    plan = {"plan": "base,attention,curriculum,residual,tta", "preset": "tiny", "store": whole[0]}
    found = harness.ablate(seeds="auto", max_seeds=13, progress=False, **plan)  # type: ignore[arg-type]
    frame = found.verdicts()
    assert frame["seeds"].tolist() == [one.seeds for one in whole[1].decisions]
    assert frame["verdict"].tolist() == ["helps", "hurts", "undecided", "equivalent"]
