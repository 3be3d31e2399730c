"""Arms of a plan as they are written at the command line."""

import json
from pathlib import Path

import pytest
from commands import Command


@pytest.mark.parametrize("name", ["--equal", "--match"])
def test_equal_and_its_former_name_are_one_option(harness: Command, tmp_path: Path, name: str) -> None:
    words = ("ablate", "--plan", "networks", "--variants", "convgru", name, "seconds", "--seeds", 1, "--preset", "tiny")
    found = harness(*words, "--dry-run", "--json", "--store", tmp_path)
    assert found.code == 0
    document = json.loads(found.out)
    assert (document["match"], [cell["label"] for cell in document["cells"]]) == ("seconds", ["base", "convgru"])


def test_doses_and_sweeps_are_arms_of_a_plan(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--seeds", 1, "--preset", "tiny", "--dry-run", "--json", "--store", tmp_path)
    doses = json.loads(harness(*words, "--variants", "attention(heads=1, blocks=1),attention(heads=2)").out)
    assert [cell["label"] for cell in doses["cells"]] == ["base", "attention(blocks=1, heads=1)", "attention(heads=2)"]
    assert len(doses["left_out"]) == 1
    sweep = json.loads(harness(*words, "--sweep", "training.optimizer.lr=1e-3,1e-2").out)
    names = ["base", "base(training.optimizer.lr=0.001)", "base(training.optimizer.lr=0.01)"]
    assert [cell["label"] for cell in sweep["cells"]] == names
    assert harness(*words, "--sweep", "training.optimizer.lr").code == 2
