"""Arms of a plan as they are written at the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from scipy import stats

BROKEN = """
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True, kw_only=True)
class Mine(Component):
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "mine"

    def build(self, channels):
        raise ValueError("not today")

MINE = Variant(name="broken", summary="wrong", source="made up", changes={"architecture.bottleneck": Mine()})
"""


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


def test_a_plan_ends_with_its_answer(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--variants", "tta", "--seeds", 3, "--preset", "tiny", "--device", "cpu", "--store", tmp_path)
    printed = harness(*words)
    assert printed.code == 0, printed.err
    answer = harness(*words, "--json").document["answer"]

    runs = harness("list", "runs", "--json", "--store", tmp_path).document["runs"]
    ssim = {(run["variant"], run["seed"]): run["ssim"] for run in runs}
    differences = [ssim["tta", seed] - ssim["base", seed] for seed in range(3)]
    half = stats.t.ppf(0.975, 2) * stats.sem(differences)  # one comparison: nothing to adjust for
    base, tta = answer["effects"]
    assert (base["name"], base["verdict"], base["gain"]) == ("base", "", None)
    assert [tta["gain"], tta["low"], tta["high"]] == pytest.approx(
        [np.mean(differences), np.mean(differences) - half, np.mean(differences) + half]
    )
    assert tta["verdict"] in ("helps", "hurts", "equivalent", "undecided")
    assert answer["headline"] in printed.out.splitlines()
    row = next(line for line in printed.out.splitlines() if line.startswith("tta "))
    assert f"{np.mean(differences):+.4f} [{np.mean(differences) - half:+.4f}, {np.mean(differences) + half:+.4f}]" in row
    assert tta["verdict"] in row
    assert "4.00x inference" in row


def test_the_answer_is_of_the_plan_alone_and_names_what_is_missing(harness: Command, tmp_path: Path) -> None:
    here = ("--preset", "tiny", "--device", "cpu", "--store", tmp_path)
    harness("ablate", "--variants", "tta", "--seeds", 2, *here)
    broken = tmp_path.parent / "broken.py"
    broken.write_text(BROKEN)
    words = ("ablate", "--variants", "broken", "--seeds", 2, "--retries", 0, "--plugin", broken, *here)
    found = harness(*words, "--json")
    assert found.code == 1
    answer = found.document["answer"]
    assert [one["name"] for one in answer["effects"]] == ["base", "broken"]
    assert answer["effects"][1]["verdict"] == "failed"
    assert {"passed": False, "words": "2 runs missing, failed or damaged"} in answer["controls"]
    told = harness(*words)
    assert [line.split()[:3] for line in told.out.splitlines()[1:3]] == [
        ["broken", "0", "failed"],
        ["broken", "1", "failed"],
    ]


def test_a_plan_of_equal_cost_ends_with_its_own_answer(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--plan", "base,attention", "--equal", "flops", "--seeds", 2, "--preset", "tiny", "--device", "cpu")
    answer = harness(*words, "--store", tmp_path, "--json").document["answer"]
    assert [one["name"] for one in answer["effects"]] == ["base", "attention"]
    assert answer["effects"][1]["gain"] is not None
    assert "equal operations" in answer["setting"]
    assert answer["commands"]
    assert all("--equal flops" in one for one in answer["commands"])
