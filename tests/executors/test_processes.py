"""Tasks in child processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cluster import answer, wait_for
from study_cells import StubCell

from harness.executors.processes import Processes, share_of_cores
from harness.runs.job import Done


@pytest.fixture
def processes() -> Iterator[Processes]:
    with closing(Processes(2)) as made:
        yield made


def test_tasks_run_at_the_same_time_and_each_answer_comes_once(processes: Processes, tmp_path: Path) -> None:
    cells = [StubCell(f"stub{seed}", 0.5, seed, tmp_path) for seed in range(2)]
    tickets = {processes.submit(cell): cell.run_id for cell in cells}
    answers: list[tuple[int, Done]] = []
    wait_for(lambda: answers.extend(processes.done(0.2)) or len(answers) == 2)
    assert {ticket: done.run_id for ticket, done in answers} == tickets
    assert processes.done(0) == []


def test_a_child_that_is_killed_is_an_answer_and_the_next_task_gets_another_child(
    processes: Processes, tmp_path: Path
) -> None:
    def kill(ticket: int) -> None:
        os.kill(processes._workers[0].process.pid or 0, signal.SIGKILL)

    cell = StubCell("stub", 0.5, 0, tmp_path, seconds=60)
    assert answer(processes, cell, kill) == Done(
        "", error="the process was killed by SIGKILL; the machine may have run out of memory"
    )
    assert answer(processes, replace(cell, seconds=0.0)) == Done("stub")


def test_threads_are_an_equal_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [share_of_cores(workers) for workers in (1, 2, 3, 20)] == [0, 4, 2, 1]
