"""Cells in this process: run when they are submitted, answered once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import SHORT, job, trained

from harness.errors import Interrupted
from harness.executors.here import Here
from harness.runs.job import Done
from harness.system.progress import Progress, Silent
from harness.variant import Variants


@dataclass
class Task:
    answer: Done
    threads: int = 0
    runs: int = 0

    def progress(self) -> int:
        return 0

    def run(self) -> Done:
        self.runs += 1
        return self.answer


@pytest.fixture
def titles() -> list[str]:
    return []


@pytest.fixture
def here(titles: list[str]) -> Here:
    def shown(title: str) -> Progress:
        titles.append(title)
        return Silent()

    return Here(Variants(third_party=False), shown)


def test_a_task_runs_at_once_and_its_answer_comes_once(here: Here) -> None:
    tasks = [Task(Done("a")), Task(Done("b", error="it broke"))]
    tickets = [here.submit(task) for task in tasks]
    assert [task.runs for task in tasks] == [1, 1]
    assert here.done(0.0) == [(tickets[0], tasks[0].answer), (tickets[1], tasks[1].answer)]
    assert here.done(0.0) == []
    assert len(set(tickets)) == 2
    assert here.slots == 1


def test_a_task_that_was_told_to_stop_ends_the_work_and_says_how_to_go_on(here: Here) -> None:
    with pytest.raises(Interrupted, match="step 3: the state is saved; call again to continue"):
        here.submit(Task(Done("a", error="step 3: the state is saved", stopped=True)))
    assert here.done(0.0) == []


def test_a_job_trains_here_with_the_variants_and_the_display_of_the_session(
    here: Here, titles: list[str], tmp_path: Path
) -> None:
    ticket = here.submit(job(tmp_path))
    ((answered, done),) = here.done(0.0)
    assert (answered, done.error) == (ticket, None)
    assert len(trained(tmp_path)) == 1
    assert len(titles) == 1
    assert "base" in titles[0]


def test_a_job_of_a_variant_that_the_session_lacks_is_an_answer(here: Here, tmp_path: Path) -> None:
    here.submit(job(tmp_path, SHORT, variant="atention"))
    ((_, done),) = here.done(0.0)
    assert done.error is not None
    assert "did you mean 'attention'" in done.error
