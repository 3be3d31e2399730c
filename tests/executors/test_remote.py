"""What another machine must share, and what happens when machines are lost."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scale
from cluster import wait_for
from stub_cells import NO_TENSORS, StubJob
from study_cells import StubCell

from harness.executors import remote
from harness.executors.remote import VERSIONS, RemoteTask
from harness.runs.job import Done
from harness.store import Store, Training


def remote_task(tmp_path: Path, **changes: Any) -> RemoteTask:
    mark = tmp_path / "store" / "locks" / "executor-x"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    task = StubCell("stub", 0.5, 0, tmp_path)
    return replace(RemoteTask(task, os.getcwd(), mark, VERSIONS, ()), **changes)


def test_a_machine_that_shares_all_runs_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remote_task(tmp_path)() == Done("stub", machine=socket.gethostname())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"versions": ("0.0.1", 77)}, "but version 0.0.1, training revision 77 is needed"),
        ({"folder": "/nowhere/at/all"}, "cannot enter the folder /nowhere/at/all"),
        ({"mark": Path("/nowhere/store/locks/executor-x")}, "does not see the store /nowhere/store"),
    ],
)
def test_a_machine_that_does_not_answers_with_an_error_and_trains_nothing(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    done = remote_task(tmp_path, **change)()
    assert complaint in str(done.error)
    assert done.run_id == ""
    assert not (tmp_path / "stub").exists()


class Losing(remote.Remote):
    """Loses every machine."""

    slots = 1
    sent = 0

    def _send(self, remote_task: RemoteTask) -> Any:
        self.sent += 1

    def _cancel(self, handle: Any) -> None: ...

    def _ready(self, timeout: float) -> list[int]:
        return list(self._submissions)

    def _answer(self, submission: remote.Submission) -> Done:
        if self.sent % 2:  # a job that is preempted, a node that is drained
            return remote.STOPPED
        raise remote.Lost("a node died")


def test_a_task_whose_machines_die_or_tell_it_to_stop_is_sent_again_and_an_error_in_the_end(
    tmp_path: Path, notes: list[str]
) -> None:
    with closing(Losing(tmp_path, notes.append)) as executor:
        executor.submit(StubCell("stub", 0.5, 0, tmp_path))
        answers: list[Any] = []
        wait_for(lambda: answers.extend(executor.done(0)) or answers)
    assert answers[0][1].error == f"a node died, for the {remote.LOSSES + 1}th time without a step saved in between"
    assert sum("told to stop by its machine" in note for note in notes) == 3
    assert executor.sent == len(notes) + 1 == remote.LOSSES + 1


def test_a_cell_that_comes_further_between_losses_may_lose_any_number_of_machines(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = iter([0, *range(1, 40), *[39] * 100])
    monkeypatch.setattr(StubCell, "progress", lambda cell: next(step))
    with closing(Losing(tmp_path, notes.append)) as executor:
        executor.submit(StubCell("stub", 0.5, 0, tmp_path))
        answers: list[Any] = []
        wait_for(lambda: answers.extend(executor.done(0)) or answers)
    assert executor.sent == 39 + remote.LOSSES
    assert "without a step saved in between" in str(answers[0][1].error)


def test_a_jobs_progress_is_the_step_of_its_last_saved_state(tmp_path: Path) -> None:
    task = StubJob(
        request=scale.plan(4).request, variant="base", seed=0, store=tmp_path, nap=0.0, steps=5, training="0" * 16
    )
    assert task.progress() == 0
    folder = Store(tmp_path).part("trainings") / task.training
    Training(folder).write_checkpoint("last.safetensors", NO_TENSORS, {"state": json.dumps({"step": 7})})
    assert task.progress() == 7
    content = (folder / "last.safetensors").read_bytes()
    for damaged in (b"", content[:20], b"\xff" * 64):
        (folder / "last.safetensors").write_bytes(damaged)
        assert task.progress() == 0


class Cluster(remote.Remote):
    """Machines a and b; every test says which of them answers a ticket, and how."""

    slots = 4

    def __init__(self, store: Path, notes: list[str]) -> None:
        super().__init__(store, notes.append)
        self.ends: dict[int, Done] = {}
        self.sent: list[RemoteTask] = []

    def _send(self, remote_task: RemoteTask) -> Any:
        self.sent.append(remote_task)

    def _cancel(self, handle: Any) -> None: ...

    def _ready(self, timeout: float) -> list[int]:
        return list(self.ends)

    def _answer(self, submission: remote.Submission) -> Done:
        return self.ends.pop(submission.ticket)

    def end(self, machine: str, error: str | None = None) -> list[tuple[int, Done]]:
        """The newest task ends so."""
        self.ends[max(self._submissions)] = Done("", error=error, machine=machine)
        return self.done(0)

    def pauses(self) -> tuple[float, float]:
        return self.sent[-1].pause("a"), self.sent[-1].pause("b")


def test_a_machine_that_fails_while_others_work_pauses_longer_and_longer_and_its_failures_are_not_the_cells(
    tmp_path: Path, notes: list[str]
) -> None:
    with closing(Cluster(tmp_path, notes)) as executor:
        task = StubCell("stub", 0.5, 0, tmp_path)
        executor.submit(task)  # stays under way, on b
        for _ in range(remote.FAILURES):
            assert executor.pauses() == (0, 0)
            executor.submit(task)
            assert [done.error for _, done in executor.end("a", "it broke")] == ["it broke"]
        assert executor.pauses() == (60, 0)
        assert "a failed 3 cells in a row while others work" in notes[0]

        executor.submit(task)
        for wait in (120, 240, 480, 960, 1920):
            assert executor.end("a", "it broke") == []  # sent again
            assert executor.pauses() == (wait, 0)
        assert "for the 6th time" in str(executor.end("a", "it broke")[0][1].error)  # of one cell, in the end, it is its own
        assert executor.pauses() == (1920, 0)

        executor.submit(task)
        assert executor.end("a")[0][1].error is None
        assert executor.pauses() == (0, 0)


def test_where_every_machine_fails_the_cells_are_at_fault_and_nothing_waits(tmp_path: Path, notes: list[str]) -> None:
    with closing(Cluster(tmp_path, notes)) as executor:
        for machine in "aabbabab":
            executor.submit(StubCell("stub", 0.5, 0, tmp_path))
            assert [done.error for _, done in executor.end(machine, "it broke")] == ["it broke"]
            assert executor.pauses() == (0, 0)
    assert notes == []


def test_a_task_waits_for_its_machines_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", slept.append)
    task = remote_task(tmp_path)
    for content, wait in (('{"%s": 60, "b": 9}', 60), ('{"%s": 1e9}', remote.MOST_PAUSE), ('["%s"]', 0), ("", 0)):
        task.mark.write_text(content.replace("%s", socket.gethostname()))
        slept.clear()
        task()
        assert slept[0] == wait
