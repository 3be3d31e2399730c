"""What another machine must share, and what happens when machines are lost."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster import wait_for
from study_cells import StubCell

from harness.executors import remote
from harness.executors.remote import VERSIONS, RemoteTask
from harness.runs.job import Done


def remote_task(tmp_path: Path, **changes: Any) -> RemoteTask:
    mark = tmp_path / "store" / "locks" / "executor-x"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    task = StubCell("stub", 0.5, 0, tmp_path)
    return replace(RemoteTask(task, os.getcwd(), mark, VERSIONS, ()), **changes)


def test_a_machine_that_shares_all_runs_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remote_task(tmp_path)() == Done("stub")


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
    assert answers[0][1].error == f"a node died, for the {remote.LOSSES + 1}th time"
    assert sum("told to stop by its machine" in note for note in notes) == 3
    assert executor.sent == len(notes) + 1 == remote.LOSSES + 1
