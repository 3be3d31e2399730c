"""Where cells are run. A study asks an executor, and does not know whether it is processes here or a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from harness.executors.processes import Done, Task, Worker, first_done


class Executor(Protocol):
    """Runs tasks, several at once. Tickets are numbers that the executor gives out.

    A task's answer is a `Done`, whatever happened to it: an error, a process or a node that died are answers too. A cell's
    state is in the store, so a task that is submitted again goes on from its last checkpoint.
    """

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        ...

    def submit(self, task: Task) -> int:
        """Starts a task; the caller has at most `slots` of them under way."""
        ...

    def stop(self, ticket: int) -> None:
        """Tells a task to save its state and stop; its answer still comes."""
        ...

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """The answers that are there; waits for the first one, at most `timeout` seconds. No answer comes twice."""
        ...

    def close(self) -> None:
        """Ends what it started."""
        ...


Executors = Callable[[int], Executor]
"""Makes an executor of so many slots."""


def share_of_cores(workers: int) -> int:
    """Threads of each of several processes here; 0, torch's own choice, for one alone."""
    return max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0


class Processes:
    """Child processes of this one."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._workers: list[Worker] = []
        self._busy: dict[int, Worker] = {}
        self._tickets = 0

    @property
    def slots(self) -> int:
        """How many processes."""
        return self._slots

    def submit(self, task: Task) -> int:
        """Gives the task to an idle process, starting one where there is none."""
        idle = next((worker for worker in self._workers if worker.job is None), None)
        if idle is None:
            assert len(self._workers) < self._slots
            idle = Worker()
            self._workers.append(idle)
        idle.submit(task)
        self._tickets += 1
        self._busy[self._tickets] = idle
        return self._tickets

    def stop(self, ticket: int) -> None:
        """Sends SIGTERM, on which a training saves its state."""
        self._busy[ticket].stop()

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """The answers that are there."""
        ready = first_done(self._busy.values(), timeout)
        return [(ticket, self._busy.pop(ticket).result()) for ticket, worker in list(self._busy.items()) if worker in ready]

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()
