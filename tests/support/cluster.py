"""Cells that executors run, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.executors.protocol import Executor
from harness.executors.resources import Resources, resolve_resources
from harness.options import ExecutorOptions
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.store import Cell, Folder, Store
from harness.variant import Variants

QUICK = {"training.validate_every": "16", "data.test_sequences": "2", "data.validation_sequences": "2"}
SHORT = Request(preset="tiny", settings=QUICK | {"training.steps": "16"})
LONG = Request(preset="tiny", settings=QUICK | {"training.steps": "96"})


def resources(executor: str = "processes", device: str = "auto", **words: Any) -> Resources:
    return resolve_resources(ExecutorOptions(executor=executor, **words), device)


def job(store: Path, request: Request = SHORT, **changes: Any) -> Job:
    """A training of `base` that leaves the test data alone."""
    given: dict[str, Any] = {"variant": "base", "seed": 0, "threads": 1, "quiet": True, "evaluate": False}
    return Job(request=request, store=store, **(given | changes))


def cell_of(task: Job) -> Cell:
    return task.request.cell(Variants(files=task.plugins), task.variant, task.seed)[0]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.02)


def answer(executor: Executor, task: Any, then: Callable[[int], None] = lambda ticket: None) -> Done:
    ticket = executor.submit(task)
    then(ticket)
    ends = time.monotonic() + 150
    while not (found := executor.done(1.0)):
        assert time.monotonic() < ends, "no answer"
    assert [one for one, _ in found] == [ticket]
    return found[0][1]


def trained(store: Path) -> dict[str, str]:
    """Every finished training of a store and the digest of its weights."""
    return {
        path.parent.name: Folder(path.parent).read(path.name)["checkpoint_sha256"]
        for path in store.glob("trainings/*/training.json")
    }


def scores(store: Path) -> dict[str, Any]:
    return {path.parent.name: Folder(path.parent).read(path.name)["metrics"] for path in store.glob("runs/*/result.json")}


def stop_in_mid_training(executor: Executor, task: Job) -> None:
    """It saves its state and says so."""
    folder = Store(task.store).training(cell_of(task)).path

    def stop(ticket: int) -> None:
        wait_for((folder / "metrics.jsonl").exists)
        executor.stop(ticket)

    stopped = answer(executor, task, stop)
    assert stopped.stopped
    assert "the state is saved" in str(stopped.error)
    assert (folder / "last.safetensors").exists()
    assert not (folder / "training.json").exists()
