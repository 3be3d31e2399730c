"""Cells in this process, one after the other: for a notebook, whose classes no other process can import."""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import Interrupted
from harness.executors.protocol import Task
from harness.runs.job import Done, Job, run_job
from harness.system.progress import Progress
from harness.variant import Variants


class Here:
    """Runs a task when it is submitted. Raises Interrupted when the task is told to stop, its state saved.

    Args:
        variants: the variants that jobs may name.
        shown: makes the display of a training from its title.
    """

    slots = 1

    def __init__(self, variants: Variants, shown: Callable[[str], Progress]) -> None:
        self._variants, self._shown = variants, shown
        self._answers: list[tuple[int, Done]] = []
        self._tickets = 0

    def submit(self, task: Task) -> int:
        """Runs the task."""
        done = run_job(task, self._variants, self._shown) if isinstance(task, Job) else task.run()
        if done.stopped:
            raise Interrupted(f"{done.error}; call again to continue")
        self._tickets += 1
        self._answers.append((self._tickets, done))
        return self._tickets

    def stop(self, ticket: int) -> None:
        """Nothing is under way between two calls."""

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """The answers since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """Nothing to end."""
