"""Every arm's learning rate, tuned by an equal number of trials before a plan is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Command

import harness
from harness.ablation.tune import rates
from harness.errors import RequestError
from harness.store import Store
from harness.training import loop

RATE = "training.optimizer.lr"
SETTINGS = {"training.steps": 4, "training.validate_every": 2}


def test_rates_lie_around_the_arms_own_in_half_decades() -> None:
    assert rates(5e-3, 1) == [5e-3]
    assert rates(5e-3, 5) == [5e-3, 0.0158, 1.58e-3, 0.05, 5e-4]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, harness.Results]:
    """A plan of networks at equal seconds, each arm tuned by three trials."""
    from harness.evaluation import cost as measure

    root = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(measure, "median_seconds", lambda once, seconds, **options: once() or 1.0)
        found = harness.ablate(
            ["convgru", "simvp"],
            plan="networks",
            equal="seconds",
            tune=3,
            seeds=2,
            preset="tiny",
            settings=SETTINGS,
            store=root,
            progress=False,
        )
    return root, found


def record_of(root: Path) -> dict[str, Any]:
    (path,) = (root / "plans").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_each_arm_is_judged_with_the_rate_that_was_best_on_validation(plan: tuple[Path, harness.Results]) -> None:
    root, found = plan
    record = record_of(root)
    assert record["tune"] == 3
    assert set(record["tuned"]) == {"base", "convgru", "simvp"}
    trainings = {
        json.loads(path.read_text())["run_id"]: json.loads(path.with_name("training.json").read_text())
        for path in (root / "trainings").glob("*/experiment.json")
    }
    for arm, tuned in record["tuned"].items():
        assert (tuned["seed"], tuned["own"]) == (2, 3e-3)
        assert [one["rate"] for one in tuned["trials"]] == rates(3e-3, 3)
        measured = {one["rate"]: trainings[one["run_id"]]["validation_ssim"] for one in tuned["trials"]}
        assert measured == {one["rate"]: one["value"] for one in tuned["trials"]}
        assert tuned["rate"] == max(measured, key=lambda rate: measured[rate])
        assert {one.experiment.get(RATE) for one in found.where(variant=arm)} == {tuned["rate"]}
    assert sorted((one.variant, one.seed) for one in found) == [
        (arm, seed) for arm in ("base", "convgru", "simvp") for seed in (0, 1)
    ]


def test_trials_are_trained_at_the_arms_budget_and_never_tested(plan: tuple[Path, harness.Results]) -> None:
    root, found = plan
    record = record_of(root)
    trials = {one["run_id"] for tuned in record["tuned"].values() for one in tuned["trials"]}
    assert len(trials) == 9
    assert not trials & {one.run_id for one in found}
    assert not [one for one in trials if (root / "runs" / one / "result.json").exists()]
    store = Store(root)
    by_id = {run.run_id: run.read("experiment.json") for run in store.runs()}
    own = next(one for one in record["tuned"]["base"]["trials"] if one["rate"] == 3e-3)
    base = json.loads((root / "trainings" / by_id[own["run_id"]]["training_key"] / "training.json").read_text())
    budget = round(base["seconds"] + base["warm_up_seconds"], 3)
    for one in record["tuned"]["simvp"]["trials"]:
        training = by_id[one["run_id"]]["experiment"]["training"]
        assert (training["steps"], training["seconds"]) == (None, budget)


def test_the_plan_is_one_table_and_the_page_says_how_rates_were_found(
    plan: tuple[Path, harness.Results], tmp_path: Path
) -> None:
    root, found = plan
    text = (harness.report(root, tmp_path / "report").parent / "report.md").read_text()
    assert "Ablation at equal seconds" in text
    table = text[text.index("Ablation at equal seconds") :]
    assert "| simvp |" in table
    assert "| convgru |" in table
    assert "Learning rates tuned at equal seconds" in text
    rate = record_of(root)["tuned"]["simvp"]["rate"]
    assert f"| simvp | {rate:g} | 0.003 | 2 | 0.000949: " in text
    assert "left out of equal seconds" not in text
    assert "unfinished" not in text
    assert sorted(found.verdicts()["variant"]) == ["convgru", "simvp"]


def test_a_plan_that_was_run_is_answered_from_the_store(
    plan: tuple[Path, harness.Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, found = plan
    monkeypatch.setattr(loop, "fit", lambda *given, **options: pytest.fail("trained"))
    options: dict[str, Any] = {"plan": "networks", "equal": "seconds", "tune": 3, "seeds": 2, "preset": "tiny"}
    again = harness.ablate(["convgru", "simvp"], **options, settings=SETTINGS, store=root, progress=False)
    assert [one.run_id for one in again] == [one.run_id for one in found]


def test_on_the_command_line(harness: Command, tmp_path: Path, quick: None) -> None:
    words = ("ablate", "--plan", "base,tta", "--tune", 2, "--seeds", 1, "-p", "tiny", "--workers", 1)
    words += ("--set", "training.steps=2", "--set", "training.validate_every=2", "--store", tmp_path / "s")
    planned = harness(*words, "--dry-run", "--json").document
    assert planned["estimate"]["cells"] == 2 + 4
    assert not (tmp_path / "s" / "trainings").exists()
    answer = harness(*words, "--json")
    tuned = answer.document["tuned"]
    assert {len(one["trials"]) for one in tuned.values()} == {2}
    assert tuned["tta"]["rate"] == tuned["base"]["rate"]  # it shares base's trainings, so the same trials chose
    keys = {one["variant"]: one["training_key"] for one in answer.document["cells"]}
    assert keys["tta"] == keys["base"]
    assert "base: learning rate" in answer.err
    refused = harness("ablate", "--plan", "base,attention(training.optimizer.lr=0.1)", "--tune", 2, "-p", "tiny")
    assert refused.code == 2
    assert "--tune searches training.optimizer.lr, which the arm" in refused.error


def test_a_plan_that_cannot_be_tuned_is_refused(tmp_path: Path) -> None:
    for options in ({"plan": "a-a", "tune": 1}, {"tune": -1}):
        with pytest.raises(RequestError, match="--tune"):
            harness.ablate(**options, preset="tiny", store=tmp_path, progress=False)  # type: ignore[arg-type]
