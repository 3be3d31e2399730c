"""Arms whose verdict is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

from harness.ablation.controls import controls
from harness.errors import RequestError
from harness.presets import preset
from harness.store import Folder


@pytest.mark.parametrize(
    ("changes", "handicap", "help_"),
    [
        ({"training.steps": 7}, "training.steps=3", "training.steps=14"),
        ({"training.seconds": 3.0}, "training.seconds=1.5", "training.seconds=6.0"),
        ({"training.epochs": 1.0}, "training.epochs=0.5", "training.epochs=2.0"),
    ],
)
def test_controls_are_base_with_half_and_twice_its_budget_and_other_sequences(
    changes: dict[str, object], handicap: str, help_: str
) -> None:
    found = controls(preset("tiny").replace(changes))
    assert found == {"null": "base(training.data_order=1)", "handicap": f"base({handicap})", "help": f"base({help_})"}


def test_a_budget_of_one_step_cannot_be_halved() -> None:
    with pytest.raises(RequestError, match="can be halved"):
        controls(preset("tiny").replace({"training.steps": 1}))


def test_a_plan_records_its_controls_which_keep_their_budget_whatever_is_held_equal(
    harness: Command, tmp_path: Path
) -> None:
    words = ("ablate", "--preset", "tiny", "--plan", "base,curriculum", "--seeds", 1, "--controls", "--store", tmp_path)
    words = (*words, "--equal", "flops", "--set", "training.steps=10", "--set", "training.validate_every=10", "--workers", 1)
    document = harness(*words, "--json").document
    assert [cell["status"] for cell in document["cells"]] == ["finished"] * 5
    (path,) = (tmp_path / "plans").glob("*.json")
    record = Folder(tmp_path / "plans").read(path.name)
    assert record["controls"] == document["controls"]
    steps = {
        row["variant"]: row["experiment"]["training"]["steps"]
        for row in (Folder(one).read("experiment.json") for one in (tmp_path / "runs").iterdir())
    }
    assert steps["base"] == steps["base(training.data_order=1)"] == 10
    assert (steps["base(training.steps=5)"], steps["base(training.steps=20)"]) == (5, 20)
    assert steps["curriculum"] > 10  # shorter horizons are cheaper, so equal operations are more steps


def test_what_was_run_as_base_with_other_settings_is_a_control_of_the_plan_that_finds_it(
    harness: Command, tmp_path: Path
) -> None:
    common = ("--preset", "tiny", "--store", tmp_path)
    assert harness("run", *common, "--set", "training.steps=3").code == 0
    said = harness("ablate", *common, "--plan", "base", "--controls", "--seeds", 1, "--workers", 1, "--json").document
    (cell,) = (cell for cell in said["cells"] if cell["label"] == "base(training.steps=3)")
    assert cell["cached"]
    assert "preset tiny, 6 steps" in said["answer"]["setting"]
    assert "; 3 controls, paired by seed" in said["answer"]["setting"]  # and no comparison: no arm was asked about
    (half,) = (one["words"] for one in said["answer"]["controls"] if "base(training.steps=3)" in one["words"])
    assert "not run" not in half
    assert harness("report", "--store", tmp_path).code == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "not put in one table" not in text


def test_the_a_a_plan_has_no_controls(harness: Command) -> None:
    assert "is a control itself" in harness("ablate", "--preset", "tiny", "--plan", "a-a", "--controls").err
