"""`--seeds auto` on every executor: what is submitted is what the looks ask for, and the decisions are the same."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from cluster import resources
from plan_cells import auto_plan, stub_runner, submitted

from harness.ablation.auto import SeedRule
from harness.executors.processes import Processes
from harness.executors.protocol import Executor, Executors
from harness.executors.ray import Ray
from harness.executors.slurm import Slurm

pytestmark = pytest.mark.timeout(240)  # starting processes takes long on a busy machine
PLAN = auto_plan(("attention", "residual"), seeds=tuple(range(6)), rule=SeedRule(most=6), workers=2)


def executors(name: str, root: Path) -> Executors:
    def make(slots: int) -> Executor:
        if name == "ray":
            return Ray(resources("ray"), root, print, slots)
        return Slurm(resources("slurm", slurm="cluster=local"), root, print, slots)

    return Processes if name == "processes" else make


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "ray", "slurm"])
def test_seeds_of_stopped_arms_are_not_submitted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(one for one in sys.path if one))  # the stub cells' own module
    runner = stub_runner(tmp_path, PLAN, executors(name, tmp_path))
    rows = runner.run()
    assert [row.error for row in rows] == [None] * len(rows)
    assert Counter(arm for arm, _ in submitted(tmp_path)) == {"base": 6, "attention": 4, "residual": 6}
    standing = runner.standing()
    assert standing is not None
    assert [(one.verdict, one.seeds) for one in standing.decisions] == [("helps", 4), ("undecided", 6)]
