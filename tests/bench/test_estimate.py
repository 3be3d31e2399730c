"""What a plan will take is measured without a trace."""

from __future__ import annotations

from trainings import cell_of, switches

from harness.bench.estimate import time_steps


def test_a_few_steps_can_be_timed_and_leave_nothing_behind() -> None:
    before = switches()
    cell, source = cell_of({"training.steps": 100}, "curriculum")
    step, test, memory = time_steps(cell.experiment, source, "cpu")
    assert min(step, test) > 0
    assert memory > 2**20
    assert switches() == before
