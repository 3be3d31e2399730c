"""The benchmark of plans of thousands of cells, at tens of them: what it counts, and that kills lose and repeat nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import scale
from stub_cells import StubRunner, trained
from study_cells import AtOnce

from harness.ablation.runner import Runner
from harness.store import Store


@pytest.mark.parametrize(("cells", "arms", "seeds"), [(20, 10, 2), (100, 50, 2), (1000, 100, 10), (10000, 100, 100)])
def test_a_plan_has_as_many_cells_as_were_asked_for(cells: int, arms: int, seeds: int) -> None:
    made = scale.plan(cells)
    assert (made.plan.count("base("), len(made.seeds)) == (arms - 1, seeds)


def test_stub_cells_leave_what_a_run_leaves_and_are_answered_from_the_store(tmp_path: Path) -> None:
    def runner(kind: type[Runner]) -> Runner:
        return kind(scale.plan(4), Store(tmp_path), lambda text: None, lambda slots: AtOnce(slots))

    assert [row.status for row in runner(StubRunner).run()] == ["finished"] * 4
    assert len(trained(tmp_path)) == len(set(trained(tmp_path))) == 4
    assert [row.cached for row in runner(Runner).run()] == [True] * 4


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killing_the_driver_and_half_of_the_workers_loses_no_cell_and_trains_none_twice(tmp_path: Path) -> None:
    found = scale.kill([24], tmp_path, kills=3)
    assert {found[name] for name in ("cells", "finished", "results")} == {24}
    assert (
        found["trainings"] >= 24 - found["workers_killed"]
    )  # a worker may die between a training's end and its line in the log
    assert (found["trained_twice"], found["errors"]) == (0, [])


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(lambda n: 3 + 0.002 * n, (0.40, 0.68)), (lambda n: 1e-6 * n**2, (2.0, 2.0))],
    ids=["linear with a start", "quadratic"],
)
def test_growth_is_the_power_of_the_number_of_cells(cost: object, expected: tuple[float, float]) -> None:
    rows = [{"cells": n, "cpu": cost(n)} for n in (100, 1000, 10000)]  # type: ignore[operator]
    found = scale.growth(rows, "cpu")
    assert (found["all"], found["largest"]) == pytest.approx(expected, abs=0.05)


def test_only_calls_on_the_stores_files_count(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    log.write_text(
        f"""12 openat(AT_FDCWD, "{tmp_path}/store/runs/a/result.json", O_RDONLY) = 3
[pid   13] fsync(4<{tmp_path}/store/runs/a>) = 0
12 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3
12 close(3<{tmp_path}/store/runs/a/result.json>) = 0
"""
    )
    assert scale._calls(log, tmp_path / "store") == {"openat": 1, "fsync": 1}
