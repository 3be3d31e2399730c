"""Plans on machines that vanish, fail and run out of memory, simulated: whose fault a failure is, and what is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from failures import World, simulate, wrong_clocks


def small(**given: Any) -> dict[str, Any]:
    return simulate(World(cells=60, machines=10, seed=1, **given))


def test_without_failures_nothing_is_lost_or_repeated() -> None:
    found = small()
    assert (found["finished"], found["machines_lost"], found["eaten"], found["repeated_hours"]) == (60, 0, 0, 0)
    assert found["hours"] == pytest.approx(found["hours_without_failures"]) == 6


def test_on_machines_that_vanish_every_few_minutes_every_cell_is_finished_and_most_were_not_before() -> None:
    found = small(vanish=300.0)
    assert (found["finished"], found["failed"]) == (60, 0)
    assert found["machines_lost"] > 5 * 60  # more than five a cell
    assert found["repeated_hours"] < found["machines_lost"] * 30 / 3600
    assert small(vanish=300.0, remembers=False)["failed"] > 20


def test_a_machine_that_fails_every_cell_at_once_does_not_empty_the_queue() -> None:
    found = small(bad=1)
    assert (found["finished"], found["failed"]) == (60, 0)
    assert found["hours"] < 1.3 * found["hours_without_failures"]
    without = small(bad=1, pauses=False)
    assert without["failed"] > 30
    assert without["eaten"] > 5 * found["eaten"]


def test_a_cell_that_always_runs_out_of_memory_fails_and_no_other() -> None:
    found = small(too_large=2, vanish=300.0, bad=1)
    assert (found["finished"], found["failed"], found["failed_without_own_fault"]) == (58, 2, 0)


@pytest.mark.timeout(120)
def test_clocks_an_hour_apart_train_no_cell_twice_and_make_no_answer_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert wrong_clocks(4) == {"cells": 4, "finished": 4, "trained_twice": 0, "again": 4, "quarantined": 0}
