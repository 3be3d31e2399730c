"""What runs cells. Plans and studies submit tasks to an executor and do not know where it runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.runs.job import Done


class Task(Protocol):
    """A value that can be pickled, with a `run` that raises nothing; see `harness.runs.job.Job`."""

    @property
    def threads(self) -> int:
        """Threads for torch in the process that runs the task; 0 for torch's own choice."""
        ...

    def run(self) -> Done:
        """Does the work."""
        ...

    def progress(self) -> int:
        """How far its work has come, in any unit that only grows, so that a task that is lost again and again can be told from one
        that moves on between losses."""
        ...


class Executor(Protocol):
    """Runs tasks, several at the same time. Tickets are numbers that the executor gives out.

    A task's answer is a `Done`, whatever happened to it: an error and a process or node that died are answers too. A cell's
    state is in the store, so a task that is submitted again continues from its last checkpoint.
    """

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        ...

    def submit(self, task: Task) -> int:
        """Starts a task; the caller has at most `slots` of them under way."""
        ...

    def stop(self, ticket: int) -> None:
        """Tells a task to save its state and stop; its answer still comes."""
        ...

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """New answers; waits for the first one, at most `timeout` seconds. No answer comes twice."""
        ...

    def close(self) -> None:
        """Ends what it started."""
        ...


Executors = Callable[[int], Executor]
"""Makes an executor with that number of slots."""
