"""Which cells of a plan share a process, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plan_cells import Trusting

from harness.ablation.plan import Ablation
from harness.ablation.record import Row
from harness.errors import RequestError
from harness.executors.protocol import Task
from harness.options import RunOptions
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.runs.together import Together
from harness.store import Store


def ablation(**changes: Any) -> Ablation:
    given: dict[str, Any] = {
        "plan": "base,attention,tta",
        "variants": (),
        "seeds": (0, 1),
        "request": Request(preset="tiny", settings={"training.steps": "2"}),
        "cells_per_process": 3,
    }
    return Ablation(**(given | changes))


class Answers:
    """An executor that trains nothing: every task is answered by `answer`."""

    slots = 1

    def __init__(self, answer: Callable[[Task], Done]) -> None:
        self.answer = answer
        self.tasks: list[tuple[tuple[str, int], ...]] = []
        self.waiting: list[tuple[int, Task]] = []

    def submit(self, task: Task) -> int:
        jobs = task.jobs if isinstance(task, Together) else (task,)
        assert all(isinstance(job, Job) for job in jobs)
        self.tasks.append(tuple((job.variant, job.seed) for job in jobs))  # type: ignore[attr-defined]
        self.waiting.append((len(self.tasks), task))
        return len(self.tasks)

    def stop(self, ticket: int) -> None: ...

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        ticket, task = self.waiting.pop()
        return [(ticket, self.answer(task))]

    def close(self) -> None: ...


def run(plan: Ablation, root: Path, answer: Callable[[Task], Done]) -> tuple[list[Row], Answers]:
    executor = Answers(answer)
    return Trusting(plan, Store(root), lambda text: None, lambda slots: executor).run(), executor


def fine(task: Task) -> Done:
    return Done("", parts=tuple(Done("x") for _ in task.jobs)) if isinstance(task, Together) else Done("x")


def test_the_next_cells_share_a_process_but_for_those_that_share_a_training(tmp_path: Path) -> None:
    rows, executor = run(ablation(), tmp_path, fine)
    assert {row.status for row in rows} == {"finished"}
    assert executor.tasks == [
        (("base", 0), ("attention", 0), ("base", 1)),  # tta's training of seed 0 is base's
        (("tta", 0), ("attention", 1), ("tta", 1)),
    ]


def test_a_cell_with_a_budget_in_seconds_trains_alone(tmp_path: Path) -> None:
    timed = Request(preset="tiny", settings={"training.seconds": "1"})
    _, executor = run(ablation(request=timed, plan="base,attention"), tmp_path, fine)
    assert executor.tasks == [(("base", 0),), (("attention", 0),), (("base", 1),), (("attention", 1),)]


def test_the_one_that_failed_is_tried_again_by_itself(tmp_path: Path) -> None:
    def fails(task: Task) -> Done:
        if not isinstance(task, Together):
            return Done("x")
        return Done("", parts=tuple(Done("", error="it broke" if job.variant == "attention" else None) for job in task.jobs))

    rows, executor = run(ablation(seeds=(0,), plan="base,attention,residual"), tmp_path, fails)
    assert executor.tasks == [(("base", 0), ("attention", 0), ("residual", 0)), (("attention", 0),)]
    assert [(row.status, row.attempts) for row in rows] == [("finished", 1), ("finished", 2), ("finished", 1)]


@pytest.mark.parametrize("retries", [0, 1])
def test_of_a_process_that_died_each_cell_is_tried_again_by_itself(retries: int, tmp_path: Path) -> None:
    def dies(task: Task) -> Done:
        alone_and_well = isinstance(task, Job) and task.variant != "attention"
        return Done("x") if alone_and_well else Done("", error="the process was killed by SIGKILL")

    rows, executor = run(ablation(seeds=(0,), plan="base,attention,residual", retries=retries), tmp_path, dies)
    assert executor.tasks[0] == (("base", 0), ("attention", 0), ("residual", 0))
    assert executor.tasks[1:] == [(("base", 0),), (("attention", 0),), (("residual", 0),)]
    assert [row.status for row in rows] == ["finished", "failed", "finished"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells_per_process": 0}, "--cells-per-process 0"),
        ({"match": "seconds"}, "--equal seconds"),
        ({"options": RunOptions(hooks=["tensorboard"])}, "--track"),
    ],
)
def test_what_would_mix_up_cells_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ablation(**changes)
